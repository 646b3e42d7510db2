"""Search with a network over many games at once: PUCT with root noise, or Gumbel at the root.

Letters: G games, K leaves of a game at a time, A moves, B = G * K positions, M a board's side.

PUCT is that of Silver et al. 2018 (https://doi.org/10.1126/science.aar6404). Gumbel is that of
Danihelka et al. 2022 (https://openreview.net/forum?id=bERaNdoegnO): sequential halving of the m
likeliest moves of one draw (section 4), completed Q values (equation 10, mixed as in appendix D)
and the improved policy (equation 11), which is no worse than the prior even at two simulations.
Below the root both use PUCT.

What surprises: sigma maps Q from [-1, 1] to [0, 1] first, which the scale of 1 for board games
expects.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from backbones.training.device.cores import available_threads
from rl.go.network.evaluator import Evaluator, network_evaluator
from rl.go.network.features import PLANES, see
from rl.go.network.go_network import GoJudgement, GoNetwork
from rl.go.player import LONGEST_LINE, Candidate, Thoughts, ahead, follows
from rl.go.rules import board
from rl.go.rules.position import Position
from rl.go.search import forest

C_VISIT, C_SCALE = 50.0, 1.0  # of sigma, as in the paper for board games
MOST_SCORED = 8  # candidates whose score the network judges after the move


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """How trees are searched."""

    explore: float = 1.2
    """Weight of the prior in PUCT."""
    caution: float = 0.2
    """How far below its node's value a move without visits starts (first-play urgency)."""
    noise: float = 0.0
    """Fraction of Dirichlet noise in the root's prior."""
    noise_total: float = 10.83
    """Sum of the noise's Dirichlet parameters, spread over the legal moves."""

    def __post_init__(self) -> None:
        if self.explore <= 0 or self.caution < 0 or not 0 <= self.noise <= 1:
            raise ValueError("explore must be above 0, caution 0 or above, noise in [0, 1]")


class Search:
    """The trees of G games, and the threads that search them."""

    def __init__(
        self,
        games: int,
        size: int,
        nodes: int,
        evaluate: Evaluator,
        *,
        leaves: int = 1,
        config: SearchConfig | None = None,
        seed: int = 0,
        threads: int = 0,
    ) -> None:
        """Make room for `nodes` nodes in each game; `threads` 0 takes one per core."""
        self.forest = forest.build_forest(games, size, nodes, leaves)
        self.evaluate, self.config = evaluate, config or SearchConfig()
        self.rng = np.random.default_rng(seed)
        count = min(threads or available_threads(), games)
        self.slices = np.array_split(np.arange(games), count)
        self.boards = [np.zeros(1, board.BOARD) for _ in self.slices]
        self.pool = ThreadPoolExecutor(count) if count > 1 else None

    def begin(self, game: int, position: Position, *, play_on: bool = False) -> None:
        """Begin a game's tree at a position; to `play_on`, two passes have not ended it."""
        if position.pass_move + 1 != self.forest.prior.shape[2]:
            raise ValueError(f"trees of another size than {position.size} by {position.size}")
        self.forest.roots[game] = position.board
        if play_on:
            self.forest.roots[game]["passes"] = min(int(position.board["passes"]), 1)
        self.forest.komi[game] = position.komi
        forest.clear(self.forest, game)

    def play(self, game: int, move: int) -> None:
        """Play a move in a game and keep the subtree below it.

        The new root gets noise of its own, since inner nodes have none.
        """
        forest.reroot(self.forest, game, move)
        root = self.forest.roots[game]
        board.play(root, board.move_to_point(move, int(root["size"])))
        if self.forest.state[game, 1] == forest.KNOWN:
            self.add_noise(game)

    def simulate(self) -> None:
        """Select `leaves` leaves in every game, evaluate them in one batch, back the values up."""
        trees, config = self.forest, self.config
        walks = zip(self.slices, self.boards, strict=True)
        tasks = [(trees, games, room, config.explore, config.caution) for games, room in walks]
        self.each(forest.select, tasks)
        asks = trees.outcome == forest.ASKS
        logits = np.zeros(trees.legal.shape, np.float32)
        values = np.zeros(asks.shape, np.float32)
        if asks.any():
            logits[asks], values[asks] = self.evaluate(trees.planes[asks])
        self.each(forest.expand, [(trees, games, logits, values) for games in self.slices])

    def each(self, kernel: Callable[..., None], tasks: Sequence[tuple]) -> None:
        """Run a kernel on every slice of the games, each in a thread of the pool."""
        if self.pool is None:
            kernel(*tasks[0])
            return
        for done in [self.pool.submit(kernel, *task) for task in tasks]:
            done.result()

    def open_roots(self) -> None:
        """Evaluate the roots that the network has not seen, and add noise to their priors."""
        unknown = self.forest.state[:, 1] == forest.UNKNOWN
        while (self.forest.state[:, 1] == forest.UNKNOWN).any():
            self.simulate()
        for game in np.flatnonzero(unknown & (self.forest.state[:, 1] == forest.KNOWN)):
            self.add_noise(int(game))

    def add_noise(self, game: int) -> None:
        """Mix Dirichlet noise into a root's prior."""
        if not self.config.noise:
            return
        prior = self.forest.prior[game, 1]
        legal = prior >= 0
        alpha = self.config.noise_total / legal.sum()
        noise = self.rng.dirichlet(np.full(legal.sum(), alpha))
        prior[legal] = (1 - self.config.noise) * prior[legal] + self.config.noise * noise

    def run(self, simulations: int) -> None:
        """Search every game by PUCT."""
        self.open_roots()
        for _ in range(simulations):
            self.simulate()

    def run_gumbel(self, simulations: int, considered: int) -> Int[np.ndarray, "G"]:
        """Search every game by sequential halving; return the move of each.

        For a game that has ended it is the pass. Every game gets exactly `simulations`.
        ValueError if games are searched several leaves at a time.
        """
        if self.forest.depth.shape[1] != 1:
            raise ValueError("sequential halving counts single visits; build with leaves = 1")
        self.open_roots()
        trees = self.forest
        known = trees.state[:, 1] == forest.KNOWN
        prior = trees.prior[:, 1]
        noise = self.rng.gumbel(size=prior.shape)
        before = trees.visits[:, 1].copy()
        legal = (prior >= 0) & known[:, None]
        base = np.where(legal, noise + log_prior(prior), -np.inf)
        plans = [halving(min(considered, max(int(row.sum()), 1)), simulations) for row in legal]
        for step in range(simulations):
            visits = trees.visits[:, 1] - before
            score = base + sigma(trees.visits[:, 1], self.completed())
            wanted = np.array([plan[step] for plan in plans])
            score = np.where(visits == wanted[:, None], score, -np.inf)
            trees.forced[:] = np.where(known, score.argmax(1), -1)
            self.simulate()
        trees.forced[:] = -1
        visits = trees.visits[:, 1] - before
        score = base + sigma(trees.visits[:, 1], self.completed())
        most = visits == visits.max(1, where=legal, initial=0)[:, None]
        return np.where(known, np.where(most, score, -np.inf).argmax(1), prior.shape[1] - 1)

    def completed(self) -> Float[np.ndarray, "G A"]:
        """Return the roots' Q values; moves without visits have the mixed value."""
        trees = self.forest
        return completed_q(
            trees.prior[:, 1], trees.visits[:, 1], trees.total[:, 1], trees.value[:, 1]
        )

    def improved_policy(self) -> Float[np.ndarray, "G A"]:
        """Return the improved policy of each root, the target that a network learns."""
        trees = self.forest
        return improved(trees.prior[:, 1], trees.visits[:, 1], self.completed())


