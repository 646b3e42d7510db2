"""The command `arcadia bench go`: speed of one core, beside OpenSpiel's search, and of the network.

Everything but the network runs in one thread. OpenSpiel's bots and our search take turns, with one
random playout per simulation from the same position. Without OpenSpiel (`pip install open_spiel`)
the rows that need it are left out, and a line says so. The network is measured on a GPU if there is
one.
"""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, no_type_check

import numpy as np
from numba import njit

from backbones.training.config import require_not_negative, require_positive
from backbones.training.device.precision import choose_device
from backbones.training.progress import say
from rl.go.network.evaluator import evaluations_per_s
from rl.go.network.features import PLANES, see
from rl.go.network.go_network import build_network
from rl.go.player import PlayoutPlayer
from rl.go.rules import board
from rl.go.rules.board import POINTS
from rl.go.rules.position import Position, check_size
from rl.go.search import forest, playout
from rl.go.search.mcts import Search

GAMES = 256  # trees of the search without a network


@dataclass(frozen=True, kw_only=True)
class Config:
    """Measure the board, the search and the playouts on one core."""

    size: int = 9
    """Points on a side."""
    seconds: float = 2.0
    """Seconds of one measurement."""
    rounds: int = 3
    """Measurements of each, in turn; the median counts."""
    network: str = "b6c96"
    """Network whose evaluations are counted."""
    batch: int = 0
    """Positions that it is asked about at once; 0: 2,048 on a GPU, 64 on a CPU."""
    device: str = "auto"
    """Where the network computes: auto (a GPU if there is one), cpu, cuda or cuda:N."""
    json: bool = False
    """Print a list of JSON objects instead of lines."""

    def __post_init__(self) -> None:
        require_positive(self, "seconds", "rounds")
        require_not_negative(self, "batch")
        check_size(self.size)


@njit(cache=True, nogil=True)
@no_type_check
def many_playouts(root, work, rng, found, first, count):
    """Play a position out `count` times, lightly."""
    for _ in range(count):
        board.copy(work, root, False)
        playout.play_out(work, False, rng, found, first)


@njit(cache=True, nogil=True)
@no_type_check
def many_leaves(root, work, rng, planes, mask, stamps, count):
    """Copy a position, play a random legal move, draw what a network sees of it, `count` times."""
    for _ in range(count):
        board.copy(work, root, True)
        while True:
            point = root.empty[playout.random_below(rng, root.num_empty)]
            if board.legal(work, point):
                break
        board.play(work, point)
        see(work, 7.0, planes, mask, stamps)


def middle_game(size: int) -> Position:
    """Return a position with a third of the points played at random."""
    position, rng = Position(size), np.random.default_rng(0)
    while len(position.moves) < size * size // 3:
        position.play(int(rng.choice(np.flatnonzero(position.legal_moves()[:-1]))))
    return position


def rate(work: Callable[[int], Any], seconds: float) -> float:
    """Return how many a second `work(count)` does; its first call, which compiles, is left out."""
    work(8)
    done, start = 0, time.perf_counter()
    while (took := time.perf_counter() - start) < seconds:
        work(200)
        done += 200
    return done / took


def our_playouts(config: Config) -> float:
    """Return light playouts per second from the empty board."""
    games, rng = np.zeros(2, board.BOARD), np.array([88172645463325252], np.uint64)
    board.reset(games[0], config.size, board.POSITIONAL, 0)
    found, first = np.zeros(16, np.int32), np.zeros(POINTS, np.int32)
    return rate(lambda n: many_playouts(games[0], games[1], rng, found, first, n), config.seconds)


def our_leaves(config: Config) -> float:
    """Return leaf positions per second: copy, move, planes and legal moves by exact superko."""
    position, work = middle_game(config.size), np.zeros(1, board.BOARD)
    planes = np.zeros((PLANES, config.size, config.size), np.uint8)
    mask, stamps = np.zeros(config.size**2 + 1, np.bool_), np.zeros(POINTS, np.int32)
    rng = np.array([88172645463325252], np.uint64)
    root = position.board
    return rate(lambda n: many_leaves(root, work[0], rng, planes, mask, stamps, n), config.seconds)


