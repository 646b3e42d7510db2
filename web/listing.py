"""Runs as the page shows them: one row each, curves, the log's end, films.

Runs write files and know nothing of the page, so those of other processes show too. Whatever is
asked for by name is looked up among the runs that are there: no path is made of a request.

What surprises: a row reads only the end of a run's metrics, and is kept until the file changes, so
that thousands of runs stay quick; only the curves of runs that are looked at are read whole.
"""

import json
import math
import os
from pathlib import Path
from typing import Any

from backbones.training.device.machine import CHECKOUT
from backbones.training.errors import UserError
from backbones.training.find_job import kind_of
from backbones.training.log import is_before, read_metrics
from backbones.training.run import Run, config_files
from backbones.training.runs_table import final_score, number, standing, state_of, subject

TAIL_BYTES = 2**16
MOST_POINTS = 400  # of a curve
LOG_LINES = 60
FIGURES = ("step", "time/minutes", "rollout/score")  # of a row
# What is drawn first, by the beginning of its tag; other curves can be picked.
MATTERS = ("rollout/score", "eval/score", "ladder/elo", "val/", "train/loss", "train/value_loss")


class Listing:
    """The runs of the runs folder and of the zoo, by name."""

    def __init__(self) -> None:
        self.rows: dict[Path, tuple[object, dict[str, Any]]] = {}
        self.opened: dict[Path, tuple[int, Run]] = {}

    def runs(self) -> dict[str, Run]:
        """Return every run by its name, the newest first, the zoo's last."""
        configs = [path for path in config_files() if path.parents[1].name != "zoo"]
        found = [run for path in configs if (run := self.open(path))]
        found.sort(key=lambda run: number(run.about.get("started_s")), reverse=True)
        zoo = sorted((CHECKOUT / "runs" / "zoo").glob("*/config.json"))
        found += [run for path in zoo if (run := self.open(path))]
        return {run.name: run for run in found}

    def open(self, config: Path) -> Run | None:
        """Return the run of a config.json, read again only where it has changed; None if broken."""
        try:
            changed = config.stat().st_mtime_ns
            if self.opened.get(config, (0, None))[0] != changed:
                self.opened[config] = changed, Run.open(config.parent)
            return self.opened[config][1]
        except (OSError, UserError):
            return None

    def find(self, name: str) -> Run:
        """Return a run by its name; UserError if there is none."""
        runs = self.runs()
        if name not in runs:
            raise UserError(f"there is no run {name[:100]!r} any more")
        return runs[name]

    def all_rows(self) -> list[dict[str, Any]]:
        """Return a row for every run."""
        return [self.row(run) for run in self.runs().values()]

    def row(self, run: Run) -> dict[str, Any]:
        """Return what a run is and how far it has come."""
        stamp = stamp_of(run.folder)
        if self.rows.get(run.folder, (None, {}))[0] != stamp:
            self.rows[run.folder] = stamp, written(run)
        row = self.rows[run.folder][1]
        in_zoo = run.folder.parent.name == "zoo"
        return {**row, "state": "zoo" if in_zoo else state_of(run, row["finished"])}

    def about(self, name: str) -> dict[str, Any]:
        """Return all there is to say of one run: row, command, config, log, films, tags."""
        run = self.find(name)
        return {
            **self.row(run),
            "command": str(run.about.get("command", "")),
            "started": str(run.about.get("started", "")),
            "commit": str(run.about.get("commit", "")),
            "config": run.config,
            "log": tail(run.folder / "log.txt")[-LOG_LINES:],
            "films": [path.name for path in films(run)],
        }

    def curves(self, name: str) -> dict[str, list[list[float]]]:
        """Return every curve of a run by its tag, those that matter first, as [progress, value]."""
        series: dict[str, list[list[float]]] = {}
        for line in read_metrics(self.find(name).folder):
            for tag, value in line.items():
                if "/" in tag and isinstance(value, int | float) and math.isfinite(value):
                    series.setdefault(tag, []).append([float(line["step"]), float(value)])
        order = sorted(series, key=lambda tag: (importance(tag), tag))
        return {tag: thinned(series[tag]) for tag in order}

    def film(self, name: str, film: str) -> Path:
        """Return a film of a run; UserError if it has none of that name."""
        found = {path.name: path for path in films(self.find(name))}
        if film not in found:
            raise UserError(f"{name[:100]} has no film {film[:100]!r}")
        return found[film]


def kind_or_none(run: Run) -> str:
    """Return agent, task or go; "" for a run of a job that nobody has named here."""
    try:
        return kind_of(run)
    except UserError:
        return ""


def stamp_of(folder: Path) -> tuple[object, ...]:
    """Return what changes whenever a run writes anything that its row shows."""
    stamps: list[object] = []
    for name in ("metrics.jsonl", "eval.json", "checkpoints"):
        try:
            found = os.stat(folder / name)
            stamps.append((found.st_mtime_ns, found.st_size))
        except OSError:
            stamps.append(None)
    return tuple(stamps)


def written(run: Run) -> dict[str, Any]:
    """Return a row from what a run has written."""
    last = newest(tail(run.folder / "metrics.jsonl"))
    return {
        "name": run.name,
        "job": run.job,
        "kind": kind_or_none(run),
        "learns": subject(run.config),
        "eval": final_score(run),
        **standing(run, last)._asdict(),
    }


def newest(lines: list[str]) -> dict[str, Any]:
    """Return the newest value of each figure of a row; only lines that have one are parsed."""
    last = dict[str, Any]()
    for line in reversed(lines):
        missing = [name for name in FIGURES if name not in last]
        if any(f'"{name}"' in line for name in missing) and is_before(line, 2**62):
            last = json.loads(line) | last
    return last


def tail(path: Path) -> list[str]:
    """Return the last whole lines of a text file; none if there is no such plain file."""
    try:
        if not path.is_file():
            return []
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            lines = file.read(TAIL_BYTES).decode(errors="replace").splitlines()
        return lines[1:] if size > TAIL_BYTES else lines
    except OSError:
        return []


def films(run: Run) -> list[Path]:
    """Return a run's films, the newest last."""
    inside = run.folder.resolve()
    found = sorted((run.folder / "videos").glob("*.mp4"))
    return [path for path in found if path.is_file() and inside in path.resolve().parents]


def importance(tag: str) -> int:
    """Return the place of a tag among those that matter; of the others, behind all."""
    return next((n for n, start in enumerate(MATTERS) if tag.startswith(start)), len(MATTERS))


def thinned(points: list[list[float]]) -> list[list[float]]:
    """Return at most MOST_POINTS points, each the mean of its neighbours, the last one as it is."""
    if len(points) <= MOST_POINTS:
        return points
    step = -(-len(points) // (MOST_POINTS - 1))
    groups = [points[n : n + step] for n in range(0, len(points), step)]
    means = [[sum(values) / len(group) for values in zip(*group, strict=True)] for group in groups]
    return [*means[:-1], points[-1]]
