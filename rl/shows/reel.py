"""What play shows in TensorBoard: a recent game as a moving picture, and which actions are taken.

The picture is made of the frames that the agent saw: they are there already, so filming costs no
play.
"""

import time
from collections.abc import Callable

import numpy as np

from backbones.training.log import Board, for_people
from rl.experience.rollout import Rollout
from rl.games.foreign.pictures import planes_in_colour
from rl.games.stacks import STACK

MAX_FRAMES = 400
FPS = 15.0
ZOOM = 2
HISTOGRAM_EVERY = 50  # rollouts


class Reel:
    """Keeps the latest whole game of environment 0 and shows it every so many seconds.

    And which actions are taken. Without a board, in all but the first process, it does nothing.
    """

    def __init__(
        self, board: Board | None, every_s: float, warn: Callable[[str], None] = print
    ) -> None:
        self.board, self.warn = board, warn
        self.rollouts = 0
        self.every_s = every_s
        self.last = time.monotonic()
        self.running: list[np.ndarray] = []
        self.finished: list[np.ndarray] = []
        self.written: list[np.ndarray] = []

    def add(self, rollout: Rollout, env_steps: int) -> None:
        """Take over a rollout's frames; write a picture when one is due."""
        if self.board is None:
            return
        self.rollouts += 1
        if self.rollouts % HISTOGRAM_EVERY == 1:
            self.board.histogram(env_steps, "rollout/actions", rollout.action)
        frames = rollout.frames[STACK - 1 : -1, 0].cpu().numpy()
        for frame, age in zip(frames, rollout.age[:-1, 0].tolist(), strict=True):
            if age == 0 and self.running:
                self.running, self.finished = [], self.running
            # A copy: a view would keep the whole rollout in memory.
            self.running = [*self.running[-MAX_FRAMES + 1 :], frame.copy()]
        if time.monotonic() - self.last >= self.every_s:
            self.last = time.monotonic()
            self.write(env_steps)

    def write(self, env_steps: int) -> None:
        """Write the end of the latest whole game, once; before one ended, of the running one."""
        if self.board is None or not self.running:
            return
        if self.finished and self.finished is self.written:
            return  # No other game has ended since.
        self.written = self.finished
        frames = np.stack(self.finished or self.running)  # [T, C, H, W]
        frames = frames[:, 0] if frames.shape[1] == 1 else planes_in_colour(frames)
        with for_people("the picture of a game for TensorBoard", self.warn):
            large = frames.repeat(ZOOM, axis=1).repeat(ZOOM, axis=2)
            self.board.animation(env_steps, "rollout/game", large, FPS)
