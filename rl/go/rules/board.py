"""The rules of Go, compiled: boards as records, moves, ko, suicide.

Letters: N points on a side, W = N + 2 points on a side with the frame around them, P = W * W.

A point is y * W + x, x and y from 1; 0 lies in the frame and stands for a pass. A colour is BLACK,
WHITE, or EMPTY; the frame is OUTSIDE. One record is one game, whatever its size, so an array of
records is a batch of games and a copy is an assignment.

A chain is a ring of points (`following`) that share a first point (`head`), and keeps at its head
the number, the sum and the sum of squares of its pseudo-liberties: empty points, counted once for
every stone of the chain beside them. The chain has one liberty exactly if number * squares =
sum * sum, so no move ever searches a chain.

Three rules of ko. Positional superko (Tromp-Taylor): no move may recreate an earlier board;
situational: no board with the same side to move; simple: not the board before the opponent's last
move. A pass is always allowed. Every legal move is looked up in the history, since it is not so
that only captures repeat a board (see the tests). Suicide of one stone is never allowed: it changes
nothing but whose turn it is.
"""

from typing import no_type_check

import numpy as np
from numba import njit

EMPTY, BLACK, WHITE, OUTSIDE = 0, 1, 2, 3
PASS = 0
SIMPLE, POSITIONAL, SITUATIONAL = 0, 1, 2
SMALLEST, LARGEST = 2, 19
POINTS = (LARGEST + 2) ** 2
MOST_PLIES = 1_600
BLOOM = 64  # words of 64 bits that say which boards cannot have been there

BOARD = np.dtype(
    [
        ("size", "i8"),
        ("ko_rule", "i8"),
        ("suicide", "i8"),
        ("to_play", "i8"),
        ("ply", "i8"),
        ("passes", "i8"),
        ("ko", "i8"),
        ("num_empty", "i8"),
        ("last", "i8", 8),
        ("captured", "i8", 3),
        ("colour", "i1", POINTS),
        ("head", "i2", POINTS),
        ("following", "i2", POINTS),
        ("stones", "i2", POINTS),
        ("libs", "i2", POINTS),
        ("sums", "i4", POINTS),
        ("squares", "i4", POINTS),
        ("empty", "i2", POINTS),
        ("place", "i2", POINTS),
        ("chain_key", "u8", POINTS),
        ("bloom", "u8", BLOOM),
        ("key", "u8"),
        ("history", "u8", MOST_PLIES + 1),
    ],
    align=True,
)
"""A game. `ko` is the point that simple ko forbids, `last` the latest points, newest first, -1 for
none, `captured` the stones that each colour has taken, `history` the keys of all boards so far.

What is given to compiled functions is int64: they would be compiled again for every other kind."""

KEYS = np.random.default_rng(20_260_801).integers(0, 2**64, (3, POINTS), np.uint64)
TURN = KEYS[0, 1]  # told apart from the same board with the other side to move


@njit(cache=True, nogil=True)
@no_type_check
def reset(board, size, ko_rule, suicide):
    """Empty a board."""
    width = size + 2
    board.size, board.ko_rule, board.suicide = size, ko_rule, suicide
    board.to_play, board.ply, board.passes, board.ko, board.num_empty = BLACK, 0, 0, PASS, 0
    board.last[:] = -1
    board.captured[:] = 0
    board.bloom[:] = 0
    for point in range(width * width):
        x, y = point % width, point // width
        inside = 0 < x <= size and 0 < y <= size
        board.colour[point] = EMPTY if inside else OUTSIDE
        board.head[point] = point
        if inside:
            board.place[point] = board.num_empty
            board.empty[board.num_empty] = point
            board.num_empty += 1
    board.key = np.uint64(0)
    remember(board)


@njit(cache=True, nogil=True)
@no_type_check
def situation(board, key, to_play):
    """Return what the rule of ko compares: the board, and perhaps who is to move."""
    if board.ko_rule == SITUATIONAL and to_play == WHITE:
        return key ^ TURN
    return key


@njit(cache=True, nogil=True)
@no_type_check
def remember(board):
    """Add the current board to the history."""
    key = situation(board, board.key, board.to_play)
    board.history[board.ply] = key
    board.bloom[(key >> np.uint64(6)) % np.uint64(BLOOM)] |= np.uint64(1) << (key & np.uint64(63))


@njit(cache=True, nogil=True)
@no_type_check
def give_turn(board, colour):
    """Give the turn to a colour, and record that in the history."""
    board.to_play = colour
    remember(board)


