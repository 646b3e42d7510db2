"""What runs say of themselves, and which of them may be averaged.

Runs are averaged where they differ in nothing but the game and the seed: the same job, the same
settings, as many env steps, and an evaluation by the same protocol.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from backbones.training.checks.received import INFO_BYTES, read_json
from backbones.training.checks.values import checked
from backbones.training.errors import UserError
from backbones.training.find_job import require_kind
from backbones.training.log import read_metrics
from backbones.training.run import Run
from backbones.training.runs_table import number
from rl.games.atari import atari_ids
from rl.scores import human_normalised

# Settings that say where and how comfortably a run was trained, not what was learnt.
NOT_LEARNT = (
    "env",
    "total_steps",
    "run",
    "env_options",
    "video_every_s",
    "eval_games",
    "eval_every",
    "env_threads",
)
# Parts of a protocol that belong to a game, or say which games were played.
OF_THE_GAME = ("env", "num_actions", "seed")
TAG = "rollout/score"


def seed_of(run: Run) -> object:
    """Return the seed that a run's config names; None without one."""
    about = run.config.get("run")
    return about.get("seed") if isinstance(about, dict) else None


@dataclass(frozen=True)
class Result:
    """A finished run of an agent and its evaluation."""

    run: Run
    score: float
    env_steps: int
    protocol: dict[str, Any]
    comparable: bool = True
    """Whether its games were whole, so that those of humans may stand beside them."""

    @property
    def env(self) -> str:
        """The game's Gymnasium id."""
        return str(self.protocol["env"])

    @property
    def game(self) -> str:
        """What people call it: Pong."""
        return re.split(r"[/:]", self.env)[-1].rsplit("-v", 1)[0]

    @property
    def seed(self) -> int:
        """The seed of the training."""
        return int(number(seed_of(self.run)))

    @property
    def human_normalised(self) -> float | None:
        """The score on the way from random (0) to human (1) play; None where neither is known, or
        games were cut short."""
        if not self.comparable:
            return None
        return human_normalised(atari_ids().get(self.env, ""), self.score)

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of what was learnt, flat, as plain values; with the name of the preset."""
        found: dict[str, Any] = {"preset": self.run.about.get("preset", "")}
        for name, value in self.run.config.items():
            if name not in NOT_LEARNT:
                found |= value if isinstance(value, dict) else {name: value}
        return found

    @property
    def rules(self) -> dict[str, Any]:
        """The part of the protocol that may not differ within an average."""
        found = {k: v for k, v in self.protocol.items() if k not in OF_THE_GAME}
        return {**found, "env_steps": self.env_steps}

    @cached_property
    def curve(self) -> list[tuple[int, float, float]]:
        """(env steps, mean raw score of the latest training games, minutes of training)."""
        rows = [line for line in read_metrics(self.run.folder) if TAG in line]
        return [
            (int(number(row["step"])), number(row[TAG]), number(row.get("time/minutes")))
            for row in rows
        ]

    def reached(self, score: float) -> tuple[int, float] | None:
        """Return the env steps and minutes after which training first had a score; None: never."""
        found = (point for point in self.curve if point[1] >= score)
        first = next(found, None)
        return first and (first[0], first[2])


@dataclass
class Group:
    """Runs that may be averaged."""

    label: str
    results: list[Result] = field(default_factory=list)

    @property
    def games(self) -> dict[str, list[Result]]:
        """The results of every game, by name and seed."""
        ordered = sorted(self.results, key=lambda result: (result.game, result.seed))
        found: dict[str, list[Result]] = {}
        for result in ordered:
            found.setdefault(result.game, []).append(result)
        return found


def read_result(run: Run) -> Result:
    """Return a run's result; UserError with the reason if it has none."""
    require_kind(run, "agent")
    try:
        found = read_json(run.folder / "eval.json", INFO_BYTES, run.folder)
        score = checked(float, found["score"], "score")
        env_steps = checked(int, found["env_steps"], "env_steps")
        protocol = checked(dict, found["protocol"], "protocol")
        checked(str, protocol["env"], "env")
    except FileNotFoundError:
        state = "it trains" if run.is_running() else f"`arcadia resume {run.name}` finishes it"
        raise UserError(f"no evaluation yet; {state}") from None
    except (OSError, KeyError, UserError) as error:
        raise UserError(f"its eval.json is broken ({error})") from None
    return Result(run, score, env_steps, protocol, found.get("human_normalised", 0) is not None)


def read_results(runs: Iterable[Run]) -> tuple[list[Result], dict[str, str]]:
    """Return the results of runs, and why each of the others has none, by its name."""
    results, without = [], {}
    for run in runs:
        try:
            results.append(read_result(run))
        except UserError as error:
            without[run.name] = str(error)
    return results, without


def grouped(results: Sequence[Result]) -> list[Group]:
    """Return the groups of results that may be averaged, in the order of their first runs."""
    found: dict[str, Group] = {}
    for result in results:
        key = json.dumps([result.run.job, result.settings, result.rules], sort_keys=True)
        found.setdefault(key, Group("")).results.append(result)
    groups = list(found.values())
    for group in groups:
        group.label = label_of(group, groups)
    return groups


def label_of(group: Group, groups: Sequence[Group]) -> str:
    """Return a group's job, and whatever sets it apart from the other groups of that job."""
    first = group.results[0]
    others = [
        other.results[0]
        for other in groups
        if other is not group and other.results[0].run.job == first.run.job
    ]
    own = {**first.settings, **first.rules}
    apart = [
        f"{shown(value)} env steps" if name == "env_steps" else f"{name} {shown(value)}".strip()
        for name, value in own.items()
        if any({**other.settings, **other.rules}.get(name) != value for other in others)
    ]
    return ", ".join([first.run.job, *apart])


def differences(groups: Sequence[Group]) -> dict[str, list[str]]:
    """Return the rules in which groups differ, each with the value of every group."""
    rules = [group.results[0].rules for group in groups]
    names = dict.fromkeys(name for each in rules for name in each)
    values = {name: [shown(each.get(name, "")) for each in rules] for name in names}
    return {name: each for name, each in values.items() if len({*each}) > 1}


def shown(value: Any) -> str:
    """Return a plain value for people."""
    return (
        f"{value:,}" if type(value) is int else f"{value:g}" if type(value) is float else f"{value}"
    )
