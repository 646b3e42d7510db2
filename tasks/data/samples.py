"""What a task learns from: samples by number, which know their order and what they are counted in.

Letters: B samples of a batch, K numbers a sample, T places of a window.

What augments a sample is a function of (seed, epoch, sample); `tasks/data/feeder.py` makes the
batches of a run.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from backbones.training.device.graphs import upload
from tasks.data.columns import Batch, Column, Lookup, Rows, column

# A set of up to this many bytes moves to the GPU as a whole.
LARGEST_ON_DEVICE = 4 * 2**30
# Generated samples of up to this many bytes are kept: digits always, scenes up to 87,000.
LARGEST_KEPT = 2**30
# Lengths are rounded down to multiples of this before sorting.
ALIKE = 4


class Samples(ABC):
    """A set of numbered samples, in batches of so many of them unless a kind of set says else."""

    unit = "samples"
    """What a batch and an epoch are counted in."""
    largest = 1
    """What the largest sample counts."""
    alike = True
    """Whether all samples have one shape, so that several batches may be made at once."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of samples."""

    @abstractmethod
    def batch(self, index: Int64[Tensor, "B"]) -> Batch:
        """Return samples by number, each column with B rows."""

    @property
    def total(self) -> int:
        """The size of all samples together, in `unit`."""
        return len(self)

    def fitted(self, batch_size: int) -> int:
        """Return the size of the batches of `plan` if so much is wanted."""
        return min(batch_size, self.total)

    def plan(self, seed: int, epoch: int, batch_size: int) -> list[Int64[Tensor, "_"]]:
        """Return the numbers of the samples in each batch of an epoch: `total // batch_size` whole
        batches; what is left over differs from epoch to epoch."""
        order = np.random.default_rng([seed, epoch]).permutation(len(self))
        count = self.total // batch_size
        return list(torch.from_numpy(order[: count * batch_size]).split(batch_size))

    def in_order(self) -> Int64[Tensor, "N"]:
        """Return all numbers in the order in which samples are scored."""
        return torch.arange(len(self))

    def near(self, device: torch.device) -> "Samples":
        """Return the set on a device, if it can and should lie there."""
        return self


class InMemory(Samples):
    """A whole set in columns of any kinds, all with the same number of rows.

    Where columns of `Rows` are `counted`, a sample's size is its longest row in these. Batches are
    then filled by size, rows of the first of them having one length as far as that goes.
    """

    def __init__(
        self,
        columns: Mapping[str, Column | Tensor],
        counted: Sequence[str] = (),
        easy: Int64[Tensor, "_"] | None = None,
    ) -> None:
        """A plain tensor is a `Dense` column. With `easy` samples, if any are named and none are
        counted, the first epoch begins: a curriculum (Bengio et al. 2009,
        https://doi.org/10.1145/1553374.1553380)."""
        self.columns = {name: column(values) for name, values in columns.items()}
        assert len({len(values) for values in self.columns.values()}) == 1
        self.counted, self.easy = tuple(counted), easy
        assert easy is None or (len(easy) and not counted)
        self.alike = all(values.alike for values in self.columns.values())
        if counted:
            self.unit = "tokens"
            self.largest = int(self.sizes.max()) if len(self) else 0

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def batch(self, index: Int64[Tensor, "B"]) -> Batch:
        batch: Batch = {}
        for name, values in self.columns.items():
            batch |= values.batch(name, index)
        return batch

    def lengths(self, name: str) -> Int64[Tensor, "N"]:
        """Return the lengths of a column's rows."""
        rows = self.columns[name]
        assert isinstance(rows, Rows)
        return rows.lengths

    @cached_property
    def sizes(self) -> Int64[Tensor, "N"]:
        """What each sample counts in a batch."""
        return torch.stack([self.lengths(name) for name in self.counted]).amax(0)

    @property
    def total(self) -> int:
        return int(self.sizes.sum()) if self.counted else len(self)

    @cached_property
    def places(self) -> Int64[Tensor, "N"]:
        """Sort keys that put samples of similar length next to each other.

        Coarse on purpose: sorting by exact length trained slightly worse.
        """
        near = self.sizes // ALIKE
        return self.lengths(self.counted[0]) * (int(near.max()) + 1) + near

    def plan(self, seed: int, epoch: int, batch_size: int) -> list[Int64[Tensor, "_"]]:
        if not self.counted:
            plan = super().plan(seed, epoch, batch_size)
            return plan if self.easy is None or epoch else self.easy_first(self.easy, plan)
        random, count = np.random.default_rng([seed, epoch]), self.total // batch_size
        order = random.permutation(len(self))
        order = order[np.argsort(self.places.numpy()[order], kind="stable")]
        # No sample is larger than a batch, so none of the batches stays empty.
        batch = (np.cumsum(self.sizes.numpy()[order]) - 1) * count // self.total
        parts = np.split(order, np.flatnonzero(np.diff(batch)) + 1)
        return [torch.from_numpy(parts[place]) for place in random.permutation(count)]

    def easy_first(
        self, easy: Int64[Tensor, "_"], plan: list[Int64[Tensor, "_"]]
    ) -> list[Int64[Tensor, "_"]]:
        """Return a plan's samples with the easy ones before the others."""
        order, sizes = torch.cat(plan), [len(batch) for batch in plan]
        hard = ~torch.isin(order, easy)
        return list(order[hard.long().argsort(stable=True)].split(sizes))

    def in_order(self) -> Int64[Tensor, "N"]:
        # Like sizes together, for less padding.
        return self.places.argsort(stable=True) if self.counted else super().in_order()

    def near(self, device: torch.device) -> "InMemory":
        size = sum(values.nbytes for values in self.columns.values())
        if device.type == "cpu" or not size or size > LARGEST_ON_DEVICE:
            return self
        columns = {name: values.near(device) for name, values in self.columns.items()}
        return InMemory(columns, self.counted, self.easy)

    def part(self, index: Int64[Tensor, "B"]) -> "InMemory":
        """Return a subset."""
        columns = {name: values.part(index) for name, values in self.columns.items()}
        return InMemory(columns, self.counted)


