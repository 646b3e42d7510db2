"""The command `arcadia runs`: one row a run."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from backbones.training.checkpoint import numbered, size_bytes
from backbones.training.checks.limits import MOST_INT
from backbones.training.checks.received import INFO_BYTES, read_json
from backbones.training.log import read_metrics
from backbones.training.progress import clock
from backbones.training.run import Run, all_runs, runs_folder
from backbones.training.session import evaluated_at
from backbones.training.streams import printable

COLUMNS = ("run", "game or data", "progress", "time", "train score", "eval score", "size", "state")


def final_score(run: Run) -> str:
    """Return the score of the evaluation at the end, empty without one; tasks name theirs."""
    try:
        result = read_json(run.folder / "eval.json", INFO_BYTES)
        name = "" if result["metric"] == "score" else f"{result['metric']} "
        return f"{name}{float(result['score']):{'.1f' if not name else '.2f'}}"
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return "damaged"


def saved(run: Run) -> dict[str, Any]:
    """Return what the newest checkpoint that can be read says of itself; empty without one."""
    for path in reversed(numbered(run.checkpoints)):
        try:
            return read_json(path / "checkpoint.json", INFO_BYTES)
        except (OSError, ValueError, TypeError, OverflowError):
            continue
    return {}


def number(value: Any) -> float:
    """Return a number from a file that anybody may have written; 0 for anything else."""
    fits = isinstance(value, int | float) and abs(value) < MOST_INT
    return float(value) if fits else 0.0


def subject(config: dict[str, Any]) -> str:
    """Return what a run learns: the game, or the set and, of a translator, the languages."""
    if "env" in config:
        return str(config["env"])
    if "komi" in config and "size" in config:
        return f"Go {config['size']} x {config['size']}"
    words = [Path(str(config.get("data") or config.get("set", ""))).name]
    if "source" in config and "target" in config:
        words.append(f"{config['source']}-{config['target']}")
    return " ".join(words)


class Standing(NamedTuple):
    """How far a run has come."""

    done: int
    total: int
    unit: str
    minutes: float
    score: float | None
    """The latest training score; None where there is none yet."""
    finished: bool


def standing(run: Run, last: Mapping[str, Any]) -> Standing:
    """Return how far a run has come: `last` has the newest value of each of its figures.

    A run that was sent, or comes with the project, has its checkpoint and no figures.
    """
    info = saved(run)
    total = int(number(info.get("total")) or number(run.config.get("total_steps")))
    done = int(number(last.get("step", info.get("progress"))))
    minutes = number(last.get("time/minutes", number(info.get("trained_s")) / 60))
    trained = last.get("rollout/score", None if last else info.get("score"))
    score = None if trained is None else number(trained)
    finished = done >= total > 0 or (not last and evaluated_at(run) == done)
    return Standing(done, total, str(info.get("unit", "")), minutes, score, finished)


def state_of(run: Run, finished: bool) -> str:
    """Return whether a run is running, finished or stopped."""
    return "running" if run.is_running() else "finished" if finished else "stopped"


def row_of(run: Run) -> list[str]:
    """Return name, what is learnt, progress, minutes, scores, size and state of a run."""
    last: dict[str, Any] = {}
    for line in read_metrics(run.folder):
        last |= line
    done, total, unit, minutes, score, finished = standing(run, last)
    return [
        run.name,
        subject(run.config),
        f"{done:,}{f' / {total:,}' if total else ''} {unit}".rstrip(),
        clock(60 * minutes) if minutes else "",
        "" if score is None else f"{score:.1f}",
        final_score(run),
        f"{size_bytes(run.folder) / 2**20:.0f} MiB",
        state_of(run, finished),
    ]


def print_runs() -> None:
    """Print every run of the runs folder, the oldest first."""
    runs = all_runs()
    if not runs:
        print(f"no runs in {runs_folder()} yet; start with `arcadia train ppo`")
        return
    table, right = Table(box=None, pad_edge=False), ("time", "train score", "eval score", "size")
    for name in COLUMNS:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for run in runs:
        # Names are shown as they are: rich would read [red] in one, a terminal an escape sequence.
        table.add_row(*(Text(printable(cell)) for cell in row_of(run)))
    # A pipe has no width: rows must not be cut to that of a terminal that is not there.
    Console(width=None if sys.stdout.isatty() else 140).print(table)
