"""YOLO's text files: a line an object, lengths as shares of the photo.

    3 0.479 0.688 0.955 0.595            class, middle x and y, width, height
    3 0.284 0.108 0.200 0.145 0.103 ...  class, then the corners of a polygon

`labels/train2017/NAME.txt` belongs to `images/train2017/NAME.jpg`; `train/labels` with
`train/images` is read too. A photo without such a file has no objects; files without a photo are
passed over. Classes have numbers; their names stand in a .yaml file beside, as `names: [a, b]` or
one a line. Where a folder has boxes and polygons, in two folders `labels`, the polygons are taken
if masks are wanted.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from backbones.training.errors import UserError
from tasks.data.decode import picture_size
from tasks.data.formats.boxed_photos import (
    BoxedPhoto,
    BoxedSet,
    PhotosBelow,
    split_called,
    whole_set,
)
from tasks.data.formats.coco import polygons_text
from tasks.data.formats.text import read_lines
from tasks.data.missing import some
from tasks.data.split_names import SPLITS, Split

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


def places_of(folder: Path, masks: bool) -> list[tuple[Path, Path]]:
    """Return the folders of photos, each with that of their text files: one pair a split, or one
    for all."""
    inside = sorted(path for path in folder.iterdir() if path.is_dir())
    pairs = [(path / "images", path / "labels") for path in inside if split_called(path.name)]
    if found := [pair for pair in pairs if pair[0].is_dir() and pair[1].is_dir()]:
        return found
    labels = label_folder(folder, masks)
    assert labels is not None
    beside = [labels.parent / "images", folder / "images"]
    return [(next((path for path in beside if path.is_dir()), folder), labels)]


def read_yolo(folder: Path, *, masks: bool) -> BoxedSet:
    """Return the photos of a folder with YOLO's files; UserError if they cannot be had."""
    names = class_names(folder)
    photos: dict[Split, list[BoxedPhoto]] = {split: [] for split in SPLITS}
    notes = list[str]()
    for images, labels in places_of(folder, masks):
        names = names or class_names(labels.parent)
        below = PhotosBelow(images)
        texts = {text_key(path, labels): path for path in sorted(labels.rglob("*.txt"))}
        for photo in sorted(path for paths in below.of_name.values() for path in paths):
            near, stem = text_key(photo, images)
            path = texts.pop((near, stem), None) or texts.pop(("", stem), None)
            split = split_called(near) or split_called(images.parent.name) or "train"
            photos[split].append(photo_of(photo, path, names, masks))
        there = sum(map(len, photos.values()))
        notes.append(f"boxes of {labels}")
        if texts:
            said = f"{len(texts):,} of its files belong to no photo"
            lost = some(stem for _, stem in texts)
            if len(texts) > there:
                raise UserError(f"{labels}: {said} below {images} ({lost}); give both")
            notes.append(f"{said}, passed over ({lost})")
    used = {int(n) for each in photos.values() for photo in each for n in photo.label}
    kinds = names or {n: str(n - 1) for n in range(1, max(used, default=0) + 1)}
    numbers = {number: n for n, number in enumerate(sorted(kinds), 1)}
    for split, each in photos.items():
        photos[split] = [
            replace(p, label=np.array([numbers[int(n)] for n in p.label], np.int64)) for p in each
        ]
    return whole_set(
        [kinds[n] for n in sorted(kinds)], photos, notes, [n - 1 for n in sorted(kinds)]
    )


def text_key(path: Path, root: Path) -> tuple[str, str]:
    """Return the folder of a file, "" for the root itself, and its name without the suffix."""
    return ("" if path.parent == root else path.parent.name), path.stem


def photo_of(photo: Path, path: Path | None, names: Mapping[int, str], masks: bool) -> BoxedPhoto:
    """Return a photo with the objects in its file, none without one; UserError names the line that
    is wrong. Classes are one more than in the file here."""
    height, width = size = picture_size(photo)
    boxes, labels, texts = list[list[float]](), list[int](), list[str]()
    for number, line in enumerate(read_lines(path) if path else [], 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        label, shares = numbers_in(line, where)
        if names and label + 1 not in names:
            known = ", ".join(str(n - 1) for n in list(names)[:3])
            raise UserError(f"{where} has the class {label}; the .yaml file names {known}, ...")
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


def class_names(folder: Path) -> dict[int, str]:
    """Return the names of the classes in a .yaml file of a folder, each by its number and one more;
    none without such a file."""
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        lines = read_lines(path)
        for n, line in enumerate(lines):
            if re.match(r"names\s*:", line):
                return names_after(line.split(":", 1)[1].strip(), lines[n + 1 :])
    return {}


def names_after(text: str, lines: list[str]) -> dict[int, str]:
    """Return names in brackets, or those of the lines below, one each and perhaps numbered."""
    if text.startswith("["):
        found = [each.strip() for each in text.strip("[]").split(",") if each.strip()]
        return {n: name.strip("'\"") for n, name in enumerate(found, 1)}
    names: dict[int, str] = {}
    for line in lines:
        numbered, listed = NUMBERED.match(line), LISTED.match(line)
        if numbered:
            names[int(numbered[1]) + 1] = numbered[2].strip().strip("'\"")
        elif listed:
            names[len(names) + 1] = listed[1].strip().strip("'\"")
        else:
            break
    return names
