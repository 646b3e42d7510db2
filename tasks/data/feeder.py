"""The batches of a run, made ahead of it off its thread.

Letters: B samples of a batch.

The samples say which of them stand in which batch, as a function of (seed, epoch). So a run goes
on anywhere without a saved generator, and any number of processes see the same samples.

On a GPU many batches are made at once: to order each by itself keeps a CPU as busy as the training
does, and the two hinder each other. On a CPU, where the work itself counts, each is made alone.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import torch
from jaxtyping import Int64
from torch import Tensor

from backbones.training.device.precision import use_device
from backbones.training.distributed import World
from backbones.training.errors import UserError
from tasks.data.samples import Batch, Samples, moved

# Batches of this many bytes together are made at once on a GPU, and no more than so many.
AT_ONCE_BYTES, MOST_AT_ONCE = 2**24, 64
Prepare = Callable[[Batch, int], Batch]


def as_it_is(batch: Batch, epoch: int) -> Batch:
    """Return a batch unchanged."""
    return batch


def work_alone(device: torch.device) -> None:
    """Give this thread the device, and no helpers: a second team of threads, each waiting busily
    for work, takes the cores from the one that learns."""
    use_device(device)
    torch.set_num_threads(1)


class Feeder:
    """The batches of a run, in order; while one is learnt from, a thread makes the next.

    Use as a context manager.
    """

    def __init__(
        self,
        samples: Samples,
        prepare: Prepare,
        *,
        seed: int,
        batch_size: int,
        world: World,
        device: torch.device,
        blend: Prepare = as_it_is,
        at_once: int = 0,
    ) -> None:
        """`prepare(batch, epoch)` augments samples each by itself, `blend(batch, epoch)` then a
        batch as a whole; both find the samples' numbers as `index`. So many batches are made
        `at_once`; 0: as suits the device.
        """
        self.samples, self.prepare, self.blend, self.seed = samples, prepare, blend, seed
        self.batch_size = samples.fitted(batch_size)
        if samples.largest * world.size > self.batch_size:
            raise UserError(
                f"a sample counts {samples.largest} and {world.size} of them do not fit into a "
                f"batch of {self.batch_size}; use a larger batch_size"
            )
        # Asked for several times an update, and a sum over all samples.
        self.updates_an_epoch = samples.total // self.batch_size
        self.world, self.device = world, device
        self.pool = ThreadPoolExecutor(1, "feeder", work_alone, (device,))
        self.at_once = at_once or self.fitting_at_once()
        self.made, self.batches_made = range(0), list[Batch]()
        self.upcoming: dict[range, Future[list[Batch]]] = {}
        self.epoch, self.batches = -1, list[Tensor]()

    def __enter__(self) -> "Feeder":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.pool.shutdown(cancel_futures=True)

    def indices(self, update: int) -> Int64[Tensor, "B"]:
        """Return the numbers of this process's share of an update's samples."""
        epoch, place = divmod(update, self.updates_an_epoch)
        if self.epoch != epoch:
            self.epoch, self.batches = epoch, self.samples.plan(self.seed, epoch, self.batch_size)
        return self.batches[place][self.world.rank :: self.world.size]

    def fitting_at_once(self) -> int:
        """Return how many batches should be made together on this device."""
        # Rows of several lengths would be padded to the longest of all batches.
        if self.device.type == "cpu" or not self.samples.alike:
            return 1
        one = self.samples.batch(torch.zeros(1, dtype=torch.int64))
        size = sum(column.nbytes for column in one.values()) * self.batch_size
        return min(MOST_AT_ONCE, max(1, AT_ONCE_BYTES // size))

    def together(self, update: int) -> range:
        """Return the updates of an epoch whose batches are made with that of this one."""
        epoch, place = divmod(update, self.updates_an_epoch)
        first = place - place % self.at_once
        last = min(first + self.at_once, self.updates_an_epoch)
        return range(epoch * self.updates_an_epoch + first, epoch * self.updates_an_epoch + last)

    def make_all(self, updates: range) -> list[Batch]:
        """Return the batches of some updates of one epoch, augmented, on the device."""
        epoch, indices = updates[0] // self.updates_an_epoch, [self.indices(n) for n in updates]
        index = torch.cat(indices) if len(indices) > 1 else indices[0]
        batch = moved({**self.samples.batch(index), "index": index}, self.device)
        batch = self.prepare(batch, epoch)
        if len(indices) == 1:
            return [self.blend(batch, epoch)]
        sizes = [len(each) for each in indices]
        split = {name: column.split(sizes) for name, column in batch.items()}
        return [
            self.blend({name: parts[n] for name, parts in split.items()}, epoch)
            for n in range(len(sizes))
        ]

    def make(self, update: int) -> Batch:
        """Return an update's batch, augmented, on the device."""
        return self.make_all(range(update, update + 1))[0]

    def batch(self, update: int) -> Batch:
        """Return an update's batch, made ahead if the updates come in order."""
        if update not in self.made:
            wanted = self.together(update)
            waiting = self.upcoming.pop(wanted, None) or self.pool.submit(self.make_all, wanted)
            following = self.together(wanted.stop)
            self.upcoming = {following: self.pool.submit(self.make_all, following)}
            self.made, self.batches_made = wanted, waiting.result()
        return self.batches_made[update - self.made.start]
