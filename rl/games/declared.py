"""One copy of somebody's Gymnasium environment, held against what it declares.

What an environment declares decides what an agent is built for: uint8 pictures of one shape, n
actions. What it returns is held against that at every frame, which costs about a microsecond, and
some random env steps are looked at before training (`rl/games/first_look.py`). What does not fit is
one line that says what was returned and what was expected; an error in the environment's own code
becomes one line with its place.

Taken as they are: flags of 0 and 1 or NumPy's, rewards that are arrays without an axis, pictures
that NumPy reads as declared. A game whose info says "TimeLimit.truncated" was cut off by its clock,
as in the older interface, whatever its flags say.
"""

import importlib
import math
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

from backbones.training.errors import UserError
from backbones.training.progress import say

# Rewards are added in 32 bits.
FLAGS = (0, 1)
# Folders of code that calls an environment's own: Gymnasium's, Python's for imports, and ours.
ROOT = Path(__file__).resolve().parents[2]
CALLERS = {Path(path) for module in (gymnasium, importlib) for path in module.__path__}
NOT_OWN = CALLERS | {ROOT / "rl", ROOT / "backbones"}
LARGEST_REWARD = float(np.finfo(np.float32).max)
SIGNATURES = {
    "reset": "reset(self, *, seed=None, options=None) -> observation, info",
    "step": "step(self, action) -> observation, reward, terminated, truncated, info",
}


class DeclaredGame:
    """A Gymnasium environment that agents can play; UserError where it breaks its word."""

    def __init__(self, env: str, **kwargs: Any) -> None:
        self.env = env
        try:
            # Its checker only warns of what is held here, and looks at the first step alone.
            self.made = gymnasium.make(env, disable_env_checker=True, **kwargs)
            space = getattr(self.made, "observation_space", None)
            actions = getattr(self.made, "action_space", None)
        except MemoryError:
            raise
        except Exception as error:
            raise UserError(f"{env} could not be made: {reason(error)}") from error
        self.shape, (count, start) = picture_shape(env, space), actions_of(env, actions)
        self.num_actions, self.first_action = count, start
        self.action_names = action_names(env, self.made, count, start)
        self.cut_by_info = False

    def reset(self, seed: int) -> np.ndarray:
        """Begin a game; return its first picture."""
        try:
            returned = self.made.reset(seed=seed)
        except Exception as error:
            raise self.failed(f"reset(seed={seed})", error, "reset") from error
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise UserError(self.wrong("reset", described(returned), SIGNATURES["reset"]))
        obs, info = returned
        if not isinstance(info, dict):
            raise UserError(self.wrong("reset", f"the info {described(info)}", "a dict"))
        return self.picture("reset", obs)

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool]:
        """Take one action for one frame; return (picture, reward, terminated, truncated)."""
        number = self.first_action + action
        try:
            returned = self.made.step(number)
        except Exception as error:
            raise self.failed(f"step({number})", error, "step") from error
        if not isinstance(returned, tuple) or len(returned) != 5:
            raise UserError(self.wrong("step", described(returned), SIGNATURES["step"]))
        obs, reward, terminated, truncated, info = returned
        terminated = self.flag("terminated", terminated)
        truncated = self.flag("truncated", truncated)
        if not isinstance(info, dict):
            raise UserError(self.wrong("step", f"the info {described(info)}", "a dict"))
        if terminated and info.get("TimeLimit.truncated") in (True, 1):
            terminated, truncated, self.cut_by_info = False, True, True
        return self.picture("step", obs), self.number(reward), terminated, truncated

    def hold(self, action: int, frames: int) -> tuple[np.ndarray, float, bool, bool]:
        """Hold an action for some frames; return its last picture, summed reward and flags."""
        total, terminated, truncated = 0.0, False, False
        for _ in range(frames):
            picture, reward, terminated, truncated = self.step(action)
            total += reward
            if terminated or truncated:
                break
        return picture, total, terminated, truncated

    def picture(self, where: str, obs: Any) -> np.ndarray:
        """Return an observation; UserError unless it is uint8 of the declared shape."""
        if not isinstance(obs, np.ndarray):
            try:
                obs = np.asarray(obs)
            except Exception:
                raise UserError(self.wrong(where, described(obs), "an array")) from None
        if obs.dtype != np.uint8 or obs.shape != self.shape:
            expected = f"uint8 {list(self.shape)}, which it declares"
            raise UserError(self.wrong(where, described(obs), expected) + remedy(obs))
        return obs

    def number(self, reward: Any) -> float:
        """Return a reward; UserError unless it is one finite number."""
        if not isinstance(reward, float | int):
            try:
                if isinstance(reward, str | bytes) or np.shape(reward) != ():
                    raise TypeError
                reward = float(reward)
            except Exception:
                given = f"the reward {described(reward)}"
                raise UserError(self.wrong("step", given, "a number")) from None
        if not abs(reward) <= LARGEST_REWARD:
            raise UserError(self.wrong("step", f"the reward {reward}", "a finite number"))
        return float(reward)

    def flag(self, name: str, value: Any) -> bool:
        """Return `terminated` or `truncated`; UserError unless it is true or false."""
        if not isinstance(value, bool | np.bool_) and not (
            np.shape(value) == () and value in FLAGS
        ):
            given = f"{name} = {described(value)}"
            raise UserError(self.wrong("step", given, "True or False"))
        return bool(value)

    def failed(self, call: str, error: Exception, method: str) -> Exception:
        """Return what to raise where the environment's own code failed: one line with the place."""
        if isinstance(error, UserError | MemoryError):
            return error
        form = f"; Gymnasium's is {SIGNATURES[method]}" if wrong_form(error) else ""
        return UserError(f"{self.env} failed in {call}: {reason(error)}{form}")

    def wrong(self, where: str, returned: str, expected: str) -> str:
        """Return what is to be said of something that does not fit."""
        return f"{self.env} returned {returned} from {where}(); expected {expected}"

    def close(self) -> None:
        """Free it; what its own code fails with then is said, and loses nothing."""
        try:
            self.made.close()
        except Exception as error:
            say(f"warning: {self.env} failed in close(): {reason(error)}")


