"""The 3 x 3 patterns of MoGo's playouts, as a table over all surroundings of a point.

Gelly et al. 2006 (https://inria.hal.science/inria-00117266), figures 3 to 6: hane, cuts, and moves
at the edge, around the point that is to be played, from the side of X.

    X, O    a stone of the player to move, of the opponent; patterns also match with colours swapped
    .       empty          ?       anything but the edge
    x, o    not X, not O   #       the edge
"""

from itertools import product

import numpy as np

EMPTY, MINE, THEIRS, EDGE = 0, 1, 2, 3  # the numbers of colours on a board

SHAPES = """
X O X   X O .   X O ?   . O .   X O ?   X O ?   ? O ?   O X ?   X . ?   O X ?   ? X ?   ? O X
. * .   . * .   X * .   X * .   O * o   O * X   X * X   o * O   O * ?   X * O   x * O   X * O
? ? ?   ? . ?   x . ?   . . .   ? o ?   ? ? ?   x x x   ? ? ?   # # #   # # #   # # #   # # #
"""
MEANS = {
    "X": {MINE},
    "O": {THEIRS},
    ".": {EMPTY},
    "#": {EDGE},
    "?": {EMPTY, MINE, THEIRS},
    "x": {EMPTY, THEIRS},
    "o": {EMPTY, MINE},
}


def squares() -> list[np.ndarray]:
    """Return the shapes as 3 x 3 arrays of letters."""
    rows = [line.split() for line in SHAPES.split("\n") if line]
    return [np.array([row[3 * i : 3 * i + 3] for row in rows]) for i in range(len(rows[0]) // 3)]


def turned(shape: np.ndarray) -> list[np.ndarray]:
    """Return a shape in all eight positions."""
    quarters = [np.rot90(shape, k) for k in range(4)]
    return [*quarters, *(quarter.T for quarter in quarters)]


def table() -> np.ndarray:
    """Return bool [65536]: whether any pattern matches these surroundings.

    The eight colours, from the top left by rows, are two bits each, the first the highest.
    """
    found = np.zeros(1 << 16, bool)
    swapped = {EMPTY: EMPTY, MINE: THEIRS, THEIRS: MINE, EDGE: EDGE}
    for shape in {tuple(t.flatten()) for square in squares() for t in turned(square)}:
        letters = [letter for letter in shape if letter != "*"]
        for around in product(*(sorted(MEANS[letter]) for letter in letters)):
            for seen in (around, [swapped[v] for v in around]):
                found[int("".join(f"{v:02b}" for v in seen), 2)] = True
    return found


TABLE = table()
