"""Watching an agent play: in a window, in a terminal, or as a film.

Beside the game stand its score, the agent's value (the expected discounted return it learnt from)
and the probability of every action. `--follow` takes the newest weights of a run in training at the
end of every game: one watches it learn.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro

from backbones.training.config import require_fraction, require_positive
from backbones.training.errors import UserError
from backbones.training.run import Run, find_run
from rl.agent import Agent, Choice, load_agent
from rl.contract import STACK, game_seed, stack
from rl.overlay import Thought
from rl.screen import Glance, make_screen
from rl.show import Closed, Film, Show, Terminal, Window, has_display

PICTURES_PER_STEP = 2
FILM_LIMIT_S = 120.0
WATCH_SEED = 2_000_000


@dataclass(frozen=True, kw_only=True)
class Config:
    """Watch a run's agent play; default: in what this machine can show."""

    run: tyro.conf.Positional[str] = "last"
    """A run: its name, a path, zoo/NAME or last."""
    window: bool = False
    """Show a window."""
    terminal: bool = False
    """Draw in the terminal, with true-colour half blocks."""
    video: Path | None = None
    """Film into this .mp4 file."""
    force: bool = False
    """Overwrite the film if it exists."""
    follow: bool = False
    """Take the newest weights of a run in training at the end of every game."""
    games: int | None = None
    """Games to show; default: one in a film, else until q is pressed."""
    limit_s: float | None = None
    """Longest time of a game; default: two minutes in a film, else none."""
    speed: float = 1.0
    """Times the game's own speed."""
    choice: Choice = "sampled"
    """How actions are chosen: sampled from the policy, or the likeliest."""
    epsilon: float = 0.0
    """Chance of a random action instead."""
    seed: int = WATCH_SEED
    """Seed of the games and of the sampled actions."""

    def __post_init__(self) -> None:
        require_positive(self, "speed")
        require_fraction(self, "epsilon")
        if self.window + self.terminal + (self.video is not None) > 1:
            raise ValueError("choose one of --window, --terminal and --video")
        if self.games is not None and self.games < 1:
            raise ValueError(f"games = {self.games} must be at least 1")
        if self.limit_s is not None and self.limit_s <= 0:
            raise ValueError(f"limit_s = {self.limit_s} must be above 0")


class Eyes:
    """The stack of frames that an agent sees of one game."""

    def __init__(self) -> None:
        self.frames: torch.Tensor | None = None
        self.age = 0

    def see(self, glance: Glance, new_game: bool) -> torch.Tensor:
        """Take the next frame; return the observation [1, K * C, H, W]."""
        frame = torch.from_numpy(np.ascontiguousarray(glance.frame))[None, None]
        if self.frames is None or new_game:
            self.frames = frame.expand(STACK, *frame.shape[1:]).clone()
            self.age = 0
        else:
            self.frames = torch.cat([self.frames[1:], frame])
            self.age += 1
        zero = torch.zeros(1, dtype=torch.int64)
        return stack(self.frames, torch.tensor([[self.age]]), zero, zero)


def play_game(
    agent: Agent, show: Show, *, seed: int, fps: float, speed: float | None, limit_s: float,
    choice: Choice, epsilon: float, title: str, note: str,
) -> float:  # fmt: skip
    """Show one game; return its raw score. `speed` None: as fast as it goes, for films."""
    screen = make_screen(agent.env, agent.options)
    agent.generator.manual_seed(seed)
    eyes, glance, score, values = Eyes(), screen.reset(seed), 0.0, []
    obs = eyes.see(glance, new_game=True)
    next_time = time.monotonic()
    for _ in range(int(limit_s * screen.steps_per_s) if limit_s < 1e9 else sys.maxsize):
        probabilities, value = agent.judge(obs)
        action = int(agent.choose(probabilities, choice, epsilon)[0])
        values.append(float(value[0]))
        glance = screen.step(action)
        score += glance.reward
        thought = Thought(
            title, score, values[-1], probabilities[0].tolist(), action, screen.action_names,
            note, values,
        )  # fmt: skip
        for picture in glance.pictures:
            show.show(picture, thought, f"score {score:g}  value {values[-1]:+.2f}")
            if speed is not None:
                next_time = max(next_time + 1 / (fps * speed), time.monotonic() - 0.2)
                time.sleep(max(0.0, next_time - time.monotonic()))
        if glance.over:
            break
        obs = eyes.see(glance, new_game=False)
    screen.close()
    return score


def pictures_per_s(agent: Agent) -> float:
    """Return how many pictures a second of play gives at the game's own speed."""
    screen = make_screen(agent.env, agent.options)
    screen.reset(0)
    rate = screen.steps_per_s * len(screen.step(0).pictures)
    screen.close()
    return rate


def film(agent: Agent, path: Path, *, force: bool = False, limit_s: float = FILM_LIMIT_S) -> float:
    """Film one game of an agent into an mp4 file; return its score."""
    fps = pictures_per_s(agent)
    show = Film(path, fps, force)
    try:
        return play_game(
            agent, show, seed=WATCH_SEED, fps=fps, speed=None, limit_s=limit_s, choice="sampled",
            epsilon=0.0, title=agent.env, note=note_of(agent),
        )  # fmt: skip
    finally:
        show.close()


def note_of(agent: Agent) -> str:
    """Return the line below the title: which run, and how far it is."""
    return f"{agent.run.name}, {agent.card['progress']:,} env steps"


def make_show(config: Config, run: Run, fps: float) -> tuple[Show, bool]:
    """Return where to show, and whether it is a film."""
    if config.video is not None:
        return Film(config.video, fps, config.force), True
    if config.window or (not config.terminal and has_display()):
        return Window(run.name), False
    if config.terminal or sys.stdout.isatty():
        return Terminal(run.name), False
    number = 1
    while (run.folder / "videos" / f"watch-{number}.mp4").exists():
        number += 1
    path = run.folder / "videos" / f"watch-{number}.mp4"
    print(f"neither a display nor a terminal here: filming into {path}")
    return Film(path, fps, config.force), True


def wait_for_agent(run: Run, follow: bool) -> Agent:
    """Load the run's agent; while following, wait for the first checkpoint of a run in training."""
    while True:
        try:
            return load_agent(run)
        except UserError:
            if not (follow and run.is_running()):
                raise
            print(f"waiting for the first checkpoint of {run.name}", flush=True)
            time.sleep(2)


def main(config: Config) -> int:
    """The command `arcadia watch`."""
    torch.set_num_threads(1)
    run = find_run(config.run)
    agent = wait_for_agent(run, config.follow)
    fps = pictures_per_s(agent)
    show, filming = make_show(config, run, fps)
    games = config.games or (1 if filming else sys.maxsize)
    limit_s = config.limit_s or (FILM_LIMIT_S if filming else 1e12)
    scores = []
    try:
        for number in range(games):
            if config.follow and number:
                agent.reload()
            score = play_game(
                agent, show, seed=game_seed(config.seed, 0, number), fps=fps,
                speed=None if filming else config.speed, limit_s=limit_s, choice=config.choice,
                epsilon=config.epsilon, title=agent.env, note=note_of(agent),
            )  # fmt: skip
            scores.append(score)
    except (Closed, KeyboardInterrupt):
        pass
    finally:
        show.close()
    for number, score in enumerate(scores, start=1):
        print(f"game {number}: score {score:g}")
    if config.video is not None:
        print(f"film: {config.video}")
    return 0
