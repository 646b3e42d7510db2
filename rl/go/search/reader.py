"""Reading: whether a chain of one or two liberties can be captured, and the moves that decide it.

Letters: D moves deep.

Attacker and defender take turns; the chain has escaped once it has three liberties and the attacker
is to move. The attacker may put it into atari as often as he likes (a ladder), and `quiet` times on
the way make another move beside its liberties (a net). A chain in atari has only two kinds of
defence, to extend and to capture what stands beside it in atari, and both are tried; after a quiet
move the defender tries all points about the liberties, and those of weak attackers beside the
chain. So what is said to be captured in a ladder is captured against any defence, but for threats
of ko elsewhere. A ko is not fought for: who may not retake plays elsewhere.

What surprises: the answer "not captured" also means that the budget of nodes was spent, which
`budget[0] < 0` tells.
"""

from typing import NamedTuple, no_type_check

import numpy as np
from numba import njit

from rl.go.rules.board import BOARD, EMPTY, copy, in_atari, lives, put

DEEPEST = 96  # a ladder across the board is 60 to 70 moves long
MOST_MOVES = 40
ALL = -1  # moves are tried
NO, YES, OPEN, NEW = 0, 1, 2, 3  # whether a chain is captured, so far as a position is read
ATTACKING, QUIET, NEXT, END, PASSING = range(5)  # columns of a frame


class Reader(NamedTuple):
    """The boards of the line that is read, and the moves that are tried in each."""

    boards: np.ndarray  # [D] BOARD: 0 is the position, not changed
    moves: np.ndarray  # [D, MOST_MOVES] i4
    libs: np.ndarray  # [D, 3] i4
    frames: np.ndarray  # [D, 5] i4: who is to move, quiet moves left, the move that is tried next
    budget: np.ndarray  # [1] i8: nodes that may still be read


def build_reader() -> Reader:
    """Return a reader; it is not for two threads at once."""
    return Reader(
        boards=np.zeros(DEEPEST, BOARD),
        moves=np.zeros((DEEPEST, MOST_MOVES), np.int32),
        libs=np.zeros((DEEPEST, 3), np.int32),
        frames=np.zeros((DEEPEST, 5), np.int32),
        budget=np.zeros(1, np.int64),
    )


@njit(cache=True, nogil=True)
@no_type_check
def liberties(board, head, found):
    """Write the liberties of a chain into `found` until that is full; return how many."""
    width, count, point = board.size + 2, 0, head
    while True:
        for step in (-width, -1, 1, width):
            beside = point + step
            if board.colour[beside] != EMPTY:
                continue
            known = False
            for i in range(count):
                known |= found[i] == beside
            if not known:
                found[count] = beside
                count += 1
                if count == len(found):
                    return count
        point = np.int64(board.following[point])
        if point == head:
            return count


@njit(cache=True, nogil=True)
@no_type_check
def push(board, point, colour, moves, count):
    """Add a move of a colour to a list unless it is there, is no move, or the list is full."""
    if board.colour[point] != EMPTY or point == board.ko or count == len(moves):
        return count
    for i in range(count):
        if moves[i] == point:
            return count
    if not lives(board, point, colour):
        return count
    moves[count] = point
    return count + 1


@njit(cache=True, nogil=True)
@no_type_check
def push_around(board, libs, colour, moves, count):
    """Add the points around two liberties."""
    width = board.size + 2
    for i in range(2):
        for step in (-width, -1, 1, width, -width - 1, -width + 1, width - 1, width + 1):
            count = push(board, libs[i] + step, colour, moves, count)
    return count


@njit(cache=True, nogil=True)
@no_type_check
def push_liberties_of_weak(board, head, colour, most, moves, count):
    """Add the liberties of the other colour's chains beside a chain that have at most so many."""
    width, point, theirs = board.size + 2, head, 3 - board.colour[head]
    found = np.empty(3, np.int32)
    while True:
        for step in (-width, -1, 1, width):
            beside = point + step
            if board.colour[beside] != theirs:
                continue
            other = np.int64(board.head[beside])
            if most == 1 and not in_atari(board, other):
                continue
            number = liberties(board, other, found)
            if number <= most:
                for i in range(number):
                    count = push(board, np.int64(found[i]), colour, moves, count)
        point = np.int64(board.following[point])
        if point == head:
            return count


