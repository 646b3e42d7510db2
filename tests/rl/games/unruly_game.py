"""A game whose course depends on how often it was begun in this process, not on seeds alone."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete


class Unruly(gymnasium.Env):
    """The right action is the one whose number is shown; `begun` shifts what is shown."""

    observation_space = Box(0, 255, (84, 84), np.uint8)
    action_space = Discrete(3)

    def __init__(self, render_mode=None):
        self.begun = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.begun += 1
        self.steps = 0
        return self.picture(), {}

    def picture(self):
        self.shown = int(self.np_random.integers(3) + self.begun) % 3
        return np.full((84, 84), 60 + 60 * self.shown, np.uint8)

    def step(self, action):
        reward = float(int(action) == self.shown)
        self.steps += 1
        return self.picture(), reward, self.steps == 700, False, {}


gymnasium.register("Unruly-v0", entry_point=Unruly)
