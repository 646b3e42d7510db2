"""What an environment shows, as pictures: uint8 [H, W] or [H, W, C].

Letters: C channels, H rows, W columns.

An environment declares a space. A picture is a Box of two or three axes with bounds, or a
MultiBinary; of a Dict one entry is taken. uint8 is taken as it is. Other numbers become 0 to 255 by
the declared bounds: (x - low) / (high - low) * 255, rounded; truth values 0 and 255. Three axes are
[H, W, C] if the last is 1 or 3, else [C, H, W] if the first is, else the shorter of the two counts
the channels. Neither 1 nor 3 channels, or truth values, are planes (MinAtar's say where the ball
is, where the bricks are): they stay apart, since no shade of grey could hold them.
"""

import colorsys
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, MultiBinary
from jaxtyping import UInt8

from backbones.training.errors import UserError

COLOURS = (1, 3)


@dataclass(frozen=True)
class Pictures:
    """How observations of a space become pictures; UserError where there are none.

    What is asked at every frame is found once.
    """

    declared: Box | MultiBinary
    key: str = ""
    """Entry of the Dict; "" where the space is no Dict."""

    @cached_property
    def declared_shape(self) -> tuple[int, ...]:
        """Shape of what the environment returns."""
        return tuple(int(n) for n in self.declared.shape)

    @cached_property
    def channels_first(self) -> bool:
        """Whether the environment's axes are [C, H, W]."""
        shape = self.declared_shape
        if len(shape) == 2 or shape[2] in COLOURS:
            return False
        return shape[0] in COLOURS or shape[0] < shape[2]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the pictures: [H, W] or [H, W, C]."""
        shape = self.declared_shape
        return (*shape[1:], shape[0]) if self.channels_first else shape

    @cached_property
    def dtype(self) -> np.dtype:
        """Type of the declared numbers; bool for those of a MultiBinary."""
        return np.dtype(bool if isinstance(self.declared, MultiBinary) else self.declared.dtype)

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """The least and the largest number that is declared."""
        if isinstance(self.declared, MultiBinary) or self.dtype == bool:
            return 0.0, 1.0
        return float(self.declared.low.min()), float(self.declared.high.max())

    @property
    def planes(self) -> int:
        """Number of planes that stay apart; 0: the pictures are grey or in colour."""
        if len(self.shape) == 2 or self.shape[2] == 1:
            return 0
        return self.shape[2] if self.dtype == bool or self.shape[2] not in COLOURS else 0

    @property
    def notes(self) -> list[str]:
        """What is done to observations, in words; nothing for uint8 [H, W], [H, W, 1 or 3]."""
        notes = [f"{self.key!r} of its Dict"] if self.key else []
        if self.dtype == bool:
            notes.append("truth values as 0 and 255")
        elif self.dtype != np.uint8:
            low, high = self.bounds
            notes.append(f"{self.dtype} of {low:g} to {high:g} as 0 to 255")
        if self.channels_first:
            notes.append("channels turned to the end")
        return notes

    def picture(self, obs: np.ndarray) -> UInt8[np.ndarray, "H W *C"]:
        """Return an observation as a picture. ValueError, with the reason, if its numbers are
        outside what is declared."""
        if self.channels_first:
            obs = np.moveaxis(obs, 0, 2)
        if self.dtype == np.uint8:
            return obs
        low, high = self.bounds
        if not (obs.min() >= low and obs.max() <= high):
            raise ValueError(f"numbers from {low:g} to {high:g}")
        if obs.dtype == bool:
            return obs.astype(np.uint8) * np.uint8(255)
        scaled = (obs.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low))
        return (scaled + np.float32(0.5)).astype(np.uint8)


def drawn(shape: tuple[int, ...]) -> Pictures:
    """Return how drawn pictures of this shape are taken: as they are."""
    return Pictures(Box(0, 255, shape, np.uint8))


def drawn_picture(returned: Any) -> UInt8[np.ndarray, "H W C"]:
    """Return what `render` gave as uint8 [H, W, 1 or 3]; ValueError, with what it is, if that is no
    picture. Real numbers from 0 to 1 are taken as matplotlib takes them."""
    # A list: the older way, of all pictures since the last call.
    given = returned[-1] if isinstance(returned, list) and returned else returned
    picture = np.asarray(given)
    picture = picture[:, :, None] if picture.ndim == 2 else picture
    fits = picture.ndim == 3 and picture.shape[2] in (1, 3, 4) and picture.size
    if fits and picture.dtype.kind == "f" and picture.min() >= 0 and picture.max() <= 1:
        picture = (picture * 255 + 0.5).astype(np.uint8)
    if not fits or picture.dtype != np.uint8:
        raise ValueError("None" if given is None else f"{picture.dtype} {list(picture.shape)}")
    return picture[:, :, :3]


def pictures_of(env: str, space: Any, key: str, remedy: str) -> Pictures:
    """Return how observations of a space become pictures; UserError if they cannot.

    `key` is the entry of a Dict that a person wants; `remedy` is what else they could do.
    """
    if isinstance(space, Dict):
        entries = {str(name): inner for name, inner in space.spaces.items()}
        return entry_of(env, entries, key, remedy)
    if key:
        raise UserError(f"--obs-key {key}: {env} shows {space}, which is no Dict; leave it out")
    reason = why_no_picture(space)
    if reason:
        raise UserError(f"{env} shows {space}, {reason}; agents here see pixels. {remedy}")
    return Pictures(space)


def entry_of(env: str, entries: dict[str, Any], key: str, remedy: str) -> Pictures:
    """Return the same for one entry of a Dict: the one that is wanted, or its only picture."""
    fit = [name for name, inner in entries.items() if not why_no_picture(inner)]
    listed = "; ".join(f"{name}: {inner}" for name, inner in entries.items())
    if key and key not in entries:
        raise UserError(f"--obs-key {key}: {env} shows a Dict of {', '.join(entries)}")
    if key and key not in fit:
        raise UserError(
            f"--obs-key {key}: {env} shows {entries[key]} there, {why_no_picture(entries[key])}"
            + (f"; choose {' or '.join(fit)}" if fit else f". {remedy}")
        )
    if not fit:
        raise UserError(f"{env} shows a Dict without pictures ({listed}). {remedy}")
    if not key and len(fit) > 1:
        raise UserError(
            f"{env} shows a Dict of several pictures: {', '.join(fit)}; choose one, "
            f"as in --obs-key {fit[0]}"
        )
    name = key or fit[0]
    return Pictures(entries[name], name)


def why_no_picture(space: Any) -> str:
    """Return why a space is none of pictures; "" if it is."""
    if not isinstance(space, Box | MultiBinary):
        return "not pictures"
    if len(space.shape) not in (2, 3):
        return "numbers, not pictures"
    if 0 in space.shape:
        return "pictures without points"
    if isinstance(space, MultiBinary) or space.dtype == np.uint8:
        return ""
    low, high = float(space.low.min()), float(space.high.max())
    if not np.isfinite([low, high]).all():
        return "numbers without bounds, of which no picture can be made"
    return "" if low < high else f"whose numbers are all {low:g}"


def planes_in_colour(planes: UInt8[np.ndarray, "*T C H W"]) -> UInt8[np.ndarray, "*T H W 3"]:
    """Return frames as people see them: grey, in colour, or each plane in a hue of its own."""
    count = planes.shape[-3]
    if count in COLOURS:
        last = np.moveaxis(planes, -3, -1)
        return np.repeat(last, 3, axis=-1) if count == 1 else last
    seen = np.zeros((*planes.shape[:-3], *planes.shape[-2:], 3), np.uint8)
    for i in range(count):
        hue = np.array(colorsys.hsv_to_rgb(i / count, 0.7, 1.0))
        shaded = (planes[..., i, :, :, None] * hue).astype(np.uint8)
        np.maximum(seen, shaded, out=seen)
    return seen