@njit(cache=True, nogil=True)
@no_type_check
def openness(board, point):
    """Return how many points beside one are empty."""
    width, count = board.size + 2, 0
    for step in (-width, -1, 1, width):
        count += board.colour[point + step] == EMPTY
    return count


@njit(cache=True, nogil=True)
@no_type_check
def attacks(board, head, libs, number, quiet, moves):
    """Write the attacker's moves against a chain of one or two liberties; return how many.

    Those on its liberties come first; the others are quiet ones.
    """
    colour, count = 3 - board.colour[head], 0
    if number == 2 and openness(board, libs[1]) > openness(board, libs[0]):
        libs[0], libs[1] = libs[1], libs[0]  # the way into the open is closed first
    for i in range(number):
        count = push(board, np.int64(libs[i]), colour, moves, count)
    if number == 2 and quiet:
        count = push_around(board, libs, colour, moves, count)
        # Own chains beside it that are in atari may have to be saved first.
        count = push_liberties_of_weak(board, head, colour, 1, moves, count)
    return count


@njit(cache=True, nogil=True)
@no_type_check
def defences(board, head, libs, number, moves):
    """Write the moves that may save a chain; return how many: all of them if it is in atari."""
    colour = board.colour[head]
    count = push_liberties_of_weak(board, head, colour, number, moves, 0)
    for i in range(number):
        count = push(board, np.int64(libs[i]), colour, moves, count)
    if number > 1:
        count = push_around(board, libs, colour, moves, count)
    return count


@njit(cache=True, nogil=True)
@no_type_check
def begin(reader, depth, target):
    """List the moves at a depth; return OPEN, or whether the chain is captured if that is plain."""
    board, frame = reader.boards[depth], reader.frames[depth]
    head = np.int64(board.head[target])
    libs, moves = reader.libs[depth], reader.moves[depth]
    number = liberties(board, head, libs)
    if number >= 3:
        return NO
    if number == 1 and frame[ATTACKING]:
        return YES if libs[0] != board.ko else NO
    reader.budget[0] -= 1
    if reader.budget[0] < 0 or depth + 1 == len(reader.boards):
        reader.budget[0] = -1
        return NO
    frame[NEXT], frame[PASSING] = 0, 0
    if frame[ATTACKING]:
        frame[END] = attacks(board, head, libs, number, frame[QUIET], moves)
    else:
        frame[END] = defences(board, head, libs, number, moves)
    return OPEN


@njit(cache=True, nogil=True)
@no_type_check
def captured(reader, target, attacking, quiet, only):
    """Return whether the chain at a point is captured, by who is `attacking` or from its defence.

    `only` is the number of the one move to try, in the order of `attacks` and `defences`, or ALL. A
    capture that is found is one; that none is found may be for want of budget. Without recursion,
    since numba crashes when it loads functions that call themselves from the disk.
    """
    frames, depth, answer = reader.frames, 0, NEW
    frames[0, ATTACKING], frames[0, QUIET] = attacking, quiet
    while True:
        frame = frames[depth]
        if answer == NEW:
            answer = begin(reader, depth, target)
            if depth == 0 and only != ALL:
                frame[NEXT], frame[END] = only, only + 1
        elif answer == OPEN and frame[NEXT] == frame[END]:
            answer = NO if frame[ATTACKING] else YES
        elif answer == OPEN:
            point = np.int64(reader.moves[depth, frame[NEXT]])
            colour = np.int64(reader.boards[depth].colour[target])
            copy(reader.boards[depth + 1], reader.boards[depth], False)
            put(reader.boards[depth + 1], point, 3 - colour if frame[ATTACKING] else colour)
            libs = reader.libs[depth]
            frame[NEXT] += 1
            # An attack that is no atari is nothing if the chain survives even when it passes.
            frame[PASSING] = frame[ATTACKING] and point != libs[0] and point != libs[1]
            depth, answer = depth + 1, NEW
            frames[depth, ATTACKING] = frame[PASSING] or not frame[ATTACKING]
            frames[depth, QUIET] = 0 if frame[PASSING] else frame[QUIET]
        elif depth == 0:
            return answer == YES
        else:
            depth -= 1
            above = frames[depth]
            if above[PASSING] and answer == YES:
                above[PASSING], answer = 0, NEW
                depth += 1
                frames[depth, ATTACKING], frames[depth, QUIET] = 0, above[QUIET] - 1
            elif (answer == YES) != (above[ATTACKING] == 1):
                answer = OPEN  # who was to move has not succeeded by this one