@njit(cache=True, nogil=True)
@no_type_check
def was_there(board, key):
    """Return whether the ko rule forbids a board of this key after the current player's move."""
    if board.ko_rule == SIMPLE:
        return board.ply > 0 and board.history[board.ply - 1] == key
    key = situation(board, key, 3 - board.to_play)
    word = board.bloom[(key >> np.uint64(6)) % np.uint64(BLOOM)]
    if (word >> (key & np.uint64(63))) & np.uint64(1) == np.uint64(0):
        return False
    for ply in range(board.ply, -1, -1):
        if board.history[ply] == key:
            return True
    return False


@njit(cache=True, nogil=True)
@no_type_check
def in_atari(board, head):
    """Say whether a chain has exactly one liberty."""
    total = np.int64(board.sums[head])
    return np.int64(board.libs[head]) * np.int64(board.squares[head]) == total * total


@njit(cache=True, nogil=True)
@no_type_check
def lives(board, point, colour):
    """Say whether a stone put on an empty point would have a liberty, captures counted."""
    width = board.size + 2
    for step in (-width, -1, 1, width):
        beside = point + step
        there = board.colour[beside]
        if there == EMPTY:
            return True
        if there != OUTSIDE and (there == colour) != in_atari(board, np.int64(board.head[beside])):
            return True
    return False


@njit(cache=True, nogil=True)
@no_type_check
def legal(board, point):
    """Return whether a move is legal for the player to move; a pass always is."""
    if point == PASS:
        return True
    if board.colour[point] != EMPTY:
        return False
    colour, width = board.to_play, board.size + 2
    key = board.key ^ KEYS[colour, point]
    # The chains that vanish: the opponent's, or if nothing lives our own.
    loser, alone = 3 - colour, True
    if not lives(board, point, colour):
        if not board.suicide:
            return False
        loser, key = colour, board.key
    steps = (-width, -1, 1, width)
    for i in range(4):
        beside = point + steps[i]
        if board.colour[beside] != loser or not in_atari(board, np.int64(board.head[beside])):
            continue
        alone, head, seen = False, np.int64(board.head[beside]), False
        for j in range(i):
            other = point + steps[j]
            seen |= board.colour[other] == loser and board.head[other] == head
        if not seen:
            key ^= board.chain_key[head]
    if loser == colour and alone:
        return False
    return not was_there(board, key)


@njit(cache=True, nogil=True)
@no_type_check
def merge(board, into, other):
    """Make one chain of two, named by their heads."""
    point = other
    while True:
        board.head[point] = into
        point = np.int64(board.following[point])
        if point == other:
            break
    board.following[into], board.following[other] = board.following[other], board.following[into]
    board.stones[into] += board.stones[other]
    board.libs[into] += board.libs[other]
    board.sums[into] += board.sums[other]
    board.squares[into] += board.squares[other]
    board.chain_key[into] ^= board.chain_key[other]


@njit(cache=True, nogil=True)
@no_type_check
def take_off(board, head):
    """Take a chain off the board; return its number of stones."""
    width, point, stones = board.size + 2, head, np.int64(board.stones[head])
    board.key ^= board.chain_key[head]
    board.captured[3 - board.colour[head]] += stones
    while True:
        board.colour[point], board.head[point] = EMPTY, point
        board.place[point] = board.num_empty
        board.empty[board.num_empty] = point
        board.num_empty += 1
        for step in (-width, -1, 1, width):
            # Empty points and the frame are their own heads; what is added there means nothing.
            beside = board.head[point + step]
            board.libs[beside] += 1
            board.sums[beside] += point
            board.squares[beside] += point * point
        point = np.int64(board.following[point])
        if point == head:
            break
    return stones


