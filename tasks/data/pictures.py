"""Labelled pictures, in memory or on disk: what every reader of picture sets gives.

Letters: N pictures, C channels (1 grey, 3 red-green-blue), H rows, W columns.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from backbones.training.errors import UserError
from backbones.training.streams import plain
from tasks.data.columns import Column, Dense
from tasks.data.samples import ColumnOf, Samples

# Of so many bytes, mean and deviation are taken at once.
SMALL_BYTES = 2**26


@dataclass(frozen=True)
class Pictures:
    """Pictures of one size and the number of each one's class; UserError if they do not fit."""

    picture: UInt8[Tensor, "N C H W"]
    label: Int64[Tensor, "N"]
    classes: tuple[str, ...]
    skipped: tuple[str, ...] = ()  # names of files that could not be read, each with the reason
    passed: tuple[str, ...] = ()  # names of files that are no pictures

    def __post_init__(self) -> None:
        check_labels(len(self.picture), self.label, self.classes)

    def __len__(self) -> int:
        return len(self.label)

    @property
    def column(self) -> Column:
        """The pictures as a column of a set."""
        return Dense(self.picture)


@dataclass(frozen=True)
class PictureFiles:
    """The same, but pictures are read whenever they are asked for."""

    reader: Samples
    label: Int64[Tensor, "N"]
    classes: tuple[str, ...]
    skipped: tuple[str, ...]
    passed: tuple[str, ...]
    size_bytes: int  # what they would take in memory

    def __post_init__(self) -> None:
        check_labels(len(self.reader), self.label, self.classes)

    def __len__(self) -> int:
        return len(self.label)

    @property
    def column(self) -> Column:
        """The pictures as a column of a set."""
        return ColumnOf(self.reader, "picture")


def check_labels(count: int, label: Int64[Tensor, "N"], classes: Sequence[str]) -> None:
    """UserError unless there are so many labels, each the number of a class."""
    if count != len(label):
        raise UserError(f"{count:,} pictures, but {len(label):,} labels")
    if count == 0:
        raise UserError("the set holds no pictures")
    low, high = int(label.min()), int(label.max())
    if low < 0 or high >= len(classes):
        raise UserError(
            f"labels lie between {low} and {high}, but there are {len(classes)} classes"
        )


def shown_names(classes: Sequence[str]) -> tuple[str, ...]:
    r"""Return the names of classes, which are those of folders, as they can be shown and written.

    Where two would then look alike, as k\xe4se and k\xf6se in Latin-1 do, their bytes are shown.
    """
    shown = [plain(name) for name in classes]
    often = Counter(shown)
    return tuple(
        each if often[each] == 1 else ascii(name)[1:-1]
        for name, each in zip(classes, shown, strict=True)
    )


def mean_and_std(pictures: Column, bytes_each: int) -> tuple[list[float], list[float]]:
    """Return mean and deviation of every channel, from some 2,000 pictures."""
    index = torch.arange(0, len(pictures), max(1, len(pictures) // 2000))
    if bytes_each * len(index) <= SMALL_BYTES:
        values = pictures.batch("picture", index)["picture"].float()
        return values.mean((0, 2, 3)).tolist(), values.std((0, 2, 3)).tolist()
    count, total, squares = 0, np.zeros(1, np.int64), np.zeros(1, np.int64)
    for part in index.split(max(1, SMALL_BYTES // 16 // bytes_each)):
        values = pictures.batch("picture", part)["picture"].long()
        count += values[:, 0].numel()
        total = total + values.sum((0, 2, 3)).numpy()
        squares = squares + values.square().sum((0, 2, 3)).numpy()
    mean = total / count
    return mean.tolist(), np.sqrt((squares - mean * total) / (count - 1)).tolist()
