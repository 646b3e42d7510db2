"""Self-play: many games in lock-step, each searched by Gumbel at the root, one leaf at a time.

Letters: G games at a time, A = N * N + 1 moves, S simulations, B positions, F planes.

Every step adds one simulation to the tree of every game. Searches differ in length (a full one now
and then, whose policy is learnt, and fast ones between that play the game on: playout-cap
randomisation, Wu 2019, https://arxiv.org/abs/1902.10565, section 3.1), so a game whose search is
done plays its move and begins the next search while the others go on; the network's batch is always
full. The root's moves are chosen by sequential halving of one Gumbel draw, as in
`rl/go/search/mcts.py`. Trees are not kept from move to move: a policy to learn then never counts
visits of another search.

A turn ends after so many steps, and the next begins the open searches anew with newer weights, so
no search is half of one network and half of another.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Shaped, UInt8
from torch import Tensor

from rl.go.learning.counters import Counters
from rl.go.learning.flight import Flight
from rl.go.learning.luck import move_luck
from rl.go.learning.replay import pack
from rl.go.learning.selfplay_config import SelfPlayConfig
from rl.go.network.evaluator import TurningEvaluator, require_finite_answers
from rl.go.network.features import straight_moves, turned_moves
from rl.go.search import forest
from rl.go.search.mcts import Search, completed_q, halving, improved, log_prior, sigma

OPENINGS = "openings"


class Turn(NamedTuple):
    """What a turn of self-play gave: the games that ended in it, by number."""

    rows: Shaped[np.ndarray, "rows"]
    """Their positions (`rl/go/learning/replay.py`), one game's behind another's."""
    numbers: Int[np.ndarray, "games"]
    lengths: Int[np.ndarray, "games"]
    """Rows of each."""
    scores: Float[np.ndarray, "games"]
    """Points that Black had more, without komi; NaN where a game was cut off."""
    moves: int
    """Moves that were played, also of games that go on."""
    figures: dict[str, float]

    def in_order(self) -> "Turn":
        """Return the same games, the lowest number first."""
        order = np.argsort(self.numbers, kind="stable")
        starts = np.cumsum(self.lengths) - self.lengths
        rows = [self.rows[starts[n] : starts[n] + self.lengths[n]] for n in order]
        return self._replace(
            rows=np.concatenate([*rows, self.rows[:0]]),
            numbers=self.numbers[order],
            lengths=self.lengths[order],
            scores=self.scores[order],
        )


class Record(NamedTuple):
    """A game that was played."""

    moves: list[int]
    komi: float
    suicide: bool


@cache
def plan_of(considered: int, simulations: int) -> Int[np.ndarray, "S"]:
    """Return `halving` as an array."""
    return np.array(halving(considered, simulations), np.int64)


class SelfPlay:
    """The games in flight, the search of each one's next move, and what counts them."""

    def __init__(
        self,
        size: int,
        config: SelfPlayConfig,
        *,
        komi: float,
        seed: int,
        threads: int = 1,
        places: range | None = None,
    ) -> None:
        """`komi` is the one that half of the games are played round; `places` are this process's
        share of the games, otherwise all."""
        places = range(config.games_at_a_time) if places is None else places
        games, moves = len(places), size * size + 1
        self.size, self.config, self.seed = size, config, seed
        # A root and a leaf for each simulation: a full tree would not take the plan's moves.
        self.search = Search(games, size, config.simulations + 2, self.evaluate, threads=threads)
        trees = self.search.forest
        self.flight = Flight(
            size, config, trees.roots, trees.komi, seed=seed, fair_komi=komi, places=places
        )
        self.num_games = 0  # that have ended, of all processes
        self.counters = Counters(size)
        self.network: TurningEvaluator | None = None
        # Of the search of each game's next move.
        self.base = np.zeros((games, moves))
        self.ways = np.zeros((games, config.simulations + 1), np.int64)
        self.full = np.zeros(games, bool)
        self.done, self.wanted = np.zeros(games, np.int64), np.zeros(games, np.int64)
        self.plans: list[np.ndarray] = [np.zeros(0, np.int64)] * games
        self.turned = np.stack([turned_moves(size, way) for way in range(8)])
        self.straight = np.stack([straight_moves(size, way) for way in range(8)])
        self.ended: list[tuple[int, np.ndarray, float]] = []  # number, rows, score
        self.latest: Record | None = None

    def turn(self, network: TurningEvaluator, moves: int) -> Turn:
        """Play about so many moves of all games, this process its share, all by one network."""
        self.network, self.ended = network, []
        self.counters.begin()
        for game in range(len(self.plans)):
            self.begin_search(game)
        # Steps, not moves: each process knows by itself when all are done.
        for _ in range(self.config.steps_of(moves)):
            self.step()
        numbers, rows, scores = zip(*self.ended, strict=True) if self.ended else ((), (), ())
        return Turn(
            np.concatenate([*rows, self.flight.rows[0, :0]]),
            np.array(numbers, np.int64),
            np.array([len(each) for each in rows], np.int64),
            np.array(scores, np.float64),
            self.counters.moves,
            self.counters.figures(),
        ).in_order()

    def end_turn(self, turn: Turn) -> dict[str, float]:
        """Take in what became of the games of all processes; return figures."""
        self.flight.follow(turn.scores)
        self.num_games += len(turn.numbers)
        return turn.figures | {
            "selfplay/games": float(self.num_games),
            "selfplay/mean_score": self.flight.mean_score,
        }

    def step(self) -> None:
        """Add a simulation to every game; play where a search is done."""
        trees = self.search.forest
        known = trees.state[:, 1] == forest.KNOWN
        visits = trees.visits[:, 1]
        score = self.base + sigma(visits, self.search.completed())
        score[visits != self.wanted[:, None]] = -np.inf
        trees.forced[:] = np.where(known, score.argmax(1), -1)
        self.done[known] += 1
        self.search.simulate()
        for game in np.flatnonzero(~known):
            self.open_root(int(game))
        lengths = np.array([len(plan) for plan in self.plans])
        for game in np.flatnonzero(self.done >= lengths):
            self.play(int(game))
        for number, plan in enumerate(self.plans):
            # A plan of no simulations is over as soon as its root is known.
            self.wanted[number] = plan[self.done[number]] if len(plan) else 0

    def evaluate(
        self, planes: UInt8[np.ndarray, "B F N N"]
    ) -> tuple[Float32[np.ndarray, "B A"], Float32[np.ndarray, "B"]]:
        """Judge the leaves that wait, each turned in its own way."""
        assert self.network
        trees = self.search.forest
        asks = np.flatnonzero(trees.outcome[:, 0] == forest.ASKS)
        self.counters.evaluations += len(asks)
        ways = self.ways[asks, self.done[asks]]
        points = self.turned[ways][:, None, :-1]
        seen = np.take_along_axis(planes.reshape(*planes.shape[:2], -1), points, 2)
        logits, values = self.network(seen.reshape(planes.shape), 0)
        require_finite_answers(values)
        return np.take_along_axis(logits, self.straight[ways], 1), values

    def begin_search(self, game: int) -> None:
        """Begin the search of a game's next move, from nothing."""
        config, flight = self.config, self.flight
        number, ply = int(flight.number[game]), int(flight.plies[game])
        luck = move_luck(self.seed, number, ply, self.base.shape[1], config.simulations + 1)
        forest.clear(self.search.forest, game)
        self.base[game], self.ways[game] = luck.gumbel, luck.ways
        self.full[game] = luck.full < config.full_share
        self.done[game], self.wanted[game] = 0, 0
        # Until the network has seen the root, its moves are unknown: no plan is over yet.
        self.plans[game] = np.zeros(config.simulations + 1, np.int64)

    def open_root(self, game: int) -> None:
        """Plan a search, once the network has seen the root; write the row of the position."""
        trees, config, flight = self.search.forest, self.config, self.flight
        ply = int(flight.plies[game])
        prior = trees.prior[game, 1]
        early = ply < config.no_pass_before * self.size * self.size
        if early and (prior[:-1] >= 0).any():
            prior[-1] = -1
            prior[prior >= 0] /= max(float(prior[prior >= 0].sum()), 1e-12)
        legal = prior >= 0
        self.base[game] = np.where(legal, self.base[game] + log_prior(prior[None])[0], -np.inf)
        simulations = 0
        if ply >= flight.opening[game]:
            simulations = config.simulations if self.full[game] else config.fast_simulations
            pack(trees.planes[game : game + 1, 0], flight.rows[game, ply : ply + 1])
        self.plans[game] = plan_of(min(config.considered, int(legal.sum())), simulations)

    def play(self, game: int) -> None:
        """Play the move that a search has found, and begin the next, or the next game."""
        trees, flight, ply = self.search.forest, self.flight, int(self.flight.plies[game])
        only = slice(game, game + 1)
        prior, visits = trees.prior[only, 1], trees.visits[only, 1]
        q = completed_q(prior, visits, trees.total[only, 1], trees.value[only, 1])
        score = (self.base[only] + sigma(visits, q))[0]
        most = visits[0] == visits[prior >= 0].max()
        move = int(np.where(most, score, -np.inf).argmax())
        if ply >= flight.opening[game]:
            row, policy = flight.rows[only, ply], improved(prior, visits, q)
            row["policy"], row["searched"] = policy, self.full[game]
            if self.full[game]:
                self.counters.searched(policy[0])
        self.counters.played(move == self.size * self.size, ply)
        if flight.play(game, move):
            rows, lead = flight.end(game)
            komi, whole = float(flight.komi[game]), flight.whole(game)
            score = lead + komi if whole else float("nan")
            self.ended.append((int(flight.number[game]), rows, score))
            moves = flight.moves[game, : flight.plies[game]].copy()
            self.latest = Record(moves.tolist(), komi, bool(flight.suicide[game]))
            self.counters.ended(moves, lead, whole)
            flight.begin(game)
        self.begin_search(game)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return, between two turns, what `load` continues from exactly: of several processes the
        tensors one behind another, but for the openings, which are the first's."""
        tensors, info = self.flight.state()
        openings = torch.from_numpy(self.counters.openings.copy())
        counted = {"games": self.num_games, "counted": self.counters.games}
        return {**tensors, OPENINGS: openings}, {**info, **counted}

    def load(self, tensors: Mapping[str, Tensor], info: Mapping[str, Any]) -> None:
        """Continue from a state of all games; UserError if it is of others."""
        self.flight.load(tensors, info)
        self.counters.openings[:] = tensors[OPENINGS].numpy()
        self.num_games = int(info["games"])
        self.counters.games = int(info.get("counted", self.num_games))