@njit(cache=True, nogil=True)
@no_type_check
def put(board, point, colour):
    """Put a stone on an empty point, remove what it captures; return how many stones that were.

    A suicide removes the player's own chain. Turn and history do not change.
    """
    width = board.size + 2
    board.num_empty -= 1
    last, place = board.empty[board.num_empty], board.place[point]
    board.empty[place], board.place[last] = last, place
    board.colour[point], board.head[point], board.following[point] = colour, point, point
    board.stones[point], board.chain_key[point] = 1, KEYS[colour, point]
    board.key ^= KEYS[colour, point]
    libs = sums = squares = 0
    for step in (-width, -1, 1, width):
        beside = point + step
        if board.colour[beside] == EMPTY:
            libs, sums, squares = libs + 1, sums + beside, squares + beside * beside
        else:
            head = board.head[beside]
            board.libs[head] -= 1
            board.sums[head] -= point
            board.squares[head] -= point * point
    board.libs[point], board.sums[point], board.squares[point] = libs, sums, squares
    died = 0
    for step in (-width, -1, 1, width):
        beside = point + step
        there = board.colour[beside]
        if there == colour:
            ours, theirs = np.int64(board.head[point]), np.int64(board.head[beside])
            if ours != theirs:
                if board.stones[ours] < board.stones[theirs]:
                    ours, theirs = theirs, ours
                merge(board, ours, theirs)
        elif there == 3 - colour and board.libs[board.head[beside]] == 0:
            died += take_off(board, np.int64(board.head[beside]))
    ours = np.int64(board.head[point])
    board.ko = PASS
    if board.libs[ours] == 0:
        return take_off(board, ours)
    if died == 1 and board.stones[ours] == 1 and board.libs[ours] == 1:
        board.ko = board.sums[ours]
    return died


@njit(cache=True, nogil=True)
@no_type_check
def turn(board, point):
    """Give the turn to the other colour after a move."""
    for i in range(7, 0, -1):
        board.last[i] = board.last[i - 1]
    board.last[0] = point
    board.passes = board.passes + 1 if point == PASS else 0
    board.to_play = 3 - board.to_play
    board.ply += 1


@njit(cache=True, nogil=True)
@no_type_check
def play(board, point):
    """Play a legal move, PASS included. The history must have room: `ply` < MOST_PLIES."""
    if point == PASS:
        board.ko = PASS
    else:
        put(board, point, board.to_play)
    turn(board, point)
    remember(board)


@njit(cache=True, nogil=True)
@no_type_check
def set_up(board, point, colour):
    """Put a stone on an empty point before the first move: the history begins with the result."""
    put(board, point, colour)
    board.captured[:], board.bloom[:], board.ply, board.ko = 0, 0, 0, PASS
    remember(board)


@njit(cache=True, nogil=True)
@no_type_check
def over(board):
    """Say whether two passes have ended the game, or the history is full."""
    return board.passes >= 2 or board.ply >= MOST_PLIES


@njit(cache=True, nogil=True)
@no_type_check
def bring(to, source, count):
    """Copy the first numbers of an array; a slice would take eight times as long to compile."""
    for i in range(count):
        to[i] = source[i]


@njit(cache=True, nogil=True)
@no_type_check
def copy(to, board, history):
    """Copy a game; without its history when that is not needed (playouts)."""
    to.size, to.ko_rule, to.suicide, to.to_play = (
        board.size,
        board.ko_rule,
        board.suicide,
        board.to_play,
    )
    to.ply, to.passes, to.ko, to.num_empty = board.ply, board.passes, board.ko, board.num_empty
    to.key = board.key
    points = (board.size + 2) * (board.size + 2)
    bring(to.colour, board.colour, points)
    bring(to.head, board.head, points)
    bring(to.following, board.following, points)
    bring(to.stones, board.stones, points)
    bring(to.libs, board.libs, points)
    bring(to.sums, board.sums, points)
    bring(to.squares, board.squares, points)
    bring(to.place, board.place, points)
    bring(to.chain_key, board.chain_key, points)
    bring(to.empty, board.empty, board.num_empty)
    bring(to.last, board.last, np.int64(8))
    bring(to.captured, board.captured, np.int64(3))
    if history:
        bring(to.bloom, board.bloom, np.int64(BLOOM))
        bring(to.history, board.history, board.ply + 1)


@njit(cache=True, nogil=True)
@no_type_check
def mark_legal(board, mask):
    """Set mask[y * N + x] where a move is legal, and mask[N * N] for the pass; return how many."""
    size, count = board.size, 1
    mask[: size * size] = False
    mask[size * size] = True
    for i in range(board.num_empty):
        point = np.int64(board.empty[i])
        if legal(board, point):
            mask[point_to_move(point, size)] = True
            count += 1
    return count


@njit(cache=True, nogil=True)
@no_type_check
def point_to_move(point, size):
    """Return the move, row * N + column from the top left or N * N for a pass, of a point."""
    if point == PASS:
        return size * size
    return (point // (size + 2) - 1) * size + point % (size + 2) - 1


@njit(cache=True, nogil=True)
@no_type_check
def move_to_point(move, size):
    """Return the point of a move."""
    if move == size * size:
        return PASS
    return (move // size + 1) * (size + 2) + move % size + 1
