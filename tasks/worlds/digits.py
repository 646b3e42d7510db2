"""Handwritten-style digits, white on black: stroke skeletons bent by chance and drawn with a pen.

Letters: B digits, H rows, W columns, K control points, P points of the drawn curves.

The stand-in for MNIST (LeCun et al. 1998), whose layout it follows: uint8 pictures of 28 x 28, the
digit about 20 pixels tall. Every digit is written in several ways (7 with and without a bar, an
open and a closed 4, 1 with and without a foot). One sample takes one of them, moves its control
points by a smooth wave and a little jitter, draws Catmull-Rom curves through them (Catmull and Rom
1974), slants, turns and scales the whole, and chooses pen, ink, blur and noise.

The curves are linear in their control points, so one matrix per way of writing, made once, turns
bent points into the curve; pieces that share a point stay joined however it moves.

Sample i is a function of (seed, i) alone. Labels are uniform over the classes.
"""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Float, Int64, UInt8

from backbones.training.errors import UserError
from tasks.worlds.chance import DIGITS, between, sample_rng

CLASSES = tuple("0123456789")

# Control points "x,y" in hundredths of the digit's height, y downwards; a bar starts a new piece,
# and two pieces that name the same point meet there in a corner.
WRITINGS = (
    (
        "35,0 13,14 5,50 14,86 35,100 57,86 65,50 56,13 35,0",
        "45,5 24,5 7,44 13,85 33,100 56,86 64,48 56,14 40,1 30,6",
    ),
    (
        "35,0 35,50 35,100",
        "17,24 28,13 37,0 | 37,0 37,50 36,100",
        "17,21 37,0 | 37,0 37,50 37,100 | 14,100 37,100 61,99",
    ),
    (
        "8,22 20,4 42,2 58,16 52,42 30,72 6,98 | 6,98 35,99 66,97",
        "8,22 24,2 50,4 58,24 46,56 22,88 9,97 5,87 18,82 40,94 66,93",
        "6,20 30,1 57,16 50,46 26,78 5,97 | 5,97 24,91 44,99 66,92",
    ),
    (
        "8,14 28,1 54,8 56,30 42,44 25,47 | 25,47 48,50 62,70 52,92 28,100 6,88",
        "8,4 34,3 60,3 | 60,3 45,22 30,42 | 30,42 54,48 64,70 50,94 26,100 6,90",
        "9,12 34,0 56,16 46,40 29,48 25,43 36,43 57,57 58,82 34,100 8,90",
    ),
    (
        "12,4 10,30 5,57 | 5,57 36,58 69,55 | 50,20 49,60 46,100",
        "46,0 24,32 2,66 | 2,66 36,66 70,65 | 46,0 47,50 46,100",
        "10,6 6,34 14,51 34,52 54,42 | 57,4 55,50 49,100",
    ),
    (
        "60,2 38,3 16,3 | 16,3 14,22 12,43 | 12,43 36,36 60,50 62,76 44,97 22,99 4,88",
        "16,7 15,25 13,44 | 13,44 38,38 60,54 58,84 34,100 6,92 | 17,6 40,5 64,1",
        "62,4 34,2 18,14 17,38 38,44 58,58 58,84 34,99 6,92",
    ),
    (
        "52,0 28,22 10,56 10,84 30,100 54,90 58,68 42,54 22,58 10,76",
        "40,0 20,26 8,60 16,92 38,100 58,84 54,62 34,54 12,68",
        "58,9 40,0 19,17 8,54 14,88 36,100 58,86 56,62 36,53 11,67",
    ),
    (
        "6,4 36,4 64,3 | 64,3 42,48 26,100",
        "6,4 36,4 64,3 | 64,3 44,48 30,100 | 18,50 37,49 58,48",
        "8,19 9,4 | 9,4 36,4 63,3 | 63,3 44,38 34,100",
    ),
    (
        "35,46 12,28 18,6 36,0 56,10 54,30 35,46 12,66 8,86 34,100 62,88 58,66 35,46",
        "35,0 16,10 18,36 35,46 54,36 54,9 35,0 | 35,46 10,58 8,88 35,100 62,88 60,58 35,46",
        "57,12 34,0 14,14 22,36 48,56 60,80 38,100 10,86 20,60 46,38 58,16",
    ),
    (
        "58,24 42,2 16,6 8,32 24,50 46,44 58,22 | 58,22 56,60 46,100",
        "58,20 36,0 12,14 12,40 34,50 54,36 58,16 | 58,16 62,56 50,92 26,100 10,92",
        "57,10 30,0 8,18 12,44 34,50 57,36 | 59,3 57,50 55,100",
    ),
)

POINTS_PER_SPAN = 5
OVERSAMPLING = 4
SHIFT = 4  # OpenCV takes coordinates as whole numbers of 1 / 2**SHIFT pixels.
DESIGN_PX = 28


@dataclass(frozen=True)
class Writing:
    """One way to write a digit: its control points, and the matrix that draws curves by them."""

    control: Float[np.ndarray, "K 2"]
    curve: Float[np.ndarray, "P K"]
    pieces: tuple[slice, ...]
    """The rows of `curve` that belong to each piece."""


def span_weights(four: list[int], num_points: int) -> np.ndarray:
    """Return [POINTS_PER_SPAN, num_points]: the Catmull-Rom curve between the inner two of four."""
    t = (np.arange(POINTS_PER_SPAN) / POINTS_PER_SPAN)[:, None]
    cubic = np.concatenate(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3], 1
    )
    weights = np.zeros((POINTS_PER_SPAN, num_points))
    for column, point in enumerate(four):
        weights[:, point] += cubic[:, column] / 2
    return weights


