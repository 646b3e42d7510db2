"""The ladder: now and then the network plays its last rung, and stands as much higher as it wins.

Elo begins at 0 with the network that knows nothing. A rung's interval is that of its match,
Wilson's 95 %, on top of the rung below; errors of earlier rungs are not in it. Matches are played
at fixed numbers of moves, so they are the same in every repeat of a run, and they teach nothing.

Letters: G games, B positions, F planes, N points on a side, A moves.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8
from torch import Tensor, nn

from rl.go.arena import elo, interval
from rl.go.network.evaluator import (
    Evaluator,
    TurningEvaluator,
    require_finite_answers,
    turning_evaluator,
)
from rl.go.rules.position import Position
from rl.go.search.mcts import Search

OPENING = 2  # random moves that a pair of games begins with
LONGEST = 3  # moves a point, after which a game is counted as it stands
CONSIDERED = 8


class Ladder:
    """The last rung: a network and its Elo."""

    def __init__(self, network: nn.Module, *, size: int, komi: float, simulations: int) -> None:
        """Begin with a network that stands at 0."""
        self.network, self.elo, self.rungs = frozen(network), 0.0, 0
        self.size, self.komi, self.simulations = size, komi, simulations

    def climb(self, network: nn.Module, games: int, seed: int) -> dict[str, float]:
        """Let a network play the last rung and make it the next; return figures."""
        points = match(
            (network, self.network),
            size=self.size,
            komi=self.komi,
            games=games,
            simulations=self.simulations,
            seed=(seed, 3, self.rungs),
        )
        low, high = interval(sum(points), len(points))
        share, below = sum(points) / len(points), self.elo
        self.network, self.elo, self.rungs = frozen(network), below + elo(share), self.rungs + 1
        return {
            "ladder/elo": self.elo,
            "ladder/elo_low": below + elo(low),
            "ladder/elo_high": below + elo(high),
            "ladder/share_of_last": share,
        }

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return what `load` continues from exactly."""
        return dict(self.network.state_dict()), {"elo": self.elo, "rungs": self.rungs}

    def load(self, tensors: Mapping[str, Tensor], info: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self.network.load_state_dict(tensors)
        self.elo, self.rungs = float(info["elo"]), int(info["rungs"])


def frozen(network: nn.Module) -> nn.Module:
    """Return a copy that is not learnt."""
    return copy.deepcopy(network).eval().requires_grad_(False)


def match(
    networks: tuple[nn.Module, nn.Module],
    *,
    size: int,
    komi: float,
    games: int,
    simulations: int,
    seed: Sequence[int],
) -> list[float]:
    """Return the points of the first network, a game each: 1, 0.5 or 0.

    All games are played at once. Every pair begins with the same random moves, and each network has
    Black once.
    """
    rng = np.random.default_rng(tuple(seed))
    evaluators = [turning_evaluator(network) for network in networks]
    positions = [opened(size, komi, (*seed, number // 2)) for number in range(games)]
    while open_games := [g for g, p in enumerate(positions) if goes_on(p)]:
        for which, evaluate in enumerate(evaluators):
            # The first network is Black in even games, and Black moves at even plies.
            mine = [g for g in open_games if (g + len(positions[g].moves)) % 2 == which]
            if not mine:
                continue
            moves = choose_moves([positions[g] for g in mine], evaluate, simulations, rng)
            for game, move in zip(mine, moves, strict=True):
                positions[game].play(move)
    black = [(np.sign(position.score()) + 1) / 2 for position in positions]
    return [float(p if number % 2 == 0 else 1 - p) for number, p in enumerate(black)]


def choose_moves(
    positions: Sequence[Position],
    evaluate: TurningEvaluator,
    simulations: int,
    rng: np.random.Generator,
) -> list[int]:
    """Return a move of each position, by Gumbel search with so many simulations."""
    size, ask, seed = positions[0].size, at_random(evaluate, rng), int(rng.integers(2**31))
    search = Search(len(positions), size, simulations + 2, ask, seed=seed, threads=1)
    for slot, position in enumerate(positions):
        search.begin(slot, position)
    return [int(move) for move in search.run_gumbel(simulations, CONSIDERED)]


def at_random(evaluate: TurningEvaluator, rng: np.random.Generator) -> Evaluator:
    """Return an evaluator that turns the boards of each call in one of eight ways, by `rng`."""

    def turned(
        planes: UInt8[np.ndarray, "B F N N"],
    ) -> tuple[Float32[np.ndarray, "B A"], Float32[np.ndarray, "B"]]:
        logits, values = evaluate(planes, int(rng.integers(8)))
        require_finite_answers(values)
        return logits, values

    return turned


def line(moves: int, figures: Mapping[str, float]) -> str:
    """Return a rung's figures as a line for people."""
    now, low, high = (figures[f"ladder/{name}"] for name in ("elo", "elo_low", "elo_high"))
    share = figures["ladder/share_of_last"]
    return (
        f"at {moves:,} moves {share:.0%} of the points against the last rung: Elo {now:.0f} "
        f"({low:.0f} to {high:.0f})"
    )


def opened(size: int, komi: float, seed: Sequence[int]) -> Position:
    """Return the position that a pair of games begins with."""
    position, rng = Position(size, komi), np.random.default_rng(tuple(seed))
    for _ in range(OPENING):
        legal = np.flatnonzero(position.legal_moves()[:-1])
        position.play(int(rng.choice(legal)))
    return position


def goes_on(position: Position) -> bool:
    """Return whether a game has not ended."""
    return not position.over and len(position.moves) < LONGEST * position.size**2
