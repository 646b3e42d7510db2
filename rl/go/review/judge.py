"""What an engine thinks of a game: each position of its main line, and what each move lost.

Chances and leads of positions are Black's, the komi counted. What a move lost is the mover's: the
points expected of the engine's own move, less those expected where the other was played. A move
that the engine would play too has lost nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from rl.go.engine import Engine
from rl.go.games import sgf
from rl.go.player import Candidate
from rl.go.rules.board import BLACK
from rl.go.rules.position import Position

WORTH_TELLING = 0.5  # points: below that a search may be wrong about which move is better


@dataclass(frozen=True)
class Judged:
    """A position of a game, as a search of it judges."""

    winrate: float
    """Black's chance to win."""
    lead: float
    """Points that Black leads by."""
    best: Candidate | None
    """What the engine would play, from its mover's view; None where the game is over."""
    ownership: Float[np.ndarray, "points"] | None = field(default=None, repr=False, compare=False)
    """1 where Black will own a point, -1 where White will; None where the game is over."""


@dataclass(frozen=True)
class Reviewed:
    """A move of a game."""

    number: int
    """From 1."""
    colour: int
    move: int
    lost: float
    """Points."""
    chance_lost: float
    """How much less likely its player is to win."""
    better: Candidate | None
    """What the engine would have played; None where that is what was played."""


@dataclass(frozen=True)
class Review:
    """A game: its positions, one more than its moves, and its moves."""

    size: int
    positions: list[Judged]
    moves: list[Reviewed]

    def worst(self, colour: int, count: int) -> list[Reviewed]:
        """Return the moves by which a colour lost the most points, the worst first."""
        mine = [m for m in self.moves if m.colour == colour and m.lost >= WORTH_TELLING]
        return sorted(mine, key=lambda m: (-m.lost, m.number))[:count]


def review_game(
    root: sgf.Node, engine: Engine, visits: int, heard: Callable[[int], None]
) -> Review:
    """Search every position of a game's main line with so many simulations; `heard` is told how
    many positions are done. BadFile as in `sgf.replay`; UserError for a board that the player does
    not know."""
    positions = list[Judged]()
    for _, judged in judge_game(root, engine, visits):
        positions.append(judged)
        heard(len(positions))
    end = engine.position
    return Review(end.size, positions, list(reviewed(end.moves, positions)))


def judge_game(root: sgf.Node, engine: Engine, visits: int) -> Iterator[tuple[Position, Judged]]:
    """Give each position of a game's main line, changed in place, and what an engine thinks of it;
    errors as in `review_game`."""
    for position in sgf.replay(root):
        engine.position = position
        yield position, judge(engine, visits)


def judge(engine: Engine, visits: int) -> Judged:
    """Return what an engine thinks of its position; of the end of a game, what it counts."""
    position = engine.position
    if position.over:
        lead, _ = engine.final_score()
        return Judged(0.5 if lead == 0 else float(lead > 0), lead, None)
    engine.player.search(position, visits)
    thoughts = engine.player.thoughts(position)
    is_black = position.to_play == BLACK
    return Judged(
        thoughts.winrate if is_black else 1 - thoughts.winrate,
        thoughts.score if is_black else -thoughts.score,
        thoughts.best,
        thoughts.ownership,
    )


def reviewed(moves: list[tuple[int, int]], positions: list[Judged]) -> Iterator[Reviewed]:
    """Give what each move of a game lost, by the positions before and after it."""
    for number, (colour, move) in enumerate(moves, 1):
        best, after = positions[number - 1].best, positions[number]
        if best is None or best.move == move:
            yield Reviewed(number, colour, move, 0.0, 0.0, None)
            continue
        sign, winrate = (1, after.winrate) if colour == BLACK else (-1, 1 - after.winrate)
        lost = max(best.score - sign * after.lead, 0.0)
        yield Reviewed(number, colour, move, lost, best.winrate - winrate, best)