def piece_weights(points: list[int], num_points: int) -> np.ndarray:
    """Return the matrix from control points to the curve of one piece; a closed one is smooth."""
    closed = points[0] == points[-1]
    padded = [points[-2] if closed else points[0], *points, points[1] if closed else points[-1]]
    rows = [span_weights(padded[i : i + 4], num_points) for i in range(len(points) - 1)]
    last = np.zeros((1, num_points))
    last[0, points[-1]] = 1
    return np.concatenate([*rows, last])


def read_writing(text: str) -> Writing:
    """Read one entry of WRITINGS."""
    pieces = [piece.split() for piece in text.split("|")]
    names = list(dict.fromkeys(name for piece in pieces for name in piece))
    control = np.array([[float(v) / 100 for v in name.split(",")] for name in names])
    curves = [piece_weights([names.index(name) for name in piece], len(names)) for piece in pieces]
    ends = np.cumsum([0, *(len(curve) for curve in curves)]).tolist()
    rows = tuple(slice(a, b) for a, b in pairwise(ends))
    return Writing(control, np.concatenate(curves), rows)


@cache
def writings() -> tuple[tuple[Writing, ...], ...]:
    """Return every way to write every digit."""
    return tuple(tuple(read_writing(text) for text in texts) for texts in WRITINGS)


def bent(rng: np.random.Generator, control: Float[np.ndarray, "K 2"]) -> Float[np.ndarray, "K 2"]:
    """Move control points by a smooth wave over the plane, and each a little on its own."""
    wave = rng.standard_normal((2, 4)) * 3.5
    phase = rng.random(4) * 2 * np.pi
    swing = np.sin(control @ wave + phase) * between(rng, 0.015, 0.055)
    return control + swing[:, :2] + swing[:, 2:] + rng.standard_normal(control.shape) * 0.016


def hand(rng: np.random.Generator) -> Float[np.ndarray, "2 2"]:
    """Return the matrix of one hand: size, slant and turn, for points as rows."""
    angle = rng.standard_normal() * 0.16
    slant = 0.12 + rng.standard_normal() * 0.22
    width, height = between(rng, 0.72, 1.12), between(rng, 0.84, 1.08)
    cos, sin = np.cos(angle), np.sin(angle)
    upright = np.array([[width, 0.0], [-slant * height, height]])
    return upright @ np.array([[cos, sin], [-sin, cos]])


def placed(
    rng: np.random.Generator, curve: Float[np.ndarray, "P 2"], margin: float
) -> Float[np.ndarray, "P 2"]:
    """Put a curve near the middle of the unit square, at least a margin from its borders."""
    low, high = curve.min(0), curve.max(0)
    scale = min(1.0, (1 - 2 * margin) / (high - low).max())
    slack = (1 - 2 * margin - (high - low) * scale) / 2
    shift = np.clip(rng.standard_normal(2) * 0.05, -slack, slack)
    return (curve - (low + high) / 2) * scale + 0.5 + shift


def digit(rng: np.random.Generator, label: int, size_px: int) -> UInt8[np.ndarray, "H W"]:
    """Draw one digit."""
    ways = writings()[label]
    writing = ways[rng.integers(len(ways))]
    curve = writing.curve @ bent(rng, writing.control) @ hand(rng) * (20 / DESIGN_PX)
    pen = between(rng, 1.5, 3.4) / DESIGN_PX
    # The pen is rounded to whole fine pixels and then blurred: half a pixel more than the border.
    curve = placed(rng, curve, margin=pen / 2 + 1.5 / size_px)

    fine = size_px * OVERSAMPLING
    # A drawn point is the middle of a pixel: half a pixel less.
    points = np.rint((curve * fine - 0.5) * 2**SHIFT).astype(np.int32)
    ink = np.zeros((fine, fine), np.uint8)
    pieces = [points[rows] for rows in writing.pieces]
    cv2.polylines(ink, pieces, False, 255, max(1, round(pen * fine)), cv2.LINE_8, SHIFT)

    picture = cv2.resize(ink, (size_px, size_px), interpolation=cv2.INTER_AREA)
    picture = cv2.GaussianBlur(picture, (3, 3), between(rng, 0.3, 0.75))
    noise = rng.standard_normal(picture.shape, np.float32) * np.float32(between(rng, 0.0, 9.0))
    strength = np.float32(between(rng, 0.75, 1.1))
    return np.clip(picture * strength + noise, 0, 255).astype(np.uint8)


def digits(
    seed: int, index: Int64[np.ndarray, "B"], size_px: int = DESIGN_PX
) -> tuple[UInt8[np.ndarray, "B 1 H W"], Int64[np.ndarray, "B"]]:
    """Return the pictures and labels of some samples; ValueError if the size is below 16."""
    if size_px < 16:
        raise UserError(f"size_px = {size_px} is too small to write in; take 16 or more")
    picture = np.empty((len(index), 1, size_px, size_px), np.uint8)
    label = np.empty(len(index), np.int64)
    for row, i in enumerate(index.tolist()):
        rng = sample_rng(seed, DIGITS, i)
        label[row] = rng.integers(len(CLASSES))
        picture[row, 0] = digit(rng, int(label[row]), size_px)
    return picture, label
