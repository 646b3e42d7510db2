"""Which reader of boxes a folder is for: COCO's, VOC's, Penn-Fudan's or YOLO's."""

from pathlib import Path

from backbones.training.errors import UserError
from backbones.training.streams import plain
from tasks.data.formats.boxed_photos import BoxedSet
from tasks.data.formats.coco import coco_files, read_coco
from tasks.data.formats.voc import read_penn_fudan, read_voc
from tasks.data.formats.yolo import read_yolo

KNOWN = (
    "instances_train.json (COCO), Annotations/NAME.xml and JPEGImages (VOC), PNGImages and "
    "PedMasks (Penn-Fudan), or labels/NAME.txt and images (YOLO)"
)


def read_boxed(folder: Path, *, masks: bool) -> BoxedSet:
    """Return the photos with boxes that lie in a folder, with masks if wanted; UserError if they
    cannot be had."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; expected one with photos and boxes")
    if coco_files(folder):
        return read_coco(folder, masks=masks)
    if (folder / "Annotations").is_dir():
        return read_voc(folder, masks=masks)
    if (folder / "PNGImages").is_dir() and (folder / "PedMasks").is_dir():
        return read_penn_fudan(folder)
    if any(path.is_dir() for path in [*folder.glob("labels"), *folder.glob("*/labels")]):
        return read_yolo(folder, masks=masks)
    inside = ", ".join(sorted(plain(path.name) for path in folder.iterdir())[:5]) or "nothing"
    raise UserError(f"{folder} holds {inside}; expected {KNOWN}")
