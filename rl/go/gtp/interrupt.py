"""Ctrl-C while exceptions would be lost: numba swallows them when it loads compiled functions."""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any


class Interrupt:
    """Remembers ctrl-C, asks for an end, and raises KeyboardInterrupt when its block is over.

    A second ctrl-C is raised at once. Outside the main thread, which alone hears signals, and
    within another block, it does nothing.
    """

    def __init__(self) -> None:
        self.asked = False
        self.end: Callable[[], None] | None = None
        self.previous: Any = None

    def when_asked(self, end: Callable[[], None]) -> None:
        """Call `end`, which must be quick, at ctrl-C, or now if that has been pressed."""
        self.end = end
        if self.asked:
            end()

    def __enter__(self) -> "Interrupt":
        free = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if free and threading.current_thread() is threading.main_thread():
            self.previous = signal.signal(signal.SIGINT, self.hear)
        return self

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Remember the first ctrl-C; the next is raised."""
        signal.signal(signal.SIGINT, self.previous)
        self.asked = True
        if self.end:
            self.end()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.previous is not None:
            signal.signal(signal.SIGINT, self.previous)
        if self.asked and kind is None:
            raise KeyboardInterrupt
