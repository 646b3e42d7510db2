"""Players that choose moves by playouts or at random; that with a network is in `search/mcts.py`.

A player searches a position in parts, so that its caller can stop, report or look at the clock
between them: each `search` adds simulations, `thoughts` returns the result so far.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Shaped

from rl.go.rules import board
from rl.go.rules.board import POINTS
from rl.go.rules.position import Position
from rl.go.search import rave
from rl.go.search.playout import is_eye
from rl.go.search.reader import build_reader

LONGEST_LINE = 16  # moves of a variation that is shown


@dataclass(frozen=True)
class Candidate:
    """The search's result for one move, from the view of the player who makes it."""

    move: int
    visits: int
    winrate: float
    score: float
    prior: float
    line: list[int]
    """The principal variation, this move first."""


@dataclass(frozen=True)
class Thoughts:
    """The search's result for a position, from the view of the player to move; best move first."""

    visits: int
    winrate: float
    score: float
    """Points that the player to move leads by, komi included."""
    candidates: list[Candidate]
    ownership: Float[np.ndarray, "points"] = field(repr=False)
    """1 where Black will own a point, -1 where White will."""

    @property
    def best(self) -> Candidate:
        """The move to play."""
        return self.candidates[0]

    def with_best(self, move: int, winrate: float, score: float) -> "Thoughts":
        """Return a copy with another best move, and the winrate and score now expected of it."""
        found = [each for each in self.candidates if each.move == move]
        visits, prior = (found[0].visits, found[0].prior) if found else (0, 0.0)
        best = Candidate(move, visits, winrate, score, prior, [move])
        others = [each for each in self.candidates if each.move != move]
        return replace(self, winrate=winrate, score=score, candidates=[best, *others])


@runtime_checkable
class Player(Protocol):
    """What an engine needs of a player."""

    name: str

    def search(self, position: Position, count: int) -> None:
        """Search a position with `count` more simulations."""

    def thoughts(self, position: Position) -> Thoughts:
        """Return the result of the search; `position` is the one that was searched last."""

    def lead(self, position: Position) -> int:
        """Return how many visits the best move is ahead of the next; cheaper than `thoughts`."""

    def forget(self) -> None:
        """Drop the tree: a new game begins, or the rules have changed."""


def ahead(visits: Shaped[np.ndarray, "moves"]) -> int:
    """Return how far the largest number is ahead of the second, or of 0."""
    two = np.sort(np.append(visits, (0, 0)))[-2:]
    return int(two[1] - two[0])


def follows(position: Position, before: Position | None) -> list[int] | None:
    """Return the moves that lead from one position to another; None if it is no continuation."""
    if before is None or before.size != position.size or before.komi != position.komi:
        return None
    if before.rules != position.rules or before.stones != position.stones:
        return None
    count = len(before.moves)
    if position.moves[:count] != before.moves:
        return None
    colours = [before.to_play, *(3 - colour for colour, _ in position.moves[count:])]
    played = [*(colour for colour, _ in position.moves[count:]), position.to_play]
    return [move for _, move in position.moves[count:]] if colours == played else None


class RandomPlayer:
    """Plays any legal move that fills no eye of its own; passes when there is none."""

    name = "random"

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)

    def forget(self) -> None:
        """Do nothing: there is no tree."""

    def search(self, position: Position, count: int) -> None:
        """Do nothing: moves are chosen at random."""

    def lead(self, position: Position) -> int:
        """Return 0: no move has visits."""
        return 0

    def thoughts(self, position: Position) -> Thoughts:
        """Return one candidate."""
        mask, size = position.legal_moves(), position.size
        mask[position.pass_move] = False
        moves = [
            int(m)
            for m in np.flatnonzero(mask)
            if not is_eye(position.board, board.move_to_point(m, size), position.to_play)
        ]
        move = int(self.rng.choice(moves)) if moves else position.pass_move
        chosen = Candidate(move, 0, 0.5, 0.0, 1 / max(len(moves), 1), [move])
        return Thoughts(0, 0.5, 0.0, [chosen], np.zeros(position.pass_move))


