"""The command `arcadia report`: what several runs scored, by game and together.

Runs are averaged only within a group: the same job, settings, env steps and protocol. Everything
else stands side by side, and the report says in what it differs.
"""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from PIL import Image
from rich.console import Console
from rich.table import Table
from rich.text import Text

from backbones.training.checks.limits import MOST_SEED, require_at_most
from backbones.training.config import require_not_negative
from backbones.training.errors import UserError
from backbones.training.files import make_folder, write_atomically
from backbones.training.log import Board
from backbones.training.progress import clock, say
from backbones.training.run import all_runs, find_run
from backbones.training.streams import printable
from rl.games.atari import atari_ids
from rl.scores import RANDOM_AND_HUMAN
from suites.curves import draw_curves
from suites.gather import Group, Result, differences, grouped, read_results
from suites.published_scores import PUBLISHED
from suites.statistics import estimates

Row = list[str]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Scores over many runs: by game, human-normalised, with intervals over seeds."""

    runs: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Runs by name or path; default: all runs of agents."""
    reach: float | None = None
    """Training score to which time is taken; default: a human's, where the table has one."""
    every: int = 0
    """Print training scores and minutes at every so many env steps too; 0: not."""
    published: bool = True
    """Print others' scores on these games beside."""
    output: str = ""
    """Folder for report.md, report.json, curves.png and TensorBoard events of them."""
    seed: int = 0
    """Seed of the bootstrap."""
    json: bool = False
    """Print one JSON object instead of tables."""

    def __post_init__(self) -> None:
        require_not_negative(self, "seed", "every")
        require_at_most(self, seed=MOST_SEED)


