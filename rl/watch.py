"""Watching an agent play: in a window, in a terminal, or as a film.

Beside the game stand its score, the agent's value (the expected discounted return it learnt from)
and the probability of every action. `--follow` takes the newest weights of a run in training at the
end of every game: one watches it learn.
"""

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from backbones.training.checkpoint import numbered
from backbones.training.checks.limits import MOST_GAMES, MOST_SEED, require_at_most
from backbones.training.config import (
    GameName,
    RunName,
    require_fraction,
    require_not_negative,
    require_positive,
)
from backbones.training.errors import UserError
from backbones.training.progress import say
from backbones.training.run import find_run
from rl.agent import Agent, Choosing
from rl.find_agent import agent_of
from rl.games.contract import game_seed, require_same_actions
from rl.games.options import EnvOptions
from rl.games.screen import drawing_notes, make_screen
from rl.games.stacks import FrameStack
from rl.shows.film import Film
from rl.shows.overlay import overlaid
from rl.shows.panel import Panel
from rl.shows.show import MOST_SPEED, Closed, Pace, Show
from rl.shows.terminal import Terminal
from rl.shows.window import Window, has_display

FILM_LIMIT_S = 120.0
WATCH_SEED = 2_000_000


@dataclass(frozen=True, kw_only=True)
class Config:
    """Watch a run's agent play; default: in what this machine can show. Keys: p pauses, n takes one
    env step, + and - double and halve the speed, q ends."""

    run: RunName = "last"
    """A run: its name, a path, zoo/NAME or last; or a .zip of stable-baselines3."""
    window: bool = False
    """Show a window."""
    terminal: bool = False
    """Draw in the terminal, with true-colour half blocks."""
    video: Path | None = None
    """Film into this .mp4 file; without it, a film goes into the working folder."""
    force: bool = False
    """Overwrite the film if it exists."""
    env: GameName = ""
    """The game of a .zip of stable-baselines3 that Arcadia did not write; or, once more, that of a
    run or .zip from somebody else whose game is a module."""
    best: bool = False
    """Take the checkpoint of the highest score while training, not the newest."""
    follow: bool = False
    """Take the newest weights of a run in training at the end of every game."""
    games: int | None = None
    """Games to show; default: one in a film, else until q is pressed."""
    limit_s: float | None = None
    """Longest time of a game; default: two minutes in a film, else none."""
    speed: float = 1.0
    """Times the game's own speed."""
    choice: Choosing = "sampled"
    """How actions are chosen: sampled from the policy, or the likeliest."""
    epsilon: float = 0.0
    """Chance of a random action instead."""
    saliency: bool = False
    """Lay over the game what the agent's choice hangs on."""
    seed: int = WATCH_SEED
    """Seed of the games and of the sampled actions."""

    def __post_init__(self) -> None:
        require_positive(self, "speed")
        require_fraction(self, "epsilon")
        if self.window + self.terminal + (self.video is not None) > 1:
            raise ValueError("choose one of --window, --terminal and --video")
        if self.best and self.follow:
            raise ValueError("choose one of --best and --follow, which takes the newest")
        if self.follow and self.run.lower().endswith(".zip"):
            raise ValueError(f"--follow is for a run in training, not for {self.run}")
        if self.games is not None and self.games < 1:
            raise ValueError(f"games = {self.games} must be at least 1")
        require_not_negative(self, "seed")
        require_at_most(self, games=MOST_GAMES, seed=MOST_SEED, speed=MOST_SPEED)
        if self.limit_s is not None and self.limit_s <= 0:
            raise ValueError(f"limit_s = {self.limit_s} must be above 0")


def play_game(
    agent: Agent,
    show: Show,
    *,
    seed: int,
    options: EnvOptions | None = None,
    pace: Pace | None = None,
    limit_s: float = math.inf,
    choice: Choosing = "sampled",
    epsilon: float = 0.0,
    scores: Sequence[float] = (),
    explained: Callable[[], bool] = lambda: False,
) -> float:
    """Show one game; return its raw score. `pace` None: as fast as it goes, for films.

    `scores` are those of the games before, to stand beside. While `explained()`, pictures show what
    the agent's choice hangs on.
    """
    pace = pace or Pace(None)
    screen = make_screen(agent.env, options or agent.options)
    require_same_actions(agent.env, len(screen.action_names), int(agent.card["num_actions"]))
    agent.generator.manual_seed(seed)
    shown = screen.reset(seed)
    stacks = FrameStack(shown.frame[None])
    score, values = 0.0, list[float]()
    while not shown.over and len(values) < max(1.0, limit_s * screen.steps_per_s):
        probabilities, value = agent.judge(stacks.obs(), stacks.begins)
        action = int(agent.choose(probabilities, choice, epsilon)[0])
        values.append(float(value[0]))
        shown = screen.step(action)
        stacks.push(shown.frame[None], np.array([shown.over]))
        score += shown.reward
        panel = Panel(
            agent.env,
            score,
            values[-1],
            probabilities[0].tolist(),
            action,
            screen.action_names,
            note_of(agent),
            values,
            scores,
        )
        caption = f"score {score:g}  value {values[-1]:+.2f}"
        pictures = shown.pictures
        if explained():
            # Of what is seen now, not of what the action was chosen by.
            heat = agent.saliency(stacks.obs(), stacks.begins)[0].numpy()
            pictures = [overlaid(picture, heat) for picture in pictures]
        present(show, pictures, panel, caption, pace, screen.steps_per_s)
    screen.close()
    return score


