"""The world `scenes` as files in COCO's layout, so that what reads photos can be tried on it.

    python -m tasks.worlds.scene_files FOLDER --train 2000 --val 100 --test 500
    arcadia train detect --data FOLDER --size-px 96 --masks

FOLDER gets `train/000000.png`, `instances_train.json` with boxes, masks and crowds of none, and
with `--proposals` boxes from outside in `proposals_train.json`: those of OpenCV's maximally stable
regions (Matas et al. 2002, https://doi.org/10.5244/C.16.36) in six planes of colour. A mask of
several pieces is one object's, by its run lengths.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tyro
from jaxtyping import UInt8
from PIL import Image

from backbones.training.errors import UserError
from backbones.training.files import make_empty_folder, write_atomically
from backbones.training.progress import say
from tasks.data.formats.rle import boxes_of
from tasks.data.split_names import SPLITS, Split
from tasks.worlds import scenes
from tasks.worlds.chance import SEEDS

DELTAS = (6, 12)  # of brightness, over which a region is to stay as it is
MOST_VARIATION = 0.5  # of its area meanwhile


@dataclass(frozen=True, kw_only=True)
class Config:
    """Write scenes as files in COCO's layout."""

    folder: tyro.conf.Positional[Path]
    """A new folder, or an empty one."""
    train: int = 2_000
    """Scenes to learn from."""
    val: int = 100
    """Scenes to validate on."""
    test: int = 500
    """Scenes to test on."""
    size_px: int = 96
    """Side of the pictures."""
    proposals: bool = False
    """Write boxes from outside too."""


def write_scenes(config: Config) -> None:
    """Write every split; UserError if the folder holds something."""
    make_empty_folder(config.folder)
    for split in SPLITS:
        if count := int(getattr(config, split)):
            write_split(config, split, count)


def write_split(config: Config, split: Split, count: int) -> None:
    """Write one split's pictures and its file."""
    place = config.folder / split
    place.mkdir()
    images, annotations = list[dict[str, Any]](), list[dict[str, Any]]()
    proposals = dict[str, list[list[int]]]()
    for number in range(count):
        picture, masks, shapes = scenes.objects(SEEDS[split], number, config.size_px)
        name, pixels = f"{number:06}.png", picture.transpose(1, 2, 0)
        Image.fromarray(np.ascontiguousarray(pixels)).save(place / name)
        side = {"width": config.size_px, "height": config.size_px}
        images.append({"id": number + 1, "file_name": name, **side})
        for mask, box, shape in zip(masks, boxes_of(masks).tolist(), shapes, strict=True):
            runs = run_lengths(mask)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number + 1,
                    "category_id": shape + 1,
                    "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
                    "area": int(mask.sum()),
                    "iscrowd": 0,
                    "segmentation": {"size": [config.size_px] * 2, "counts": runs},
                }
            )
        if config.proposals:
            proposals[name] = stable_regions(np.ascontiguousarray(pixels))
    kinds = [{"id": n, "name": name} for n, name in enumerate(scenes.SHAPES, 1)]
    whole = {"images": images, "annotations": annotations, "categories": kinds}
    write_atomically(config.folder / f"instances_{split}.json", json.dumps(whole))
    if config.proposals:
        write_atomically(config.folder / f"proposals_{split}.json", json.dumps(proposals))


def run_lengths(mask: np.ndarray) -> list[int]:
    """Return COCO's uncompressed run lengths of a mask: down the columns, beginning outside."""
    flat = np.concatenate([[False], mask.T.ravel()])
    ends = np.flatnonzero(flat[1:] != flat[:-1])
    return np.diff(np.concatenate([[0], ends, [flat.size - 1]])).tolist()  # type: ignore[no-any-return]


def stable_regions(pixels: UInt8[np.ndarray, "H W 3"]) -> list[list[int]]:
    """Return x, y, width and height round the stable regions of a picture, the largest first, each
    once: 43 of a scene, which meet nine objects of ten by an IoU of a half."""
    lab, hsv = (cv2.cvtColor(pixels, code) for code in (cv2.COLOR_RGB2Lab, cv2.COLOR_RGB2HSV))
    boxes = set[tuple[int, ...]]()
    for delta in DELTAS:
        finder = cv2.MSER.create(
            delta=delta,
            min_area=60,
            max_area=pixels.shape[0] ** 2 // 3,
            max_variation=MOST_VARIATION,
        )
        for plane in (hsv[:, :, 1], *cv2.split(pixels), lab[:, :, 1], lab[:, :, 2]):
            whole = cv2.normalize(plane, np.empty_like(plane), 0, 255, cv2.NORM_MINMAX)
            boxes |= {tuple(map(int, box)) for box in finder.detectRegions(whole)[1]}
    return [list(box) for box in sorted(boxes, key=lambda box: (-box[2] * box[3], box))]


def main(words: Sequence[str]) -> int:
    """Write scenes as asked for."""
    config = tyro.cli(Config, args=words, config=(tyro.conf.OmitArgPrefixes,))
    try:
        write_scenes(config)
    except UserError as error:
        say(f"scene_files: {error}", sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
