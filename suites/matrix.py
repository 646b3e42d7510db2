"""The runs of a suite, games by jobs by seeds: what each is called, and how it is trained."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from backbones.training.checks import trust
from backbones.training.checks.limits import MOST_THREADS, require_at_most
from backbones.training.config import require_not_negative, require_positive
from backbones.training.errors import UserError, nearest
from backbones.training.find_job import load_job, parse_flags
from backbones.training.jobs import JOBS
from backbones.training.log import read_metrics
from backbones.training.run import Run, runs_folder
from backbones.training.runs_table import number
from rl.games.atari import atari_ids
from rl.games.make import is_atari, short_name
from suites.gather import seed_of

NAME_CHARACTERS = {*"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Train every job on every game with every seed, and report; what is done is not done again."""

    games: str
    """Games, separated by commas: Pong or ALE/Pong-v5, or any environment of Gymnasium."""
    jobs: str = "ppo"
    """Jobs, separated by commas; of one with a preset ppo:gpu."""
    seeds: int = 3
    """Seeds 1 to this number."""
    env_steps: int = 0
    """Length of every run in env steps; 0: as its preset says."""
    name: str = "suite"
    """Runs are called NAME-GAME-SEED; the report lies in suites/NAME of the runs folder."""
    parallel: int = 1
    """Runs at a time, each on its share of the cores."""
    flags: str = ""
    """Flags for every run, such as --flags="--sticky 0"; the = is needed."""

    def __post_init__(self) -> None:
        require_positive(self, "seeds", "parallel")
        require_not_negative(self, "env_steps")
        require_at_most(self, parallel=MOST_THREADS, seeds=1_000)
        if not self.name or not set(self.name) <= NAME_CHARACTERS:
            raise ValueError(f"name = {self.name!r} may have letters, digits, - and _ only")


class Cell(NamedTuple):
    """One run of the matrix."""

    job: str
    preset: str
    env: str
    seed: int
    run_name: str
    folder: str
    """Of the runs folder, where this job's runs lie."""

    @property
    def run(self) -> Run | None:
        """The run; None where it has not begun."""
        path = runs_folder() / self.folder / self.run_name
        return Run.open(path) if (path / "config.json").exists() else None

    @property
    def shown(self) -> str:
        """What people call it."""
        preset = f":{self.preset}" if self.preset else ""
        return f"{self.job}{preset} {short_name(self.env)} seed {self.seed}"

    def is_done(self) -> bool:
        """Say whether the run has its evaluation."""
        run = self.run
        return run is not None and (run.folder / "eval.json").exists()

    def progress(self) -> tuple[float, float]:
        """Return how much of the run is trained, 0 to 1, and the minutes that this took."""
        run = self.run
        lines = read_metrics(run.folder) if run else []
        total = number(run.config.get("total_steps")) if run else 0.0
        if not lines or not total:
            return 0.0, 0.0
        share = min(1.0, number(lines[-1].get("step")) / total)
        return share, number(lines[-1].get("time/minutes"))


def words(text: str) -> list[str]:
    """Return the parts of a list with commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


def env_of(game: str) -> str:
    """Return the id of a game; UserError, with the nearest, if there is none."""
    atari = f"ALE/{game}-v5"
    if atari in atari_ids():
        return atari
    trust.allow(game)
    is_atari(game)
    return game


def job_and_preset(word: str) -> tuple[str, str]:
    """Return a job's name and a preset's, "" for the default; UserError if there is none."""
    job, _, preset = word.partition(":")
    if job not in JOBS and preset:
        job, preset = word, ""
        trust.allow(job)
    found = load_job(job)
    if found.kind != "agent":
        raise UserError(f"{job} plays no games; a suite takes jobs of agents")
    if preset and preset not in found.presets:
        raise UserError(f"{job} has no preset {preset!r}{nearest(preset, found.presets)}")
    return job, preset


def matrix(config: Config) -> list[Cell]:
    """Return all runs, one seed of everything first; UserError for what there is not."""
    envs = [env_of(game) for game in words(config.games)]
    jobs = [job_and_preset(word) for word in words(config.jobs)]
    if not envs or not jobs:
        raise UserError("a suite needs --games and --jobs, such as --games Pong,Breakout")
    cells = []
    for seed in range(1, config.seeds + 1):
        for job, preset in jobs:
            for env in envs:
                parts = [config.name, preset, short_name(env).replace("_", "-"), str(seed)]
                name = "-".join(part for part in parts if part)
                cells.append(Cell(job, preset, env, seed, name, load_job(job).name))
    return list(dict.fromkeys(cells))


def command_of(cell: Cell, config: Config) -> list[str]:
    """Return the command that begins a run, or goes on with it; UserError if it is another."""
    start = [sys.executable, "-m", "arcadia"]
    run = cell.run
    if run is not None:
        require_same(cell, run, config)
        if any(run.checkpoints.glob("*/checkpoint.json")):
            return [*start, "resume", run.name]
    length = ["--total-steps", str(config.env_steps)] if config.env_steps else []
    preset = ["--preset", cell.preset] if cell.preset else []
    what = ["--env", cell.env, "--seed", str(cell.seed), "--name", cell.run_name]
    return [*start, "train", cell.job, *preset, *what, *length, *shlex.split(config.flags)]


def require_same(cell: Cell, run: Run, config: Config) -> None:
    """UserError unless a run that is there is the one that is wanted."""
    wanted = {"env": cell.env, "seed": cell.seed}
    found = {"env": run.config.get("env"), "seed": seed_of(run)}
    if config.env_steps:
        wanted["total_steps"] = config.env_steps
        found["total_steps"] = run.config.get("total_steps")
    for name, value in wanted.items():
        if found[name] != value:
            raise UserError(
                f"{run.name} is there with {name} = {found[name]}, not {value}; give the suite "
                "another --name"
            )


def check(cells: Sequence[Cell], config: Config) -> None:
    """UserError for whatever the first run of the matrix would refuse, before any trains."""
    for cell in cells:
        run = cell.run
        if run is not None:
            require_same(cell, run, config)
    for job, preset in dict.fromkeys((cell.job, cell.preset) for cell in cells):
        found = load_job(job)
        given = [*(["--preset", preset] if preset else []), *shlex.split(config.flags)]
        length = ["--total-steps", str(config.env_steps)] if config.env_steps else []
        parse_flags(found, [*given, *length], f"arcadia train {job}")
