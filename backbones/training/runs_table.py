"""The command `arcadia runs`: one row a run."""

import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from backbones.training.checkpoint import numbered, size_bytes
from backbones.training.checks.limits import MOST_INT
from backbones.training.checks.received import INFO_BYTES, read_json
from backbones.training.log import read_metrics
from backbones.training.progress import clock
from backbones.training.run import Run, all_runs, runs_folder
from backbones.training.streams import printable


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


def planned(run: Run) -> tuple[int, str]:
    """Return how long a run will be, and in which unit, as its newest checkpoint has it; 0 where
    it has none."""
    for path in reversed(numbered(run.checkpoints)):
        try:
            info = read_json(path / "checkpoint.json", INFO_BYTES)
            return int(info["total"]), str(info["unit"])
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            continue
    return int(number(run.config.get("total_steps"))), ""


def number(value: Any) -> float:
    """Return a number from a file that anybody may have written; 0 for anything else."""
    fits = isinstance(value, int | float) and abs(value) < MOST_INT
    return float(value) if fits else 0.0


def subject(config: dict[str, Any]) -> str:
    """Return what a run learns: the game, or the set and, of a translator, the languages."""
    if "env" in config:
        return str(config["env"])
    words = [Path(str(config.get("data") or config.get("set", ""))).name]
    if "source" in config and "target" in config:
        words.append(f"{config['source']}-{config['target']}")
    return " ".join(words)


def row_of(run: Run) -> list[str]:
    """Return name, what is learnt, progress, minutes, scores, size and state of a run."""
    metrics = read_metrics(run.folder)
    last: dict[str, Any] = {}
    for line in metrics:
        last |= line
    total, unit = planned(run)
    done = int(number(last.get("step")))
    state = "running" if run.is_running() else "finished" if done >= total > 0 else "stopped"
    score = f"{number(last['rollout/score']):.1f}" if "rollout/score" in last else ""
    return [
        run.name,
        subject(run.config),
        f"{done:,} / {total:,} {unit}".rstrip(),
        clock(60 * number(last.get("time/minutes"))),
        score,
        final_score(run),
        f"{size_bytes(run.folder) / 2**20:.0f} MiB",
        state,
    ]


def print_runs() -> None:
    """Print every run of the runs folder, the oldest first."""
    runs = all_runs()
    if not runs:
        print(f"no runs in {runs_folder()} yet; start with `arcadia train ppo`")
        return
    table, right = Table(box=None, pad_edge=False), ("time", "score", "eval", "size")
    for name in ("run", "learns", "progress", "time", "score", "eval", "size", "state"):
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for run in runs:
        # Names are shown as they are: rich would read [red] in one, a terminal an escape sequence.
        table.add_row(*(Text(printable(cell)) for cell in row_of(run)))
    # A pipe has no width: rows must not be cut to that of a terminal that is not there.
    Console(width=None if sys.stdout.isatty() else 140).print(table)
