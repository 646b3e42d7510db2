"""A user's own module with a game of its own, as `--env my_game:Flash-v0` finds it."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete


class Flash(gymnasium.Env):
    """Colour pictures of 40 x 60 pixels: press 1 when it is white. Ten env steps a game."""

    observation_space = Box(0, 255, (40, 60, 3), np.uint8)
    action_space = Discrete(2, start=1)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.draw(), {}

    def draw(self):
        self.white = bool(self.np_random.integers(2))
        return np.full((40, 60, 3), 255 if self.white else 30, np.uint8)

    def step(self, action):
        assert action in (1, 2), "an action outside the space that starts at 1"
        reward = 1.0 if (action == 2) == self.white else 0.0
        return self.draw(), reward, False, False, {}


gymnasium.register("Flash-v0", entry_point=Flash, max_episode_steps=10)
