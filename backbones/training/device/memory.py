"""Memory: what is free, what a model would take, and the message when a GPU's is full."""

import ctypes
import math
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backbones.training.errors import UserError

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's mallopt(3)


def keep_freed_memory() -> bool:
    """Keep freed memory in the process instead of returning it; return whether that worked.

    glibc takes every block of 32 MiB and more from the system anew, and each page of it costs a
    fault: a translator's update on two CPU cores had 50,000 of them and took 0.41 s; with the
    memory kept it takes 0.36 s. What is held grows by a fifth. Agents, whose tensors are small,
    gain nothing. Elsewhere than on Linux with glibc nothing is done.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, 2**31 - 1))


# Enough for what an update, or a step of a search, has several of.
SHAPES_KEPT = "32"


def keep_few_shapes() -> None:
    """Let oneDNN keep what it compiles for the last few shapes alone, where shapes hardly recur.

    It compiles an LSTM for every number of rows and steps anew, and keeps 1,024 of the results: a
    translator grew by 1.2 GB in 250 updates, and with 32 kept by 0.1 GB, at the same speed. Whoever
    has one shape keeps all: a GoogLeNet alone asks for 286. oneDNN reads this once, when it is
    first needed; in a process that has trained something before, nothing changes.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", SHAPES_KEPT)


def room_bytes(gigabytes: float) -> float:
    """Return how much a set may take in memory: what was given, or for 0 half of what is free, of
    which processes beside this one on the same machine have their shares."""
    beside = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return gigabytes * 1e9 if gigabytes else free_bytes() / 2 / beside


FULL = re.compile(r"out of memory|STATUS_ALLOC_FAILED|out_of_memory", re.IGNORECASE)
FULL_OF_CPU = re.compile(r"t allocate memory|not enough memory")


def out_of_memory(error: BaseException) -> str:
    """Return a line on memory that is full, "" if an error says something else."""
    text = str(error)
    if isinstance(error, MemoryError) or FULL_OF_CPU.search(text):
        reason = (text.splitlines() or [type(error).__name__])[0]
        return f"out of memory ({reason}); use smaller sizes"
    if not FULL.search(text):
        return ""
    asked = re.search(r"Tried to allocate ([\d.]+ \w+)", text)
    room = re.search(r"total capacity of ([\d.]+ \w+) of which ([\d.]+ \w+) is free", text)
    needed = f": {asked[1]} more were needed" if asked else ""
    free = f", {room[2]} of {room[1]} are free" if room else ""
    return (
        f"the GPU's memory is full{needed}{free}; lower --batch-size (of agents --num-envs or "
        "--minibatch-size), or stop what else is on the card (nvidia-smi lists it)"
    )


def require_memory(num_bytes: float, what: str, remedy: str) -> None:
    """Raise UserError if something takes more memory than this machine has free."""
    free = free_bytes()
    if num_bytes > free:
        raise UserError(
            f"{what} would take about {num_bytes / 1e9:,.1f} GB of memory, and {free / 1e9:,.1f} "
            f"GB are free; use a smaller {remedy}"
        )


def free_bytes() -> float:
    """Return the memory that this process may still take; infinite where nothing says so."""
    free = math.inf
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                free = 1024.0 * int(line.split()[1])
    except OSError:
        return free  # Elsewhere than on Linux.
    group = Path("/sys/fs/cgroup")
    try:
        most, used = ((group / name).read_text() for name in ("memory.max", "memory.current"))
    except OSError:
        return free  # No container, or one of the older kind.
    return free if most.strip() == "max" else min(free, float(most) - float(used))


def model_bytes(build: Callable[[], Any], obs: tuple[int, ...], count: int) -> float:
    """Return about what training a model takes, in bytes, without allocating any of it.

    Weights, gradients and two moments of the optimiser, and what the trunk, `model.cnn` if it has
    one, keeps of `count` uint8 pictures of shape `obs`, if not empty, for the backward pass.
    """
    import torch

    kept = 0

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal kept
        kept += tensor.nbytes
        return tensor

    with torch.device("meta"):
        model = build()
        weights = sum(parameter.nbytes for parameter in model.parameters())
        if obs and getattr(model, "cnn", None) is not None:
            with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
                model.cnn(torch.zeros(2, *obs, dtype=torch.uint8))
    return 4.0 * weights + count / 2 * kept
