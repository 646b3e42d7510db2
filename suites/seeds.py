"""`arcadia train JOB --seeds N`: the same run with N seeds, one after the other, and their mean.

Each run is a process of `arcadia train` or `arcadia resume`, as in a suite: the same command with
the same --name goes on where it was stopped. Runs are called NAME-1 to NAME-N; their seeds count up
from --seed.
"""

import math
import signal
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from backbones.training.checks.limits import MOST_NAME_BYTES
from backbones.training.checks.received import INFO_BYTES, read_json
from backbones.training.checks.typed import take_flag
from backbones.training.distributed import launch
from backbones.training.errors import Stopped, UserError
from backbones.training.find_job import parse_flags, typed_job
from backbones.training.progress import say
from backbones.training.run import Run, runs_folder
from backbones.training.runs_table import number
from suites.gather import seed_of
from suites.report import print_report, report_of, write_report
from suites.suite import ended_like_ctrl_c

MOST_SEEDS = 1_000


def count_of(text: str) -> int:
    """Return how many seeds were asked for; UserError if that is no such number."""
    if not text.isdecimal() or not 1 <= int(text[:9]) <= MOST_SEEDS:
        raise UserError(
            f"--seeds = {text[:40]!r} must be a whole number from 1 to {MOST_SEEDS:,}, such as 3"
        )
    return int(text)


def train_seeds(job_name: str, args: Sequence[str], seeds: str) -> int:
    """Train a job with several seeds; return the exit status, 1 if a run failed."""
    count = count_of(seeds)
    if launch():
        raise UserError("--seeds starts its runs itself; under torchrun give one --seed at a time")
    job = typed_job(job_name)
    config, _ = parse_flags(job, args, f"arcadia train {job_name}")
    folder = runs_folder() / job.name
    name = config.run.name or free_name(folder, job.base_name(config))
    if len(name.encode()) > MOST_NAME_BYTES - len(f"-{count}"):
        raise UserError(f"--name {name[:20]}... is too long for a number behind it")
    rest, others = list(args), job.other_names.items()
    for flag in ("name", "seed", *(key for key, meaning in others if meaning.setting == "name")):
        rest = take_flag(rest, f"--{flag.replace('_', '-')}")[1]
    failed = 0
    with ended_like_ctrl_c():
        for place in range(1, count + 1):
            seed = config.run.seed + place - 1
            own = ["--name", f"{name}-{place}", "--seed", str(seed)]
            say(f"{job.name}/{name}-{place}: seed {seed}, {place} of {count}")
            failed += 0 != train_one(folder / f"{name}-{place}", [job_name, *rest, *own], seed)
    runs = [folder / f"{name}-{place}" for place in range(1, count + 1)]
    conclude(job.kind == "agent", runs, name)
    return 1 if failed else 0


def free_name(folder: Path, base: str) -> str:
    """Return the first of base-1, base-2 ... of which no run with a number behind it is there."""
    place = 1
    while any(folder.glob(f"{base}-{place}-[0-9]*")) or (folder / f"{base}-{place}").exists():
        place += 1
    return f"{base}-{place}"


def train_one(path: Path, args: Sequence[str], seed: int) -> int:
    """Begin a run, or go on with it; return its exit status. `Stopped` if it was stopped."""
    command = [sys.executable, "-m", "arcadia"]
    if (path / "config.json").exists():
        run = Run.open(path)
        if seed_of(run) != seed:
            raise UserError(
                f"{run.name} is there with seed {seed_of(run)}, not {seed}; give another --name"
            )
        if (path / "eval.json").exists():
            say(f"{run.name} is finished")
            return 0
        command += ["resume", run.name]
    else:
        command += ["train", *args]
    # In a session of its own ctrl-C does not reach it: we pass it on, once, and it saves.
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            status = process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise Stopped from None
    if status == 130:
        raise Stopped
    return status


def conclude(agents: bool, runs: Sequence[Path], name: str) -> None:
    """Say what the runs scored, the mean and the spread; of agents, report on them."""
    found = {path: read_json(path / "eval.json", INFO_BYTES) for path in runs if scored(path)}
    scores = [number(result.get("score")) for result in found.values()]
    missing = len(runs) - len(scores)
    if not scores:
        say("no run has an evaluation")
        return
    metric = next(iter(found.values())).get("metric", "score")
    spread = f"{statistics.stdev(scores):.2f}" if len(scores) > 1 else "unknown"
    each = ", ".join(f"{score:.2f}" for score in scores)
    without = f"; {missing} without an evaluation" if missing else ""
    say(
        f"{metric} {math.fsum(scores) / len(scores):.2f}, standard deviation {spread}, over "
        f"{len(scores)} seeds: {each}{without}"
    )
    if agents:
        report = report_of([Run.open(path).name for path in found])
        print_report(report)
        write_report(report, str(runs_folder() / "suites" / name))


def scored(path: Path) -> bool:
    """Say whether a run has its evaluation."""
    return (path / "eval.json").exists()
