"""What road scenes are drawn on: a camera over a flat road, light and haze, a picture and its
labels.

Letters: H rows, W columns, N points.

Metres: x to the right of the camera, y up from the road, z ahead. Everything is drawn twice as
large as it is wanted: the picture is then averaged, so its edges are soft; of the labels every
second row and column stays, so no label is a mixture.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from tasks.data.formats.class_maps import CAMVID

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(
    len(CAMVID.classes)
)
ENLARGED = 2
NEAREST_M, FURTHEST_M = 1.2, 120.0
SHIFT = 3  # OpenCV takes coordinates as whole numbers of 1 / 2**SHIFT pixels

Real = float | int
Colour = tuple[Real, Real, Real]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks along the road."""

    height_m: Real
    focal_px: Real
    middle_px: Real
    """Column in which the road vanishes."""
    horizon_px: Real
    bend: Real
    """How far the road turns aside, in metres over the square of 10 m ahead."""

    def seen(self, x: Real, y: Real, z: Real) -> tuple[Real, Real]:
        """Return where a point is seen: column and row."""
        away = max(z, NEAREST_M)
        x = x + self.bend * (away / 10) ** 2
        column = self.middle_px + self.focal_px * x / away
        return column, self.horizon_px + self.focal_px * (self.height_m - y) / away

    def size_px(self, metres: Real, z: Real) -> Real:
        """Return how large a length is seen."""
        return self.focal_px * metres / max(z, NEAREST_M)


@dataclass(frozen=True)
class Light:
    """What light and weather make of colours."""

    gain: Real
    tint: Colour
    haze: Colour
    sight_m: Real
    """Distance at which two thirds of a colour are lost in the haze."""
    sun: Real
    """-1: from the left, 1: from the right, 0: overcast."""

    def shade(self, colour: Colour, z: Real, side: Real = 0.0) -> Colour:
        """Return a colour as it is seen; `side` is where the surface faces, as the sun's."""
        lit = self.gain * (1 + 0.35 * self.sun * side)
        kept = math.exp(-z / self.sight_m)
        (red, green, blue), (r, g, b), (r2, g2, b2) = colour, self.tint, self.haze
        lit, lost = lit * kept, 1 - kept
        return red * lit * r + lost * r2, green * lit * g + lost * g2, blue * lit * b + lost * b2


class Canvas:
    """A picture and its labels, drawn together."""

    def __init__(self, height_px: int, width_px: int, camera: Camera, light: Light) -> None:
        size = height_px * ENLARGED, width_px * ENLARGED
        self.picture: UInt8[np.ndarray, "H W 3"] = np.zeros((*size, 3), np.uint8)
        self.label: UInt8[np.ndarray, "H W"] = np.full(size, SKY, np.uint8)
        self.camera, self.light = camera, light

    def fill(self, points: Sequence[tuple[Real, Real]], colour: Colour, kind: int | None) -> None:
        """Fill a polygon of pixels; with no kind the labels below it stay."""
        scale = 2**SHIFT
        corners = np.array([(round(x * scale), round(y * scale)) for x, y in points], np.int32)
        cv2.fillPoly(self.picture, [corners], colour, cv2.LINE_8, SHIFT)
        if kind is not None:
            cv2.fillPoly(self.label, [corners], (kind,), cv2.LINE_8, SHIFT)

    def surface(
        self,
        points: Sequence[tuple[Real, Real, Real]],
        colour: Colour,
        kind: int | None,
        side: Real = 0.0,
    ) -> None:
        """Fill a polygon of the scene, lit as its middle is."""
        middle = sum(z for _, _, z in points) / len(points)
        shaded = self.light.shade(colour, middle, side)
        self.fill([self.camera.seen(*point) for point in points], shaded, kind)

    def line(
        self,
        begin: tuple[Real, Real],
        end: tuple[Real, Real],
        width_px: Real,
        colour: Colour,
        kind: int | None,
    ) -> None:
        """Draw a line between two pixels, two of them thick at least."""
        thick = max(ENLARGED, round(width_px))
        first, last = ((round(x), round(y)) for x, y in (begin, end))
        cv2.line(self.picture, first, last, colour, thick)
        if kind is not None:
            cv2.line(self.label, first, last, (kind,), thick)

    def ellipse(
        self,
        middle: tuple[Real, Real],
        radii: tuple[Real, Real],
        colour: Colour,
        kind: int | None,
        thick_px: int = -1,
    ) -> None:
        """Draw an ellipse around a pixel, filled unless a thickness is given."""
        centre = round(middle[0]), round(middle[1])
        axes = max(1, round(radii[0])), max(1, round(radii[1]))
        cv2.ellipse(self.picture, centre, axes, 0, 0, 360, colour, thick_px)
        if kind is not None:
            cv2.ellipse(self.label, centre, axes, 0, 0, 360, (kind,), thick_px)

    def finished(
        self, noise: Float[np.ndarray, "H2 W2 1"], contrast: Real
    ) -> tuple[UInt8[np.ndarray, "3 H2 W2"], UInt8[np.ndarray, "H2 W2"]]:
        """Return the picture and the labels in the size that was asked for; noise in units of 0 to
        255."""
        rows, columns = (length // ENLARGED for length in self.label.shape)
        small = cv2.resize(self.picture, (columns, rows), interpolation=cv2.INTER_AREA)
        values = (small.astype(np.float32) - 110) * contrast + 110 + noise
        picture = values.clip(0, 255).astype(np.uint8).transpose(2, 0, 1)
        return np.ascontiguousarray(picture), self.label[1::ENLARGED, 1::ENLARGED].copy()
