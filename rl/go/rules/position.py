"""A game of Go for people and programs: moves by number, rules by name, undo, scores.

Letters: N points on a side.

A move is row * N + column from the top left, or N * N for a pass. People and GTP write D4: the
column's letter, without I, and the row counted from below.
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Float

from backbones.training.errors import UserError
from rl.go.rules import area, board
from rl.go.rules.board import BLACK, EMPTY, LARGEST, SMALLEST, WHITE
from rl.go.rules.ruleset import NAMED_RULES, Rules, read_rules

LETTERS = "ABCDEFGHJKLMNOPQRST"
KO_RULES = {
    "simple": board.SIMPLE,
    "positional": board.POSITIONAL,
    "situational": board.SITUATIONAL,
}
LARGEST_KOMI = 1_000.0


class IllegalMove(UserError):
    """A move that the rules forbid."""


def colour_name(colour: int) -> str:
    """Return black or white."""
    return "black" if colour == BLACK else "white"


def vertex(move: int, size: int) -> str:
    """Return a move as people write it: D4, or pass."""
    if move == size * size:
        return "pass"
    return f"{LETTERS[move % size]}{size - move // size}"


def read_vertex(text: str, size: int) -> int:
    """Return the move that is written D4 or pass; UserError if there is no such point."""
    word = text.strip().upper()
    if word == "PASS":
        return size * size
    column, row = LETTERS[:size].find(word[:1]), word[1:]
    if not word or column < 0 or not (row.isascii() and row.isdigit()) or len(row) > 2:
        raise UserError(f"{text!r} is not a point such as {vertex(size + 1, size)}, or pass")
    if not 1 <= int(row) <= size:
        raise UserError(f"{text!r} is outside this board of {size} by {size}")
    return (size - int(row)) * size + column


def check_size(size: int) -> int:
    """Return a size; UserError if no board has it."""
    if not SMALLEST <= size <= LARGEST:
        raise UserError(f"a board of {size} by {size}; sizes go from {SMALLEST} to {LARGEST}")
    return size


def check_komi(komi: float) -> float:
    """Return a komi; UserError if it is infinite, not a number, or too large."""
    if not abs(komi) <= LARGEST_KOMI:
        raise UserError(f"komi = {komi:g} must be between {-LARGEST_KOMI:g} and {LARGEST_KOMI:g}")
    return komi


def named_rules(name: str) -> Rules:
    """Return the rules of a name, or of a form of KataGo's; UserError if there are none."""
    return NAMED_RULES[name] if name in NAMED_RULES else read_rules(name)


def most_handicap(size: int) -> int:
    """Return how many stones a fixed handicap has at most; 0: boards of this size have none."""
    return 0 if size < 7 else 4 if size % 2 == 0 or size == 7 else 9