@dataclass
class Report:
    """All that is known of some runs."""

    groups: list[Group]
    without: dict[str, str]
    """Why a run has no score, by its name."""
    reach: float | None = None
    seed: int = 0
    every: int = 0
    published: bool = True
    aggregates: list[dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.aggregates = [aggregate(group, self.seed) for group in self.groups]

    @property
    def roms(self) -> dict[str, str]:
        """The ROM of every Atari game in the report, by the game's name."""
        envs = {result.game: result.env for group in self.groups for result in group.results}
        return {game: atari_ids()[env] for game, env in envs.items() if env in atari_ids()}

    def to_dict(self) -> dict[str, Any]:
        """Return the object that `report --json` prints."""
        return {
            "groups": [
                {
                    "label": group.label,
                    "job": group.results[0].run.job,
                    "env_steps": group.results[0].env_steps,
                    "protocol": group.results[0].rules,
                    "games": {
                        game: self.game_row(results) for game, results in group.games.items()
                    },
                    "human_normalised": together,
                }
                for group, together in zip(self.groups, self.aggregates, strict=True)
            ],
            "differences": differences(self.groups),
            "published": [row._asdict() for row in self.rows_of_others()],
            "without_score": self.without,
        }

    def game_row(self, results: Sequence[Result]) -> dict[str, Any]:
        """Return what a group scored in one game."""
        normalised = [result.human_normalised for result in results]
        known = [value for value in normalised if value is not None]
        reached = {r.run.name: self.time_of(r) for r in results}
        return {
            "score": float(np.mean([result.score for result in results])),
            "scores": [result.score for result in results],
            "seeds": [result.seed for result in results],
            "runs": [result.run.name for result in results],
            "human_normalised": float(np.mean(known)) if known else None,
            "minutes": [result.curve[-1][2] if result.curve else None for result in results],
            "reached": {
                name: found and {"env_steps": found[0], "minutes": found[1]}
                for name, found in reached.items()
            },
        }

    def time_of(self, result: Result) -> tuple[int, float] | None:
        """Return the env steps and minutes to the score asked for, or a human's; None: never."""
        rom = self.roms.get(result.game, "")
        human = RANDOM_AND_HUMAN[rom][1] if rom in RANDOM_AND_HUMAN else math.inf
        return result.reached(human if self.reach is None else self.reach)

    def rows_of_others(self) -> list[Any]:
        """Return the published rows that have a score of these games, cut to them."""
        wanted = set(self.roms.values()) if self.published else set()
        rows = [
            row._replace(scores={k: v for k, v in row.scores.items() if k in wanted})
            for row in PUBLISHED
        ]
        return [row for row in rows if row.scores]


def aggregate(group: Group, seed: int) -> dict[str, Any]:
    """Return a group's human-normalised mean, median and IQM with their intervals."""
    scores = [[result.human_normalised for result in results] for results in group.games.values()]
    known = [[s for s in game if s is not None] for game in scores]
    known = [game for game in known if game]
    if not known:
        return {"games": 0}
    found = estimates(known, seed)
    return {
        "games": len(known),
        "seeds": [len(game) for game in known],
        **{name: list(estimate) for name, estimate in found.items()},
    }


def percent(value: float | None) -> str:
    """Return a human-normalised score for people."""
    return "" if value is None else f"{100 * value:.0f} %"


def games_table(report: Report) -> list[Row]:
    """Return the scores by game and group."""
    time_to = "a human" if report.reach is None else f"{report.reach:g}"
    rows = [
        ["game", "runs", "score", "by seed", "human-normalised", "minutes", f"min to {time_to}"]
    ]
    found = [(game, group) for group in report.groups for game in group.games]
    for game, group in sorted(found, key=lambda pair: (pair[0], report.groups.index(pair[1]))):
        row = report.game_row(group.games[game])
        minutes = [value for value in row["minutes"] if value is not None]
        times = [f"{found['minutes']:.1f}" if found else "-" for found in row["reached"].values()]
        rows.append(
            [
                game,
                group.label,
                f"{row['score']:,.2f}",
                ", ".join(
                    f"{seed}: {score:,.5g}"
                    for seed, score in zip(row["seeds"], row["scores"], strict=True)
                ),
                percent(row["human_normalised"]),
                clock(60 * float(np.mean(minutes))) if minutes else "",
                ", ".join(times),
            ]
        )
    return rows


def together_table(report: Report) -> list[Row]:
    """Return mean, median and IQM over games."""
    rows = [["runs", "games", "seeds", "mean", "median", "IQM"]]
    for group, found in zip(report.groups, report.aggregates, strict=True):
        if not found["games"]:
            continue
        fewest, most = min(found["seeds"]), max(found["seeds"])
        cells = [
            percent(found[name][0])
            + (f" ({100 * found[name][1]:.0f} to {100 * found[name][2]:.0f})" if most > 1 else "")
            for name in ("mean", "median", "IQM")
        ]
        seeds = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        rows.append([group.label, f"{found['games']}", seeds, *cells])
    return rows


def curve_table(report: Report) -> list[Row]:
    """Return the training score and the minutes of every run at every so many env steps."""
    results = [result for group in report.groups for result in group.results if result.curve]
    if not report.every or not results:
        return []
    longest = max(result.curve[-1][0] for result in results)
    marks = range(report.every, longest + report.every // 2 + 1, report.every)
    rows = [["after env steps", *(f"{steps:,}" for steps in marks)]]
    for result in results:
        cells = []
        for steps in marks:
            at, score, minutes = min(result.curve, key=lambda point: abs(point[0] - steps))
            near = abs(at - steps) <= report.every / 2
            cells.append(f"{score:,.5g} ({minutes:.1f} min)" if near else "")
        rows.append([result.run.name, *cells])
    return rows


def others_table(report: Report) -> list[Row]:
    """Return published scores on these games."""
    names = {rom: game for game, rom in report.roms.items()}
    others = report.rows_of_others()
    roms = [rom for rom in names if any(rom in row.scores for row in others)]
    rows = [["published", "env steps", "sticky", "scored", *(names[rom] for rom in roms)]]
    for row in others:
        scores = [f"{row.scores[rom]:,g}" if rom in row.scores else "" for rom in roms]
        rows.append([row.who, f"{row.env_steps:,}", f"{row.sticky:g}", row.protocol, *scores])
    return rows


def tables(report: Report) -> list[tuple[str, list[Row]]]:
    """Return every table that has rows, under its heading."""
    found = [
        ("Scores", games_table(report)),
        ("Human-normalised, over games", together_table(report)),
        ("While training", curve_table(report)),
        ("Published by others", others_table(report)),
    ]
    return [(title, rows) for title, rows in found if len(rows) > 1]


def notes(report: Report) -> list[str]:
    """Return what a reader has to know of the numbers."""
    lines = list[str]()
    for name, values in differences(report.groups).items():
        each = "; ".join(dict.fromkeys(values))
        lines.append(f"not averaged across {name.replace('_', ' ')}: {each}")
    if any(max(found.get("seeds", [1])) > 1 for found in report.aggregates):
        lines.append(
            "in brackets 95 % intervals of a bootstrap over seeds within each game "
            "(Agarwal et al. 2021)"
        )
    unknown = sorted(
        {r.game for g in report.groups for r in g.results if r.human_normalised is None}
    )
    if unknown:
        lines.append(f"no human score is known of {', '.join(unknown)}, so no average has them")
    lines += [f"{name}: {reason}" for name, reason in report.without.items()]
    return lines


def markdown(report: Report) -> str:
    """Return the report as a page."""
    parts = []
    for title, rows in tables(report):
        lines = [f"| {' | '.join(row)} |" for row in rows]
        parts.append(
            "\n".join([f"## {title}", "", lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])
        )
    parts.append("\n".join(f"- {line}" for line in notes(report)))
    return "\n\n".join(part for part in parts if part) + "\n"


def print_report(report: Report) -> None:
    """Print the tables and notes."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    for title, rows in tables(report):
        table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False)
        for name in rows[0]:
            table.add_column(name, overflow="fold")
        for row in rows[1:]:
            table.add_row(*(Text(printable(cell)) for cell in row))
        console.print(table)
        print()
    for line in notes(report):
        print(printable(line))


def write_report(report: Report, place: str) -> None:
    """Write the report into a folder that is new, empty or has an earlier one; UserError else."""
    folder = Path(place)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "report.json").exists():
        raise UserError(f"{folder} has other things in it; give another --output")
    make_folder(folder)
    curves = draw_curves(report.groups)
    try:
        write_atomically(folder / "report.md", markdown(report))
        if curves is not None:
            Image.fromarray(curves).save(folder / "curves.png")
        board = Board(folder)
        board.text(0, "report", markdown(report))
        if curves is not None:
            board.picture(0, "report/curves", curves)
        write_atomically(folder / "report.json", json.dumps(report.to_dict(), indent=2) + "\n")
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror})") from None
    say(
        f"{folder}: report.md, report.json" + ("" if curves is None else ", curves.png"), sys.stderr
    )


def report_of(names: Sequence[str], **settings: Any) -> Report:
    """Return the report on runs by name, on all agents' without names; UserError if none has a
    score. `settings` are fields of the report."""
    if names:
        runs = [find_run(name) for name in dict.fromkeys(names)]
    else:
        runs = [run for run in all_runs() if "env" in run.config]
    results, without = read_results(runs)
    if not results:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in without.items())
        raise UserError(f"no run has a score ({reasons or 'there is no run of an agent'})")
    return Report(grouped(results), without, **settings)


def main(config: Config) -> int:
    """The command `arcadia report`."""
    report = report_of(
        config.runs,
        reach=config.reach,
        seed=config.seed,
        every=config.every,
        published=config.published,
    )
    if config.json:
        print(json.dumps(report.to_dict()))
    else:
        print_report(report)
    if config.output:
        write_report(report, config.output)
    return 0
