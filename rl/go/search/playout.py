"""Random playouts, light or with simple heuristics; one random generator per game.

Letters: P points with the frame, G games.

Light: any move but suicide, a simple ko, or filling an eye of its own, as in libEGO. With
heuristics, after Gelly et al. 2006 (Modification of UCT with Patterns in Monte-Carlo Go,
https://inria.hal.science/inria-00117266): answer an atari, else play one of their 3 x 3 patterns
beside the last move, else anything that does not put itself into atari.

What surprises: moves are tried in order from a random place in the list of empty points, so a move
that follows many rejected ones is slightly more likely.
"""

from typing import no_type_check

import numpy as np
from numba import njit

from rl.go.rules.board import BLACK, EMPTY, OUTSIDE, PASS, WHITE, in_atari, lives, put
from rl.go.search import patterns

HEED_ATARI, HEED_PATTERN, ALLOW_SELF_ATARI = 0.9, 0.9, 0.3  # chances
PATTERNS = patterns.TABLE


@njit(cache=True, nogil=True)
@no_type_check
def random_below(rng, n):
    """Return a random integer of 0 to n - 1; rng[0] is the state, not 0 (Marsaglia 2003)."""
    x = rng[0]
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    rng[0] = x
    return np.int64(((x >> np.uint64(33)) * np.uint64(n)) >> np.uint64(31))


@njit(cache=True, nogil=True)
@no_type_check
def chance(rng, probability):
    """Return True with a probability."""
    return random_below(rng, np.int64(1 << 20)) < probability * (1 << 20)


@njit(cache=True, nogil=True)
@no_type_check
def is_eye(board, point, colour):
    """Return whether an empty point is an eye of a colour, which it should not fill."""
    width = board.size + 2
    for step in (-width, -1, 1, width):
        there = board.colour[point + step]
        if there != colour and there != OUTSIDE:
            return False
    others, edge = 0, 0
    for step in (-width - 1, -width + 1, width - 1, width + 1):
        there = board.colour[point + step]
        others += there == 3 - colour
        edge |= there == OUTSIDE
    return others + edge < 2


@njit(cache=True, nogil=True)
@no_type_check
def self_atari(board, point, colour):
    """Return whether a stone on an empty point would leave its chain with at most one liberty.

    A capturing move counts as having enough liberties.
    """
    width = board.size + 2
    only = PASS
    steps = (-width, -1, 1, width)
    for step in steps:
        beside = point + step
        there = board.colour[beside]
        if there == EMPTY:
            found = beside
        elif there == colour:
            head, near = np.int64(board.head[beside]), 0
            for other in steps:
                near += board.colour[point + other] == colour and board.head[point + other] == head
            libs = board.libs[head] - near
            if libs == 0:
                continue
            total = np.int64(board.sums[head]) - near * point
            squares = np.int64(board.squares[head]) - near * point * point
            if libs * squares != total * total:
                return False
            found = total // libs
        elif there != OUTSIDE and in_atari(board, np.int64(board.head[beside])):
            return False
        else:
            continue
        if only != PASS and only != found:
            return False
        only = found
    return True


