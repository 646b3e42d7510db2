"""The network's input planes of a position, and the eight symmetries of a board.

Letters: B positions, F planes, M points on a side of the network's room, N of a board (at most M),
A = N * N + 1 moves.

Planes are from the view of the player to move, uint8 like any picture, 255 for yes. Komi, the rules
and whether the last move was a pass are planes of one value, so one network plays with all of them.
A board smaller than the room stands at its top left; the last plane marks where it is.
"""

from typing import no_type_check

import numpy as np
from jaxtyping import Shaped
from numba import njit

from rl.go.rules.board import EMPTY, PASS, SIMPLE, SITUATIONAL, WHITE, legal

NAMES = (
    "own",
    "other",
    "one liberty",
    "two liberties",
    "three liberties",
    "last move",
    "last but one",
    "last but two",
    "illegal",
    "komi",
    "last was a pass",
    "suicide",
    "simple ko",
    "situational ko",
    "inside",
)
PLANES = len(NAMES)
YES = 255
KOMI_ZERO, KOMI_STEP = 128, 4  # grey of no komi, greys of a point: half points are told apart


@njit(cache=True, nogil=True)
@no_type_check
def liberties_to_three(board, head, stamps, stamp):
    """Return the liberties of a chain, 4 for four or more; stamps[P] marks what was counted."""
    width, count, point = board.size + 2, 0, head
    if board.libs[head] == 0:
        return 0
    while True:
        for step in (-width, -1, 1, width):
            beside = point + step
            if board.colour[beside] == EMPTY and stamps[beside] != stamp:
                stamps[beside] = stamp
                count += 1
                if count == 4:
                    return 4
        point = board.following[point]
        if point == head:
            return count


@njit(cache=True, nogil=True)
@no_type_check
def draw_planes(board, komi, planes, stamps):
    """Write planes[F, M, M] of a position; stamps[P] int32 is room that the caller clears once."""
    size, width, colour = board.size, board.size + 2, board.to_play
    planes[:] = 0
    mover_komi = komi if colour == WHITE else -komi
    grey = min(max(KOMI_ZERO + KOMI_STEP * mover_komi, 0), 255)
    passed = YES if board.ply and board.last[0] == PASS else 0
    suicide = YES if board.suicide else 0
    simple = YES if board.ko_rule == SIMPLE else 0
    situational = YES if board.ko_rule == SITUATIONAL else 0
    top = stamps[0]
    for y in range(size):
        for x in range(size):
            point = (y + 1) * width + x + 1
            planes[9, y, x], planes[10, y, x], planes[11, y, x] = grey, passed, suicide
            planes[12, y, x], planes[13, y, x], planes[14, y, x] = simple, situational, YES
            there = board.colour[point]
            if there == EMPTY:
                continue
            planes[0 if there == colour else 1, y, x] = YES
            if board.head[point] != point:
                continue
            top += 1
            libs = liberties_to_three(board, point, stamps, top)
            if libs == 4:
                continue
            stone = point
            while True:
                planes[1 + libs, stone // width - 1, stone % width - 1] = YES
                stone = board.following[stone]
                if stone == point:
                    break
    stamps[0] = top
    for i in range(3):
        point = board.last[i]
        if point > PASS:
            planes[5 + i, point // width - 1, point % width - 1] = YES


@njit(cache=True, nogil=True)
@no_type_check
def see(board, komi, planes, mask, stamps):
    """Write what a network needs of a position: planes[F, M, M], and mask[A] of the legal moves."""
    draw_planes(board, komi, planes, stamps)
    size = board.size
    mask[:] = False
    mask[size * size] = True
    for i in range(board.num_empty):
        point = np.int64(board.empty[i])
        y, x = point // (size + 2) - 1, point % (size + 2) - 1
        if legal(board, point):
            mask[y * size + x] = True
        else:
            planes[8, y, x] = YES


def turned(planes: Shaped[np.ndarray, "*B M M"], way: int) -> Shaped[np.ndarray, "*B M M"]:
    """Return planes turned in one of eight ways: mirrored if `way` >= 4, then `way` % 4 quarters.

    The whole room is turned, so only boards that fill it may be.
    """
    if way >= 4:
        planes = np.flip(planes, -1)
    return np.rot90(planes, way % 4, (-2, -1))


def turned_moves(size: int, way: int) -> np.ndarray:
    """Return for every move of a turned board the move it was: turned[i] = straight[these[i]].

    The pass stays where it is.
    """
    moves = turned(np.arange(size * size).reshape(size, size), way).ravel()
    return np.append(moves, size * size)


def straight_moves(size: int, way: int) -> np.ndarray:
    """Return the inverse: straight[i] = turned[these[i]]."""
    return np.argsort(turned_moves(size, way))