def improved(
    prior: Float[np.ndarray, "G A"], visits: Int[np.ndarray, "G A"], q: Float[np.ndarray, "G A"]
) -> Float[np.ndarray, "G A"]:
    """Return the improved policy (equation 11) of a prior, -1 where illegal, and completed Q."""
    logits = np.where(prior >= 0, log_prior(prior) + sigma(visits, q), -np.inf)
    # A root whose game is over has no legal move.
    logits[(prior < 0).all(1)] = 0
    weights = np.exp(logits - logits.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


def log_prior(prior: Float[np.ndarray, "G A"]) -> Float[np.ndarray, "G A"]:
    """Return the logits of a policy; those of illegal moves mean nothing."""
    return np.log(np.maximum(prior, 1e-12))


def completed_q(
    prior: Float[np.ndarray, "G A"],
    visits: Int[np.ndarray, "G A"],
    total: Float[np.ndarray, "G A"],
    value: Float[np.ndarray, "G"],
) -> Float[np.ndarray, "G A"]:
    """Return Q where there are visits, otherwise the mixed value (appendix D, equation 33)."""
    tried = visits > 0
    q = np.where(tried, total / np.maximum(visits, 1), 0.0)
    mass = np.where(tried, np.maximum(prior, 0), 0.0)
    mean = (mass * q).sum(1) / np.maximum(mass.sum(1), 1e-12)
    count = visits.sum(1)
    mixed = (value + count * mean) / (1 + count)
    return np.where(tried, q, mixed[:, None])


def sigma(visits: Int[np.ndarray, "G A"], q: Float[np.ndarray, "G A"]) -> Float[np.ndarray, "G A"]:
    """Return Q values in the units of logits (equation 8)."""
    return (C_VISIT + visits.max(1, keepdims=True)) * C_SCALE * (q + 1) / 2


def halving(considered: int, simulations: int) -> list[int]:
    """Return, for each simulation, how many visits the move it takes must have had before.

    Sequential halving visits all considered moves equally often, then the better half of them, and
    so on down to two, until the simulations are used up.
    """
    if considered == 1:
        return list(range(simulations))
    rounds = (considered - 1).bit_length()
    plan: list[int] = []
    visits, left = 0, considered
    while len(plan) < simulations:
        for _ in range(max(1, simulations // (rounds * left))):
            plan += [visits] * left
            visits += 1
        left = max(2, left // 2)
    return plan[:simulations]


def planes_of(position: Position) -> UInt8[np.ndarray, "1 F M M"]:
    """Return a position as a network's input planes."""
    planes = np.zeros((1, PLANES, position.size, position.size), np.uint8)
    mask, stamps = np.zeros(position.pass_move + 1, bool), np.zeros(board.POINTS, np.int32)
    see(position.board, np.float32(position.komi), planes[0], mask, stamps)
    return planes


class NetworkPlayer:
    """A player that searches one game with a network, several leaves at a time."""

    name = "network"

    def __init__(
        self, network: GoNetwork, *, seed: int = 0, leaves: int = 8, memory_mb: float = 256.0
    ) -> None:
        self.network, self.seed, self.leaves = network.eval(), seed, leaves
        self.memory_mb = memory_mb
        self.root: Position | None = None
        self.tree: Search | None = None

    def forget(self) -> None:
        self.root = None

    def search_of(self, position: Position) -> Search:
        """Return the tree of a position, reused if the position follows from the last one."""
        moves = follows(position, self.root)
        if self.tree is None or self.root is None or self.root.size != position.size:
            self.network.check_size(position.size)
            nodes = int(self.memory_mb * 2**20 / forest.bytes_per_node(position.size))
            self.tree = Search(
                1,
                position.size,
                max(nodes, 64),
                network_evaluator(self.network, self.seed),
                leaves=self.leaves,
            )
            moves = None
        if moves is None or (moves and position.over):
            # A search after two passes means that the game goes on until the next pass.
            self.tree.begin(0, position, play_on=True)
        else:
            for move in moves:
                self.tree.play(0, move)
        if moves != []:
            self.root = position.copy()
        return self.tree

    def search(self, position: Position, count: int) -> None:
        tree = self.search_of(position)
        tree.run(-(-count // self.leaves))

    def lead(self, position: Position) -> int:
        return ahead(self.search_of(position).forest.visits[0, 1])

    def thoughts(self, position: Position) -> Thoughts:
        tree = self.search_of(position)
        tree.open_roots()
        trees = tree.forest
        prior, visits, total = (rows[0, 1] for rows in (trees.prior, trees.visits, trees.total))
        ended = trees.state[0, 1] == forest.ENDED
        legal = np.flatnonzero(prior >= 0) if not ended else np.array([position.pass_move])
        order = sorted(legal, key=lambda m: (-visits[m], -prior[m]))
        q = completed_q(prior[None], visits[None], total[None], trees.value[:1, 1])[0]
        tried = [int(m) for m in order if visits[m]][:MOST_SCORED] if not position.over else []
        judged, scores = self.judge(position, tried)
        score = float(judged.score[0])
        if tried:
            score = float(np.average([scores[m] for m in tried], weights=visits[tried]))
        candidates = [
            Candidate(
                int(m),
                int(visits[m]),
                float(q[m] + 1) / 2,
                scores.get(int(m), score),
                max(float(prior[m]), 0.0),
                self.line(int(m)),
            )
            for m in order
        ]
        count = int(visits.sum())
        value = float(total.sum() / count) if count else float(trees.value[0, 1])
        sign = 1 if position.to_play == board.BLACK else -1
        owned = sign * judged.ownership[0].flatten().cpu().numpy()
        return Thoughts(count, (value + 1) / 2, score, candidates, owned)

    @torch.inference_mode()
    def judge(self, position: Position, moves: list[int]) -> tuple[GoJudgement, dict[int, float]]:
        """Return the network's judgement of a position, and the points that the player to move
        leads by after each of some moves."""
        sign = 1 if position.to_play == board.BLACK else -1
        planes, counted = [planes_of(position)], {}
        for move in moves:
            after = position.copy()
            after.play(move)
            planes.append(planes_of(after))
            if after.over:
                counted[move] = sign * after.score()  # the end, as the search counts it
        device = next(self.network.parameters()).device
        judged = self.network(torch.from_numpy(np.concatenate(planes)).to(device))
        return judged, dict(zip(moves, (-judged.score[1:]).tolist(), strict=True)) | counted

    def line(self, move: int) -> list[int]:
        """Return the principal variation that begins with a move of the root."""
        assert self.tree
        trees, line = self.tree.forest, [move]
        node = int(trees.child[0, 1, move])
        while node and trees.state[0, node] == forest.KNOWN and len(line) < LONGEST_LINE:
            move = int(trees.visits[0, node].argmax())
            if trees.visits[0, node, move] < 1:
                break
            line.append(move)
            node = int(trees.child[0, node, move])
        return line
