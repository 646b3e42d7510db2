"""One session of a run: from `train` or `resume` to its end, a stop, or an error.

What every job's loop needs besides learning: it handles ctrl-C, decides when to save, writes
metrics, and continues when the disk is full. Times are those of a monotonic clock.
"""

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from backbones.training import checkpoint
from backbones.training.checkpoint import Checkpoint, Chunks, Parts
from backbones.training.checks.received import INFO_BYTES, read_json
from backbones.training.config import RunConfig
from backbones.training.device.machine import commit, hardware, versions
from backbones.training.distributed import World, launch
from backbones.training.files import write_atomically
from backbones.training.log import Board, read_metrics
from backbones.training.progress import ProgressReport
from backbones.training.run import Run

# Between two attempts to write the last checkpoint of a run.
RETRY_S = 10.0
# What a program that trains hears now and then: progress, and figures as TensorBoard tags.
OnUpdate = Callable[[int, Mapping[str, float]], None]


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What a checkpoint is made of: the arguments of `checkpoint.save`."""

    progress: int
    parts: Parts
    info: Mapping[str, Any]
    metadata: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    chunks: Chunks = field(default_factory=dict)


class Session:
    """Use as a context manager around the loop; see `rl/ppo.py` for one.

    `stopped` is true when the loop should end, because any of the processes was asked to stop.
    """

    def __init__(
        self,
        run: Run,
        config: RunConfig,
        world: World,
        *,
        total: int,
        unit: str,
        done: int = 0,
        resumed: Mapping[str, Any] | None = None,
        on_update: OnUpdate | None = None,
    ) -> None:
        """Start at progress `done`; `resumed` is the info of the checkpoint that is resumed.

        It is empty if a run without a checkpoint starts again, None for a new run. `on_update`
        hears all figures, in the first process.
        """
        self.run, self.config, self.world, self.on_update = run, config, world, on_update
        self.total, self.unit, self.stopped, self.full = total, unit, False, False
        self.stop, self.commit = StopRequest(), commit()
        self.board: Board | None = None
        self.report: ProgressReport | None = None
        if world.is_first:
            self.board = Board(run.folder, done if resumed is not None else None)
            self.report = ProgressReport(total, unit, done)
        before = resumed or {}
        if resumed:
            run.log(f"goes on at {done:,} {unit}")
            self.say_differences(resumed)
        if world.size > world.local_size and ":" in launch():
            run.warn(
                "several machines without --rdzv-id and --name: if the first one is replaced, its "
                "successor cannot find this run"
            )
        self.saving_s = float(before.get("saving_s", 0.0))
        self.last_save = time.monotonic()
        self.begin = time.monotonic() - float(before.get("trained_s", 0.0))

    def __enter__(self) -> "Session":
        self.stop.__enter__()
        if self.report:
            self.report.__enter__()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self.report:
            self.report.__exit__()
        self.stop.__exit__()
        if error is not None:
            self.run.write_log(f"ended by {type(error).__name__}: {error}")

    @property
    def trained_s(self) -> float:
        """Seconds of training so far, over all sessions."""
        return time.monotonic() - self.begin

    def record(self, progress: int, figures: Mapping[str, float], shown: Mapping[str, str]) -> None:
        """Write figures under their TensorBoard tags, and show a few beside the progress."""
        if self.board is None or self.report is None:
            return
        more = {
            "time/minutes": self.trained_s / 60,
            "speed/resident_mib": resident_mib(),
            "speed/saving_fraction": self.saving_s / self.trained_s,
        }
        self.board.scalars(progress, {**figures, **more})
        if self.on_update:
            self.on_update(progress, figures)
        self.report.update(min(progress, self.total), shown)
        trouble = self.board.trouble
        if bool(trouble) != self.full:
            self.full = bool(trouble)
            if trouble:
                self.run.warn(
                    f"{self.run.folder} takes no writing ({trouble.strerror}); training goes on, "
                    "and what belongs there waits in memory"
                )
            else:
                self.run.log(f"{self.run.folder} is written to again, nothing is missing")

    def keep(self, make: Callable[[], Snapshot | None], possible: bool = True) -> None:
        """Between two updates: save if it is due and `possible`; find out whether to stop.

        `make` returns what to save, in the first process. Collective: every process must call this
        the same number of times.
        """
        due = self.world.is_first and (
            time.monotonic() - self.last_save >= self.config.checkpoint_every_s
        )
        self.stopped, save = self.world.any(self.stop.requested, due)
        if save and possible and not self.stopped:
            self.save(make)

    def save(self, make: Callable[[], Snapshot | None]) -> None:
        """Write a checkpoint. If the disk is full, log a warning and continue."""
        begin = time.monotonic()
        snapshot = make()
        if snapshot is not None:
            self.write(snapshot)
        self.last_save = time.monotonic()
        self.saving_s += self.last_save - begin

    def save_last(self, make: Callable[[], Snapshot | None]) -> None:
        """Write the last checkpoint; wait for space on the disk unless asked to stop."""
        snapshot = make()
        while not self.world.broadcast_json(lambda: snapshot is None or self.write(snapshot)):
            if self.world.any(self.stop.requested)[0]:
                self.run.warn("what was learnt since the last checkpoint is not saved")
                return
            time.sleep(RETRY_S)
        if self.board:
            self.board.flush()
            self.run.log(checkpoint.summary(self.run.checkpoints))

    def write(self, snapshot: Snapshot) -> bool:
        """Write a checkpoint; return whether that succeeded."""
        about = {
            "trained_s": self.trained_s,
            "saving_s": self.saving_s,
            "commit": self.commit,
            "made_on": made_on(self.world),
            "total": self.total,
            "unit": self.unit,
            # What it belongs to: a config.json that was changed since is noticed.
            "started_s": self.run.about["started_s"],
            "config": self.run.config,
        }
        try:
            checkpoint.save(
                self.run.checkpoints,
                snapshot.progress,
                snapshot.parts,
                {**snapshot.info, **about},
                snapshot.metadata,
                snapshot.chunks,
            )
        except OSError as error:
            self.run.warn(
                f"no checkpoint at {snapshot.progress:,}: {error.strerror}; the one before is "
                "whole, training goes on, and the next attempt follows"
            )
            return False
        return True

    def say_differences(self, info: Mapping[str, Any]) -> None:
        """Log how this machine differs from the checkpoint's: results may then differ in bits."""
        now, then = made_on(self.world), info.get("made_on", {})
        changes = [f"{k} {then[k]} -> {now[k]}" for k in now if k in then and then[k] != now[k]]
        if changes:
            self.run.log(
                f"not where it was saved ({', '.join(changes)}): the same training, but "
                "perhaps not the same bits"
            )


