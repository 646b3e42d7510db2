"""The command `arcadia runs`: one row a run."""

import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from backbones.training.checkpoint import size_bytes
from backbones.training.log import read_metrics
from backbones.training.progress import clock
from backbones.training.run import Run, all_runs, runs_folder


def final_score(run: Run) -> str:
    """Return the score of the evaluation at the end, empty without one."""
    path = run.folder / "eval.json"
    try:
        return f"{json.loads(path.read_text())['score']:.1f}" if path.exists() else ""
    except (ValueError, KeyError, TypeError):
        return "damaged"


def row_of(run: Run) -> list[str]:
    """Return name, what is trained, progress, minutes, scores, size and state of a run."""
    metrics = read_metrics(run.folder)
    last: dict[str, Any] = {}
    for line in metrics:
        last |= line
    total = run.config.get("total_steps", 0)
    done = int(last.get("step", 0))
    state = "running" if run.is_running() else "finished" if done >= total else "stopped"
    score = f"{last['rollout/score']:.1f}" if "rollout/score" in last else ""
    return [
        run.name, str(run.config.get("env", "")), f"{done:,} / {total:,}",
        clock(60 * last.get("time/minutes", 0.0)), score, final_score(run),
        f"{size_bytes(run.folder) / 2**20:.0f} MiB", state,
    ]  # fmt: skip


def print_runs() -> None:
    """Print every run of the runs folder, the oldest first."""
    runs = all_runs()
    if not runs:
        print(f"no runs in {runs_folder()} yet; start with `arcadia train ppo`")
        return
    table, right = Table(box=None, pad_edge=False), ("time", "score", "eval", "size")
    for name in ("run", "env", "env steps", "time", "score", "eval", "size", "state"):
        table.add_column(name, justify="right" if name in right else "left",
                         overflow="fold")  # fmt: skip
    for run in runs:
        table.add_row(*row_of(run))
    # A pipe has no width: rows must not be cut to that of a terminal that is not there.
    Console(width=None if sys.stdout.isatty() else 140).print(table)
