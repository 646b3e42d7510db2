"""Learning curves as a picture: a panel a game, a line a group, and a band over its seeds.

Letters: H rows, W columns. A line is the mean over seeds of the mean raw score of the latest
training games, wherever all seeds have one; the band reaches from the lowest seed to the highest.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from rl.games.atari import atari_ids
from rl.scores import RANDOM_AND_HUMAN
from rl.shows.axes import Axes, Colour
from suites.gather import Group, Result

PANEL_PX = (560, 360)
LEFT, RIGHT, TOP, BOTTOM = 74, 26, 44, 48  # margins of a panel in pixels
MOST_POINTS = 200
COLOURS = [
    (38, 110, 180),
    (214, 96, 40),
    (52, 140, 80),
    (150, 80, 160),
    (120, 120, 120),
    (20, 20, 20),
]
GRID, DASHES = (228, 228, 228), (170, 170, 170)

Line = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Env steps, and the mean, lowest and highest score of the seeds there, [P] each."""


def line_of(results: Sequence[Result]) -> Line | None:
    """Return the curve of the seeds of one game; None if one of them has none."""
    curves = [np.array(result.curve, float) for result in results]
    if not all(len(curve) for curve in curves):
        return None
    first, last = max(c[0, 0] for c in curves), min(c[-1, 0] for c in curves)
    steps = np.linspace(first, max(last, first), MOST_POINTS)
    scores = np.stack([np.interp(steps, curve[:, 0], curve[:, 1]) for curve in curves])
    return steps, scores.mean(0), scores.min(0), scores.max(0)


def draw_axes(axes: Axes, title: str) -> None:
    """Draw grid, numbers and title."""
    levels = [(score, f"{score:,g}") for score in ticks(axes.low, axes.high)]
    axes.grid(levels, [(steps, short(steps)) for steps in ticks(0.0, axes.right)], GRID)
    x, y = axes.place(axes.right / 2, axes.low)
    axes.pen.text((x, y + 27), "env steps", "black", ImageFont.load_default(13), "ma")
    left, top, *_ = axes.box
    axes.pen.text((left, top - TOP + 12), title, "black", ImageFont.load_default(16))


def draw_level(axes: Axes, score: float, name: str) -> None:
    """Draw a dashed line at a score, with its name."""
    for i in range(0, 100, 2):
        ends = [axes.place(axes.right * (i + j) / 100, score) for j in (0, 1)]
        axes.pen.line(ends, DASHES, 1)
    x, y = axes.place(axes.right, score)
    axes.pen.text((x, y - 2), name, DASHES, ImageFont.load_default(12), "rd")


def draw_line(axes: Axes, line: Line, colour: Colour) -> None:
    """Draw a band and its mean."""
    steps, mean, low, high = line
    there = [axes.place(*point) for point in zip(steps, high, strict=True)]
    back = [axes.place(*point) for point in zip(steps, low, strict=True)][::-1]
    axes.pen.polygon(there + back, (*colour, 40))
    axes.pen.line([axes.place(*p) for p in zip(steps, mean, strict=True)], colour, 2)


def ticks(low: float, high: float) -> list[float]:
    """Return four to eight round numbers between two."""
    size = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = next(size * k for k in (1, 2, 5, 10) if (high - low) / (size * k) <= 8)
    return [step * i for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def short(steps: float) -> str:
    """Return a number of env steps as 200k or 1.5M."""
    size, letter = (1e6, "M") if steps >= 1e6 else (1e3, "k") if steps >= 1e3 else (1, "")
    return f"{steps / size:g}{letter}"


def draw_curves(groups: Sequence[Group]) -> UInt8[np.ndarray, "H W 3"] | None:
    """Return the picture of all games; None if no run has a curve."""
    lines = {
        (number, game): line
        for number, group in enumerate(groups)
        for game, results in group.games.items()
        if (line := line_of(results))
    }
    games = sorted({game for _, game in lines})
    if not games:
        return None
    envs = {result.game: result.env for group in groups for result in group.results}
    roms = {game: atari_ids().get(env, "") for game, env in envs.items()}
    columns = math.ceil(math.sqrt(len(games)))
    rows, legend = math.ceil(len(games) / columns), 22 * len(groups) + 16
    size = (PANEL_PX[0] * columns, PANEL_PX[1] * rows + legend)
    image = Image.new("RGB", size, "white")
    for i, game in enumerate(games):
        corner = (PANEL_PX[0] * (i % columns), legend + PANEL_PX[1] * (i // columns))
        of_game = {number: line for (number, name), line in lines.items() if name == game}
        draw_panel(image, corner, game, roms.get(game, ""), of_game)
    pen = ImageDraw.Draw(image)
    for number, group in enumerate(groups):
        y = 16 + 22 * number
        colour = COLOURS[number % len(COLOURS)]
        pen.line([(LEFT, y), (LEFT + 26, y)], colour, 3)
        pen.text((LEFT + 36, y), group.label, "black", ImageFont.load_default(14), "lm")
    return np.asarray(image)


def draw_panel(
    image: Image.Image, corner: tuple[int, int], game: str, rom: str, lines: dict[int, Line]
) -> None:
    """Draw one game's panel; `lines` by the number of the group."""
    low = min(float(line[2].min()) for line in lines.values())
    high = max(float(line[3].max()) for line in lines.values())
    human = RANDOM_AND_HUMAN[rom][1:] if rom in RANDOM_AND_HUMAN else ()
    shown = [score for score in human if score < high + (high - low)]
    low, high = min(low, *shown, low), max(high, *shown, high)
    gap = 0.06 * (high - low) or 1.0
    steps = max(float(line[0][-1]) for line in lines.values())
    (x, y), (width, height) = corner, PANEL_PX
    box = (x + LEFT, y + TOP, x + width - RIGHT, y + height - BOTTOM)
    pen = ImageDraw.Draw(image, "RGBA")
    axes = Axes(pen, box, right=max(steps, 1.0), low=low - gap, high=high + gap)
    draw_axes(axes, game)
    for score in shown:
        draw_level(axes, score, "human")
    for number, line in lines.items():
        draw_line(axes, line, COLOURS[number % len(COLOURS)])
