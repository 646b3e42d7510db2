"""A recent game of the first environment as an animated picture in TensorBoard.

The agent's own frames are used: they are there already, so filming costs no play.
"""

import time

import numpy as np

from backbones.training.log import Board
from rl.contract import STACK
from rl.rollout import Rollout

MAX_FRAMES = 400
FPS = 15.0
ZOOM = 2


class Reel:
    """Keeps the last frames of environment 0 and shows them every so many seconds."""

    def __init__(self, board: Board, every_s: float) -> None:
        self.board = board
        self.every_s = every_s
        self.last = time.monotonic()
        self.frames: list[np.ndarray] = []

    def add(self, rollout: Rollout, env_steps: int) -> None:
        """Take over a rollout's frames; write a picture when one is due."""
        block = rollout.frames[STACK - 1 : -1, 0].numpy()
        self.frames = [*self.frames, *block][-MAX_FRAMES:]
        if time.monotonic() - self.last < self.every_s:
            return
        self.last = time.monotonic()
        frames = np.stack(self.frames)  # [T, C, H, W]
        frames = frames[:, 0] if frames.shape[1] == 1 else frames.transpose(0, 2, 3, 1)
        large = frames.repeat(ZOOM, axis=1).repeat(ZOOM, axis=2)
        self.board.animation(env_steps, "rollout/game", large, FPS)