def handicap_points(size: int, stones: int) -> list[int]:
    """Return the fixed points of a handicap, as GTP lists them; UserError if there are too few."""
    edge = 3 if size >= 13 else 2
    low, mid, high = edge, size // 2, size - 1 - edge
    most = most_handicap(size)
    if not 2 <= stones <= most:
        raise UserError(
            f"a handicap of {stones} on {size} by {size}: 2 to {most} are fixed"
            if most
            else f"{size} by {size} has no fixed handicap"
        )
    # Columns from the left, rows from below.
    corners = [(low, low), (high, high), (low, high), (high, low)]
    sides = [(low, mid), (high, mid), (mid, low), (mid, high)]
    points = [*corners[: min(stones, 4)], *(sides[: (stones - 4) // 2 * 2] if stones > 4 else [])]
    if stones in (5, 7, 9):
        points.append((mid, mid))
    return [(size - 1 - row) * size + column for column, row in points]


class Position:
    """A game's current position, with its moves and setup."""

    def __init__(self, size: int = 9, komi: float = 7.0, rules: Rules | None = None) -> None:
        self.size, self.komi = check_size(size), komi
        self.rules = rules or Rules()
        self.stones: list[tuple[int, int]] = []  # colour and move, there before the first move
        self.moves: list[tuple[int, int]] = []
        self.first = BLACK  # who begins, unless the first move says otherwise
        self.notes: list[str] = []  # what was assumed where the game was read from a file
        self.games = np.zeros(1, board.BOARD)
        self.rebuild()

    @property
    def board(self) -> np.void:
        """The record of `rl/go/rules/board.py`."""
        return self.games[0]  # type: ignore[no-any-return]

    @property
    def pass_move(self) -> int:
        """The number of the pass, N * N."""
        return self.size * self.size

    @property
    def to_play(self) -> int:
        """BLACK or WHITE."""
        return int(self.board["to_play"])

    @property
    def over(self) -> bool:
        """Whether two passes have ended the game, or its history is full."""
        return bool(board.over(self.board))

    def rebuild(self) -> None:
        """Replay the game from the empty board."""
        rules = self.rules
        board.reset(self.board, self.size, KO_RULES[rules.ko], int(rules.suicide))
        for colour, move in self.stones:
            board.set_up(self.board, board.move_to_point(move, self.size), colour)
        board.give_turn(self.board, self.first)
        for colour, move in self.moves:
            self.whose(colour)
            board.play(self.board, board.move_to_point(move, self.size))

    def copy(self) -> "Position":
        """Return an independent copy."""
        other = Position(self.size, self.komi, self.rules)
        other.stones, other.moves = list(self.stones), list(self.moves)
        other.first, other.notes = self.first, list(self.notes)
        other.games[:] = self.games
        return other

    def at(self, move: int) -> int:
        """Return the colour on a point, EMPTY, BLACK or WHITE."""
        return int(self.board["colour"][board.move_to_point(move, self.size)])

    def whose(self, colour: int) -> None:
        """Give the turn to a colour."""
        if not self.moves:
            self.first = colour
        board.give_turn(self.board, colour)

    def legal(self, move: int) -> bool:
        """Return whether a move is legal."""
        return bool(board.legal(self.board, board.move_to_point(move, self.size)))

    def legal_moves(self) -> Bool[np.ndarray, "moves"]:
        """Return for each of the N * N + 1 moves whether it is legal."""
        mask = np.zeros(self.pass_move + 1, bool)
        board.mark_legal(self.board, mask)
        return mask

    def play(self, move: int, colour: int = EMPTY, *, forced: bool = False) -> None:
        """Play a move, of `colour` if it is not the next player's; IllegalMove says why not.

        A `forced` move need only be legal under some rules of ko and suicide, not under these.
        """
        before = self.to_play
        colour = colour or before
        if self.board["ply"] >= board.MOST_PLIES:
            raise IllegalMove(f"a game ends after {board.MOST_PLIES:,} moves")
        self.whose(colour)
        if not forced and not self.legal(move):
            self.whose(before)
            raise IllegalMove(f"{colour_name(colour)} {vertex(move, self.size)}: {self.why(move)}")
        board.play(self.board, board.move_to_point(move, self.size))
        self.moves.append((colour, move))

    def why(self, move: int) -> str:
        """Return the reason why a move is illegal."""
        if self.at(move) != EMPTY:
            return "a stone stands there"
        point = board.move_to_point(move, self.size)
        if not board.lives(self.board, point, self.to_play) and not self.rules.suicide:
            return "suicide"
        return f"the board was there before ({self.rules.ko} ko), or the stone would vanish alone"

    def undo(self) -> None:
        """Take the last move back; UserError if there is none."""
        if not self.moves:
            raise UserError("there is no move to take back")
        colour, _ = self.moves.pop()
        self.rebuild()
        self.whose(colour)

    def set_up(self, stones: Iterable[tuple[int, int]], removed: Iterable[int] = ()) -> None:
        """Put stones, (colour, move) each, before the first move, once what stands at `removed` has
        been taken away; UserError if they do not fit."""
        if self.moves:
            raise UserError("stones are set up before the first move")
        before, gone = self.stones, set(removed)
        self.stones = [*(stone for stone in before if stone[1] not in gone), *stones]
        points = [move for _, move in self.stones]
        fits = len(points) == len(set(points)) and all(0 <= m < self.pass_move for m in points)
        if fits:
            self.rebuild()
            fits = all(self.at(move) == colour for colour, move in self.stones)
        if not fits:
            self.stones = before
            self.rebuild()
            raise UserError("stones to set up must stand on different points and have liberties")

    def give_handicap(self, moves: Iterable[int]) -> None:
        """Put Black's handicap on the board, after which White begins; UserError as in `set_up`."""
        self.set_up((BLACK, move) for move in moves)
        self.whose(WHITE)

    @property
    def handicap(self) -> int:
        """How many stones Black was given; 0 if the stones set up are no handicap."""
        blacks = sum(colour == BLACK for colour, _ in self.stones)
        return blacks if self.first == WHITE and blacks == len(self.stones) else 0

    def score(self, dead: Iterable[int] = ()) -> float:
        """Return Black's points minus White's and komi, with the stones at `dead` removed.

        With area scoring all other stones are alive; with territory scoring passes cost nothing.
        """
        mask = np.zeros(board.POINTS, bool)
        mask[[board.move_to_point(move, self.size) for move in dead]] = True
        if self.rules.scoring == "territory":
            return float(area.territory_score(self.board, mask)) - self.komi
        owned = np.empty(board.POINTS, np.int32)
        colour = np.where(mask & (self.board["colour"] < 3), EMPTY, self.board["colour"])
        area.owners(colour.astype(np.int8), self.size, owned)
        inside = owned[self.points()]
        return float((inside == BLACK).sum() - (inside == WHITE).sum()) - self.komi

    def points(self) -> np.ndarray:
        """Return the points of all moves but the pass, in the moves' order."""
        rows, columns = np.divmod(np.arange(self.pass_move), self.size)
        return (rows + 1) * (self.size + 2) + columns + 1

    def alive_for_ever(self) -> np.ndarray:
        """Return, for each point, the colour that keeps it even if it always passes; else EMPTY."""
        owner = np.empty(board.POINTS, np.int32)
        area.pass_alive(self.board, owner)
        return owner[self.points()]

    def dead_stones(self, ownership: Float[np.ndarray, "points"]) -> list[int]:
        """Return the stones on points that the other colour is expected to own.

        `ownership` is 1 where Black, -1 where White will own a point. A chain is judged as one.
        """
        heads, points = self.board["head"], self.points()
        dead = []
        for head in set(heads[points].tolist()):
            chain = np.flatnonzero(heads[points] == head)
            colour = int(self.board["colour"][head])
            sign = {BLACK: 1, WHITE: -1, EMPTY: 0}.get(colour, 0)
            if sign * ownership[chain].mean() < 0:
                dead += chain.tolist()
        return sorted(dead)

    def __str__(self) -> str:
        marks = {EMPTY: ".", BLACK: "X", WHITE: "O"}
        letters = "   " + " ".join(LETTERS[: self.size])
        rows = []
        for row in range(self.size):
            stones = " ".join(marks[self.at(row * self.size + x)] for x in range(self.size))
            rows.append(f"{self.size - row:2} {stones} {self.size - row}")
        return "\n".join([letters, *rows, letters])


def result(score: float) -> str:
    """Return a score as SGF and GTP write it: B+3.5, W+0.5 or 0."""
    return "0" if score == 0 else f"{'B' if score > 0 else 'W'}+{abs(score):g}"
