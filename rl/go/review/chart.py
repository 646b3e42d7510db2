"""The curve of a game as a picture: Black's chance to win above, Black's lead below.

Letters: H and W pixels.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from rl.go.review.judge import Review
from rl.go.rules.board import BLACK, WHITE

WIDTH, HEIGHT = 900, 560
LEFT, RIGHT, TOP, GAP, BOTTOM = 64, 24, 40, 40, 44  # margins of the two panels
PAPER, INK, LINE, GREY = (255, 255, 255), (40, 40, 40), (30, 90, 170), (205, 205, 205)
COLOURS = {BLACK: (15, 15, 15), WHITE: (250, 250, 250)}
RED = (200, 30, 30)


class Axes:
    """A part of the picture with axes of its own."""

    def __init__(
        self,
        pen: ImageDraw.ImageDraw,
        top: int,
        bottom: int,
        *,
        moves: int,
        low: float,
        high: float,
    ) -> None:
        """Moves 0 to `moves` from left to right, `low` to `high` from below."""
        self.pen, self.top, self.bottom, self.moves = pen, top, bottom, moves
        self.low, self.high = low, high

    def place(self, move: int, number: float) -> tuple[float, float]:
        """Return the pixel of a number after so many moves; beyond the panel, its edge."""
        share = (min(max(number, self.low), self.high) - self.low) / (self.high - self.low)
        x = LEFT + (WIDTH - LEFT - RIGHT) * move / max(self.moves, 1)
        return x, self.bottom - share * (self.bottom - self.top)

    def frame(self, title: str, levels: Sequence[tuple[float, str]]) -> None:
        """Draw levels with their names, and every few moves their number."""
        small = ImageFont.load_default(13)
        for number, name in levels:
            y = self.place(0, number)[1]
            self.pen.line((LEFT, y, WIDTH - RIGHT, y), GREY)
            self.pen.text((LEFT - 8, y), name, INK, small, "rm")
        for move in range(0, self.moves + 1, step(float(self.moves), 12)):
            x = self.place(move, self.low)[0]
            self.pen.text((x, self.bottom + 6), str(move), INK, small, "ma")
        self.pen.text((LEFT, self.top - 6), title, INK, ImageFont.load_default(15), "ls")

    def curve(self, numbers: Sequence[float]) -> None:
        """Draw a line through the numbers after each move."""
        points = [self.place(move, number) for move, number in enumerate(numbers)]
        self.pen.line(points, LINE, 2, "curve")

    def dot(self, move: int, number: float, colour: int) -> None:
        """Mark a move in its player's colour."""
        x, y = self.place(move, number)
        self.pen.ellipse((x - 5, y - 5, x + 5, y + 5), COLOURS[colour], RED, 2)


def step(span: float, most: int) -> int:
    """Return 1, 2 or 5 times a power of ten that goes into a span at most so many times."""
    sizes = (digit * 10**power for power in range(9) for digit in (1, 2, 5))
    return next(size for size in sizes if span / size <= most)


def draw_review(review: Review, title: str, worst: int) -> UInt8[np.ndarray, "H W 3"]:
    """Return a picture of a review: both curves, dots where the worst moves of each colour were
    played."""
    image = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    pen = ImageDraw.Draw(image)
    moves, middle = len(review.moves), (TOP + HEIGHT - BOTTOM) // 2
    far = max(5.0, *(abs(position.lead) for position in review.positions))
    chance = Axes(pen, TOP + 22, middle - GAP // 2, moves=moves, low=0.0, high=1.0)
    lead = Axes(pen, middle + GAP, HEIGHT - BOTTOM, moves=moves, low=-far, high=far)
    pen.text((WIDTH / 2, 8), title, INK, ImageFont.load_default(16), "ma")
    chance.frame("Black's chance to win", [(n / 4, f"{25 * n} %") for n in range(5)])
    marks = step(2 * far, 8)
    most = int(far // marks) * marks
    levels = [(float(n), f"{n:+d}" if n else "0") for n in range(-most, most + 1, marks)]
    lead.frame("Black's lead, points", levels)
    chance.curve([position.winrate for position in review.positions])
    lead.curve([position.lead for position in review.positions])
    for colour in (BLACK, WHITE):
        for bad in review.worst(colour, worst):
            after = review.positions[bad.number]
            chance.dot(bad.number, after.winrate, colour)
            lead.dot(bad.number, after.lead, colour)
    return np.asarray(image)