def newest_checkpoint(run: Run, *, whole: bool = False) -> Checkpoint:
    """Return the newest checkpoint whose weights, or all of whose parts (`whole`), are undamaged.

    The run's log says which damaged ones were passed over.
    """
    found, passed_over = checkpoint.load_newest(run.checkpoints, run.about, whole=whole)
    for line in passed_over:
        run.warn(line)
    return found


def resume_point(run: Run, world: World) -> Checkpoint | None:
    """Return, in every process, the checkpoint to resume from; None if the run never saved one.

    Every part of it has been checked. Damaged ones that are newer are set aside, so that they do
    not count any more. Every process has the weights; of other parts it is sent what it asks for.
    """
    found = None
    if world.is_first and checkpoint.numbered(run.checkpoints):
        found = newest_checkpoint(run, whole=True)
        checkpoint.set_aside_newer(run.checkpoints, found.info["progress"])
    if world.size == 1:
        return found
    info = world.broadcast_json(lambda: found.info if found else {})
    if not info:
        return None
    ours = found.weights if found else {}
    names = world.broadcast_json(lambda: list(ours))
    weights = {part: world.broadcast_tensors(ours.get(part, {})) for part in names}
    folder = run.checkpoints / f"{info['progress']:012d}"
    return Checkpoint(folder, info, weights, found.headers if found else {}, world)


def is_evaluated(run: Run, world: World, progress: int) -> bool:
    """Return whether the final evaluation was done at this progress, or is not wanted."""
    wanted = run.config.get("eval_games", 1)
    return world.broadcast_json(lambda: not wanted or evaluated_at(run) == progress)


def evaluated_at(run: Run) -> int | None:
    """Return the progress of the agent that eval.json scores; None without one."""
    try:
        result = read_json(run.folder / "eval.json", INFO_BYTES)
        return int(result["progress"] if "progress" in result else result["env_steps"])
    except (OSError, KeyError, TypeError, ValueError, OverflowError):
        return None


def write_evaluation(
    run: Run,
    board: Board,
    progress: int,
    scores: Mapping[str, float],
    result: Mapping[str, Any],
    remedy: str,
) -> None:
    """Write the final scores as TensorBoard tags, and eval.json, by which the run is finished.

    A run that was killed between the two has the scores, and they are not written again. A disk
    that does not take eval.json is a warning, which ends with the remedy.
    """
    rows = read_metrics(run.folder)
    if not any(row.get("step") == progress and scores.items() <= row.items() for row in rows):
        board.scalars(progress, dict(scores))
    try:
        write_atomically(run.folder / "eval.json", json.dumps(result, indent=2) + "\n")
    except OSError as error:
        run.warn(f"eval.json could not be written ({error.strerror}); {remedy}")


def finished(name: str) -> str:
    """Return the line for a run that has nothing left to do."""
    return f"{name} is finished; `arcadia resume {name} --extend N` lengthens it"


def lengthened(before: int, after: int, unit: str, old_rate: float, new_rate: float) -> str:
    """Return a line for the log on what lengthening a run does to its schedule."""
    return (
        f"lengthened from {before:,} to {after:,} {unit}; the schedule is a function of progress: "
        f"the learning rate, {old_rate:.2g} where the run stands, goes on from {new_rate:.2g}"
    )


def made_on(world: World) -> dict[str, Any]:
    """Return processes, threads, processor, GPUs and versions."""
    machine = hardware()
    return {
        "processes": world.size,
        "threads": torch.get_num_threads(),
        "cpu": machine["cpu"],
        "gpus": machine["gpus"],
        **versions(),
    }


def resident_mib() -> float:
    """Return this process's resident memory in MiB; NaN where there is no /proc."""
    path = Path("/proc/self/statm")
    pages = int(path.read_text().split()[1]) if path.exists() else float("nan")
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class StopRequest:
    """Turns the first ctrl-C or SIGTERM into a flag, so that a run can save before it ends.

    A second one ends the process at once, as usual. Under torchrun each ctrl-C arrives twice, from
    the terminal and from torchrun, so there a second one counts only after some seconds.
    """

    GRACE_S = 5.0

    def __init__(self) -> None:
        self.requested, self.since = False, 0.0
        self.previous: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        self.previous = {s: signal.signal(s, self.handle) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Set the flag; a second signal goes to the previous handler."""
        if self.requested and time.monotonic() - self.since < (self.GRACE_S if launch() else 0.0):
            return
        if self.requested:
            self.__exit__()
            signal.raise_signal(number)
            return
        self.requested, self.since = True, time.monotonic()
        if os.environ.get("RANK", "0") == "0":
            # Not print: this may interrupt another print, and the reader may be gone.
            with contextlib.suppress(OSError):
                os.write(2, b"\nstopping: saving first (once more to quit at once)\n")
