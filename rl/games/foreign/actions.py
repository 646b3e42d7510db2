"""The actions of an environment as one choice of n, each with a name.

Agents choose one of n. A Discrete space is that already. MultiDiscrete and MultiBinary are several
choices at once: where they have at most `MOST_COMBINED` combinations, each is an action of its own,
the last choice changing fastest. Real numbers (Box) are no choice, and are refused.
"""

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete

from backbones.training.errors import UserError

# A policy learns each combination by itself; a gamepad of 8 buttons has so many.
MOST_COMBINED = 256


@dataclass(frozen=True)
class Actions:
    """Names of the actions, and what `step` takes for each."""

    names: tuple[str, ...]
    taken: tuple[Any, ...]
    note: str = ""
    """What was made of the space, in words; nothing for a choice of n."""

    def __len__(self) -> int:
        return len(self.names)


def actions_of(env: str, made: gymnasium.Env, space: Any) -> Actions:
    """Return the actions of an environment; UserError unless they are a choice of n."""
    given = getattr(made.unwrapped, "action_names", None)
    if isinstance(space, Discrete):
        count, start = int(space.n), int(space.start)
        taken = tuple(range(start, start + count))
        return Actions(action_names(env, given, count, start), taken)
    if isinstance(space, MultiBinary) and len(space.shape) == 1:
        return combined(env, given, space, [2] * int(space.shape[0]), [0] * int(space.shape[0]))
    if isinstance(space, MultiDiscrete) and space.nvec.ndim == 1:
        return combined(env, given, space, space.nvec.tolist(), space.start.tolist())
    remedy = ""
    if isinstance(space, Box) and takes(made, "continuous"):
        remedy = "; --env-kwargs continuous=False gives it such"
    elif isinstance(space, Box):
        remedy = "; a gymnasium.ActionWrapper with a Discrete space (--wrapper) can give it such"
    raise UserError(
        f"{env} has the action space {space}; agents here choose one of n actions{remedy}"
    )


def combined(
    env: str, given: Any, space: MultiBinary | MultiDiscrete, counts: list[int], starts: list[int]
) -> Actions:
    """Return every combination of several choices as an action; UserError for too many."""
    total = math.prod(counts)
    if total > MOST_COMBINED:
        raise UserError(
            f"{env} has the action space {space}, {total:,} combinations; agents here choose one "
            f"of at most {MOST_COMBINED}. A gymnasium.ActionWrapper (--wrapper) can offer fewer"
        )
    choices = list(product(*map(range, counts)))
    taken = [np.array(starts, space.dtype) + np.array(c, space.dtype) for c in choices]
    words = list(given) if isinstance(given, list | tuple) else []
    one_each = len(words) == len(counts) and all(isinstance(word, str) for word in words)
    if len(words) == total and total != len(counts):
        names = action_names(env, given, total, 0)
    elif one_each and max(counts) == 2:
        # Names of buttons: those that are pressed.
        pressed = ["+".join(w for w, on in zip(words, c, strict=True) if on) for c in choices]
        names = tuple(name or "NOOP" for name in pressed)
    else:
        names = tuple(" ".join(map(str, t.tolist())) for t in taken)
    return Actions(names, tuple(taken), f"{space} as {total} actions")


def action_names(env: str, given: Any, count: int, start: int) -> tuple[str, ...]:
    """Return the environment's own `action_names`, else `action 0`, `action 1`, ...

    The space says how many actions there are. A mapping names them by their numbers.
    """
    names = list(given) if isinstance(given, list | tuple | np.ndarray) else given
    if isinstance(given, Mapping) and set(given) == set(range(start, start + count)):
        names = [given[start + i] for i in range(count)]
    if names is None or names == []:
        return tuple(f"action {i}" for i in range(count))
    words = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not words or len(names) != count:
        shown = f"a {type(given).__name__}" if callable(given) else repr(given)
        raise UserError(
            f"{env} has action_names = {shown}, which do not fit the "
            f"{count} actions of its action space; expected {count} words, or no action_names"
        )
    return tuple(map(str, names))


def takes(made: gymnasium.Env, name: str) -> bool:
    """Say whether an environment's class takes a keyword argument of this name."""
    try:
        return name in inspect.signature(type(made.unwrapped)).parameters
    except (TypeError, ValueError):
        return False
