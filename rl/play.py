"""A person plays: any game by its id, or the game of a run, in a window or a terminal.

Arrow keys or WASD move, space fires; where actions have no such names, the digits choose them. With
a run, the agent plays a game of its own from the same start first, and its score stands beside, as
do those of the person's last games.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
import tyro

from backbones.training.checks.limits import MOST_GAMES, MOST_SEED, require_at_most
from backbones.training.config import GameName, changed, require_positive
from backbones.training.errors import UserError
from backbones.training.progress import say
from backbones.training.run import find_run
from rl import watch
from rl.agent import Agent, load_agent
from rl.games.foreign.asked import keyword_values
from rl.games.make import is_atari
from rl.games.options import EnvOptions
from rl.games.screen import drawing_notes, make_screen
from rl.shows.show import KEYS, MOST_SPEED, Closed, NoShow, Pace, Show
from rl.shows.terminal import Terminal
from rl.shows.window import Window, has_display

PLAIN = EnvOptions()
DIRECTIONS = {
    "up": "UP",
    "down": "DOWN",
    "left": "LEFT",
    "right": "RIGHT",
    "w": "UP",
    "s": "DOWN",
    "a": "LEFT",
    "d": "RIGHT",
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Play a game yourself, alone or against the score of a run's agent. Keys: arrows or WASD move,
    space fires, digits choose an action by its number; p pauses, n takes one env step, + and -
    double and halve the speed, q ends."""

    game: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="GAME|RUN")]]
    """An environment's id such as ALE/Breakout-v5, or a run."""
    window: bool = False
    """Play in a window."""
    terminal: bool = False
    """Play in the terminal."""
    env: GameName = ""
    """The game, once more, of a run that was not trained here and whose game is a module."""
    games: int = 1
    """Games to play."""
    speed: float = 1.0
    """Times the game's own speed."""
    sticky: float = 0.0
    """Chance that a frame repeats the last action (Atari); people find any annoying."""
    pixels: bool = False
    """Of an id: a game that shows numbers, and draws (not Atari)."""
    obs_key: str = ""
    """Of an id: the picture among a Dict of observations (not Atari)."""
    env_kwargs: tuple[str, ...] = ()
    """Of an id: keyword arguments of the environment, such as continuous=False (not Atari)."""
    seed: int = 3_000_000
    """Seed of the games."""

    def __post_init__(self) -> None:
        require_positive(self, "games", "speed")
        if self.seed < 0 or not 0 <= self.sticky < 1:
            raise ValueError(
                f"seed = {self.seed} must be 0 or above, sticky = {self.sticky} in [0, 1)"
            )
        require_at_most(self, games=MOST_GAMES, seed=MOST_SEED, speed=MOST_SPEED)
        if self.window and self.terminal:
            raise ValueError("choose one of --window and --terminal")
        keyword_values(self.env_kwargs)

    @property
    def asked(self) -> EnvOptions:
        """How a game that is named by its id is made."""
        return EnvOptions(pixels=self.pixels, obs_key=self.obs_key, env_kwargs=self.env_kwargs)


def action_for(held: set[str], names: Sequence[str]) -> int:
    """Return the action that fits the held keys best.

    Names are read as words of UP, DOWN, LEFT, RIGHT and FIRE (`UPRIGHTFIRE`); without keys NOOP, or
    the first action where there is none.
    """
    digits = [int(key) for key in held if key.isdigit() and int(key) < len(names)]
    if digits:
        return digits[0]
    wanted = {DIRECTIONS[key] for key in held if key in DIRECTIONS}
    wanted |= {"FIRE"} if "space" in held else set()

    def fit(name: str) -> tuple[int, int]:
        parts = {word for word in ("UP", "DOWN", "LEFT", "RIGHT", "FIRE") if word in name}
        return len(parts & wanted) - 2 * len(parts - wanted), name == "NOOP"

    return max(range(len(names)), key=lambda i: fit(names[i]))


