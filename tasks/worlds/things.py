"""The things of a scene: six shapes in eight colours, three sizes and four textures, and a brush.

Letters: H rows, W columns, N points of an outline. Lengths are in parts of the picture's side until
they are drawn; y points downwards.

A silhouette is an alpha of 0..255 with soft edges; a pixel belongs to a thing from 128 on. Colours
tell a thing apart, not its brightness: texture and shade change how light a thing is, by less than
the distance between two colours.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from tasks.worlds.chance import between

SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
COLOURS = {
    "red": (222, 38, 38),
    "orange": (248, 140, 16),
    "yellow": (246, 228, 48),
    "green": (36, 168, 56),
    "cyan": (64, 218, 226),
    "blue": (40, 76, 228),
    "purple": (150, 56, 196),
    "white": (244, 244, 244),
}
# Radii of a circle; the gaps between them keep the three apart.
SIZES = {"small": (0.095, 0.11), "medium": (0.14, 0.16), "large": (0.195, 0.225)}
TEXTURES = ("plain", "striped", "dotted", "noisy")

SHIFT = 4  # OpenCV takes coordinates as whole numbers of 1 / 2**SHIFT pixels.
LARGEST_TURN = 0.35
"""Radians: a square stays a square and a cross does not become an x."""


@dataclass(frozen=True)
class Thing:
    """One object in words."""

    shape: str
    colour: str
    size: str
    texture: str


@dataclass(frozen=True)
class Place:
    """Where a thing stands: centre and radius in parts of the picture's side, turn in radians."""

    x: float
    y: float
    radius: float
    turn: float


def round_outline(num_points: int, radii: tuple[float, ...], phase: float) -> np.ndarray:
    """Return [N, 2]: points around a centre whose distances from it repeat `radii`."""
    angle = np.arange(num_points) * (2 * np.pi / num_points) + phase
    distance = np.resize(np.array(radii), num_points)
    return np.stack([np.cos(angle), np.sin(angle)], 1) * distance[:, None]


def cross_outline(arm: float, half_width: float) -> np.ndarray:
    """Return the twelve corners of a plus sign."""
    a, w = arm, half_width
    corner = np.array([(w, w), (w, a), (-w, a)])
    quarter = np.array([[0, 1], [-1, 0]])
    return np.concatenate([corner @ np.linalg.matrix_power(quarter, k) for k in range(4)])


# For a radius of 1, with areas not far apart; a second outline is a hole.
OUTLINES: dict[str, tuple[np.ndarray, ...]] = {
    "circle": (round_outline(32, (1.0,), 0.0),),
    "square": (round_outline(4, (1.25,), np.pi / 4),),
    "triangle": (round_outline(3, (1.32,), -np.pi / 2),),
    "star": (round_outline(10, (1.35, 0.56), -np.pi / 2),),
    "cross": (cross_outline(1.14, 0.4),),
    "ring": (round_outline(32, (1.1,), 0.0), round_outline(24, (0.55,), 0.0)),
}


def inwards(outline: np.ndarray) -> np.ndarray:
    """Return [N, 2]: how each corner moves where every side moves to its left by 1."""
    side = np.roll(outline, -1, 0) - outline
    left = np.stack([-side[:, 1], side[:, 0]], 1) / np.hypot(*side.T)[:, None]
    before = np.roll(left, 1, 0)
    return (left + before) / (1 + (left * before).sum(1))[:, None]


INWARDS = {
    # The sides run the same way round in every outline, and a hole grows where the rest shrinks.
    shape: tuple(inwards(outline) * (1, -1)[k] for k, outline in enumerate(outlines))
    for shape, outlines in OUTLINES.items()
}
TOO_WIDE_PX = 0.6
"""What OpenCV's soft lines add on each side: without it a small star is 43 % too large."""
REACH = {shape: float(np.hypot(*outlines[0].T).max()) for shape, outlines in OUTLINES.items()}
"""How far a shape of radius 1 reaches from its centre, whichever way it is turned."""


