"""One game as a Gymnasium environment that gives an agent what it was trained on.

Letters: K = 4 frames in a stack, C channels, H, W. Rewards are raw. An episode is a whole game,
over all lives, as `arcadia watch` shows it: the last frame's stack is its last observation.
"""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from jaxtyping import UInt8

from backbones.training.errors import UserError
from rl.games.options import EnvOptions
from rl.games.screen import ScreenStep, make_screen
from rl.games.stacks import FrameStack
from rl.shows.show import Pace
from rl.shows.window import Window


class GameEnv(gymnasium.Env):
    """One game: observations are stacks of frames, uint8 [K * C, H, W], older ones first."""

    metadata = {"render_modes": ["human", "rgb_array"]}  # noqa: RUF012

    def __init__(
        self,
        env: str,
        options: EnvOptions,
        obs_shape: tuple[int, int, int],
        render_mode: str | None = None,
    ) -> None:
        """UserError for an unknown game, or a `render_mode` other than human and rgb_array."""
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise UserError(f"render_mode = {render_mode!r} must be None, 'human' or 'rgb_array'")
        self.render_mode, self.screen = render_mode, make_screen(env, options)
        self.action_names = self.screen.action_names
        self.observation_space = Box(0, 255, obs_shape, np.uint8)
        self.action_space = Discrete(len(self.action_names))
        self.metadata = {**self.metadata, "render_fps": self.screen.steps_per_s}
        self.window: Window | None = None
        self.pace, self.score = Pace(1.0), 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[UInt8[np.ndarray, "KC H W"], dict[str, Any]]:
        """Begin a game, the same one for the same seed."""
        super().reset(seed=seed)
        shown = self.screen.reset(int(self.np_random.integers(2**31)))
        self.stacks, self.score = FrameStack(shown.frame[None]), 0.0
        self.show(shown)
        return self.stacks.obs()[0].numpy(), {}

    def step(
        self, action: Any
    ) -> tuple[UInt8[np.ndarray, "KC H W"], float, bool, bool, dict[str, Any]]:
        """Take one action; return obs, raw reward, terminated, truncated and an empty info."""
        shown = self.screen.step(int(action))
        self.stacks.push(shown.frame[None], np.array([False]))
        self.score += shown.reward
        self.show(shown)
        over = shown.over
        return self.stacks.obs()[0].numpy(), shown.reward, over and not shown.cut, shown.cut, {}

    def show(self, shown: ScreenStep) -> None:
        """Keep the newest picture; draw all of them if people watch."""
        self.picture = shown.pictures[-1]
        if self.render_mode != "human":
            return
        if self.window is None:
            self.window = Window(self.screen.env, "")
        for picture in shown.pictures:
            self.window.show(picture, None, f"score {self.score:g}")
            self.pace.wait(self.screen.steps_per_s * len(shown.pictures))

    def render(self) -> UInt8[np.ndarray, "rows columns 3"] | None:  # type: ignore[override]
        """Return the newest picture in colour; None where a window shows it."""
        return self.picture if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Free the emulator, close the window."""
        self.screen.close()
        if self.window is not None:
            self.window.close()