def find_game(
    text: str, env: str = "", asked: EnvOptions = PLAIN
) -> tuple[str, EnvOptions, Agent | None]:
    """Return (environment, options, agent or None) for an id or a run; UserError for neither.

    `env` repeats the game of a run from somebody else; an id's is made as `asked`.
    """
    try:
        run = find_run(text)
    except UserError as no_run:
        try:
            is_atari(text)
        except UserError as no_env:
            raise UserError(f"{text} is neither a run nor a game: {no_env}") from no_run
        return text, asked, None
    if asked != PLAIN:
        raise UserError(f"{run.name} knows how its game is made: leave --pixels and the like out")
    agent = load_agent(run, env=env)
    return agent.env, agent.options, agent


def keys_for(names: Sequence[str]) -> str:
    """Return which keys choose these actions, and those that every show has."""
    moves = any(word in name for name in names for word in DIRECTIONS.values())
    words = ["arrows or WASD move"] if moves else []
    words += ["space fires"] if any("FIRE" in name for name in names) else []
    words = words or [f"{number} {name}" for number, name in enumerate(names[:10])]
    return f"{', '.join(words)}; {KEYS}"


def play_game(
    show: Show, env: str, options: EnvOptions, seed: int, pace: Pace, beside: str
) -> float:
    """Let a person play one game; return the score. `beside` stands beside it."""
    screen = make_screen(env, options)
    shown, score = screen.reset(seed), 0.0
    while not shown.over:
        shown = screen.step(action_for(show.held(), screen.action_names))
        score += shown.reward
        caption = f"score {score:g}{beside}"
        watch.present(show, shown.pictures, None, caption, pace, screen.steps_per_s)
    screen.close()
    return score


def rival_scores(agent: Agent, options: EnvOptions, seeds: Sequence[int]) -> Iterator[float]:
    """Let the agent play the games first, and say how it stands meanwhile; yield its scores."""
    for number, seed in enumerate(seeds, start=1):
        title = "the agent plays first" + (f", game {number} of {len(seeds)}" if seeds[1:] else "")
        say(f"{title} ...")
        show = NoShow(title)
        score = watch.play_game(agent, show, seed=seed, options=options)
        show.close()
        say(f"the agent scored {score:g}")
        yield score


def action_names_of(env: str, options: EnvOptions) -> tuple[str, ...]:
    """Return what an environment calls its actions."""
    screen = make_screen(env, options)
    screen.close()
    return screen.action_names


def main(config: Config) -> int:
    """The command `arcadia play`."""
    torch.set_num_threads(1)
    env, options, agent = find_game(config.game, config.env, config.asked)
    if is_atari(env):
        options = changed(options, sticky=config.sticky)
    windowed = config.window or (not config.terminal and has_display())
    if not windowed and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UserError("playing needs a keyboard: a display for --window, or a real terminal")
    seeds = range(config.seed, config.seed + config.games)
    rivals: list[float | None] = [None] * config.games
    for line in drawing_notes(env, options):
        say(line, sys.stderr)
    if agent is not None:
        rivals = [*rival_scores(agent, options, seeds)]
    keys = keys_for(action_names_of(env, options))
    show: Show = (Window if windowed else Terminal)(f"play {env}", keys)
    scores, pace = list[tuple[float, float | None]](), Pace(config.speed)
    try:
        for seed, rival in zip(seeds, rivals, strict=True):
            beside = "" if rival is None else f"  agent {rival:g}"
            beside += "".join(f"  last {score:g}" for score, _ in scores[-1:])
            scores.append((play_game(show, env, options, seed, pace, beside), rival))
    except (Closed, KeyboardInterrupt):
        pass
    finally:
        show.close()
    for score, rival in scores:
        print(f"you {score:g}" + ("" if rival is None else f", the agent {rival:g}"))
    return 0