def random_thing(rng: np.random.Generator) -> Thing:
    """Choose a thing; every combination is as likely as every other."""
    shape, colour, size, texture = rng.integers(
        (len(SHAPES), len(COLOURS), len(SIZES), len(TEXTURES))
    ).tolist()
    return Thing(SHAPES[shape], list(COLOURS)[colour], list(SIZES)[size], TEXTURES[texture])


def random_place(rng: np.random.Generator, thing: Thing) -> Place:
    """Choose a place at which the thing lies wholly inside the picture."""
    radius = between(rng, *SIZES[thing.size])
    # One part in sixty-four more: soft edges reach a pixel outside.
    margin = radius * REACH[thing.shape] + 1 / 64
    x, y = between(rng, margin, 1 - margin), between(rng, margin, 1 - margin)
    return Place(x, y, radius, between(rng, -LARGEST_TURN, LARGEST_TURN))


def silhouette(thing: Thing, place: Place, size_px: int) -> UInt8[np.ndarray, "H W"]:
    """Return how much of each pixel the thing covers, 0..255, whatever else is in the scene."""
    cos, sin = np.cos(place.turn), np.sin(place.turn)
    turn = np.array([[cos, sin], [-sin, cos]]) * 2**SHIFT
    radius = place.radius * size_px
    # A drawn point is the middle of a pixel: half a pixel less.
    centre = (np.array([place.x, place.y]) * size_px - 0.5) * 2**SHIFT
    alpha = np.zeros((size_px, size_px), np.uint8)
    points = [
        np.rint((outline * radius + inward * TOO_WIDE_PX) @ turn + centre).astype(np.int32)
        for outline, inward in zip(OUTLINES[thing.shape], INWARDS[thing.shape], strict=True)
    ]
    cv2.fillPoly(alpha, points, (255,), cv2.LINE_AA, SHIFT)
    return alpha


def texture(
    rng: np.random.Generator,
    name: str,
    x: Float32[np.ndarray, "1 W"],
    y: Float32[np.ndarray, "H 1"],
) -> Float32[np.ndarray, "H W"]:
    """Return how light each point of a texture is, about 0.5 to 1; x and y are in 64ths."""
    if name == "plain":
        return np.ones((len(y), x.shape[1]), np.float32)
    if name == "noisy":
        return cv2.blur(rng.random((len(y), x.shape[1]), np.float32), (2, 2)) * 0.7 + 0.45
    angle, period = between(rng, 0.0, np.pi), between(rng, 4.5, 6.5)
    pace = 2 * np.pi / period
    across, along = np.float32(np.cos(angle) * pace), np.float32(np.sin(angle) * pace)
    phase = np.float32(between(rng, 0.0, 2 * np.pi))
    wave = np.sin(x * across + y * along + phase)
    if name == "dotted":
        other = np.sin(y * across - x * along + phase)
        return np.clip(1 - (wave + other - 0.5), 0.5, 1)
    return np.clip(0.75 + wave, 0.5, 1)


def paint(
    rng: np.random.Generator,
    canvas: Float32[np.ndarray, "H W 3"],
    thing: Thing,
    place: Place,
    alpha: UInt8[np.ndarray, "H W"],
) -> None:
    """Paint a thing over what is on the canvas, in place.

    A narrow shadow around it shows which of two things of one colour is in front.
    """
    size_px = len(canvas)
    reach = place.radius * REACH[thing.shape] * size_px + 2
    left, top = (max(0, int(c * size_px - reach)) for c in (place.x, place.y))
    right, bottom = (min(size_px, int(c * size_px + reach) + 1) for c in (place.x, place.y))
    unit = np.float32(64 / size_px)
    x = np.arange(left, right, dtype=np.float32)[None, :] * unit
    y = np.arange(top, bottom, dtype=np.float32)[:, None] * unit

    colour = np.array(COLOURS[thing.colour]) + rng.integers(-10, 11, 3)
    light = texture(rng, thing.texture, x, y) * np.float32(between(rng, 0.88, 1.04))
    paint = light[:, :, None] * colour.astype(np.float32)
    window = canvas[top:bottom, left:right]
    weight = alpha[top:bottom, left:right] * np.float32(1 / 255)
    window *= (1 - 0.6 * cv2.blur(weight, (3, 3)))[:, :, None]
    window += (paint - window) * weight[:, :, None]
