"""A game of a user's, as it should be, and what people's own do otherwise: each in one place."""

from typing import ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete


class Shade(gymnasium.Env):
    """Guess the shade that is shown: one point a step, 20 steps."""

    metadata: ClassVar = {"render_modes": []}

    def __init__(self, render_mode=None):
        self.observation_space = Box(0, 255, (48, 48), np.uint8)
        self.action_space = Discrete(2)
        self.t = 0

    def picture(self):
        self.shade = int(self.np_random.integers(2))
        return np.full((48, 48), 250 if self.shade else 20, np.uint8)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.picture(), {}

    def step(self, action):
        assert self.action_space.contains(int(action)), f"{action} is outside"
        reward = float(int(action) - self.action_space.start == self.shade)
        self.t += 1
        return self.picture(), reward, self.t >= 20, False, {}


def returning(place, change):
    """A Shade whose `step` returns something else in one place, counted from 0."""

    class Returning(Shade):
        def step(self, action):
            returned = list(super().step(action))
            returned[place] = change(returned[place], self)
            return tuple(returned)

    return Returning


def showing(change):
    """A Shade whose pictures are others."""

    class Showing(Shade):
        def picture(self):
            return change(super().picture(), self)

    return Showing


class OldReset(Shade):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed)[0]


class OldStep(Shade):
    def step(self, action):
        picture, reward, terminated, _, info = super().step(action)
        return picture, reward, terminated, info


class NoSeed(Shade):
    def reset(self):
        return super().reset()


class NoInfo(Shade):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed)[0], None


class Fails(Shade):
    def step(self, action):
        assert 1 // (3 - self.t) >= 0
        return super().step(action)


class FailsWhenMade(Shade):
    def __init__(self, render_mode=None):
        raise FileNotFoundError("level-1.txt")


class NoSpaces(Shade):
    def __init__(self, render_mode=None):
        pass


class Shrinks(Shade):
    """Games of 200 env steps, whose pictures change their shape after 100."""

    def step(self, action):
        self.t += 1
        return self.picture()[: 40 if self.t > 100 else 48], 0.0, self.t >= 200, False, {}


class CloseFails(Shade):
    def close(self):
        raise RuntimeError("already closed")


class Wider(Shade):
    """What a Shade has become: of three actions."""

    def __init__(self, render_mode=None):
        super().__init__()
        self.action_space = Discrete(3)


class Starts(Shade):
    """Its actions are 5 and 6, with a name for each number."""

    def __init__(self, render_mode=None):
        super().__init__()
        self.action_space = Discrete(2, start=5)
        self.action_names = {5: "DARK", 6: "LIGHT"}


def named(names):
    """A Shade with these words for its two actions."""
    return type("Named", (Shade,), {"action_names": names})


def late(step, value, otherwise):
    """What is returned from env step `step` on, and before."""
    return lambda _, game: value if game.t >= step else otherwise


def cut(info, game):
    """The info of the older interface at a time limit."""
    return {"TimeLimit.truncated": True} if game.t >= 20 else {}
