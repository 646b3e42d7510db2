"""The review of a game of Go for one browser, in parts: it hears how far it is, and may leave.

A game comes from the board, or from a file of the person's, whose bytes are read by the same reader
as files are. What the browser gets is the whole game to step through: the board after each move,
Black's chance and lead, who will own each point, and what lost most.
"""

import time
from typing import Any

import numpy as np

from backbones.training.errors import UserError
from backbones.training.streams import printable
from rl.go.drawing import stars
from rl.go.engine import Limits
from rl.go.games import sgf
from rl.go.games.sgf_charset import decode
from rl.go.gtp.serve import ready_engine
from rl.go.review.annotate import LONGEST_LINE, annotate
from rl.go.review.judge import Judged, Review, judge_game, reviewed
from rl.go.rules.board import BLACK, WHITE
from rl.go.rules.position import Position, vertex

VISITS = 200  # simulations of each position
WORST = 3  # moves of each colour that are told
PART_S = 0.5
OWNED = 10  # steps from nobody's to somebody's
LONGEST_NAME = 40


def uploaded_game(text: str) -> sgf.Node:
    """Return the first game of an SGF file, its bytes as Latin-1; UserError if there is none."""
    try:
        data = text.encode("latin-1")
    except UnicodeEncodeError:
        raise UserError("not understood") from None
    content, note = decode(data)
    games = sgf.parse(content, "this file", note)
    if not games:
        raise UserError("this file has no game in it")
    return games[0]


class GoReview:
    """A review that goes on with each `part`."""

    def __init__(self, root: sgf.Node, engine: str, name: str) -> None:
        """`engine` is what `arcadia review` calls it, `name` what the person does. UserError for a
        game that is broken or empty, and for a board that the engine does not know."""
        if engine == "random":
            raise UserError("random has no opinion of a game; choose another engine")
        self.root, self.name, self.end = root, name, sgf.follow(root)
        if not self.end.moves:
            raise UserError("this game has no moves to review")
        blank = Position(self.end.size, self.end.komi, self.end.rules)
        player = ready_engine(engine, blank, Limits(visits=VISITS), memory_mb=64.0)
        self.judged, self.boards = list[Judged](), list[list[int]]()
        self.going = judge_game(root, player, VISITS)

    @property
    def progress(self) -> list[int]:
        """How many positions are judged, and of how many."""
        return [len(self.judged), len(self.end.moves) + 1]

    def part(self) -> bool:
        """Judge positions for a while; return whether there are more."""
        begin, points = time.monotonic(), self.end.points()
        for position, judged in self.going:
            self.judged.append(judged)
            self.boards.append(position.board["colour"][points].tolist())
            if time.monotonic() - begin > PART_S:
                return self.progress[0] < self.progress[1]
        return False

    def state(self) -> dict[str, Any]:
        """Return the finished review."""
        size, moves, judged = self.end.size, self.end.moves, self.judged
        review = Review(size, judged, list(reviewed(moves, judged)))
        told = sorted(
            (bad for colour in (BLACK, WHITE) for bad in review.worst(colour, WORST)),
            key=lambda bad: -bad.lost,
        )
        by = f"{self.name} of Arcadia, {VISITS} simulations a position"
        names = [printable(self.root.one(key, "?"))[:LONGEST_NAME] for key in ("PB", "PW")]
        result = printable(self.root.one("RE", ""))[:LONGEST_NAME]
        annotate(self.root, review, by=by, worst=WORST)
        return {
            "size": size,
            "stars": sorted(stars(size)),
            "names": names,
            "result": result,
            "by": by,
            "notes": self.end.notes,
            "boards": self.boards,
            "moves": [[colour, move] for colour, move in moves],
            "chance": [round(each.winrate, 3) for each in judged],
            "lead": [round(each.lead, 1) for each in judged],
            "ownership": [owned(each) for each in judged],
            "best": [each.best.move if each.best else -1 for each in judged],
            "worst": [
                {
                    "number": bad.number,
                    "colour": bad.colour,
                    "name": vertex(bad.move, size),
                    "lost": round(bad.lost, 1),
                    "chance_lost": round(bad.chance_lost, 3),
                    "better": [
                        vertex(move, size)
                        for move in (bad.better.line[:LONGEST_LINE] if bad.better else [])
                    ],
                }
                for bad in told
            ],
            "sgf": sgf.write(self.root),
        }


def owned(judged: Judged) -> list[int] | None:
    """Return who will own each point, from -OWNED (White) to OWNED (Black); None if unknown."""
    if judged.ownership is None:
        return None
    return np.round(OWNED * judged.ownership).astype(int).tolist()  # type: ignore[no-any-return]