class PlayoutPlayer:
    """Monte-Carlo tree search by playouts; see `rl/go/search/rave.py`."""

    def __init__(
        self,
        *,
        seed: int = 0,
        memory_mb: float = 256.0,
        heuristics: bool = True,
        expand_at: int = 4,
    ) -> None:
        """`heuristics` adds RAVE, priors and sensible playouts; without, it is plain UCT.
        `expand_at` is the number of visits after which a node gets its edges.
        """
        self.name = "playouts" if heuristics else "uct"
        self.memory_mb, self.heuristics, self.expand_at = memory_mb, heuristics, expand_at
        self.rng = np.random.default_rng(seed).integers(1, 2**63, 1, np.uint64)
        self.games = np.zeros(1, board.BOARD)
        self.room = np.zeros((5, POINTS), np.int32)
        self.reader = build_reader()
        self.owned = np.zeros(POINTS, np.int64)
        self.ends = 0  # playouts that `owned` adds up
        self.root: Position | None = None
        self.tree: rave.Tree | None = None
        self.spare: rave.Tree | None = None

    def forget(self) -> None:
        self.root = None

    def search(self, position: Position, count: int) -> None:
        tree = self.tree_of(position)
        self.ends += count
        rave.search(
            tree.nodes,
            tree.edges,
            tree.used,
            position.board,
            self.games[0],
            position.komi,
            self.heuristics,
            self.heuristics,
            self.expand_at,
            self.rng,
            self.room,
            self.reader,
            self.owned,
            count,
        )

    def tree_of(self, position: Position) -> rave.Tree:
        """Return the tree of a position, reused if the position follows from the last one."""
        moves = follows(position, self.root)
        if self.tree is None or self.root is None or self.root.size != position.size:
            # Half of the memory is the room to which a part of the tree is moved.
            self.tree = rave.Tree.of_megabytes(self.memory_mb / 2, position.size)
            self.spare = rave.Tree.of_megabytes(self.memory_mb / 2, position.size)
            moves = None
        if moves is None:
            self.tree.clear()
        elif moves:
            self.descend(moves, position.size)
        if moves != []:
            self.owned[:], self.ends = 0, 0
            self.root = position.copy()
        return self.tree

    def descend(self, moves: list[int], size: int) -> None:
        """Keep only what lies below moves."""
        tree, spare = self.tree, self.spare
        assert tree and spare
        node = 1
        for move in moves:
            edges = tree.edges_of(node)
            found = edges["child"][edges["point"] == board.move_to_point(move, size)]
            node = int(found[0]) if len(found) else 0
            if node == 0:
                tree.clear()
                return
        rave.reroot(tree.nodes, tree.edges, tree.used, node, spare.nodes, spare.edges, spare.used)
        self.tree, self.spare = spare, tree

    def lead(self, position: Position) -> int:
        return ahead(self.tree_of(position).edges_of(1)["visits"])

    def thoughts(self, position: Position) -> Thoughts:
        tree = self.tree_of(position)
        root, edges = tree.nodes[1], tree.edges_of(1)
        order = np.lexsort((edges["half_wins"], edges["visits"]))[::-1]
        total = max(float(edges["visits"].sum()), 1.0)
        priors = edges["prior_wins"] + 1e-3
        candidates = [
            self.candidate(tree, edges[i], float(priors[i] / priors.sum()), position.size)
            for i in order
        ]
        if not candidates:  # nothing was searched, or nothing can be: the game is too long
            candidates = [Candidate(position.pass_move, 0, 0.5, 0.0, 1.0, [position.pass_move])]
        owned = self.owned[position.points()] / max(self.ends, 1)
        return Thoughts(
            int(root["visits"]),
            float(edges["half_wins"].sum()) / 2 / total,
            float(edges["score"].sum()) / total,
            candidates,
            owned,
        )

    def candidate(self, tree: rave.Tree, edge: Any, prior: float, size: int) -> Candidate:
        """Return the statistics of an edge of the root, and its principal variation."""
        line, child = [int(edge["point"])], int(edge["child"])
        while child and tree.nodes[child]["edges"] and len(line) < LONGEST_LINE:
            edges = tree.edges_of(child)
            following = edges[int(edges["visits"].argmax())]
            if following["visits"] < 2:
                break
            line.append(int(following["point"]))
            child = int(following["child"])
        visits = float(edge["visits"])
        made_up = float(edge["prior_wins"]) / max(float(edge["prior_visits"]), 1e-9)
        return Candidate(
            int(board.point_to_move(int(edge["point"]), size)),
            int(visits),
            float(edge["half_wins"]) / 2 / visits if visits else made_up,
            float(edge["score"]) / max(visits, 1.0),
            prior,
            [int(board.point_to_move(point, size)) for point in line],
        )
