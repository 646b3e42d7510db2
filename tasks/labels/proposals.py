"""Boxes where something might be that come from outside the network: windows everywhere, or a file.

Letters: N boxes, K boxes of a photo, S pixels of the square's side.

`proposals_train.json` (and val, test) in a set's folder has an object with a list of boxes for
every photo by its file name, the best first: {"0001.jpg": [[x, y, width, height], ...]}.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from backbones.training.errors import UserError
from tasks.data.formats.boxed_photos import BoxedPhoto
from tasks.data.formats.caption_files import parsed_json
from tasks.data.formats.coco import box_of
from tasks.data.missing import MOST_MISSING, some
from tasks.data.split_names import Split

WINDOWS = (0.2, 0.35, 0.55)  # sides, as shares of the square's


def windows(side_px: int) -> Float[Tensor, "N 4"]:
    """Return square windows of three sizes, each at most half of its side from the next."""
    found = []
    for share in WINDOWS:
        size = share * side_px
        count = math.ceil(2 * (side_px - size) / size) + 1
        corner = torch.linspace(0, side_px - size, count)
        at = torch.cartesian_prod(corner, corner).flip(1)
        found.append(torch.cat([at, at + size], 1))
    return torch.cat(found)


def read_proposals(
    folder: Path, split: Split, photos: Sequence[BoxedPhoto], count: int
) -> list[np.ndarray]:
    """Return the best boxes of every photo, [K, 4] of at most `count`, in the photo's pixels;
    UserError if the file is not there, or wrong, or lacks too many photos."""
    path = folder / f"proposals_{split}.json"
    if not path.exists():
        raise UserError(
            f"{path} does not exist; --proposals file reads the boxes of the {split} photos from it"
        )
    given = parsed_json(path)
    if not isinstance(given, Mapping):
        raise UserError(f'{path} is no object of photos; expected {{"0001.jpg": [[x, y, w, h]]}}')
    lacking = [photo.path.name for photo in photos if photo.path.name not in given]
    if len(lacking) > MOST_MISSING * len(photos):
        raise UserError(
            f"{path} has no boxes for {len(lacking):,} of {len(photos):,} photos "
            f"({some(lacking)}), more than {MOST_MISSING:.0%}"
        )
    found = []
    for photo in photos:
        rows = given.get(photo.path.name, [])
        if not isinstance(rows, list):
            raise UserError(f"{path}: {photo.path.name} has no list of boxes")
        where = f"{path}: {photo.path.name}"
        boxes = np.array([box_of(row, where) for row in rows[:count]], np.float64).reshape(-1, 4)
        height, width = photo.size
        found.append(boxes.clip(0, [width, height, width, height]))
    return found
