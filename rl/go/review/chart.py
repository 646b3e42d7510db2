"""The curve of a game as a picture: Black's chance to win above, Black's lead below.

Letters: H and W pixels.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from rl.go.review.judge import Review
from rl.go.rules.board import BLACK, WHITE
from rl.shows.axes import INK, Axes

WIDTH, HEIGHT = 900, 560
LEFT, RIGHT, TOP, GAP, BOTTOM = 64, 24, 40, 40, 44  # margins of the two panels
PAPER, LINE, GREY = (255, 255, 255), (30, 90, 170), (205, 205, 205)
COLOURS = {BLACK: (15, 15, 15), WHITE: (250, 250, 250)}
RED = (200, 30, 30)


def frame(axes: Axes, title: str, levels: Sequence[tuple[float, str]]) -> None:
    """Draw levels with their names, every few moves their number, and a title."""
    moves = int(axes.right)
    marks = [(float(n), str(n)) for n in range(0, moves + 1, step(axes.right, 12))]
    axes.grid(levels, marks, GREY)
    left, top, *_ = axes.box
    axes.pen.text((left, top - 6), title, INK, ImageFont.load_default(15), "ls")


def draw_curve(axes: Axes, numbers: Sequence[float]) -> None:
    """Draw a line through the numbers after each move."""
    points = [axes.place(float(move), number) for move, number in enumerate(numbers)]
    axes.pen.line(points, LINE, 2, "curve")


def dot(axes: Axes, move: int, number: float, colour: int) -> None:
    """Mark a move in its player's colour."""
    x, y = axes.place(float(move), number)
    axes.pen.ellipse((x - 5, y - 5, x + 5, y + 5), COLOURS[colour], RED, 2)


def step(span: float, most: int) -> int:
    """Return 1, 2 or 5 times a power of ten that goes into a span at most so many times."""
    sizes = (digit * 10**power for power in range(9) for digit in (1, 2, 5))
    return next(size for size in sizes if span / size <= most)


def draw_review(review: Review, title: str, worst: int) -> UInt8[np.ndarray, "H W 3"]:
    """Return a picture of a review: both curves, dots where the worst moves of each colour were
    played."""
    image = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    pen = ImageDraw.Draw(image)
    moves, middle = max(float(len(review.moves)), 1.0), (TOP + HEIGHT - BOTTOM) // 2
    far = max(5.0, *(abs(position.lead) for position in review.positions))
    above = (LEFT, TOP + 22, WIDTH - RIGHT, middle - GAP // 2)
    below = (LEFT, middle + GAP, WIDTH - RIGHT, HEIGHT - BOTTOM)
    chance = Axes(pen, above, right=moves, low=0.0, high=1.0)
    lead = Axes(pen, below, right=moves, low=-far, high=far)
    pen.text((WIDTH / 2, 8), title, INK, ImageFont.load_default(16), "ma")
    frame(chance, "Black's chance to win", [(n / 4, f"{25 * n} %") for n in range(5)])
    marks = step(2 * far, 8)
    most = int(far // marks) * marks
    levels = [(float(n), f"{n:+d}" if n else "0") for n in range(-most, most + 1, marks)]
    frame(lead, "Black's lead, points", levels)
    draw_curve(chance, [position.winrate for position in review.positions])
    draw_curve(lead, [position.lead for position in review.positions])
    for colour in (BLACK, WHITE):
        for bad in review.worst(colour, worst):
            after = review.positions[bad.number]
            dot(chance, bad.number, after.winrate, colour)
            dot(lead, bad.number, after.lead, colour)
    return np.asarray(image)