def our_searches(config: Config) -> float:
    """Return simulations per second of many trees whose network is free: random logits."""
    nodes = 64
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(GAMES, config.size**2 + 1)).astype(np.float32)
    values = rng.uniform(-0.5, 0.5, GAMES).astype(np.float32)
    search = Search(
        GAMES,
        config.size,
        nodes,
        lambda planes: (logits[: len(planes)], values[: len(planes)]),
        threads=1,
    )
    position, done, took = Position(config.size), 0, 0.0
    for n in range(1000):
        for game in range(GAMES):
            search.begin(game, position)
        start = time.perf_counter()
        search.run(nodes // 2)
        if n:  # the first compiles
            took += time.perf_counter() - start
            done += GAMES * (nodes // 2)
        if took > config.seconds:
            break
    return done / took


def our_tree(config: Config) -> float:
    """Return simulations per second of the tree search by one light playout each."""
    player, position = PlayoutPlayer(heuristics=False, memory_mb=512.0), Position(config.size)

    def work(count: int) -> None:
        player.search(position, count)

    return rate(work, config.seconds)


def our_evaluations(config: Config) -> float:
    """Return positions per second that the network judges."""
    on_gpu = choose_device(config.device).type == "cuda"
    network = build_network(config.network, config.size, config.size)
    return evaluations_per_s(
        network,
        batch=config.batch or (2_048 if on_gpu else 64),
        device=config.device,
        seconds=config.seconds,
    )


def spiel_bots(size: int) -> dict[str, Callable[[], float]]:
    """Return what measures OpenSpiel's searches, from C++ and from Python; empty without it."""
    try:
        import pyspiel
        from open_spiel.python.algorithms import mcts
    except ImportError:
        return {}
    game = pyspiel.load_game("go", {"board_size": size, "komi": 7.0})

    def compiled() -> float:
        count = 4_000
        bot = pyspiel.MCTSBot(
            game, pyspiel.RandomRolloutEvaluator(1, 0), 2.0, count, 1024, False, 0, False
        )
        return timed(bot, count)

    def interpreted() -> float:
        count = 500
        evaluator = mcts.RandomRolloutEvaluator(1, np.random.RandomState(0))
        bot = mcts.MCTSBot(game, 2.0, count, evaluator, solve=False)
        return timed(bot, count)

    def timed(bot: Any, count: int) -> float:
        state, start = game.new_initial_state(), time.perf_counter()
        bot.step(state)
        return count / (time.perf_counter() - start)

    return {"OpenSpiel C++": compiled, "OpenSpiel Python": interpreted}


def main(config: Config) -> int:
    """The command `arcadia bench go`."""
    ours: dict[str, Callable[[], float]] = {
        "light playouts": lambda: our_playouts(config),
        "leaf positions": lambda: our_leaves(config),
        "simulations without a network": lambda: our_searches(config),
        "simulations by playouts": lambda: our_tree(config),
        f"evaluations of {config.network}": lambda: our_evaluations(config),
    }
    peers = spiel_bots(config.size)
    found: dict[str, list[float]] = {name: [] for name in [*ours, *peers]}
    for _ in range(config.rounds):
        for name, measure in {**ours, **peers}.items():
            found[name].append(measure())
    median = {name: statistics.median(rates) for name, rates in found.items()}
    tree = median["simulations by playouts"]
    rows: list[dict[str, Any]] = [
        {"name": f"go {name}", "ours": median[name], "peer": None, "ratio": None, "unit": "/s"}
        for name in ours
    ]
    rows += [
        {
            "name": f"go simulations by playouts, {peer}",
            "ours": tree,
            "peer": median[peer],
            "ratio": tree / median[peer],
            "unit": "/s",
        }
        for peer in peers
    ]
    if config.json:
        print(json.dumps(rows))
        return 0
    for row in rows:
        beside = f", peer {row['peer']:,.0f}/s; ratio {row['ratio']:.1f}" if row["peer"] else ""
        print(f"{row['name']}: {row['ours']:,.0f}/s{beside}")
    if not peers:
        say("OpenSpiel is not installed (pip install open_spiel): its rows are left out")
    print(
        f"a node takes {forest.bytes_per_node(config.size):,} bytes on {config.size} by "
        f"{config.size}"
    )
    return 0