class Generated(Samples):
    """A set of which a sample is made when it is first asked for, and kept if there is room."""

    def __init__(
        self,
        count: int,
        make: Callable[[Int64[np.ndarray, "B"]], Mapping[str, np.ndarray]],
        most_bytes: int = LARGEST_KEPT,
    ) -> None:
        """`make` returns the columns of samples by number; they are kept if all of them take no
        more than `most_bytes`."""
        self.count, self.make, self.most_bytes = count, make, most_bytes
        self.kept: dict[str, np.ndarray] = {}
        self.made = np.zeros(count, bool)

    def __len__(self) -> int:
        return self.count

    def batch(self, index: Int64[Tensor, "B"]) -> Batch:
        """Return samples by number."""
        numbers = index.cpu().numpy()
        new = numbers[~self.made[numbers]]
        columns = dict(self.make(new)) if len(new) else {}
        if not self.kept and self.size_bytes(columns) <= self.most_bytes:
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


class OnDisk(Samples):
    """A set of which every sample is read when it is asked for, by several threads at once.

    No more of it is in memory than the batches that are being made.
    """

    def __init__(
        self, count: int, read: Callable[[int], Mapping[str, np.ndarray]], threads: int = 4
    ) -> None:
        """`read` returns the columns of one sample; its errors come out of `batch`."""
        self.count, self.read = count, read
        self.pool = ThreadPoolExecutor(threads, "reader")

    def __len__(self) -> int:
        return self.count

    def batch(self, index: Int64[Tensor, "B"]) -> Batch:
        read = list(self.pool.map(self.read, index.tolist()))
        names = read[0] if read else {}
        return {name: torch.from_numpy(np.stack([one[name] for one in read])) for name in names}


@dataclass(frozen=True)
class ColumnOf(Column):
    """A column of other samples, beside columns in memory: files that are read when asked for."""

    samples: Samples
    column: str

    def __len__(self) -> int:
        return len(self.samples)

    def batch(self, name: str, index: Int64[Tensor, "B"]) -> Batch:
        return {name: self.samples.batch(index)[self.column]}

    def part(self, index: Int64[Tensor, "B"]) -> Lookup:
        return Lookup(self, index)


class Streams(Samples):
    """One long sequence, read as several streams side by side, window after window.

    A sample is a window of T places and `beyond` more, which the next window begins with. Batch
    after batch continues row by row, so a state may go from each to the next (`Task.carried`):
    truncated back-propagation through time (Williams and Peng 1990). A batch is counted in places.
    Windows that are scored stand alone: nothing is carried into them.
    """

    unit = "tokens"

    def __init__(self, columns: Mapping[str, Tensor], window: int, beyond: int = 1) -> None:
        """Columns have a row a place."""
        self.columns, self.window, self.beyond = columns, window, beyond
        self.largest = window

    def __len__(self) -> int:
        return max(0, len(next(iter(self.columns.values()))) - self.beyond) // self.window

    @property
    def total(self) -> int:
        return len(self) * self.window

    def batch(self, index: Int64[Tensor, "B"]) -> Batch:
        place = index[:, None] * self.window + torch.arange(self.window + self.beyond)
        return {name: values[place] for name, values in self.columns.items()}

    def fitted(self, batch_size: int) -> int:
        return super().fitted(batch_size) // self.window * self.window

    def plan(self, seed: int, epoch: int, batch_size: int) -> list[Int64[Tensor, "_"]]:
        streams = batch_size // self.window
        length = len(self) // streams
        return [torch.arange(streams) * length + place for place in range(length)]


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


def drawn(
    there: Bool[Tensor, "B K"], wanted: int, seed: int, epoch: int, index: Int64[Tensor, "B"]
) -> Int64[Tensor, "B _"]:
    """Return the places of `wanted` of what every sample has K of, drawn anew in every epoch; those
    that are not `there` come last.

    Each place has a seed of its own, so that it does not matter how many others in the batch have.
    """
    seeds = range(seed + 1, seed + 1 + there.shape[1])
    place = torch.cat([uniforms(each, epoch, index, 1) for each in seeds], 1).to(there.device)
    return (place + ~there).argsort(1)[:, :wanted]


def moved(batch: Batch, device: torch.device) -> Batch:
    """Return a batch on a device, without waiting for the device.

    The samples' numbers and the lengths of rows stay on the CPU: random numbers are made, and
    sequences packed, from there.
    """
    return {
        name: column if name == "index" or name.endswith("_length") else upload(column, device)
        for name, column in batch.items()
    }
