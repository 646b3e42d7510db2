"""One copy of somebody's Gymnasium environment, held against what it declares.

What an environment declares decides what an agent is built for: pictures of one shape
(`pictures.py` here), n actions (`actions.py`). What it returns is held against that at every frame,
which costs about a microsecond, and some random env steps are looked at before training
(`rl/games/first_look.py`). What does not fit is one line that says what was returned and
what was expected; an error in the environment's own code becomes one line with its place.

With `pixels` its observations are not looked at: what it draws takes their place.

Taken as they are: flags of 0 and 1 or NumPy's, rewards that are arrays without an axis, pictures
that NumPy reads as declared. A game whose info says "TimeLimit.truncated" was cut off by its clock,
as in the older interface, whatever its flags say.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from backbones.training.errors import UserError
from backbones.training.progress import say
from rl.games.foreign.actions import actions_of
from rl.games.foreign.blame import GameFault, reason, trace_of, wrong_form
from rl.games.foreign.opened import opened
from rl.games.foreign.pictures import Pictures, drawn, drawn_picture, pictures_of
from rl.games.options import EnvOptions

FLAGS = (0, 1)
# Rewards are added in 32 bits.
LARGEST_REWARD = float(np.finfo(np.float32).max)
SIGNATURES = {
    "reset": "reset(self, *, seed=None, options=None) -> observation, info",
    "step": "step(self, action) -> observation, reward, terminated, truncated, info",
    "render": "render(self) -> uint8 [H, W, 3] where render_mode is rgb_array",
}
OLD_API = "; the interface before Gymnasium 0.26 is played with --old-api"
PLAIN = EnvOptions()


class DeclaredGame:
    """A Gymnasium environment that agents can play; UserError where it breaks its word."""

    def __init__(
        self,
        env: str,
        options: EnvOptions = PLAIN,
        *,
        draws: bool = False,
        like: "DeclaredGame | None" = None,
    ) -> None:
        """`draws`: it is made so that it can render; `like` is another copy of the same."""
        self.env, self.options = env, options
        self.made = opened(env, options, draws=draws or options.pixels)
        try:
            space = getattr(self.made, "observation_space", None)
            actions = getattr(self.made, "action_space", None)
        except Exception as error:
            raise UserError(f"{env} could not be made: {reason(error)}") from error
        self.cut_by_info = False
        self.pictures: Pictures
        if like is not None:
            self.pictures = like.pictures
        elif options.pixels:
            self.pictures = self.first_drawing()
        else:
            self.pictures = pictures_of(env, space, options.obs_key, other_ways(self.can_draw))
        self.actions = actions_of(env, self.made, actions)

    @property
    def num_actions(self) -> int:
        """How many actions there are to choose from."""
        return len(self.actions)

    @property
    def action_names(self) -> tuple[str, ...]:
        """A name for each action."""
        return self.actions.names

    @property
    def render_modes(self) -> Any:
        """How it says that it renders."""
        metadata = getattr(self.made, "metadata", None) or {}
        return metadata.get("render_modes") or []

    @property
    def can_draw(self) -> bool:
        """Whether it says that it renders pictures."""
        return "rgb_array" in self.render_modes

    def first_drawing(self) -> Pictures:
        """Return how its drawings are taken, from the first; UserError if it has none."""
        if self.options.obs_key:
            raise UserError("choose one of --pixels and --obs-key")
        if not self.can_draw and not self.options.old_api:
            raise UserError(
                f"--pixels: {self.env} has no drawing, its render_modes are {self.render_modes}; "
                "expected rgb_array among them"
            )
        self.begun(0)
        return drawn(self.drawing().shape)

    def drawing(self) -> np.ndarray:
        """Return what it draws, uint8 [H, W, 1 or 3]; UserError if that is no picture."""
        try:
            returned = self.made.render()
        except Exception as error:
            raise self.failed("render()", error, "render") from error
        try:
            return drawn_picture(returned)
        except ValueError as error:
            raise GameFault(self.wrong("render", str(error), "uint8 [H, W, 3]")) from None

    def reset(self, seed: int) -> np.ndarray:
        """Begin a game; return its first picture."""
        return self.picture("reset", self.begun(seed))

    def begun(self, seed: int) -> Any:
        """Begin a game; return its first observation."""
        try:
            returned = self.made.reset(seed=seed)
        except Exception as error:
            raise self.failed(f"reset(seed={seed})", error, "reset") from error
        if not isinstance(returned, tuple) or len(returned) != 2:
            wrong = self.wrong("reset", described(returned), SIGNATURES["reset"])
            raise GameFault(wrong + OLD_API)
        obs, info = returned
        if not isinstance(info, dict):
            raise GameFault(self.wrong("reset", f"the info {described(info)}", "a dict"))
        return obs

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool]:
        """Take one action for one frame; return (picture, reward, terminated, truncated)."""
        obs, reward, terminated, truncated = self.advance(action)
        return self.picture("step", obs), reward, terminated, truncated

    def advance(self, action: int) -> tuple[Any, float, bool, bool]:
        """The same with its observation as it is."""
        taken = self.actions.taken[action]
        try:
            returned = self.made.step(taken)
        except Exception as error:
            raise self.failed(f"step({taken})", error, "step") from error
        if not isinstance(returned, tuple) or len(returned) != 5:
            old = OLD_API if isinstance(returned, tuple) and len(returned) == 4 else ""
            wrong = self.wrong("step", described(returned), SIGNATURES["step"])
            raise GameFault(wrong + old)
        obs, reward, terminated, truncated, info = returned
        terminated = self.flag("terminated", terminated)
        truncated = self.flag("truncated", truncated)
        if not isinstance(info, dict):
            raise GameFault(self.wrong("step", f"the info {described(info)}", "a dict"))
        if terminated and info.get("TimeLimit.truncated") in (True, 1):
            terminated, truncated, self.cut_by_info = False, True, True
        return obs, self.number(reward), terminated, truncated

    def hold(self, action: int, frames: int) -> tuple[np.ndarray, float, bool, bool]:
        """Hold an action for some frames; return its last picture, summed reward and flags."""
        total, terminated, truncated = 0.0, False, False
        for _ in range(frames):
            obs, reward, terminated, truncated = self.advance(action)
            total += reward
            if terminated or truncated:
                break
        return self.picture("step", obs), total, terminated, truncated

    def picture(self, where: str, obs: Any) -> np.ndarray:
        """Return an observation, or the drawing, as a picture; UserError unless it is as
        declared."""
        pictures = self.pictures
        if self.options.pixels:
            where, obs = "render", self.drawing()
        elif pictures.key:
            if not isinstance(obs, Mapping) or pictures.key not in obs:
                expected = f"a dict with {pictures.key!r}, which it declares"
                raise GameFault(self.wrong(where, described(obs), expected))
            obs = obs[pictures.key]
        if not isinstance(obs, np.ndarray):
            try:
                obs = np.asarray(obs)
            except Exception:
                raise GameFault(self.wrong(where, described(obs), "an array")) from None
        exact = pictures.dtype == np.uint8
        kinds = obs.dtype == np.uint8 if exact else obs.dtype.kind in "biuf"
        if not kinds or obs.shape != pictures.declared_shape:
            expected = f"{pictures.dtype} {list(pictures.declared_shape)}, "
            expected += "as at first" if self.options.pixels else "which it declares"
            tip = remedy(obs) if exact else ""
            raise GameFault(self.wrong(where, described(obs), expected) + tip)
        try:
            return pictures.picture(obs)
        except ValueError as error:
            expected = f"{error}, which it declares"
            raise GameFault(self.wrong(where, described(obs), expected)) from None

    def number(self, reward: Any) -> float:
        """Return a reward; UserError unless it is one finite number."""
        if not isinstance(reward, float | int):
            try:
                if isinstance(reward, str | bytes) or np.shape(reward) != ():
                    raise TypeError
                reward = float(reward)
            except Exception:
                given = f"the reward {described(reward)}"
                raise GameFault(self.wrong("step", given, "a number")) from None
        if not abs(reward) <= LARGEST_REWARD:
            raise GameFault(self.wrong("step", f"the reward {reward}", "a finite number"))
        return float(reward)

    def flag(self, name: str, value: Any) -> bool:
        """Return `terminated` or `truncated`; UserError unless it is true or false."""
        if not isinstance(value, bool | np.bool_) and not (
            np.shape(value) == () and value in FLAGS
        ):
            given = f"{name} = {described(value)}"
            raise GameFault(self.wrong("step", given, "True or False"))
        return bool(value)

    def failed(self, call: str, error: Exception, method: str) -> Exception:
        """Return what to raise where the environment's own code failed: one line with the place."""
        if isinstance(error, UserError | MemoryError):
            return error
        form = f"; Gymnasium's is {SIGNATURES[method]}" if wrong_form(error) else ""
        text = f"{self.env} failed in {call}: {reason(error)}{form}"
        return GameFault(text, trace_of(error))

    def wrong(self, where: str, returned: str, expected: str) -> str:
        """Return what is to be said of something that does not fit."""
        return f"{self.env} returned {returned} from {where}(); expected {expected}"

    def close(self) -> None:
        """Free it; what its own code fails with then is said, and loses nothing."""
        try:
            self.made.close()
        except Exception as error:
            say(f"warning: {self.env} failed in close(): {reason(error)}")


def other_ways(can_draw: bool) -> str:
    """Return what a person can do where observations are no pictures."""
    if can_draw:
        return "--pixels learns from what it draws"
    return (
        "It draws nothing either (its render_modes lack rgb_array); a "
        "gymnasium.ObservationWrapper (--wrapper) can make pictures of them"
    )


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
