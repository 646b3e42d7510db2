"""One game in colour, for people: what watch, play and films look at.

The native vector environment draws nothing, so a second game plays on `AtariEnv`, which does, and
prepares the agent's frames the same way; a test holds the two pixel by pixel. Letters: C, H, W as
in `rl/games/contract.py`; pictures are [rows, columns, 3] uint8 in the game's own size.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import ale_py
import cv2
import numpy as np
from jaxtyping import UInt8

from backbones.training.errors import UserError
from rl.games.atari import FRAME_SKIP, SIZE_PX, atari_ids
from rl.games.foreign.declared import DeclaredGame
from rl.games.foreign.pictures import drawn_picture, planes_in_colour
from rl.games.gym import preprocess, settled
from rl.games.make import is_atari, refuse_for_atari
from rl.games.options import EnvOptions

MOST_SHOWN_PX = 1_920


@dataclass(frozen=True)
class ScreenStep:
    """What one env step showed: the agent's next frame, and the pictures on the way there."""

    frame: UInt8[np.ndarray, "C H W"]
    pictures: list[np.ndarray]
    reward: float
    over: bool
    cut: bool = False
    """Whether the time limit ended the game, not the game itself."""


@runtime_checkable
class Screen(Protocol):
    """One game that can be looked at."""

    env: str
    action_names: tuple[str, ...]
    steps_per_s: float
    note: str
    """What is to be said of its drawing; nothing where that can be shown."""

    def reset(self, seed: int) -> ScreenStep:
        """Begin a game."""

    def step(self, action: int) -> ScreenStep:
        """Take one action."""

    def close(self) -> None:
        """Free the emulator."""


class AtariScreen:
    """An Atari game with the preprocessing of `rl/games/atari.py`, in colour beside."""

    def __init__(self, env: str, options: EnvOptions) -> None:
        self.env = env
        self.note = ""
        self.options = options
        sticky = 0.25 if options.sticky is None else options.sticky
        self.game = ale_py.env.AtariEnv(
            atari_ids()[env], frameskip=1, repeat_action_probability=sticky, render_mode="rgb_array"
        )
        self.ale = self.game.ale
        self.actions = self.ale.getMinimalActionSet()
        self.action_names = tuple(a.name for a in self.actions)
        self.steps_per_s = 60 / FRAME_SKIP
        self.num_frames = 0

    def reset(self, seed: int) -> ScreenStep:
        self.game.reset(seed=seed)
        fire = ale_py.Action.FIRE in self.actions
        noops = int(np.random.default_rng(seed).integers(self.options.noop_max)) - fire
        for action in [ale_py.Action.FIRE] * fire + [ale_py.Action.NOOP] * noops:
            self.ale.act(action)
        self.num_frames = 0
        # As in the vector environment: the first frame alone, with nothing to take a maximum with.
        return ScreenStep(
            self.shrink(self.ale.getScreenGrayscale()), [self.ale.getScreenRGB()], 0.0, False
        )

    def step(self, action: int) -> ScreenStep:
        reward, grey, pictures = 0.0, [], []
        for _ in range(FRAME_SKIP):
            reward += self.ale.act(self.actions[action])
            self.num_frames += 1
            grey.append(self.ale.getScreenGrayscale())
            pictures.append(self.ale.getScreenRGB())
            if self.ale.game_over():
                break
        ended = self.ale.game_over()
        cut = not ended and self.num_frames >= self.options.max_frames
        frame = self.shrink(np.maximum(grey[-1], grey[-2] if len(grey) > 1 else grey[-1]))
        # Sprites that flicker are drawn every other frame: people, too, see the maximum of two.
        pairs = [np.maximum(a, b) for a, b in pairwise(pictures)]
        return ScreenStep(frame, pairs[::2] or pictures, reward, ended or cut, cut)

    def shrink(self, grey: np.ndarray) -> UInt8[np.ndarray, "1 H W"]:
        """Shrink a grey screen to 84 x 84 by area."""
        return cv2.resize(grey, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA)[None]

    def close(self) -> None:
        self.game.close()


