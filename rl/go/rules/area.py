"""Who owns each point: Tromp-Taylor area, territory, and unconditionally alive groups.

Letters: P points with the frame, C chains, R regions. Points and colours as in
`rl/go/rules/board.py`.
"""

from typing import no_type_check

import numpy as np
from numba import njit

from rl.go.rules.board import BLACK, EMPTY, OUTSIDE, POINTS, WHITE


@njit(cache=True, nogil=True)
@no_type_check
def flood(colour, width, start, walls, number, labels, stack):
    """Label what is joined to `start` without crossing `walls` (1 << colour) with `number`.

    Return the colours (1 << colour) of the walls that it touches.
    """
    touched, count = 0, 1
    stack[0], labels[start] = start, number
    while count:
        count -= 1
        point = stack[count]
        for step in (-width, -1, 1, width):
            beside = point + step
            there = colour[beside]
            if there == OUTSIDE:
                continue
            if (walls >> there) & 1:
                touched |= 1 << there
            elif labels[beside] != number:
                labels[beside] = number
                stack[count] = beside
                count += 1
    return touched


@njit(cache=True, nogil=True)
@no_type_check
def owners(colour, size, owner):
    """Write into owner[P] who has each point by Tromp-Taylor: the stones' colours, the colour that
    alone reaches an empty point, EMPTY for one that both or none reach.
    """
    width = size + 2
    labels, stack = np.zeros(POINTS, np.int32), np.empty(POINTS, np.int32)
    number = 0
    for point in range(width * width):
        owner[point] = EMPTY
        if colour[point] == BLACK or colour[point] == WHITE:
            owner[point] = colour[point]
    walls = (1 << BLACK) | (1 << WHITE)
    for point in range(width * width):
        if colour[point] != EMPTY or labels[point]:
            continue
        number += 1
        touched = flood(colour, width, point, walls, number, labels, stack)
        if touched == 1 << BLACK or touched == 1 << WHITE:
            for other in range(width * width):
                if labels[other] == number:
                    owner[other] = BLACK if touched == 1 << BLACK else WHITE


@njit(cache=True, nogil=True)
@no_type_check
def area_score(board):
    """Return Black's points minus White's by Tromp-Taylor, without komi; all stones are alive."""
    owner = np.empty(POINTS, np.int32)
    owners(board.colour.copy(), board.size, owner)
    score = 0
    for point in range((board.size + 2) * (board.size + 2)):
        score += (owner[point] == BLACK) - (owner[point] == WHITE)
    return score


@njit(cache=True, nogil=True)
@no_type_check
def territory_score(board, dead):
    """Return Black's territory and prisoners minus White's, without komi, given dead[P].

    Dead stones are prisoners and their points territory; points that both colours reach are
    neutral. As in the Japanese rules, except that eyes in seki count here.
    """
    width = board.size + 2
    colour, owner = board.colour.copy(), np.empty(POINTS, np.int32)
    score = board.captured[BLACK] - board.captured[WHITE]
    for point in range(width * width):
        if dead[point] and (colour[point] == BLACK or colour[point] == WHITE):
            score += 1 if colour[point] == WHITE else -1
            colour[point] = EMPTY
    owners(colour, board.size, owner)
    for point in range(width * width):
        if colour[point] == EMPTY:
            score += (owner[point] == BLACK) - (owner[point] == WHITE)
    return score


@njit(cache=True, nogil=True)
@no_type_check
def pass_alive(board, owner):
    """Write into owner[P] the colour that keeps a point even if it always passes; else EMPTY.

    Benson 1976, Life in the game of Go: a chain is alive if two regions, each enclosed by chains
    that are alive, are vital to it: all their empty points are its liberties. Those regions belong
    to their colour too, with whatever stands in them.
    """
    width = board.size + 2
    owner[:] = EMPTY
    colours = board.colour.copy()
    for colour in (BLACK, WHITE):
        labels, stack = np.zeros(POINTS, np.int32), np.empty(POINTS, np.int32)
        regions = 0
        for point in range(width * width):
            there = board.colour[point]
            if there != colour and there != OUTSIDE and not labels[point]:
                regions += 1
                flood(colours, width, point, 1 << colour, regions, labels, stack)
        benson(board, colour, labels, regions, owner)


@njit(cache=True, nogil=True)
@no_type_check
def touches(board, point, head, colour):
    """Say whether a point is beside a chain."""
    width = board.size + 2
    for step in (-width, -1, 1, width):
        beside = point + step
        if board.colour[beside] == colour and board.head[beside] == head:
            return True
    return False


@njit(cache=True, nogil=True)
@no_type_check
def eyes(board, colour, labels, regions, number, heads):
    """Return for every chain and region [C, R + 1] whether the region borders the chain and all
    its empty points are liberties of the chain, and whether it borders it at all.

    number[P] is that of the chain by its head, heads[C] the heads.
    """
    width, chains = board.size + 2, len(heads)
    vital = np.ones((chains, regions + 1), np.bool_)
    borders = np.zeros((chains, regions + 1), np.bool_)
    for point in range(width * width):
        region = labels[point]
        if not region:
            continue
        for step in (-width, -1, 1, width):
            beside = point + step
            if board.colour[beside] == colour:
                borders[number[board.head[beside]], region] = True
        if board.colour[point] == EMPTY:
            for chain in range(chains):
                if vital[chain, region] and not touches(board, point, heads[chain], colour):
                    vital[chain, region] = False
    return vital & borders, borders


@njit(cache=True, nogil=True)
@no_type_check
def survivors(vital, borders):
    """Return which chains [C] and which regions [R + 1] are left when all chains with fewer than
    two vital regions, and with each the regions that it borders, have been taken away.
    """
    chains, regions = vital.shape
    alive, whole = np.ones(chains, np.bool_), np.ones(regions, np.bool_)
    changed = True
    while changed:
        changed = False
        for chain in range(chains):
            if alive[chain] and np.sum(vital[chain] & whole) < 2:
                alive[chain], changed = False, True
                whole &= ~borders[chain]
    return alive, whole


@njit(cache=True, nogil=True)
@no_type_check
def benson(board, colour, labels, regions, owner):
    """Mark one colour's living chains and their regions, labelled from 1, in owner[P]."""
    points = (board.size + 2) * (board.size + 2)
    number, heads = np.full(POINTS, -1, np.int32), np.empty(POINTS, np.int32)
    chains = 0
    for point in range(points):
        if board.colour[point] == colour and board.head[point] == point:
            number[point], heads[chains] = chains, point
            chains += 1
    vital, borders = eyes(board, colour, labels, regions, number, heads[:chains])
    alive, whole = survivors(vital, borders)
    for point in range(points):
        if board.colour[point] == colour and alive[number[board.head[point]]]:
            owner[point] = colour
        region = labels[point]
        if region and whole[region] and np.any(alive & vital[:, region]):
            owner[point] = colour
