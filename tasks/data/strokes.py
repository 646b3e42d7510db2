"""Lines of handwriting, and drawings, as strokes: what a pen drew until it was lifted.

Letters: n points of a stroke, T points of a line.

A stroke is [n, 2]: x to the right, y downward. A network sees offsets, [T, 3]: from the point
before, across and down, and whether the pen is lifted after this point (Graves 2013,
https://arxiv.org/abs/1308.0850, section 4). The first point of a line has the offset 0.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

Stroke = Float[np.ndarray, "_ 2"]  # n points, which differ from stroke to stroke


@dataclass(frozen=True)
class Line:
    """What somebody wrote, and how; a drawing has the text ""."""

    text: str
    strokes: list[Stroke]


def length_of(stroke: Stroke) -> float:
    """Return the way of the pen along a stroke."""
    return float(np.linalg.norm(np.diff(stroke, axis=0), axis=1).sum())


def spaced(stroke: Stroke, spacing: float) -> Stroke:
    """Return a stroke by points that lie evenly along it, about `spacing` apart, with its ends.

    So a line does not depend on how fast the pen was, or how often it was looked at. Points that
    repeat count once; a dot keeps one point.
    """
    steps = np.linalg.norm(np.diff(stroke, axis=0), axis=1)
    kept = np.concatenate([[True], steps > 0])
    points = stroke[kept]
    along = np.concatenate([[0.0], np.cumsum(steps[kept[1:]])])
    if along[-1] == 0:
        return points[:1]
    places = np.linspace(0, along[-1], 1 + max(1, round(along[-1] / spacing)))
    return np.stack([np.interp(places, along, points[:, axis]) for axis in (0, 1)], axis=1)


def offsets(strokes: list[Stroke], spacing: float) -> Float32[np.ndarray, "T 3"]:
    """Return strokes as offsets in units of `spacing`, with points about one unit apart."""
    parts = [spaced(np.asarray(stroke, np.float64), spacing) for stroke in strokes]
    points = np.concatenate(parts) / spacing
    lifted = np.zeros((len(points), 1))
    lifted[np.cumsum([len(part) for part in parts]) - 1] = 1
    moves = np.diff(points, axis=0, prepend=points[:1])
    return np.concatenate([moves, lifted], axis=1).astype(np.float32)


def strokes_of(moves: Float[np.ndarray, "T 3"]) -> list[Stroke]:
    """Return the strokes of offsets, in their unit, from (0, 0) on."""
    points = np.cumsum(np.asarray(moves[:, :2], np.float64), axis=0)
    ends = np.flatnonzero(moves[:, 2] > 0.5) + 1
    return [part for part in np.split(points, ends) if len(part)]


def way_of(line: Line) -> float:
    """Return the way of the pen along all strokes of a line."""
    return sum(length_of(stroke) for stroke in line.strokes)


def letter_spacing(lines: list[Line], points: int) -> float:
    """Return the spacing at which a letter of these lines, or a stroke if none has a text, has so
    many points on average; 0 if all strokes are dots."""
    letters = sum(len(line.text.replace(" ", "")) for line in lines)
    strokes = sum(len(line.strokes) for line in lines)
    return sum(map(way_of, lines)) / (letters or strokes) / points
