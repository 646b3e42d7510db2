"""Memory: how the C library treats what was freed, the way to a GPU, and what to say when that is
full."""

import ctypes
import re
import sys

import torch
from torch import Tensor

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's mallopt(3)


def keep_freed_memory() -> bool:
    """Keep freed memory for what comes next instead of giving it back; say if that could be done.

    glibc takes every block of 32 MiB and more from the system anew, and each page of it costs a
    fault: a translator's update on two CPU cores had 50,000 of them and took 0.41 s; with the
    memory kept it takes 0.36 s. What is held grows by a fifth. Agents, whose tensors are small,
    gain nothing. Elsewhere than on Linux with glibc nothing is done.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, 2**31 - 1))


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of the CPU on a device without waiting for the device.

    It goes through pinned memory, which torch keeps and uses again once the copy is done. On a CPU
    it is the tensor itself.
    """
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


FULL = re.compile(r"out of memory|STATUS_ALLOC_FAILED|out_of_memory", re.IGNORECASE)


def out_of_memory(error: BaseException) -> str:
    """Return a line on a GPU whose memory is full, "" if an error says something else."""
    text = str(error)
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
