"""Several processes that train one model, on one machine or many, started by torchrun.

Letters: W processes; `rank` counts them from 0, which is the first.

A run is a function of its config, not of how many processes share its work: the global minibatch is
the union of the processes' shares, gradients and statistics are sums over all of them (one flat
all-reduce each), and what is random belongs to an environment's or sample's index. Only the first
process reads and writes the run's folder and prints; the others need no common disk. gloo carries
tensors on the CPU, NCCL those on GPUs. Without torchrun there is one process and nothing to do.
"""

import json
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from safetensors.torch import load, save
from torch import Tensor

from backbones.training.errors import PeerLost

T = TypeVar("T")

# A machine that loses its power closes no connection: after so long the others give up.
SILENCE = timedelta(minutes=2)

# How NCCL deals with a peer that is gone. A message on a GPU is only begun when its call returns;
# whoever reads its result waits. After SILENCE NCCL's watchdog aborts the whole process in mode 1
# (which torchrun sets) and 3 (torch's default). In mode 2 it only gives the message up: the reader
# goes on with wrong sums, and the next message raises, which becomes PeerLost. `World.confirm`
# sees to it that no wrong sum is saved. (TORCH_NCCL_BLOCKING_WAIT would raise at the first read,
# but polls for milliseconds at every update.) Never run yet: no machine had two GPUs.
GIVE_UP_MESSAGES = ("TORCH_NCCL_ASYNC_ERROR_HANDLING", "2")


