"""Tactical positions of 19 by 19, and the moves that solve them.

They stood in games of our own player, so other stones are about them. Each turns on one chain that
is captured or saved by who moves first, and the answers are all moves near it that do so; nothing
else of two stones or more is at stake. `tests/rl/go/problems` reads all of them again with a slow
reader of its own, and has the program that collected them.

A problem is a line with its kind, who is to move and the answers, then a line of each colour's
stones; points are SGF's letters, column and row from the top left.
"""

from dataclasses import dataclass

from rl.go.games.sgf import read_point
from rl.go.problems.collected import COLLECTED
from rl.go.rules.board import BLACK, WHITE
from rl.go.rules.position import Position

SIZE, KOMI = 19, 7.5
COLOURS = {"X": BLACK, "O": WHITE}


@dataclass(frozen=True)
class Problem:
    """A position, with the moves that solve it."""

    kind: str
    to_play: int
    answers: frozenset[int]
    target: int
    """A stone of the chain that is at stake."""
    stones: tuple[tuple[int, int], ...]
    """Colours and moves."""

    def position(self) -> Position:
        """Return the position; no move has been played in it."""
        position = Position(SIZE, KOMI)
        position.set_up(self.stones)
        position.whose(self.to_play)
        return position


def moves_of(text: str) -> list[int]:
    """Return the moves of points that are written one behind the other."""
    points = [read_point(text[i : i + 2], SIZE) for i in range(0, len(text), 2)]
    return [point for point in points if point is not None]


def read_problem(text: str) -> Problem:
    """Return the problem of a paragraph; ValueError if it is none."""
    head, *lines = text.split("\n")
    kind, to_play, target, answers = (part.strip() for part in head.split("|"))
    stones = [
        (COLOURS[line[0]], move) for line in lines for move in moves_of(line[1:].replace(" ", ""))
    ]
    return Problem(
        kind, COLOURS[to_play], frozenset(moves_of(answers)), moves_of(target)[0], tuple(stones)
    )


PROBLEMS = [read_problem(text) for text in COLLECTED.strip().split("\n\n")]
