"""Pens that write: lines of handwriting drawn from a font of strokes, each by a hand of its own.

Letters: n points of a stroke.

A hand has a slant, a width, a distance between letters, a line that rises or falls and a tremor;
its letters vary from time to time. Texts are of made-up words, so that no letter follows from the
ones before. A line is a function of (seed, index).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from tasks.data.split_names import Split
from tasks.data.strokes import Line, Stroke, spaced
from tasks.looks.strokes import smooth
from tasks.worlds.chance import PENS, SEEDS, between, sample_rng

SIZES = {"train": 3_000, "val": 100, "test": 300}
# Strokes from point to point, in tenths of the height of an x: its top is 0, the line it stands on
# 10.
GLYPHS = {
    "a": "5,1 3,0 1,2 0,5 1,9 3,10 5,8 5,1 5,9 6,10",
    "b": "0,-8 0,10 0,4 2,0 5,1 6,5 5,9 2,10 0,8",
    "c": "5,1 3,0 1,2 0,5 1,9 3,10 5,9",
    "d": "5,3 3,0 1,1 0,5 1,9 3,10 5,7 5,-8 5,10",
    "e": "0,5 5,5 5,2 3,0 1,1 0,5 1,9 3,10 5,9",
    "f": "4,-7 2,-8 1,-5 1,10|0,0 3,0",
    "g": "5,2 3,0 1,1 0,5 1,9 3,10 5,7 5,0 5,14 3,17 1,16",
    "h": "0,-8 0,10 0,4 2,0 4,1 5,4 5,10",
    "i": "0,0 0,10|0,-4",
    "j": "2,0 2,14 1,17 -1,16|2,-4",
    "k": "0,-8 0,10|5,0 0,6 5,10",
    "l": "0,-8 0,8 1,10 2,9",
    "m": "0,0 0,10 0,3 2,0 4,2 4,10 4,3 6,0 8,2 8,10",
    "n": "0,0 0,10 0,4 2,0 4,1 5,4 5,10",
    "o": "3,0 1,1 0,5 1,9 3,10 5,9 6,5 5,1 3,0",
    "p": "0,0 0,17 0,3 2,0 5,1 6,5 5,9 2,10 0,8",
    "q": "5,2 3,0 1,1 0,5 1,9 3,10 5,7 5,0 5,17",
    "r": "0,0 0,10 0,4 2,0 4,1",
    "s": "5,1 3,0 1,1 1,4 4,6 5,8 3,10 0,9",
    "t": "2,-5 2,8 3,10 5,9|0,0 4,0",
    "u": "0,0 0,7 2,10 4,9 5,6 5,0 5,10",
    "v": "0,0 3,10 6,0",
    "w": "0,0 2,10 4,2 6,10 8,0",
    "x": "0,0 5,10|5,0 0,10",
    "y": "0,0 0,6 2,9 5,6 5,0 5,13 3,17 1,16",
    "z": "0,0 5,0 0,10 5,10",
    "0": "3,-8 0,-3 0,5 3,10 6,5 6,-3 3,-8",
    "1": "0,-5 2,-8 2,10",
    "2": "0,-5 2,-8 5,-6 5,-2 0,10 6,10",
    "3": "0,-7 3,-8 5,-5 2,-1 5,3 5,8 2,10 0,8",
    "4": "4,-8 0,4 6,4|4,-2 4,10",
    "5": "5,-8 1,-8 0,0 3,-1 5,3 5,8 2,10 0,8",
    "6": "4,-8 1,-2 0,5 2,10 5,8 5,3 2,1 0,5",
    "7": "0,-8 6,-8 2,10",
    "8": "3,0 0,-4 3,-8 5,-4 3,0 0,5 3,10 6,5 3,0",
    "9": "5,-3 2,0 0,-4 2,-8 5,-6 5,2 3,10",
    ".": "0,10",
    ",": "0,9 1,10 0,13",
    "?": "0,-6 2,-8 5,-6 4,-2 2,1 2,5|2,10",
    "'": "0,-8 0,-5",
}
WORD_LETTERS, MARKS, DIGITS = "abcdefghijklmnopqrstuvwxyz", ".,?'", "0123456789"
BLANK = 0.6  # width of a blank, in heights of an x
TREMOR_POINTS = 6  # points from one place of the tremor to the next


@dataclass(frozen=True)
class Hand:
    """How somebody writes."""

    slant: float
    width: float
    apart: float
    rise: float
    tremor: float
    varies: float


def lines(split: Split, count: int = 0) -> list[Line]:
    """Return the lines of a split; `count` of those to learn from, 0 for all."""
    number = count if count and split == "train" else SIZES[split]
    return [line(SEEDS[split], index) for index in range(number)]


def line(seed: int, index: int) -> Line:
    """Return one line, written by a hand of its own."""
    rng = sample_rng(seed, PENS, index)
    words = [word(rng) for _ in range(int(rng.integers(1, 4)))]
    return Line(" ".join(words), write(" ".join(words), hand(rng), rng))


def word(rng: np.random.Generator) -> str:
    """Return a made-up word, perhaps with a mark behind it, or a number."""
    if rng.random() < 0.15:
        return "".join(rng.choice(list(DIGITS), int(rng.integers(1, 4))))
    letters = "".join(rng.choice(list(WORD_LETTERS), int(rng.integers(1, 7))))
    return letters + (str(rng.choice(list(MARKS))) if rng.random() < 0.2 else "")


def hand(rng: np.random.Generator) -> Hand:
    """Return a hand."""
    return Hand(
        slant=between(rng, -0.15, 0.5),
        width=between(rng, 0.8, 1.3),
        apart=between(rng, 0.2, 0.5),
        rise=between(rng, -0.06, 0.06),
        tremor=between(rng, 0.0, 0.04),
        varies=between(rng, 0.02, 0.07),
    )


def write(text: str, how: Hand, rng: np.random.Generator) -> list[Stroke]:
    """Return the strokes of a text as a hand writes it, in heights of an x."""
    strokes, right = list[Stroke](), 0.0
    for letter in text:
        if letter == " ":
            right += BLANK * how.width
            continue
        glyph = glyph_of(letter)
        size = 1 + how.varies * rng.standard_normal(2)
        shift = how.varies * rng.standard_normal(2)
        high = max(float(part[:, 0].max()) for part in glyph)
        for part in glyph:
            bent = part + how.varies * rng.standard_normal(part.shape) * (len(part) > 1)
            points = spaced(smooth(bent * size * [how.width, 1] + shift), 0.08)
            points = points + how.tremor * tremor(len(points), rng)
            points[:, 0] += right
            points[:, 1] -= how.rise * points[:, 0]
            points[:, 0] += how.slant * (1 - points[:, 1])
            strokes.append(points)
        right += (high + how.apart) * how.width
    return strokes


def glyph_of(letter: str) -> list[Stroke]:
    """Return the strokes of a letter, in heights of an x."""
    return [
        np.array([point.split(",") for point in part.split()], float) / 10
        for part in GLYPHS[letter].split("|")
    ]


def tremor(count: int, rng: np.random.Generator) -> Float[np.ndarray, "n 2"]:
    """Return what a hand shakes by: smooth noise of variance about 1."""
    knots = rng.standard_normal((2 + count // TREMOR_POINTS, 2))
    places = np.arange(count) / TREMOR_POINTS
    return np.stack([np.interp(places, np.arange(len(knots)), knots[:, k]) for k in (0, 1)], 1)