@dataclass(frozen=True)
class World:
    """The processes of a run, as one of them sees it. All of them must make the same calls."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    """Processes on this machine."""

    @property
    def is_first(self) -> bool:
        """Whether this process reads, writes and prints."""
        return self.rank == 0

    def share(self, count: int) -> range:
        """Return this process's share of `count` things in order; shares differ by at most 1."""
        return range(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def sum_(self, tensor: Tensor) -> Tensor:
        """Replace a tensor by its sum over all processes; return it."""
        if self.size > 1:
            with peers():
                dist.all_reduce(tensor)
        return tensor

    def any(self, *flags: bool) -> list[bool]:
        """Return, for every flag, whether it is set in any process."""
        return (self.sum_(torch.tensor(flags, dtype=torch.int64)) > 0).tolist()

    def confirm(self, device: torch.device) -> None:
        """Wait until every message on a device has arrived; PeerLost if one was given up.

        The first of two ends when all before it have; where they were given up, the second fails.
        """
        if self.size > 1:
            for _ in range(2):
                self.sum_(torch.zeros(1, device=device)).item()

    def broadcast_(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors by the first process's, in one flat message for each dtype."""
        if self.size == 1:
            return
        by_kind: dict[Any, list[Tensor]] = {}
        for tensor in tensors:
            by_kind.setdefault((tensor.dtype, tensor.device), []).append(tensor.detach())
        for group in by_kind.values():
            flat = torch.cat([tensor.flatten() for tensor in group])
            with peers():
                dist.broadcast(flat, 0)
            sizes = [tensor.numel() for tensor in group]
            for tensor, values in zip(group, flat.split(sizes), strict=True):
                tensor.copy_(values.view_as(tensor))

    def broadcast_json(self, make: Callable[[], T]) -> T:
        """Return, in every process, what `make` gives in the first: anything that JSON can hold."""
        if self.size == 1:
            return make()
        text = json.dumps(make()).encode() if self.is_first else b""
        return json.loads(self.broadcast_bytes(text))  # type: ignore[no-any-return]

    def broadcast_tensors(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the first process's tensors; those of the others are ignored."""
        if self.size == 1:
            return dict(tensors)
        return load(self.broadcast_bytes(save(on_cpu(tensors)) if self.is_first else b""))

    def broadcast_bytes(self, data: bytes) -> bytes:
        """Return the first process's bytes."""
        size = torch.tensor(len(data))
        with peers():
            dist.broadcast(size, 0)
        message = as_tensor(data, int(size))
        with peers():
            dist.broadcast(message, 0)
        return message.numpy().tobytes()

    def gather(self, tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        """Return, in the first process, the tensors of each, by rank; elsewhere an empty list.

        Names must agree, shapes need not.
        """
        if self.size == 1:
            return [dict(tensors)]
        data = save(on_cpu(tensors))
        sizes = torch.zeros(self.size, dtype=torch.int64)
        sizes[self.rank] = len(data)
        longest = int(self.sum_(sizes).max())
        parts = [torch.empty(longest, dtype=torch.uint8) for _ in sizes] if self.is_first else None
        with peers():
            dist.gather(as_tensor(data, longest), parts)
        return [
            load(part[:size].numpy().tobytes())
            for part, size in zip(parts or [], sizes.tolist(), strict=False)
        ]

    def scatter(
        self, request: Tensor, answer: Callable[[Tensor], dict[str, Tensor]]
    ) -> dict[str, Tensor]:
        """Return what `answer` gives, in the first process, to the request of this one.

        Requests are of one dtype and number of dimensions. One answer at a time is in memory.
        """
        if self.size == 1:
            return answer(request)
        requests = self.gather({"request": request})
        if not self.is_first:
            return load(receive(0))
        for rank in range(1, self.size):
            send(save(on_cpu(answer(requests[rank]["request"]))), rank)
        return answer(request)


ALONE = World()


def send(data: bytes, rank: int) -> None:
    """Send bytes to one other process, which must `receive` them."""
    for message in (torch.tensor(len(data)), as_tensor(data, len(data))):
        with peers():
            dist.send(message, rank)


def receive(rank: int) -> bytes:
    """Return the bytes that another process sends."""
    size = torch.tensor(0)
    with peers():
        dist.recv(size, rank)
    message = torch.empty(int(size), dtype=torch.uint8)
    with peers():
        dist.recv(message, rank)
    return message.numpy().tobytes()


def on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors as safetensors can write them."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def as_tensor(data: bytes, size: int) -> Tensor:
    """Return bytes as a uint8 tensor of some size, padded with zeros."""
    tensor = torch.zeros(size, dtype=torch.uint8)
    if data:
        tensor[: len(data)] = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    return tensor


@contextmanager
def peers() -> Iterator[None]:
    """Context for messages: a broken connection becomes PeerLost."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or "gloo" in str(error):
            reason = str(error).splitlines()[0]
            raise PeerLost(
                f"another process of this run has ended or does not answer ({reason})"
            ) from None
        raise


def join() -> World:
    """Return the processes that torchrun started together with this one; alone without torchrun."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return World()
    if not dist.is_initialized():
        backends = choose_backends(torch.cuda.is_available(), dist.is_nccl_available())
        os.environ.update([GIVE_UP_MESSAGES])
        with peers():
            store, rank, size = next(dist.rendezvous("env://", timeout=SILENCE))
            store = own_part(store, rank, size)
            # No `device_id`: NCCL would connect GPUs now, and --device may say that none is used.
            dist.init_process_group(
                backends, store=store, rank=rank, world_size=size, timeout=SILENCE
            )
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    return World(dist.get_rank(), size, local_rank, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def choose_backends(cuda: bool, nccl: bool) -> str:
    """Return torch's name for what carries tensors: gloo, and NCCL those on GPUs, if it is there.

    Where torch has CUDA but no NCCL (on Windows), gloo carries both.
    """
    return "cpu:gloo,cuda:nccl" if cuda and nccl else "gloo"


def own_part(store: dist.Store, rank: int, size: int) -> dist.Store:
    """Return a part of torchrun's store that only these processes use, none of an earlier start.

    torchrun keeps one store over its restarts, so a process could read the address of a dead one
    (pytorch issue 135712), and its count of restarts differs between machines. Here every process
    writes a word of its own, the first repeats all it has read, and a process that finds its word
    repeated knows that the first lives and answers under the first's word, which is new.
    """
    word = secrets.token_hex(8)
    store.set(f"word/{rank}", word)
    until = time.monotonic() + SILENCE.total_seconds()
    while time.monotonic() < until:
        if rank == 0:
            words = [store.get(f"word/{other}").decode() for other in range(size)]
            store.set("words", " ".join(words))
            met = store.check([f"met/{word}/{other}" for other in range(1, size)])
        else:
            words = store.get("words").decode().split()
            met = words[rank : rank + 1] == [word]
            if met:
                store.set(f"met/{words[0]}/{rank}", "")
        if met:
            return dist.PrefixStore(words[0], store)
        time.sleep(0.01)
    raise PeerLost(f"not all {size} processes of this run came within {SILENCE}")


def leave(world: World) -> None:
    """Close the connection once every process has called this."""
    if world.size > 1:
        # Not dist.barrier, which may choose a GPU that nobody uses.
        world.sum_(torch.zeros(1))
        dist.destroy_process_group()


def end_unless_left(status: int) -> None:
    """End this process here if others of its run are still connected to it.

    The interpreter's own end would sometimes abort (a thread of gloo that wants its lock is torn
    down, with status 134), or wait for a GPU that waits for a peer that is gone.
    """
    if dist.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def launch() -> str:
    """Return what names this start by torchrun, the same after it restarts a dead worker; "" alone.

    torchrun's own id is "none" unless asked for, so its process stands in.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return ""
    given = os.environ["TORCHELASTIC_RUN_ID"]
    return given if given != "none" else f"{socket.gethostname()}:{os.getppid()}"


def restarts() -> int:
    """Return how often torchrun has restarted the processes of this start."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
