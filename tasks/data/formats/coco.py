"""COCO's instances: boxes, polygons, run lengths and crowds in one JSON file a split.

    {"images": [{"id", "file_name", "width", "height"}],
     "annotations": [{"image_id", "category_id", "bbox": [x, y, width, height], "iscrowd",
                      "segmentation": [[x, y, x, y, ...], ...] or {"size", "counts"}}],
     "categories": [{"id", "name"}]}

Files are called `instances_train2017.json` or the like, anywhere in the folder or in a folder of
it; photos lie anywhere below it. Ids need not follow each other: classes are numbered in the order
of their ids. Several polygons of one object are one mask. https://cocodataset.org/#format-data
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from faster_coco_eval import mask as coco_mask
from jaxtyping import Float64

from backbones.training.errors import UserError
from tasks.data.formats.boxed_photos import (
    BoxedPhoto,
    BoxedSet,
    PhotosBelow,
    split_called,
    whole_set,
)
from tasks.data.formats.caption_files import parsed_json, text_in
from tasks.data.formats.rle import given_runs, mask_of, runs_of, string_of
from tasks.data.missing import check_missing
from tasks.data.split_names import Split

NAME = re.compile(r"(?:instances|boxes|annotations?)_(\w+)\.json", re.IGNORECASE)
EXPECTED = (
    '{"images": [{"id", "file_name", "width", "height"}], "annotations": [{"image_id", '
    '"category_id", "bbox"}], "categories": [{"id", "name"}]}'
)
MOST_SIDE_PX = 2**16


def coco_files(folder: Path) -> dict[Split, Path]:
    """Return the files of a folder by split; UserError if one split has two."""
    places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    found: dict[Split, Path] = {}
    for path in [path for place in places for path in sorted(place.iterdir())]:
        match = NAME.fullmatch(path.name)
        split = split_called(match[1]) if match else None
        if split and split in found:
            raise UserError(f"{found[split]} and {path} are both of {split}; leave one of them")
        if split:
            found[split] = path
    return found


def read_coco(folder: Path, *, masks: bool) -> BoxedSet:
    """Return the photos of a folder with COCO's files; UserError if they cannot be had."""
    files, places = coco_files(folder), PhotosBelow(folder)
    photos: dict[Split, list[BoxedPhoto]] = {}
    notes, named = [f"boxes of {' and '.join(p.name for p in files.values())}"], None
    for split, path in files.items():
        found = parsed_json(path)
        try:
            names = {int(each["id"]): text_in(each, "name") for each in found["categories"]}
            images = {each["id"]: each for each in found["images"]}
            of_image: dict[Any, list[Any]] = {number: [] for number in images}
            for each in found["annotations"]:
                of_image[each["image_id"]].append(each)
            missing, photos[split] = [], []
            numbers = {number: n for n, number in enumerate(sorted(names), 1)}
            for number, image in images.items():
                place = places.find(text_in(image, "file_name"), path.stem.split("_", 1)[1])
                if place is None:
                    missing.append(image["file_name"])
                else:
                    photos[split].append(photo_of(place, image, of_image[number], numbers, masks))
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise UserError(
                f"{path} has not what COCO's files have ({type(error).__name__}: {error}); "
                f"expected {EXPECTED}"
            ) from None
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
        notes += check_missing(missing, len(images), folder, "boxes")
        if named is not None and named != names:
            raise UserError(f"{path} has other categories than {next(iter(files.values()))}")
        named = names
    assert named is not None
    return whole_set([named[n] for n in sorted(named)], photos, notes, sorted(named))


def photo_of(
    path: Path,
    image: Mapping[str, Any],
    annotations: list[Any],
    numbers: Mapping[int, int],
    masks: bool,
) -> BoxedPhoto:
    """Return a photo with its objects; UserError names the annotation that is wrong."""
    height, width = image["height"], image["width"]
    if not all(type(n) is int and 0 < n <= MOST_SIDE_PX for n in (height, width)):
        raise UserError(f"{path.name} has the size {str(width)[:20]} x {str(height)[:20]}")
    boxes, labels, texts = [], [], []
    for each in annotations:
        where = f"annotation {each.get('id', '?')} of {path.name}"
        if each["category_id"] not in numbers:
            known = ", ".join(map(str, list(numbers)[:5]))
            raise UserError(
                f"{where} has the category {each['category_id']!r}, which the file does not "
                f"name; it names {known}{', ...' if len(numbers) > 5 else ''}"
            )
        boxes.append(box_of(each["bbox"], where))
        labels.append(numbers[each["category_id"]])
        if masks:
            texts.append(mask_text(each.get("segmentation"), height, width, where))
    return BoxedPhoto(
        path,
        (height, width),
        np.array(boxes, np.float64).reshape(-1, 4),
        np.array(labels, np.int64),
        np.array([bool(each.get("iscrowd", 0)) for each in annotations], bool),
        tuple(texts) if masks else None,
    )


def box_of(given: Any, where: str) -> list[float]:
    """Return x0, y0, x1, y1 of a box that is given by its corner and size."""
    fits = isinstance(given, list) and len(given) == 4
    if not fits or not all(type(n) in (int, float) and abs(n) < 1e9 for n in given):
        raise UserError(f"{where} has the box {str(given)[:60]}; expected [x, y, width, height]")
    x, y, width, height = map(float, given)
    return [x, y, x + width, y + height]


def mask_text(given: Any, height: int, width: int, where: str) -> str:
    """Return the string of run lengths of polygons or run lengths; UserError if they are wrong."""
    try:
        if isinstance(given, dict):
            if list(given["size"]) != [height, width]:
                h, w = (str(n)[:20] for n in given["size"])
                raise UserError(f"its mask is of {w} x {h}, the photo of {width} x {height}")
            return string_of(runs_of(mask_of(given_runs(given["counts"]), height, width)))
        if not isinstance(given, list) or not given:
            raise UserError("it has no mask; train without --masks, or give it one")
        return polygons_text([polygon(each) for each in given], height, width)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def polygon(given: Any) -> Float64[np.ndarray, "_"]:
    """Return x and y of a polygon's corners in turn."""
    fits = isinstance(given, list) and len(given) >= 6 and len(given) % 2 == 0
    if not fits or not all(type(n) in (int, float) and abs(n) < 1e6 for n in given):
        raise UserError(f"{str(given)[:60]} is no polygon; expected [x, y, x, y, x, y, ...]")
    return np.array(given, np.float64)


def polygons_text(polygons: list[Float64[np.ndarray, "_"]], height: int, width: int) -> str:
    """Return the string of run lengths of all pixels inside any of the polygons, as COCO's own
    rasteriser has them; what lies outside the photo is cut off."""
    inside = [each.reshape(-1, 2).clip(0, [width, height]).ravel().tolist() for each in polygons]
    merged = coco_mask.merge(coco_mask.frPyObjects(inside, height, width))
    counts = merged["counts"]
    return counts.decode() if isinstance(counts, bytes) else str(counts)
