"""Photos of a split, and scenes of the world, of which something is told: captions, questions.

Letters: B pictures, H rows, W columns.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Int64

from backbones.training.device.memory import room_bytes
from backbones.training.errors import UserError
from tasks.data.columns import Column
from tasks.data.formats.captions import hold_out
from tasks.data.formats.folders import read_files, said_of
from tasks.data.samples import ColumnOf, Generated
from tasks.data.split_names import Split
from tasks.worlds import scenes

CHANNELS = 3


@runtime_checkable
class Located(Protocol):
    """A photo that is not yet decoded."""

    @property
    def path(self) -> Path:
        """Where it lies."""


P = TypeVar("P", bound=Located)


def of_split(
    splits: Mapping[Split, Sequence[P]], split: Split, missing: str, *, validates: bool
) -> tuple[list[P], list[str]]:
    """Return the photos of a split, and what to say of it; UserError, with the line `missing`, if
    there are none. Without a val the last training photos do, if anything validates."""
    photos, said = list(splits[split]), list[str]()
    if split != "test" and not splits["val"] and validates:
        train, held = hold_out(list(splits["train"]))
        photos = train if split == "train" else held
        said = [f"the last {len(held):,} training photos by name validate"]
    if not photos:
        raise UserError(missing)
    return photos, said


def decoded(
    photos: list[P], split: Split, folder: Path, *, side_px: int, memory_gb: float
) -> tuple[Column, list[P], list[str]]:
    """Return photos as a column, decoded if there is room, those of them that could be read, and
    what to say of the others."""
    column, skipped, note = read_files(
        [photo.path for photo in photos],
        f"the {split} photos of {folder}",
        size_px=side_px,
        channels=CHANNELS,
        most_bytes=room_bytes(memory_gb),
    )
    kept = [photo for n, photo in enumerate(photos) if n not in skipped]
    return column, kept, said_of(split, skipped, note)


def of_scenes(seed: int, count: int, side_px: int) -> Column:
    """Return the pictures of the first scenes of a seed, drawn when they are needed."""

    def make(index: Int64[np.ndarray, "B"]) -> dict[str, np.ndarray]:
        return {"picture": scenes.pictures(seed, index, side_px)[0]}

    return ColumnOf(Generated(count, make), "picture")
