"""What can be captured or saved in a position, and by which moves.

Letters: P points with the frame.

A chain counts only if who moves first decides its fate: what is lost or safe whoever moves makes no
move urgent, but to run with a lost chain loses its stones. Single stones are left to the playouts.
"""

from typing import no_type_check

import numpy as np
from numba import njit

from rl.go.rules.board import EMPTY, OUTSIDE, copy
from rl.go.search.reader import ALL, attacks, captured, defences, liberties

BUDGET = 600  # nodes of one question
QUIET = 1  # moves of an attack that are no atari
FEWEST = 2  # stones that are worth reading


@njit(cache=True, nogil=True)
@no_type_check
def judge(reader, board, gains):
    """Write into gains[P] the stones that each move of the player to move wins or saves, or loses
    (below 0).
    """
    copy(reader.boards[0], board, False)
    gains[:] = 0
    width = np.int64(board.size + 2)
    for point in range(width + 1, width * (width - 1) - 1):
        colour = board.colour[point]
        if colour == EMPTY or colour == OUTSIDE or board.head[point] != point:
            continue
        if board.stones[point] < FEWEST:
            continue
        number = liberties(board, point, reader.libs[0])
        if number >= 3:
            continue
        if colour == board.to_play:
            judge_own(reader, point, number, gains)
        else:
            judge_theirs(reader, point, number, gains)


@njit(cache=True, nogil=True)
@no_type_check
def judge_theirs(reader, head, number, gains):
    """Find the moves that capture a chain which could be saved."""
    reader.budget[0] = BUDGET
    if captured(reader, head, False, QUIET, ALL):
        return
    board, moves = reader.boards[0], reader.moves[0]
    stones = board.stones[head]
    count = attacks(board, head, reader.libs[0], number, QUIET, moves)
    for i in range(count):
        reader.budget[0] = BUDGET
        if captured(reader, head, True, QUIET, i):
            gains[moves[i]] = max(gains[moves[i]], stones)


@njit(cache=True, nogil=True)
@no_type_check
def judge_own(reader, head, number, gains):
    """Find the moves that save a chain which could be captured, or the vain ways to run."""
    reader.budget[0] = BUDGET
    if not captured(reader, head, True, QUIET, ALL):
        return
    board, moves = reader.boards[0], reader.moves[0]
    stones = board.stones[head]
    count = defences(board, head, reader.libs[0], number, moves)
    for i in range(count):
        reader.budget[0] = BUDGET
        lost = captured(reader, head, False, QUIET, i)
        if not lost and reader.budget[0] >= 0:
            gains[moves[i]] = max(gains[moves[i]], stones)
        elif lost and number == 1 and gains[moves[i]] <= 0:
            gains[moves[i]] = min(gains[moves[i]], -stones)