def actions_of(env: str, space: Any) -> tuple[int, int]:
    """Return how many actions a space has, and the first; UserError unless it is a choice of n."""
    if not isinstance(space, Discrete):
        raise UserError(f"{env} has the action space {space}; agents here choose one of n actions")
    return int(space.n), int(space.start)


def picture_shape(env: str, space: Any) -> tuple[int, ...]:
    """Return the shape of the pictures of a space; UserError unless they can be frames."""
    if not isinstance(space, Box) or len(space.shape) not in (2, 3):
        raise UserError(
            f"{env} shows {space}, not pictures; agents here see pixels. "
            "gymnasium.wrappers.AddRenderObservation turns its drawing into observations"
        )
    fits = len(space.shape) == 2 or space.shape[2] in (1, 3)
    if space.dtype == np.uint8 and fits and 0 not in space.shape:
        return space.shape
    tip = ""
    if space.dtype != np.uint8:
        tip = "; gymnasium.wrappers.TransformObservation can make them so"
    elif space.shape[0] in (1, 3):
        tip = "; channels come last: picture.transpose(1, 2, 0)"
    raise UserError(
        f"{env} shows {space.dtype} pictures of shape {space.shape}; expected uint8 "
        f"[H, W], [H, W, 1] or [H, W, 3]{tip}"
    )


def action_names(env: str, made: gymnasium.Env, count: int, start: int) -> tuple[str, ...]:
    """Return the environment's own `action_names`, else `action 0`, `action 1`, ...

    The space says how many actions there are. A mapping names them by their numbers.
    """
    given = getattr(made.unwrapped, "action_names", None)
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


def wrong_form(error: Exception) -> bool:
    """Say whether an error may be of a method that takes or returns what it should not."""
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    return isinstance(error, TypeError | ValueError) and not is_own(last)


def reason(error: Exception) -> str:
    """Return an error as one line, with the place in the environment's own code."""
    # What a SyntaxError says has its place.
    frames = [] if isinstance(error, SyntaxError) else traceback.extract_tb(error.__traceback__)
    places = [place for place in frames if is_own(place.filename)]
    where = f" ({Path(places[-1].filename).name}, line {places[-1].lineno})" if places else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{where}"


def is_own(file: str) -> bool:
    """Say whether a file may be the environment's own: neither Gymnasium's nor one of ours."""
    return not file.startswith("<") and not NOT_OWN & set(Path(file).parents)


def described(value: Any) -> str:
    """Return what a value is, briefly: type, shape and range of an array, length of a tuple."""
    if isinstance(value, np.ndarray):
        numbers = value.dtype.kind in "fiub" and value.size
        between = f" with numbers of {value.min():.4g} to {value.max():.4g}" if numbers else ""
        return f"{value.dtype} {list(value.shape)}{between}"
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"a {type(value).__name__}"


def remedy(obs: np.ndarray) -> str:
    """Return how a picture that does not fit is made one, where that can be told."""
    if obs.dtype == np.uint8 or obs.dtype.kind not in "fiub" or not obs.size:
        return ""
    low, high = float(obs.min()), float(obs.max())
    if obs.dtype.kind in "fb" and low >= 0 and high <= 1:
        return "; return (255 * picture).astype(np.uint8)"
    fits = math.isfinite(high) and low >= 0 and high <= 255
    return "; return picture.astype(np.uint8)" if fits else ""
