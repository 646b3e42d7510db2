"""The picture of a watched game: the game beside what the agent thinks of it.

Sizes in pixels; pictures are [rows, columns, 3] uint8. Actions stand in one column, or in two of a
wider panel where they are many; of still more, the likeliest are shown.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rl.games.screen import best_size, enlarge

PANEL_PX, WIDE_PX = 300, 440
ONE_COLUMN = 10  # actions, at most
ROW_PX, LEAST_ROW_PX, GAP_PX = 24, 16, 16
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
    scores: Sequence[float] = ()  # of the games before, the last one last

    @property
    def last_games(self) -> str:
        """The last scores and the mean of all, as a line; "" before a game is over."""
        if not self.scores:
            return ""
        last = " ".join(f"{score:g}" for score in self.scores[-5:])
        mean = sum(self.scores) / len(self.scores)
        return f"last games {last}, mean {mean:.1f} of {len(self.scores)}"


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
    panel_px = PANEL_PX if len(panel.action_names) <= ONE_COLUMN else WIDE_PX
    canvas = Image.new("RGB", (width + width % 2 + panel_px, height + height % 2), BACK)
    canvas.paste(Image.fromarray(enlarge(picture, (width, height))), (0, 0))
    draw = ImageDraw.Draw(canvas)
    left, right = width + 20, width + panel_px - 20
    draw.text((left, 14), panel.title, TEXT, font(17))
    draw.text((left, 38), panel.note, DIM, font(12))
    draw.text((left, 66), "score", DIM, font(12))
    draw.text((left, 80), f"{panel.score:g}", TEXT, font(30))
    draw.text((left + 130, 66), "value", DIM, font(12))
    draw.text((left + 130, 80), f"{panel.value:+.2f}", TEXT, font(30))
    draw.text((left, 118), panel.last_games, DIM, font(12))
    draw_values(draw, panel.values, (left, 140, right, 190))
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
    """Draw the probability of every action that there is room for; the chosen one stands out."""
    left, top, right, bottom = box
    count = len(panel.action_names)
    columns = 1 if count <= ONE_COLUMN else 2
    most = max(1, (bottom - top) // LEAST_ROW_PX)
    fits = count <= columns * most
    rows = math.ceil(count / columns) if fits else most - 1
    shown = likeliest(panel, rows * columns)
    row = min(ROW_PX, (bottom - top) // max(1, rows if fits else most))
    width = (right - left - GAP_PX * (columns - 1)) // columns
    for place, action in enumerate(shown):
        column, line = divmod(place, rows)
        corner = (left + column * (width + GAP_PX), top + line * row)
        draw_bar(draw, (*corner, width, row), panel, action)
    if not fits:
        words = f"and {count - len(shown)} less likely actions"
        draw.text((left, top + rows * row), words, DIM, font(12))


def likeliest(panel: Panel, most: int) -> list[int]:
    """Return the numbers of the likeliest actions and of the chosen one, in order."""
    order = sorted(range(len(panel.action_names)), key=lambda i: -float(panel.probabilities[i]))
    shown = order[:most]
    if panel.action not in shown and shown:
        shown[-1] = panel.action
    return sorted(shown)


def draw_bar(
    draw: ImageDraw.ImageDraw, place: tuple[int, int, int, int], panel: Panel, action: int
) -> None:
    """Draw an action's name, its probability as a bar, and in percent; `place` is x, y, width and
    height."""
    x, y, width, row = place
    size, label, percent = max(9, min(13, row - 4)), max(92, (width - 40) // 2), 38
    chosen, probability = action == panel.action, float(panel.probabilities[action])
    colour, fill = (CHOSEN, CHOSEN) if chosen else (TEXT, BAR)
    name = panel.action_names[action]
    # Smaller before it is cut: DOWNLEFT and DOWNLEFTFIRE are two actions.
    small = next((s for s in range(size, 9, -1) if font(s).getlength(name) < label - 4), 9)
    draw.text((x, y), fitted(name, label - 4, small), colour, font(small))
    left, right, bottom = x + label, x + width - percent, y + max(4, row - 8)
    draw.rectangle([left, y + 2, right, bottom], TRACK)
    draw.rectangle([left, y + 2, left + max(1.0, (right - left) * probability), bottom], fill)
    draw.text((x + width, y), f"{100 * probability:.0f} %", colour, font(size), "ra")


@cache
def fitted(name: str, width: int, size: int) -> str:
    """Return as much of a name as is no wider."""
    while name and font(size).getlength(name) > width:
        name = name[:-1]
    return name


def with_footer(picture: np.ndarray, lines: Sequence[str]) -> np.ndarray:
    """Return a picture with lines of text below it, as much of each as there is room for."""
    rows, columns = picture.shape[:2]
    canvas = Image.new("RGB", (columns, rows + 18 * len(lines) + 6), BACK)
    canvas.paste(Image.fromarray(picture), (0, 0))
    draw = ImageDraw.Draw(canvas)
    for number, line in enumerate(lines):
        text = fitted(line, columns - 16, 12)
        draw.text((8, rows + 4 + 18 * number), text, DIM if number else TEXT, font(12))
    return np.asarray(canvas)