def present(
    show: Show,
    pictures: Sequence[np.ndarray],
    panel: Panel | None,
    caption: str,
    pace: Pace,
    steps_per_s: float,
) -> None:
    """Show the pictures of an env step, each for as long as it is due; wait where a key paused."""
    for picture in pictures:
        show.show(picture, panel, caption + pace.words)
        pace.wait(steps_per_s * len(pictures))
    pace.hold(show, lambda: show.show(pictures[-1], panel, caption + pace.words))


def pictures_per_s(env: str, options: EnvOptions) -> float:
    """Return how many pictures a second of play gives at the game's own speed."""
    screen = make_screen(env, options)
    screen.reset(0)
    rate = screen.steps_per_s * len(screen.step(0).pictures)
    screen.close()
    return rate


def film(agent: Agent, path: Path) -> float:
    """Film one game of an agent into an mp4 file, over one that is there; return its score."""
    show = Film(path, pictures_per_s(agent.env, agent.options), force=True)
    try:
        return play_game(agent, show, seed=WATCH_SEED, limit_s=FILM_LIMIT_S)
    finally:
        show.close()


def note_of(agent: Agent) -> str:
    """Return the line below the title: which run, and how far it is."""
    return f"{agent.name}, {agent.card['progress']:,} env steps"


def make_show(config: Config, agent: Agent, fps: float) -> tuple[Show, bool]:
    """Return where to show, and whether it is a film."""
    if config.video is not None:
        return Film(config.video, fps, config.force), True
    if config.window:
        return Window(agent.name), False
    if not config.terminal and has_display():
        try:
            return Window(agent.name), False
        except UserError as error:
            print(f"no window: {error}", file=sys.stderr)
    if config.terminal or sys.stdout.isatty():
        return Terminal(agent.name), False
    name, number = Path(agent.name).stem, 1
    while Path(f"{name}-{number}.mp4").exists():
        number += 1
    path = Path(f"{name}-{number}.mp4")
    print(f"neither a display nor a terminal here: filming into {path}")
    return Film(path, fps, config.force), True


def wait_for_agent(config: Config) -> Agent:
    """Load the agent; while following, wait for the first checkpoint of a run in training."""
    while True:
        try:
            return agent_of(config.run, config.env, best=config.best)
        except UserError:
            if not config.follow:
                raise
            run = find_run(config.run)
            if not run.is_running() or numbered(run.checkpoints):
                raise
            print(f"waiting for the first checkpoint of {run.name}", flush=True)
            time.sleep(2)


def main(config: Config) -> int:
    """The command `arcadia watch`."""
    torch.set_num_threads(1)
    agent = wait_for_agent(config)
    for line in drawing_notes(agent.env, agent.options):
        say(line, sys.stderr)
    show, filming = make_show(config, agent, pictures_per_s(agent.env, agent.options))
    games = config.games or (1 if filming else sys.maxsize)
    limit_s = config.limit_s or (FILM_LIMIT_S if filming else math.inf)
    scores, pace = list[float](), Pace(None if filming else config.speed)
    try:
        for number in range(games):
            if config.follow and number:
                agent.reload()
            score = play_game(
                agent,
                show,
                seed=game_seed(config.seed, 0, number),
                pace=pace,
                limit_s=limit_s,
                choice=config.choice,
                epsilon=config.epsilon,
                scores=scores,
                explained=lambda: config.saliency,
            )
            scores.append(score)
    except (Closed, KeyboardInterrupt):
        pass
    finally:
        try:
            show.close()
        finally:
            for number, score in enumerate(scores, start=1):
                print(f"game {number}: score {score:g}")
    if config.video is not None:
        print(f"film: {config.video}")
    return 0
