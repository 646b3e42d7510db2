"""What a task learns from: samples by number.

Letters: B samples of a batch, K numbers a sample.

What augments a sample is a function of (seed, epoch, sample); `tasks/data/feeder.py` makes the
batches of a run.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from backbones.training.device.graphs import upload

Batch = dict[str, Tensor]
# A set of up to this many bytes moves to the GPU as a whole.
LARGEST_ON_DEVICE = 4 * 2**30
# Generated samples of up to this many bytes are kept: digits always, scenes up to 20,000.
LARGEST_KEPT = 2**28
# Rows whose lengths differ by less stand in one batch.
ALIKE = 4


@runtime_checkable
class Samples(Protocol):
    """A set of numbered samples."""

    def __len__(self) -> int: ...

    def batch(self, index: Int64[Tensor, "B"]) -> Batch:
        """Return samples by number, each column with B rows."""


@dataclass(frozen=True)
class InMemory:
    """A whole set as tensors, one a column, all with the same number of rows."""

    columns: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        assert len({len(column) for column in self.columns.values()}) == 1

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def batch(self, index: Int64[Tensor, "B"]) -> Batch:
        """Return samples by number."""
        devices = {column.device for column in self.columns.values()}
        there = {device: upload(index, device) for device in devices}
        return {name: column[there[column.device]] for name, column in self.columns.items()}

    def near(self, device: torch.device) -> "InMemory":
        """Return the set on a device, if it is small enough to stay there."""
        size = sum(column.numel() * column.element_size() for column in self.columns.values())
        if device.type == "cpu" or size > LARGEST_ON_DEVICE:
            return self
        return InMemory({name: column.to(device) for name, column in self.columns.items()})

    def part(self, index: Int64[Tensor, "B"]) -> "InMemory":
        """Return a subset."""
        return InMemory(self.batch(index))


class Generated:
    """A set of which a sample is made when it is first asked for, and kept if there is room."""

    def __init__(
        self, count: int, make: Callable[[Int64[np.ndarray, "B"]], Mapping[str, np.ndarray]]
    ) -> None:
        """`make` returns the columns of samples by number."""
        self.count, self.make = count, make
        self.kept: dict[str, np.ndarray] = {}
        self.made = np.zeros(count, bool)

    def __len__(self) -> int:
        return self.count

    def batch(self, index: Int64[Tensor, "B"]) -> Batch:
        """Return samples by number."""
        numbers = index.cpu().numpy()
        new = numbers[~self.made[numbers]]
        columns = dict(self.make(new)) if len(new) else {}
        if not self.kept and self.size_bytes(columns) <= LARGEST_KEPT:
            for name, column in columns.items():
                self.kept[name] = np.empty((self.count, *column.shape[1:]), column.dtype)
        if self.kept:
            for name, column in columns.items():
                self.kept[name][new] = column
            self.made[new] = True
            columns = {name: kept[numbers] for name, kept in self.kept.items()}
        return {name: torch.from_numpy(column) for name, column in columns.items()}

    def size_bytes(self, columns: Mapping[str, np.ndarray]) -> int:
        """Return what all samples take, from some of them."""
        return sum(self.count * column[0].nbytes for column in columns.values())


@dataclass(frozen=True)
class Ragged:
    """A whole set of rows of several lengths, padded with 0 at their ends when they are asked for.

    A column `x` comes as `x`, [B, longest], with the rows' lengths as `x_length`, [B].
    """

    flat: Mapping[str, Tensor]
    """All rows of a column, one behind the other."""
    lengths: Mapping[str, Int64[Tensor, "N"]]
    sizes: Int64[Tensor, "N"]
    """What each sample counts in a batch: batches are filled by size, not by number."""
    first: str
    """The column whose rows in a batch should have one length, as far as that goes."""

    @staticmethod
    def of(columns: Mapping[str, Sequence[Sequence[int]]], counted: Sequence[str]) -> "Ragged":
        """Return a set of lists; a sample's size is its longest row in the `counted` columns, the
        first of which is that whose rows should have one length in a batch."""
        lengths = {name: torch.tensor([len(row) for row in c]) for name, c in columns.items()}
        flat = {
            name: torch.from_numpy(np.fromiter(chain.from_iterable(c), np.int32))
            for name, c in columns.items()
        }
        sizes = torch.stack([lengths[name] for name in counted]).amax(0)
        return Ragged(flat, lengths, sizes, counted[0])

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def places(self) -> Int64[Tensor, "N"]:
        """Numbers by which to sort, for neighbours to be alike.

        Not more so than saves time: batches of one length of source and one of target each were
        a little worse to learn from.
        """
        near = self.sizes // ALIKE
        return self.lengths[self.first] * (int(near.max()) + 1) + near

    @cached_property
    def starts(self) -> dict[str, Int64[Tensor, "N"]]:
        """Where each row begins in its column's `flat`."""
        return {name: length.cumsum(0) - length for name, length in self.lengths.items()}

    def batch(self, index: Int64[Tensor, "B"]) -> Batch:
        """Return samples by number."""
        batch = {}
        for name, flat in self.flat.items():
            length = self.lengths[name][index]
            start = self.starts[name][index]
            place = torch.arange(int(length.max()))
            source = (start[:, None] + place).clamp(max=len(flat) - 1)
            batch[name] = (flat[source] * (place < length[:, None])).long()
            batch[f"{name}_length"] = length
        return batch

    def part(self, index: Int64[Tensor, "B"]) -> "Ragged":
        """Return a subset."""
        flat, lengths = {}, {}
        for name, whole in self.flat.items():
            rows = whole.split(self.lengths[name].tolist())
            flat[name] = torch.cat([rows[i] for i in index.tolist()])
            lengths[name] = self.lengths[name][index]
        return Ragged(flat, lengths, self.sizes[index], self.first)


def first_of(samples: Samples, count: int) -> Batch:
    """Return the first samples, as many as there are up to `count`."""
    return samples.batch(torch.arange(min(count, len(samples))))


def uniforms(
    seed: int, epoch: int, index: Int64[Tensor, "B"], count: int
) -> Float32[Tensor, "B K"]:
    """Return `count` numbers in [0, 1) for every sample, a function of seed, epoch and sample.

    SplitMix64 (Steele et al. 2014, https://doi.org/10.1145/2660193.2660195) over their number:
    a generator for each sample would take 20 us to build.
    """
    start = np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0]
    number: Any = index.cpu().numpy().astype(np.uint64)[:, None] * np.uint64(count)
    number = number + np.arange(1, count + 1, dtype=np.uint64)
    state = start + number * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state = state ^ (state >> np.uint64(31))
    return torch.from_numpy((state >> np.uint64(40)).astype(np.float32) / np.float32(2**24))


def moved(batch: Batch, device: torch.device) -> Batch:
    """Return a batch on a device, without waiting for the device.

    The samples' numbers and the lengths of rows stay on the CPU: random numbers are made, and
    sequences packed, from there.
    """
    return {
        name: column if name == "index" or name.endswith("_length") else upload(column, device)
        for name, column in batch.items()
    }
