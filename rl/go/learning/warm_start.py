"""Games of others to begin from: a folder of SGF files as rows for the window of positions.

Every move is a policy to learn. Who won, who owns the points and by how much is learnt only from
games that ended by two passes and whose result is what the board counts by area: there dead stones
were taken off by playing, so a count tells who owns what. Of all others the outcome is left out.
"""

from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from backbones.training.errors import UserError
from rl.go.games import sgf
from rl.go.learning.replay import pack, row_type
from rl.go.rules import area, board
from rl.go.rules.board import BLACK, EMPTY
from rl.go.rules.position import Position, result
from rl.go.search.mcts import planes_of


@dataclass
class Found:
    """The rows of a folder, and how many games and files they are from."""

    games: int = 0
    counted: int = 0
    """Games whose outcome is learnt too."""
    broken: int = 0
    other_sizes: int = 0
    rows: deque[Shaped[np.ndarray, "moves"]] = field(default_factory=deque)

    def line(self, folder: Path, size: int) -> str:
        """Return what was found, for people."""
        return (
            f"{folder}: {sum(map(len, self.rows)):,} positions of {self.games:,} games, "
            f"{self.counted:,} of them with their outcome; left out: {self.broken:,} that cannot "
            f"be read, {self.other_sizes:,} not {size} by {size}"
        )


def read_folder(folder: Path, size: int, most: int) -> tuple[Shaped[np.ndarray, "rows"], str]:
    """Return the last `most` rows of the games of a folder, by name, and a line for the log.

    Broken games, and games of other sizes, are skipped and counted. UserError if none is left.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder of games; --warm-start takes one with .sgf files")
    found, kept = Found(), 0
    for path in sorted(folder.rglob("*.sgf")):
        try:
            games = sgf.read(path)
        except UserError:
            found.broken += 1
            continue
        for root in games:
            rows = rows_of(root, size, found)
            if rows is not None:
                found.rows.append(rows)
                kept += len(rows)
        while kept - len(found.rows[0] if found.rows else ()) >= most > 0 and found.rows:
            kept -= len(found.rows.popleft())
    if not kept:
        raise UserError(f"no game to begin from in {found.line(folder, size)}")
    rows = np.concatenate(list(found.rows))[-most:]
    return rows, found.line(folder, size)


def rows_of(root: sgf.Node, size: int, found: Found) -> Shaped[np.ndarray, "moves"] | None:
    """Return a game's rows, and count it; None if it is broken, of another size or has no move."""
    planes, movers = [], []
    try:
        if sgf.size_of(root) != size:
            found.other_sizes += 1
            return None
        for position in sgf.replay(root):
            planes.append(planes_of(position))
            movers.append(position.to_play)
    except UserError:
        found.broken += 1
        return None
    moves = [move for _, move in position.moves]
    if not moves:
        return None
    rows = np.zeros(len(moves), row_type(size))
    pack(np.concatenate(planes[: len(moves)]), rows)
    rows["policy"][np.arange(len(moves)), moves] = 1
    rows["searched"] = 1
    found.games += 1
    if is_counted(root, position):
        found.counted += 1
        sign = np.where(np.array(movers[: len(moves)]) == BLACK, 1, -1).astype(np.int8)
        lead, black = position.score(), owners_of(position)
        rows["ended"], rows["value"], rows["score"] = 1, np.sign(lead) * sign, lead * sign
        rows["ownership"] = black[None] * sign[:, None]
    return rows


def is_counted(root: sgf.Node, position: Position) -> bool:
    """Return whether a game's result is what its last board counts by area, after two passes."""
    given = root.one("RE").strip().upper()
    return (
        position.over
        and position.rules.scoring == "area"
        and given == result(position.score()).upper()
    )


def owners_of(position: Position) -> Shaped[np.ndarray, "points"]:
    """Return who owns the points by area: 1 Black, -1 White, 0 nobody."""
    owned = np.empty(board.POINTS, np.int32)
    area.owners(position.board["colour"].copy(), position.size, owned)
    inside = owned[position.points()]
    return np.where(inside == EMPTY, 0, np.where(inside == BLACK, 1, -1)).astype(np.int8)
