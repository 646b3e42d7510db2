"""Environments of the interface before Gymnasium 0.26: `reset() -> obs`, `step() -> obs, reward,
done, info`, seeds by a method `seed`, spaces of the package gym or mere tuples.

A game whose info says "TimeLimit.truncated" was cut off by its clock.
"""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, Space

from backbones.training.errors import UserError


class Older(gymnasium.Env):
    """An environment of the older interface, played as a Gymnasium environment."""

    def __init__(self, game: Any) -> None:
        self.game = game
        self.observation_space = space_of(game, "observation_space")
        self.action_space = space_of(game, "action_space")
        self.metadata = getattr(game, "metadata", None) or {}
        self.render_mode = "rgb_array" if hasattr(game, "render") else None
        names = getattr(game, "action_names", None)
        if names is not None:
            self.action_names = names

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None and hasattr(self.game, "seed"):
            self.game.seed(seed)
        return self.game.reset(), {}

    def step(self, action: Any) -> tuple[Any, Any, Any, bool, dict[str, Any]]:
        returned = self.game.step(action)
        if not isinstance(returned, tuple) or len(returned) != 4:
            raise UserError(
                f"step() returned {len(returned) if isinstance(returned, tuple) else 1} things; "
                "expected observation, reward, done, info with --old-api"
            )
        obs, reward, done, info = returned
        return obs, reward, done, False, info

    def render(self) -> Any:
        return self.game.render()

    def close(self) -> None:
        if hasattr(self.game, "close"):
            self.game.close()


def space_of(game: Any, name: str) -> Space:
    """Return a space of an older environment as Gymnasium's; UserError if it is neither a choice of
    n nor numbers with bounds."""
    space: Any = getattr(game, name, None)
    if isinstance(space, Space):
        return space
    if hasattr(space, "low") and hasattr(space, "shape"):
        shape = tuple(int(n) for n in space.shape)
        low, high = (np.broadcast_to(getattr(space, each), shape) for each in ("low", "high"))
        return Box(low.astype(space.dtype), high.astype(space.dtype), shape, space.dtype)
    if hasattr(space, "n"):
        return Discrete(int(space.n))
    raise UserError(
        f"--old-api: {name} of {type(game).__name__} is {space!r}; expected something like a Box, "
        "or a Discrete"
    )