@njit(cache=True, nogil=True)
@no_type_check
def atari_answers(board, last, colour, found):
    """Write into `found` the moves of `colour` that answer the last one by capturing its chain or
    by saving an own chain that it put into atari; return how many.
    """
    width, count = board.size + 2, np.int64(0)
    if board.colour[last] == 3 - colour and in_atari(board, np.int64(board.head[last])):
        head = np.int64(board.head[last])
        count = add(board, board.sums[head] // board.libs[head], colour, found, count)
    for step in (-width, -1, 1, width):
        beside = last + step
        if board.colour[beside] != colour or not in_atari(board, np.int64(board.head[beside])):
            continue
        head = np.int64(board.head[beside])
        flight = board.sums[head] // board.libs[head]
        if not self_atari(board, flight, colour):
            count = add(board, flight, colour, found, count)
        point = head
        while True:  # what stands beside the chain and is in atari itself
            for other in (-width, -1, 1, width):
                theirs = np.int64(board.head[point + other])
                if board.colour[point + other] == 3 - colour and in_atari(board, theirs):
                    taking = board.sums[theirs] // board.libs[theirs]
                    count = add(board, taking, colour, found, count)
            point = np.int64(board.following[point])
            if point == head:
                break
    return count


@njit(cache=True, nogil=True)
@no_type_check
def add(board, point, colour, found, count):
    """Write a move behind `count` others unless it is there already, a ko, or suicide."""
    if point == board.ko or count == len(found) or not lives(board, point, colour):
        return count
    for i in range(count):
        if found[i] == point:
            return count
    found[count] = point
    return count + 1


@njit(cache=True, nogil=True)
@no_type_check
def surroundings(board, point):
    """Return the colours of the eight points around, two bits each, in the patterns' order."""
    width, code = board.size + 2, 0
    for step in (-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1):
        code = (code << 2) | board.colour[point + step]
    return code


@njit(cache=True, nogil=True)
@no_type_check
def fits_pattern(board, point):
    """Say whether a move makes one of the 3 x 3 patterns."""
    return PATTERNS[surroundings(board, point)]


@njit(cache=True, nogil=True)
@no_type_check
def pattern_answers(board, last, colour, found):
    """Write into `found` the moves beside the last one that make a pattern; return how many."""
    width, count = board.size + 2, np.int64(0)
    for step in (-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1):
        point = last + step
        if board.colour[point] == EMPTY and fits_pattern(board, point):
            if not self_atari(board, point, colour):
                count = add(board, point, colour, found, count)
    return count


@njit(cache=True, nogil=True)
@no_type_check
def choose(board, colour, last, sense, rng, found):
    """Return the next move of a playout, PASS if all others are bad; `found` is room for 16."""
    if sense and last > PASS:
        count = np.int64(0)
        if chance(rng, HEED_ATARI):
            count = atari_answers(board, last, colour, found)
        if count == 0 and chance(rng, HEED_PATTERN):
            count = pattern_answers(board, last, colour, found)
        if count:
            return np.int64(found[random_below(rng, count)])
    empty, refused = board.num_empty, np.int64(PASS)
    if empty == 0:
        return np.int64(PASS)
    place = random_below(rng, empty)
    for _ in range(empty):
        point = np.int64(board.empty[place])
        place = place + 1 if place + 1 < empty else 0
        if point == board.ko or is_eye(board, point, colour) or not lives(board, point, colour):
            continue
        if sense and self_atari(board, point, colour) and not chance(rng, ALLOW_SELF_ATARI):
            refused = point
            continue
        return point
    # Nothing but self-atari is left: often a seki, better left alone.
    return np.int64(PASS) if sense else refused


@njit(cache=True, nogil=True)
@no_type_check
def play_out(board, sense, rng, found, first):
    """Play a game to its end, or for three moves a point; return the number of moves.

    The history is not updated, so do not continue the game by its rules on this board. `first[P]`
    is set to the colour that first played each point, where it is not set yet.
    """
    most = 3 * board.size * board.size
    colour, last, passes = board.to_play, board.last[0], board.passes
    for move in range(most):
        point = choose(board, colour, last, sense, rng, found)
        if point == PASS:
            passes += 1
            board.ko = PASS
            if passes >= 2:
                return move + 1
        else:
            passes = 0
            put(board, point, colour)
            if first[point] == EMPTY:
                first[point] = colour
        last, colour = point, 3 - colour
    return most


@njit(cache=True, nogil=True)
@no_type_check
def count_up(board, owner):
    """Return Black's points minus White's after a playout; write owner[P] (Black 1, White -1).

    An empty point belongs to a colour if all its neighbours are of that colour.
    """
    width, score = board.size + 2, 0
    for point in range(width + 1, width * (width - 1) - 1):
        there = board.colour[point]
        if there == OUTSIDE:
            continue
        if there == EMPTY:
            around = 0
            for step in (-width, -1, 1, width):
                around |= 1 << board.colour[point + step]
            black, white = (around >> BLACK) & 1, (around >> WHITE) & 1
        else:
            black, white = there == BLACK, there == WHITE
        owner[point] = np.int64(black) - np.int64(white)
        score += owner[point]
    return score
