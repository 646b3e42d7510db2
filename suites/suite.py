"""The command `arcadia suite`: a matrix of runs, games by jobs by seeds.

Each run is a process of `arcadia train` or `arcadia resume`, so that what is true of one is true
of the other. Nothing is kept of a suite but its runs: a run that has its evaluation is done, one
with a checkpoint goes on, one that is not there begins. Ctrl-C saves and ends those that train.
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

from backbones.training.device.cores import available_cores
from backbones.training.progress import clock, say
from backbones.training.run import runs_folder
from suites.matrix import Cell, Config, check, command_of, matrix
from suites.report import print_report, report_of, write_report

__all__ = ["Config", "main"]

LOOK_EVERY_S = 1.0
SAY_EVERY_S = 60.0


@dataclass
class Worker:
    """A run that trains in a process of its own, and the cores that it has."""

    cell: Cell
    process: subprocess.Popen[bytes]
    said: IO[bytes]
    cores: list[int]

    def last_words(self) -> str:
        """Return the last line that it wrote to standard error, once it has ended."""
        with self.said as file:
            file.seek(0)
            lines = file.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit status {self.process.returncode}"


def begin(cell: Cell, config: Config, cores: list[int]) -> Worker:
    """Start a run on some cores."""
    said = tempfile.TemporaryFile()
    # In a session of its own ctrl-C does not reach it: we pass it on, once.
    process = subprocess.Popen(
        command_of(cell, config),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=said,
        start_new_session=True,
    )
    if hasattr(os, "sched_setaffinity") and cores:
        os.sched_setaffinity(process.pid, cores)
    return Worker(cell, process, said, cores)


@dataclass
class Suite:
    """The runs of a matrix: those that wait, those that train, those that failed."""

    config: Config
    cells: list[Cell]
    waiting: deque[Cell] = field(init=False)
    workers: list[Worker] = field(default_factory=list)
    failed: dict[Cell, str] = field(default_factory=dict)
    took_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.waiting = deque(cell for cell in self.cells if not cell.is_done())
        cores = available_cores()
        count = self.config.parallel
        self.shares = [cores[i::count] or cores for i in range(count)]

    def train(self) -> None:
        """Train everything that is not done."""
        said_s = 0.0
        while self.waiting or self.workers:
            self.start()
            time.sleep(LOOK_EVERY_S)
            self.look()
            if time.monotonic() - said_s > SAY_EVERY_S:
                said_s = time.monotonic()
                say(self.line())

    def start(self) -> None:
        """Start runs while there are cores for them."""
        for _ in range(len(self.waiting)):
            if len(self.workers) == self.config.parallel:
                return
            cell = self.waiting.popleft()
            run = cell.run
            if run is not None and run.is_running():  # by a process that was not stopped with us
                self.waiting.append(cell)
                continue
            taken = [worker.cores for worker in self.workers]
            cores = next(share for share in self.shares if share not in taken)
            say(f"{cell.shown}: {'goes on' if run else 'begins'}")
            self.workers.append(begin(cell, self.config, cores))

    def look(self) -> None:
        """Take runs that have ended from the list of those that train."""
        for worker in [w for w in self.workers if w.process.poll() is not None]:
            self.workers.remove(worker)
            words, done = worker.last_words(), worker.cell.is_done()
            if worker.process.returncode == 0 and done:
                say(f"{worker.cell.shown}: done")
                continue
            ended = worker.process.returncode == 0
            self.failed[worker.cell] = "ended without an evaluation" if ended else words
            say(f"{worker.cell.shown}: {self.failed[worker.cell]}", sys.stderr)

    def line(self) -> str:
        """Return how far everything is, for people."""
        done = sum(cell.is_done() for cell in self.cells)
        progress = {cell: cell.progress() for cell in self.cells}
        now = [f"{w.cell.shown} {100 * progress[w.cell][0]:.0f} %" for w in self.workers]
        left = self.left_s(progress)
        time_left = f", about {clock(left)} left" if left else ""
        return f"{done} of {len(self.cells)} done{time_left}; {', '.join(now)}"

    def left_s(self, progress: Mapping[Cell, tuple[float, float]]) -> float:
        """Return how long the rest takes, judged by the minutes of runs so far; 0: not known."""
        minutes = [spent / share for share, spent in progress.values() if share > 0.02]
        if not minutes:
            return 0.0
        rest = [*self.waiting, *(worker.cell for worker in self.workers)]
        missing = sum(1 - progress[cell][0] for cell in rest)
        return 60 * statistics.mean(minutes) * missing / self.config.parallel

    def stop(self) -> None:
        """Ask the runs that train to save and end, and wait for them."""
        for worker in self.workers:
            worker.process.send_signal(signal.SIGINT)
        for worker in self.workers:
            worker.process.wait()
            worker.said.close()


@contextmanager
def ended_like_ctrl_c() -> Iterator[None]:
    """Context in which a request to end, as batch systems send it, is taken as ctrl-C."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main(config: Config) -> int:
    """The command `arcadia suite`: exit status 1 if a run failed."""
    cells = matrix(config)
    check(cells, config)
    suite = Suite(config, cells)
    say(f"{len(cells)} runs, {len(cells) - len(suite.waiting)} of them done")
    with ended_like_ctrl_c():
        try:
            suite.train()
        except KeyboardInterrupt:
            say("stopping: the runs save what they have; the same command goes on", sys.stderr)
            suite.stop()
            raise
    done = [cell.run.name for cell in cells if cell.is_done() and cell.run]
    if done:
        report = report_of(done)
        print_report(report)
        write_report(report, str(runs_folder() / "suites" / config.name))
    return 1 if suite.failed else 0
