"""The picture of a watched game: the game beside what the agent thinks of it.

Sizes in pixels; pictures are [rows, columns, 3] uint8.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rl.games.screen import best_size, enlarge

PANEL_PX = 300
BACK, TEXT, DIM = (16, 20, 30), (232, 236, 244), (120, 132, 152)
BAR, CHOSEN, LINE = (74, 108, 164), (255, 188, 66), (92, 200, 160)
TRACK = (28, 34, 48)


@dataclass
class Panel:
    """What the agent made of one observation, and how its game stands."""

    title: str
    score: float
    value: float
    probabilities: Sequence[float]
    action: int
    action_names: Sequence[str]
    note: str = ""
    values: list[float] = field(default_factory=list)  # of this game so far


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font in a size: the same on every machine."""
    return ImageFont.load_default(size)


def compose(picture: np.ndarray, panel: Panel | None) -> np.ndarray:
    """Return the game's picture, enlarged, with the agent's panel, if any, on its right."""
    width, height = best_size(picture)
    if panel is None:
        return enlarge(picture, (width, height))
    # Films need even sides.
    canvas = Image.new("RGB", (width + width % 2 + PANEL_PX, height + height % 2), BACK)
    canvas.paste(Image.fromarray(enlarge(picture, (width, height))), (0, 0))
    draw = ImageDraw.Draw(canvas)
    left, right = width + 20, width + PANEL_PX - 20
    draw.text((left, 14), panel.title, TEXT, font(17))
    draw.text((left, 38), panel.note, DIM, font(12))
    draw.text((left, 66), "score", DIM, font(12))
    draw.text((left, 80), f"{panel.score:g}", TEXT, font(30))
    draw.text((left + 130, 66), "value", DIM, font(12))
    draw.text((left + 130, 80), f"{panel.value:+.2f}", TEXT, font(30))
    draw_values(draw, panel.values, (left, 126, right, 186))
    draw_bars(draw, panel, (left, 200, right, height - 10))
    return np.asarray(canvas)


def draw_values(
    draw: ImageDraw.ImageDraw, values: Sequence[float], box: tuple[int, int, int, int]
) -> None:
    """Draw the last 200 values as a line around zero."""
    left, top, right, bottom = box
    recent = np.array(values[-200:] or [0.0])
    reach = max(1.0, float(np.abs(recent).max()))
    middle = (top + bottom) / 2
    draw.line([(left, middle), (right, middle)], BAR)
    x = np.linspace(right - (right - left) * len(recent) / 200, right, len(recent))
    y = middle - recent / reach * (bottom - top) / 2
    if len(recent) > 1:
        draw.line(list(zip(x.tolist(), y.tolist(), strict=True)), LINE, 2)


def draw_bars(draw: ImageDraw.ImageDraw, panel: Panel, box: tuple[int, int, int, int]) -> None:
    """Draw the probability of every action; the chosen one stands out."""
    left, top, right, bottom = box
    row = min(24, (bottom - top) // max(1, len(panel.action_names)))
    size, label = max(8, min(13, row - 4)), 110
    for i, name in enumerate(panel.action_names):
        y = top + i * row
        colour = CHOSEN if i == panel.action else TEXT
        draw.text((left, y), name, colour, font(size))
        length = (right - left - label) * float(panel.probabilities[i])
        fill = CHOSEN if i == panel.action else BAR
        bottom_of_bar = y + max(4, row - 8)
        draw.rectangle([left + label, y + 2, right, bottom_of_bar], TRACK)
        draw.rectangle([left + label, y + 2, left + label + max(1, length), bottom_of_bar], fill)
