"""Axes of a chart that is drawn on a picture: where numbers lie, a grid and its names."""

from collections.abc import Sequence

from PIL import ImageDraw, ImageFont

Colour = tuple[int, int, int]
INK = (0, 0, 0)


class Axes:
    """A rectangle of a picture; x goes from 0 at its left side, y from below."""

    def __init__(
        self,
        pen: ImageDraw.ImageDraw,
        box: tuple[int, int, int, int],
        *,
        right: float,
        low: float,
        high: float,
    ) -> None:
        """`box` is left, top, right and bottom in pixels; x reaches to `right`, y from `low` to
        `high`."""
        self.pen, self.box = pen, box
        self.right, self.low, self.high = right, low, high

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return the pixel of a point."""
        left, top, right, bottom = self.box
        along = (right - left) * x / self.right
        up = (bottom - top) * (y - self.low) / (self.high - self.low)
        return left + along, bottom - up

    def grid(
        self,
        levels: Sequence[tuple[float, str]],
        marks: Sequence[tuple[float, str]],
        colour: Colour,
    ) -> None:
        """Draw a line of a colour and a name at each level of y, and a name below at each x."""
        small = ImageFont.load_default(13)
        for y, name in levels:
            at = self.place(0.0, y)
            self.pen.line([at, self.place(self.right, y)], colour)
            self.pen.text((at[0] - 8, at[1]), name, INK, small, "rm")
        for x, name in marks:
            at = self.place(x, self.low)
            self.pen.text((at[0], at[1] + 8), name, INK, small, "ma")
