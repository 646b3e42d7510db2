"""How far a run is and how long it will take: a bar on a terminal, plain lines elsewhere."""

import errno
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from backbones.training.streams import LOST, printable, silence

if TYPE_CHECKING:
    from rich.progress import Progress

LINE_EVERY_S = 15.0
RATE_OVER_S = 30.0
QUIET_S = 2.0  # what takes no longer is not worth a bar
Told = Callable[[str, float, float], None]
"""Is told how far a part of an answer is: what is done, how much of it, of how much in all."""


def say(line: str, stream: Any = None) -> None:
    """Print a line, on standard output unless told otherwise.

    A run does not end because its output cannot be written: if the reader of a pipe or the
    terminal is gone, or the disk of a redirected output is full, it continues silently. At its
    end the command reports that lines are missing.
    """
    stream = stream or sys.stdout
    try:
        print(printable(line), file=stream, flush=True)
    except OSError as error:
        if error.errno in (errno.EPIPE, errno.EIO):
            silence(stream)
        elif stream is sys.stdout:
            LOST.append(error)


def clock(seconds: float) -> str:
    """Return a duration as 1:02:03 or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def untold(part: str, done: float, total: float) -> None:
    """Show nothing."""


class ProgressReport:
    """Shows progress, rate, time left and a few figures. Use as a context manager."""

    def __init__(
        self, total: int, unit: str, done: int = 0, stream: Any = None, transient: bool = False
    ) -> None:
        """On standard output unless another stream is given; a `transient` bar leaves no trace."""
        self.total, self.unit, self.done = total, unit, done
        self.stream = stream or sys.stdout
        self.marks = deque([(time.monotonic(), done)])
        self.last_line = 0.0
        self.bar: Progress | None = None
        if self.stream.isatty():
            from rich import console, progress  # here: most commands show no bar

            columns = (
                progress.BarColumn(bar_width=24),
                progress.TaskProgressColumn(),
                progress.TextColumn("{task.description}"),
            )
            self.bar = progress.Progress(
                *columns,
                console=console.Console(file=self.stream),
                refresh_per_second=4,
                transient=transient,
            )
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
        """Show that `done` of the total are done, with a few figures."""
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
            say(f"{100 * done // self.total:3d} %  " + "  ".join(words), self.stream)


class LongAnswer:
    """Shows how far an answer is that takes more than QUIET_S, each part of it in a bar of its own.

    On a terminal only, and on standard error: standard output is for the answers, and a program
    that reads either gets no line more. Use as a context manager, which takes the bar away.
    """

    def __init__(self) -> None:
        self.begun, self.part = time.monotonic(), ""
        self.report: ProgressReport | None = None

    def __enter__(self) -> "LongAnswer":
        return self

    def __exit__(self, *error: object) -> None:
        if self.report:
            self.report.__exit__(*error)
            self.report = None

    def tell(self, part: str, done: float, total: float) -> None:
        """Show that of a part, such as "s read", so much is done; a total of 0 is not known."""
        if part != self.part:
            self.__exit__()
            self.part = part
        early = time.monotonic() - self.begun < QUIET_S or done >= total
        if self.report is None and not early and sys.stderr is not None and sys.stderr.isatty():
            self.report = ProgressReport(round(total), part, round(done), sys.stderr, True)
            self.report.__enter__()
        if self.report:
            self.report.update(round(done), {})
