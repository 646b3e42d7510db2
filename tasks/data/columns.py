"""The columns of a set in memory: tensors, rows of several lengths, look-ups in another column.

Letters: N rows of a column, B rows asked for, L the longest of these.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from backbones.training.device.graphs import upload

Batch = dict[str, Tensor]


class Column(ABC):
    """One value a sample, whatever it is."""

    @abstractmethod
    def __len__(self) -> int:
        """Return how many samples it has values of."""

    @abstractmethod
    def batch(self, name: str, index: Int64[Tensor, "B"]) -> Batch:
        """Return the values of some samples, under the column's name."""

    @abstractmethod
    def part(self, index: Int64[Tensor, "B"]) -> "Column":
        """Return the column of a subset."""

    @property
    def alike(self) -> bool:
        """Whether all values have one shape."""
        return True

    @property
    def nbytes(self) -> int:
        """What moves to a device with the column."""
        return 0

    def near(self, device: torch.device) -> "Column":
        """Return the column on a device, where it gains by that."""
        return self


@dataclass(frozen=True)
class Dense(Column):
    """Values of one shape."""

    values: Shaped[Tensor, "N ..."]

    def __len__(self) -> int:
        return len(self.values)

    def batch(self, name: str, index: Int64[Tensor, "B"]) -> Batch:
        return {name: self.values[upload(index, self.values.device)]}

    def part(self, index: Int64[Tensor, "B"]) -> "Dense":
        return Dense(self.values[index])

    @property
    def nbytes(self) -> int:
        return self.values.nbytes

    def near(self, device: torch.device) -> "Dense":
        return Dense(self.values.to(device))


@dataclass(frozen=True)
class Rows(Column):
    """Rows of several lengths: texts [n], boxes [n, 4], frames [n, C, H, W].

    A column `x` comes as `x`, [B, L, ...], zeros behind the shorter rows, and `x_length`, [B].
    Numbers of 32 bits, as which pieces of text are kept, come as the 64 bits that torch looks up.
    """

    flat: Shaped[Tensor, "all ..."]
    """All rows, one behind the other."""
    lengths: Int64[Tensor, "N"]

    @staticmethod
    def of(rows: Sequence[Any], dtype: Any = np.int32) -> "Rows":
        """Return a column of lists or arrays that differ in their first size alone."""
        lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
        filled = [np.asarray(row, dtype) for row in rows if len(row)]
        flat = np.concatenate(filled) if filled else np.empty(0, dtype)
        return Rows(torch.from_numpy(flat), lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def alike(self) -> bool:
        return False

    @cached_property
    def starts(self) -> Int64[Tensor, "N"]:
        """Where each row begins in `flat`."""
        return self.lengths.cumsum(0) - self.lengths

    def batch(self, name: str, index: Int64[Tensor, "B"]) -> Batch:
        length = self.lengths[index]
        place = torch.arange(int(length.max()) if len(length) else 0)
        inside = place < length[:, None]
        # Ends of shorter rows point at anything at all, and are then zeroed.
        source = (self.starts[index][:, None] + place).clamp(max=len(self.flat) - 1)
        rows = self.flat[source] if len(self.flat) else self.flat.new_zeros(source.shape)
        rows = rows * inside.view(*inside.shape, *[1] * (rows.ndim - 2))
        rows = rows.long() if rows.dtype == torch.int32 else rows
        return {name: rows, f"{name}_length": length}

    def part(self, index: Int64[Tensor, "B"]) -> "Rows":
        rows = self.flat.split(self.lengths.tolist())
        kept = [rows[i] for i in index.tolist()]
        return Rows(torch.cat(kept) if kept else self.flat[:0], self.lengths[index])


@dataclass(frozen=True)
class Lookup(Column):
    """Rows of another column by number: the picture of a caption, kept once for all five."""

    table: Column
    index: Int64[Tensor, "N"]

    def __len__(self) -> int:
        return len(self.index)

    def batch(self, name: str, index: Int64[Tensor, "B"]) -> Batch:
        return self.table.batch(name, self.index[index])

    def part(self, index: Int64[Tensor, "B"]) -> "Lookup":
        return Lookup(self.table, self.index[index])

    @property
    def alike(self) -> bool:
        return self.table.alike

    @property
    def nbytes(self) -> int:
        return self.table.nbytes

    def near(self, device: torch.device) -> "Lookup":
        return Lookup(self.table.near(device), self.index)


def column(values: Column | Tensor) -> Column:
    """Return a column; a plain tensor is a dense one."""
    return values if isinstance(values, Column) else Dense(values)
