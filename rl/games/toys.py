"""Toys of 84 x 84 pixels with a known best play, learnt in about a minute.

Catch: a ball falls from a random column, a paddle on the bottom row moves left, stays or moves
right; the game's score is +1 for a catch and -1 for a miss (bsuite's catch, Osband et al. 2020,
drawn as pixels). The board has 14 columns of 6 pixels, the paddle is three columns wide and the
ball takes 13 env steps, so every ball can be caught: perfect play scores 1. Random play scores
about -0.6.

Recall needs a memory: what counts is seen once and wanted ten env steps later, when no frame of the
stack shows it any more. Perfect play scores 1, without a memory it is 0.

Corridor is there to check values: what every action is worth is known in closed form.
"""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

CELL_PX = 6
CELLS = 14
CATCH = "Arcadia/Catch-v0"
RECALL = "Arcadia/Recall-v0"
CORRIDOR = "Arcadia/Corridor-v0"


class Catch(gymnasium.Env):
    """Observations [84, 84] uint8; actions LEFT, NOOP, RIGHT."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 15}  # noqa: RUF012 (Gymnasium's name)
    action_names = ("LEFT", "NOOP", "RIGHT")

    def __init__(self, render_mode: str | None = None) -> None:
        size = CELL_PX * CELLS
        self.observation_space = Box(0, 255, (size, size), np.uint8)
        self.action_space = Discrete(3)
        self.render_mode = render_mode
        self.ball = [0, 0]
        self.paddle = CELLS // 2

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.ball = [0, int(self.np_random.integers(CELLS))]
        self.paddle = CELLS // 2
        return self.picture(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.paddle = min(max(self.paddle + int(action) - 1, 1), CELLS - 2)
        self.ball[0] += 1
        landed = self.ball[0] == CELLS - 1
        caught = abs(self.ball[1] - self.paddle) <= 1
        reward = (1.0 if caught else -1.0) if landed else 0.0
        return self.picture(), reward, landed, False, {}

    def picture(self) -> np.ndarray:
        """Draw the board: [84, 84] uint8."""
        board = np.zeros((CELLS, CELLS), np.uint8)
        board[-1, self.paddle - 1 : self.paddle + 2] = 128
        board[self.ball[0], self.ball[1]] = 255
        return board.repeat(CELL_PX, 0).repeat(CELL_PX, 1)

    def render(self) -> np.ndarray:  # type: ignore[override]
        """Return the board in colour, [84, 84, 3] uint8."""
        grey = self.picture()
        picture = np.zeros((*grey.shape, 3), np.uint8)
        picture[grey == 0] = (18, 24, 38)
        picture[grey == 128] = (92, 172, 238)
        picture[grey == 255] = (255, 200, 87)
        return picture


class Recall(gymnasium.Env):
    """A bar shows left or right for one env step, then nothing for ten; who moves to that side in
    the end scores 1, else -1. Observations [84, 84] uint8; actions LEFT, RIGHT."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 15}  # noqa: RUF012 (Gymnasium's name)
    action_names = ("LEFT", "RIGHT")
    wait = 10

    def __init__(self, render_mode: str | None = None) -> None:
        size = CELL_PX * CELLS
        self.observation_space = Box(0, 255, (size, size), np.uint8)
        self.action_space = Discrete(2)
        self.render_mode = render_mode
        self.side, self.steps = 0, 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.side, self.steps = int(self.np_random.integers(2)), 0
        return self.picture(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        done = self.steps > self.wait
        reward = (1.0 if int(action) == self.side else -1.0) if done else 0.0
        return self.picture(), reward, done, False, {}

    def picture(self) -> np.ndarray:
        """Draw the bar in the first step, a border when the answer is wanted."""
        size = CELL_PX * CELLS
        board = np.zeros((size, size), np.uint8)
        if self.steps == 0:
            board[:, 6 + 48 * self.side : 30 + 48 * self.side] = 255
        if self.steps == self.wait:
            board[[0, -1], :] = 128
            board[:, [0, -1]] = 128
        return board

    def render(self) -> np.ndarray:  # type: ignore[override]
        """Return the picture in colour, [84, 84, 3] uint8."""
        return np.repeat(self.picture()[:, :, None], 3, axis=2)


class Corridor(gymnasium.Env):
    """Six rooms in a row. The last one scores 1, the first one 0.5, and both end the game, which
    begins in any of the four between. Observations [84, 84] uint8; actions LEFT, RIGHT."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 15}  # noqa: RUF012 (Gymnasium's name)
    action_names = ("LEFT", "RIGHT")
    rooms, consolation = 6, 0.5

    def __init__(self, render_mode: str | None = None) -> None:
        size = CELL_PX * CELLS
        self.observation_space = Box(0, 255, (size, size), np.uint8)
        self.action_space = Discrete(2)
        self.render_mode = render_mode
        self.room = 1

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.room = 1 + int(self.np_random.integers(self.rooms - 2))
        return self.picture(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.room += 1 if action else -1
        reward = {0: self.consolation, self.rooms - 1: 1.0}.get(self.room, 0.0)
        return self.picture(), reward, reward > 0, False, {}

    @classmethod
    def q_values(cls, gamma: float) -> np.ndarray:
        """Return what LEFT and RIGHT are worth in every room between the ends, [rooms - 2, 2]."""
        room = np.arange(cls.rooms)
        # The better end, straight on.
        first, last = cls.consolation * gamma ** (room - 1.0), gamma ** (cls.rooms - 2.0 - room)
        value = np.maximum(first, last)
        left, right = gamma * value[:-2], gamma * value[2:]
        left[0], right[-1] = cls.consolation, 1.0
        return np.stack([left, right], axis=1)

    def picture(self) -> np.ndarray:
        """Draw the room where one stands: [84, 84] uint8."""
        size = CELL_PX * CELLS
        board, width = np.zeros((size, size), np.uint8), size // self.rooms
        board[:, self.room * width : (self.room + 1) * width] = 255
        return board

    def render(self) -> np.ndarray:  # type: ignore[override]
        """Return the picture in colour, [84, 84, 3] uint8."""
        return np.repeat(self.picture()[:, :, None], 3, axis=2)


def register() -> None:
    """Make the toys known to Gymnasium; more than once does no harm."""
    for name, toy in ((CATCH, "Catch"), (RECALL, "Recall"), (CORRIDOR, "Corridor")):
        if name not in gymnasium.registry:
            gymnasium.register(name, entry_point=f"rl.games.toys:{toy}")
