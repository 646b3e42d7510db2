"""YOLO's text files: a line an object, lengths as shares of the photo.

    3 0.479 0.688 0.955 0.595            class, middle x and y, width, height
    3 0.284 0.108 0.200 0.145 0.103 ...  class, then the corners of a polygon

`labels/train2017/NAME.txt` belongs to the photo of that name, in a folder of the same name if there
are several; a photo without such a file has no objects. Classes are numbered from 0; their names
stand in a .yaml file beside, as `names: [a, b]` or with one a line. Where a folder has boxes and
polygons, in two folders `labels`, the polygons are taken if masks are wanted.
"""

import math
import re
from pathlib import Path

import numpy as np

from backbones.training.errors import UserError
from tasks.data.decode import picture_size
from tasks.data.formats.boxed_photos import (
    BoxedPhoto,
    BoxedSet,
    PhotosBelow,
    check_missing,
    split_called,
    whole_set,
)
from tasks.data.formats.coco import polygons_text
from tasks.data.formats.text import read_lines
from tasks.data.split_names import SPLITS, Split

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".JPG", ".JPEG", ".png", ".PNG", ".bmp", ".webp")
NUMBERED = re.compile(r"\s+(\d+)\s*:\s*(.+)")
LISTED = re.compile(r"\s*-\s+(.+)")


def label_folder(folder: Path, masks: bool) -> Path | None:
    """Return the folder `labels` in a folder or in one of its folders; None without any. Of two,
    that of polygons with masks, else that of boxes."""
    there = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    found = [path / "labels" for path in there if (path / "labels").is_dir()]
    fit = [path for path in found if has_polygons(path) == masks]
    return next(iter(fit or found), None)


def has_polygons(labels: Path) -> bool:
    """Say whether the first object below a folder is a polygon."""
    for path in sorted(labels.rglob("*.txt")):
        for line in read_lines(path):
            if line.strip():
                return len(line.split()) > 5
    return False


def read_yolo(folder: Path, *, masks: bool) -> BoxedSet:
    """Return the photos of a folder with YOLO's files; UserError if they cannot be had."""
    labels = label_folder(folder, masks)
    assert labels is not None
    places, classes = PhotosBelow(folder), class_names(labels.parent)
    photos: dict[Split, list[BoxedPhoto]] = {split: [] for split in SPLITS}
    missing, total, most = list[str](), 0, 0
    for path in sorted(labels.rglob("*.txt")):
        total += 1
        near = path.parent.name if path.parent != labels else ""
        tried = (places.find(f"{path.stem}{suffix}", near) for suffix in PHOTO_SUFFIXES)
        place = next((found for found in tried if found), None)
        if place is None:
            missing.append(path.stem)
            continue
        photo = photo_of(place, path, masks)
        most = max(most, int(photo.label.max(initial=0)))
        photos[split_called(near) or "train"].append(photo)
    notes = [f"boxes of {labels}", *check_missing(missing, total, folder)]
    if classes and most > len(classes):
        raise UserError(
            f"{labels} has the class {most - 1}; the names in {labels.parent} end with "
            f"{len(classes) - 1}"
        )
    return whole_set(classes or [str(n) for n in range(most)], photos, notes)


def photo_of(photo: Path, path: Path, masks: bool) -> BoxedPhoto:
    """Return a photo with the objects in its file; UserError names the line that is wrong."""
    height, width = size = picture_size(photo)
    boxes, labels, texts = list[list[float]](), list[int](), list[str]()
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        label, shares = numbers_in(line, where)
        labels.append(label + 1)
        if len(shares) == 4:
            if masks:
                raise UserError(f"{where} has a box, no polygon; train without --masks")
            x, y, w, h = shares
            corners = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
            boxes.append([c * side for c, side in zip(corners, (width, height) * 2, strict=True)])
        else:
            points = np.array(shares).reshape(-1, 2) * [width, height]
            boxes.append([*points.min(0), *points.max(0)])
            if masks:
                texts.append(polygons_text([points.ravel()], height, width))
    return BoxedPhoto(
        photo,
        size,
        np.array(boxes, np.float64).reshape(-1, 4),
        np.array(labels, np.int64),
        np.zeros(len(labels), bool),
        tuple(texts) if masks else None,
    )


def numbers_in(line: str, where: str) -> tuple[int, list[float]]:
    """Return the class and the lengths of a line; UserError if it is none."""
    first, *rest = line.split()
    try:
        shares = [float(each) for each in rest]
    except ValueError:
        shares = [math.nan]
    fits = len(shares) == 4 or (len(shares) >= 6 and len(shares) % 2 == 0)
    if not first.isdecimal() or len(first) > 6 or not fits or not all(abs(s) < 100 for s in shares):
        raise UserError(
            f"{where}: {line[:60]!r} is no class with a middle and a size, or with the corners of "
            "a polygon, as shares of the photo"
        )
    return int(first), shares


def class_names(folder: Path) -> list[str]:
    """Return the names of the classes in a .yaml file of a folder; none without one."""
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        lines = read_lines(path)
        for n, line in enumerate(lines):
            if re.match(r"names\s*:", line):
                return names_after(line.split(":", 1)[1].strip(), lines[n + 1 :])
    return []


def names_after(text: str, lines: list[str]) -> list[str]:
    """Return names in brackets, or the lines below with one each."""
    if text.startswith("["):
        return [each.strip().strip("'\"") for each in text.strip("[]").split(",") if each.strip()]
    names = []
    for line in lines:
        match = NUMBERED.match(line) or LISTED.match(line)
        if not match:
            break
        names.append(match[match.lastindex or 1].strip().strip("'\""))
    return names
