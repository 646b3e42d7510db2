"""Boards as pictures, for TensorBoard: stones, the last move, and who is expected to own what.

Letters: P pixels on a side, T positions, N points on a side.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from rl.go.drawing import stars
from rl.go.rules.board import BLACK, EMPTY
from rl.go.rules.position import Position
from rl.go.rules.ruleset import Rules

CELL = 24  # pixels
WOOD, INK = (222, 184, 120), (60, 40, 20)
BLACK_STONE, WHITE_STONE, RED = (15, 15, 15), (248, 248, 248), (200, 30, 30)


def board_picture(
    position: Position, ownership: Float[np.ndarray, "points"] | None = None
) -> UInt8[np.ndarray, "P P 3"]:
    """Return a picture of a position; `ownership` is 1 where Black, -1 where White owns a point,
    and a square in its shade stands there.
    """
    size = position.size
    image = Image.new("RGB", (CELL * size, CELL * size), WOOD)
    draw = ImageDraw.Draw(image)
    first, last = CELL // 2, CELL * size - CELL // 2
    for line in range(first, last + 1, CELL):
        draw.line((first, line, last, line), INK)
        draw.line((line, first, line, last), INK)
    marked, latest = stars(size), position.moves[-1][1] if position.moves else -1
    for move in range(size * size):
        y, x = (CELL * part + CELL // 2 for part in divmod(move, size))
        there = position.at(move)
        if there != EMPTY:
            stone = BLACK_STONE if there == BLACK else WHITE_STONE
            disc(draw, x, y, CELL // 2 - 2, stone)
            if move == latest:
                disc(draw, x, y, CELL // 8, RED)
        elif move in marked:
            disc(draw, x, y, 2, INK)
        if ownership is not None:
            owned = float(np.clip(ownership[move], -1, 1))
            shade = BLACK_STONE if owned > 0 else WHITE_STONE
            half = round(CELL / 5 * abs(owned))
            if half:
                draw.rectangle((x - half, y - half, x + half, y + half), shade, INK)
    return np.asarray(image)


def disc(draw: ImageDraw.ImageDraw, x: int, y: int, radius: int, fill: tuple[int, ...]) -> None:
    """Draw a disc round a point."""
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill)


def game_frames(
    size: int, komi: float, moves: Sequence[int], *, suicide: bool = False
) -> UInt8[np.ndarray, "T P P 3"]:
    """Return a picture of the board after every move of a game, the last one three times."""
    position = Position(size, komi, Rules(suicide=suicide))
    frames = []
    for move in moves:
        position.play(move)
        frames.append(board_picture(position))
    return np.stack([*frames, *frames[-1:], *frames[-1:]])