class GymnasiumScreen:
    """Any other environment: its own drawing if it has one, else what the agent gets."""

    def __init__(self, env: str, options: EnvOptions) -> None:
        self.env = env
        self.note = ""
        self.game = DeclaredGame(env, options)
        self.options = options = settled(self.game, options)
        metadata = self.game.made.metadata or {}
        # With --pixels the drawing is there already: it is what the agent sees.
        self.draws = self.game.can_draw and not options.pixels
        if self.draws:
            try:
                drawing = DeclaredGame(env, options, draws=True)
            except UserError as error:
                self.give_up_drawing(str(error))
            else:
                self.game.close()
                self.game = drawing
        self.frame_of = preprocess(options)
        self.action_names = self.game.action_names
        self.steps_per_s = pictures_per_s(metadata.get("render_fps")) / options.frame_skip
        self.max_steps, self.steps = -(-options.max_frames // options.frame_skip), 0

    def reset(self, seed: int) -> ScreenStep:
        picture, self.steps = self.game.reset(seed), 0
        return ScreenStep(self.frame_of(picture).copy(), [self.picture(picture)], 0.0, False)

    def step(self, action: int) -> ScreenStep:
        picture, reward, terminated, truncated = self.game.hold(action, self.options.frame_skip)
        self.steps += 1
        cut = not terminated and (truncated or self.steps >= self.max_steps)
        pictures = [self.picture(picture)]
        return ScreenStep(self.frame_of(picture).copy(), pictures, reward, terminated or cut, cut)

    def picture(self, obs: np.ndarray) -> np.ndarray:
        """Return what a person sees, [rows, columns, 3] uint8."""
        if self.draws:
            try:
                return in_colour(self.game.made.render())
            # What somebody's drawing may raise, nobody knows; the game itself goes on.
            except Exception as error:
                self.give_up_drawing(f"{type(error).__name__}: {error}")
        if self.options.channels:
            return planes_in_colour(np.moveaxis(obs, 2, 0))
        return in_colour(obs)

    def give_up_drawing(self, reason: str) -> None:
        """Show what the agent sees from here on."""
        self.draws = False
        self.note = (
            f"what {self.env} draws cannot be shown ({reason}): shown is what the agent sees"
        )

    def close(self) -> None:
        self.game.close()


def pictures_per_s(given: Any) -> float:
    """Return how many pictures a second an environment says that it has; 15 where it says none."""
    fits = isinstance(given, int | float) and 0.1 <= given <= 1_000
    return float(given) if fits else 15.0


def in_colour(drawn: Any) -> UInt8[np.ndarray, "rows columns 3"]:
    """Return a picture as people see it; UserError if it is none."""
    try:
        picture = drawn_picture(drawn)
    except ValueError as error:
        raise UserError(f"{error} is no picture; expected uint8 [rows, columns, 3]") from None
    return np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture


def drawing_notes(env: str, options: EnvOptions) -> list[str]:
    """Return what is to be said of an environment's drawing: nothing if it can be shown.

    Before training, so that nobody learns of it when all is learnt.
    """
    screen = make_screen(env, options)
    try:
        screen.reset(0)
        for _ in range(3):
            if screen.step(0).over:
                break
    finally:
        screen.close()
    return [screen.note] if screen.note else []


def make_screen(env: str, options: EnvOptions) -> Screen:
    """Return one game of an environment in colour; UserError if it is unknown."""
    if is_atari(env):
        refuse_for_atari(env, options)
        return AtariScreen(env, options)
    return GymnasiumScreen(env, options)


def best_size(picture: np.ndarray) -> tuple[int, int]:
    """Return (width, height) in which a game's picture is shown: Atari's pixels are wide."""
    rows, columns = picture.shape[:2]
    if (rows, columns) == (210, 160):
        return 480, 420
    factor = max(1, min(round(420 / rows), MOST_SHOWN_PX // columns))
    # Above that size neither films nor windows take it, and it is shrunk.
    shrink = min(1.0, MOST_SHOWN_PX / max(rows, columns))
    return max(2, int(columns * factor * shrink)), max(2, int(rows * factor * shrink))


def enlarge(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scale a picture to (width, height) without smoothing: pixels should look like pixels."""
    return cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST)
