"""How far a run is and how long it will take: a bar on a terminal, plain lines elsewhere."""

import errno
import os
import sys
import time
import unicodedata
from collections import deque
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

LINE_EVERY_S = 15.0
RATE_OVER_S = 30.0
# Unicode's categories of what is not shown but does something: control, formatting (text from right
# to left), surrogates, ends of lines and paragraphs.
NOT_SHOWN = ("Cc", "Cf", "Cs", "Zl", "Zp")
JOINERS = "\u200c\u200d"  # letters of Persian words and parts of pictures are joined by them


def plain(text: str) -> str:
    """Return a text of any origin, such as a file's name, as it can be shown on one line.

    A ? stands for what would steer a terminal or cannot be written: control and formatting
    characters, and bytes of file names that are no UTF-8, which Python keeps as surrogates.
    """
    if text.isprintable():
        return text
    return "".join(
        "?" if unicodedata.category(c) in NOT_SHOWN and c not in JOINERS else c for c in text
    )


def say(line: str, stream: Any = None) -> None:
    """Print a line, on standard output unless told otherwise.

    A run does not end because nobody can be told: where the reader of a pipe or the terminal has
    left, or the disk behind a redirected output is full, it goes on in silence.
    What the line holds of names and texts of any origin is shown as `plain` does.
    """
    stream = stream or sys.stdout
    try:
        print("\n".join(map(plain, line.split("\n"))), file=stream, flush=True)
    except OSError as error:
        if error.errno in (errno.EPIPE, errno.EIO):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def clock(seconds: float) -> str:
    """Return a duration as 1:02:03 or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class ProgressReport:
    """Shows progress, rate, time left and a few figures. Use as a context manager."""

    def __init__(self, total: int, unit: str, done: int = 0) -> None:
        self.total, self.unit, self.done = total, unit, done
        self.marks = deque([(time.monotonic(), done)])
        self.last_line = 0.0
        self.bar: Progress | None = None
        if sys.stdout.isatty():
            columns = (
                BarColumn(bar_width=24), TaskProgressColumn(), TextColumn("{task.description}")
            )  # fmt: skip
            self.bar = Progress(*columns, console=Console(), refresh_per_second=4)
            self.task = self.bar.add_task("starting", total=total, completed=done)

    def __enter__(self) -> "ProgressReport":
        if self.bar:
            self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar:
            self.bar.stop()

    def rate(self) -> float:
        """Return units per second over the last half minute."""
        (then, before), (now, done) = self.marks[0], self.marks[-1]
        return (done - before) / (now - then) if now > then else 0.0

    def update(self, done: int, figures: Mapping[str, str]) -> None:
        """Say that `done` of the total are done, with a few figures beside."""
        now = time.monotonic()
        self.done = done
        self.marks.append((now, done))
        while now - self.marks[0][0] > RATE_OVER_S and len(self.marks) > 2:
            self.marks.popleft()
        rate = self.rate()
        left = clock((self.total - done) / rate) if rate else "?"
        words = [f"{done:,} / {self.total:,} {self.unit}", f"{rate:,.0f}/s", f"{left} left"]
        words += [f"{name} {value}" for name, value in figures.items()]
        if self.bar:
            self.bar.update(self.task, completed=done, description="  ".join(words))
        elif now - self.last_line >= LINE_EVERY_S or done >= self.total:
            self.last_line = now
            say(f"{100 * done // self.total:3d} %  " + "  ".join(words))
