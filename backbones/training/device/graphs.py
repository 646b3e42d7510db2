"""Keeping a GPU busy: asynchronous copies, a side stream, and CUDA graphs.

On a CPU all of these are plain calls, so the loops that use them are the same.

A CUDA graph is a recording of launches at fixed addresses: it replays them without Python, and what
it reads and writes must stay where it was. PyTorch's rules for it:
https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

T = TypeVar("T")

# Calls before a recording: lazy initialisation (cuBLAS, cuDNN's choice of kernels) is done by then.
WARM_UP = 3
# Two recordings at once would refuse each other's synchronisation.
RECORDING = threading.Lock()


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of the CPU on a device without waiting for the device.

    It goes through pinned memory, which torch keeps and uses again once the copy is done. On a CPU
    it is the tensor itself.
    """
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


class Staging:
    """Copies arrays of one shape to a device by way of pinned memory, without waiting.

    The caller waits for the device between two copies (as it does where it reads an answer).
    """

    def __init__(self, like: Tensor) -> None:
        """`like` is a tensor of the shape, type and device that arrays are copied into."""
        on_gpu = like.device.type == "cuda"
        self.pinned = torch.empty(like.shape, dtype=like.dtype, pin_memory=True) if on_gpu else None

    def copy(self, array: Shaped[np.ndarray, "..."], into: Tensor) -> None:
        """Copy an array into a tensor."""
        source = torch.from_numpy(array)
        if self.pinned is None:
            into.copy_(source)
        else:
            into.copy_(self.pinned.copy_(source), non_blocking=True)


class SideStream:
    """A CUDA stream for a thread that works beside the main one; on a CPU nothing at all.

    The main thread calls `hand_over` when what it has launched so far must come first, and `join`
    before it uses what the side stream made.
    """

    def __init__(self, device: torch.device) -> None:
        # High priority: a game waits for its action, learning waits for nobody.
        self.stream = torch.cuda.Stream(device, priority=-1) if device.type == "cuda" else None
        self.before: torch.cuda.Event | None = None

    def hand_over(self) -> None:
        """Let the side stream wait for what the current stream was given up to now."""
        if self.stream:
            self.before = torch.cuda.current_stream(self.stream.device).record_event()

    @contextmanager
    def use(self) -> Iterator[None]:
        """Launch on the side stream within the block."""
        if self.stream is None:
            yield
            return
        with torch.cuda.stream(self.stream):
            if self.before:
                self.stream.wait_event(self.before)
            yield

    def wait(self) -> None:
        """Wait until the side stream has done all that it was given."""
        if self.stream:
            self.stream.synchronize()

    def join(self) -> None:
        """Let the current stream wait for what the side stream was given up to now."""
        if self.stream:
            torch.cuda.current_stream(self.stream.device).wait_stream(self.stream)


class Graphed(Generic[T]):
    """A function without arguments that is recorded as a CUDA graph at its fourth call.

    Every call counts: the first three run as they are, the recording does nothing by itself and is
    replayed at once. What it returns is overwritten by the next call.
    """

    def __init__(self, function: Callable[[], T], device: torch.device) -> None:
        self.function = function
        self.stream = torch.cuda.Stream(device)
        self.calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self.result: T

    def __call__(self) -> T:
        """Return what the function returns."""
        self.calls += 1
        if self.calls <= WARM_UP:
            return self.warm_up()
        if self.graph is None:
            graph = torch.cuda.CUDAGraph()
            with (
                RECORDING,
                torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"),
            ):
                self.result = self.function()
            self.graph = graph
        self.graph.replay()
        return self.result

    def warm_up(self) -> T:
        """Call the function on the stream that it will be recorded on."""
        current = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            result = self.function()
        current.wait_stream(self.stream)
        return result
