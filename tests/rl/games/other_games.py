"""Games that show something else than uint8 pictures, or have other actions than a choice of n.

Each is the same: a bright square stands in one of two halves, and the action that names its half
scores a point. Ten env steps a game.
"""

import os
import time
from typing import ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text

from rl.games.contract import game_seed


class Halves(gymnasium.Env):
    """Shows [12, 16] uint8, and draws 48 x 64 in colour."""

    metadata: ClassVar = {"render_modes": ["rgb_array"]}
    observation_space = Box(0, 255, (12, 16), np.uint8)
    action_space = Discrete(2)

    def __init__(self, render_mode=None):
        self.render_mode, self.t, self.side = render_mode, 0, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.turned(), {}

    def turned(self):
        self.side = int(self.np_random.integers(2))
        return self.show(self.picture())

    def picture(self):
        """Where it is bright, [12, 16] bool."""
        bright = np.zeros((12, 16), bool)
        bright[2:10, 2 + 7 * self.side : 7 + 7 * self.side] = True
        return bright

    def show(self, bright):
        return bright.astype(np.uint8) * 255

    def chosen(self, action):
        return int(action)

    def step(self, action):
        assert self.action_space.contains(action), action
        reward = float(self.chosen(action) == self.side)
        self.t += 1
        return self.turned(), reward, self.t >= 10, False, {}

    def render(self):
        return np.repeat(
            (self.picture() * np.uint8(255)).repeat(4, 0).repeat(4, 1)[..., None], 3, 2
        )


def shown(space, show, **others):
    """A Halves that shows something else: its space, and the function from the bright points."""
    members = {"observation_space": space, "show": lambda self, bright: show(bright), **others}
    return type("Shown", (Halves,), members)


def stacked(bright):
    """Three planes: the square, its frame, nothing."""
    return np.stack([bright, ~bright, np.zeros_like(bright)], axis=-1)


def four(bright):
    """Four planes: those, and nothing once more."""
    return np.concatenate([stacked(bright), np.zeros((*bright.shape, 1), bool)], axis=-1)


Floats = shown(Box(0.0, 1.0, (12, 16), np.float32), lambda b: b.astype(np.float32))
Signed = shown(Box(-2.0, 2.0, (12, 16)), lambda b: b.astype(np.float32) * 4 - 2)
Integers = shown(Box(0, 10, (12, 16), np.int64), lambda b: b.astype(np.int64) * 10)
Planes = shown(Box(0, 1, (12, 16, 4), bool), four)
ThreePlanes = shown(Box(0, 1, (12, 16, 3), bool), stacked)
Binary = shown(MultiBinary((12, 16)), lambda b: b.astype(np.int8))
First = shown(
    Box(0, 255, (3, 12, 16), np.uint8), lambda b: np.stack([b, b, b]).astype(np.uint8) * 255
)
FirstPlanes = shown(Box(0, 1, (4, 12, 16), bool), lambda b: np.moveaxis(four(b), 2, 0))
Numbers = shown(Box(-np.inf, np.inf, (2,)), lambda b: np.zeros(2, np.float32))
Entry = shown(
    Dict({"image": Halves.observation_space, "mission": Text(9), "direction": Discrete(4)}),
    lambda b: {"image": b.astype(np.uint8) * 255, "mission": "go", "direction": 1},
)
Entries = shown(
    Dict({"front": Halves.observation_space, "back": Halves.observation_space}),
    lambda b: {"front": b.astype(np.uint8) * 255, "back": np.zeros((12, 16), np.uint8)},
)
Mission = shown(
    Dict({"mission": Text(9), "direction": Discrete(4)}), lambda b: {"mission": "", "direction": 0}
)


class Buttons(Halves):
    """Two buttons; the right one alone scores."""

    action_space = MultiBinary(2)
    action_names = ("LEFT", "RIGHT")

    def chosen(self, action):
        return int(action[1]) if action.sum() == 1 else 2


class Sticks(Halves):
    """Two choices, of which the second counts."""

    action_space = MultiDiscrete([3, 2], start=[0, 5])

    def chosen(self, action):
        return int(action[1]) - 5


class Piano(Halves):
    action_space = MultiBinary(9)


class Steered(Halves):
    """Its actions are real numbers unless it is asked for others."""

    def __init__(self, render_mode=None, continuous=True, sides=2):
        super().__init__(render_mode)
        self.action_space = Box(-1, 1, (1,)) if continuous else Discrete(sides)


class Louder(gymnasium.RewardWrapper):
    """Rewards of `times` as much."""

    def __init__(self, env, times=2):
        super().__init__(env)
        self.times = times

    def reward(self, reward):
        return self.times * reward


class OldHalves:
    """The interface before Gymnasium 0.26, of no package."""

    class Numbers:
        n = 2

    class Bytes:
        low, high, shape, dtype = 0, 255, (12, 16), np.uint8

    observation_space, action_space = Bytes(), Numbers()

    def __init__(self):
        self.game = Halves()

    def seed(self, seed):
        self.next_seed = seed

    def reset(self):
        return self.game.reset(seed=self.next_seed)[0]

    def step(self, action):
        obs, reward, terminated, _, info = self.game.step(action)
        return obs, reward, terminated, info


gymnasium.register("Halves-v0", entry_point=Halves)
gymnasium.register("Steered-v0", entry_point=Steered)


class Breaks(Halves):
    """Raises in one step of the fifth game of environment 2, in runs of seed 1."""

    def reset(self, *, seed=None, options=None):
        self.seeded = seed
        return super().reset(seed=seed)

    def at_the_step(self):
        return self.seeded == game_seed(1, 2, 4) and self.t == 3

    def step(self, action):
        if self.at_the_step():
            return self.broken(action)
        return super().step(action)

    def broken(self, action):
        raise ZeroDivisionError("by nobody")


class TurnsNan(Breaks):
    """Its reward is no number there."""

    def broken(self, action):
        obs, _, *others = super(Breaks, self).step(action)
        return obs, float("nan"), *others


class Dies(Breaks):
    """Its process ends there."""

    def broken(self, action):
        os._exit(7)


class Slow(Halves):
    """Takes 20 ms a step, computing nothing."""

    def step(self, action):
        time.sleep(0.02)
        return super().step(action)


class Busy(Halves):
    """Takes a long time a step, computing."""

    def step(self, action):
        until = time.process_time() + 0.004
        while time.process_time() < until:
            pass
        return super().step(action)
