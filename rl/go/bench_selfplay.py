"""The command `arcadia bench go-selfplay`: moves of self-play a second, and what they wait for.

Ours is the self-play that `train go` learns from, every search a full one. The peer is the tree
search of OpenSpiel's AlphaZero in Python, as `open_spiel/python/algorithms/alpha_zero` calls it:
one position at a time, here judged by the same network on as many planes. Both search as many
simulations a move and take turns; times are those of the process, so that other programs on the
machine count little. Without OpenSpiel (`pip install open_spiel`) ours stands alone.
"""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from backbones.training.config import require_positive
from backbones.training.device.precision import choose_device
from backbones.training.progress import say
from rl.go.learning.selfplay import SelfPlay
from rl.go.learning.selfplay_config import SelfPlayConfig
from rl.go.network.evaluator import TurningEvaluator, turning_evaluator
from rl.go.network.features import PLANES
from rl.go.network.go_network import build_network
from rl.go.rules.position import check_size


@dataclass(frozen=True, kw_only=True)
class Config:
    """Measure self-play with one thread."""

    size: int = 9
    """Points on a side."""
    network: str = "b4c32"
    """The network, untrained."""
    simulations: int = 32
    """Simulations of every move."""
    games: int = 64
    """Games at a time."""
    moves: int = 256
    """Moves of one measurement; of the peer a sixteenth."""
    rounds: int = 3
    """Measurements of each, in turn; the median counts."""
    device: str = "auto"
    """Where the network computes: auto (a GPU if there is one), cpu, cuda or cuda:N."""
    json: bool = False
    """Print a list of JSON objects instead of lines."""

    def __post_init__(self) -> None:
        require_positive(self, "simulations", "games", "moves", "rounds")
        check_size(self.size)


def measure_ours(config: Config) -> Callable[[], dict[str, float]]:
    """Return what measures our moves and evaluations a second, and the network's share of them."""
    torch.set_num_threads(1)
    network = build_network(config.network, config.size, config.size)
    evaluate = turning_evaluator(network.to(choose_device(config.device)).eval())
    waited = [0.0]

    def timed(planes: Any, way: int) -> Any:
        start = clock(config)
        judged = evaluate(planes, way)
        waited[0] += clock(config) - start
        return judged

    play = SelfPlayConfig(
        games_at_a_time=config.games,
        simulations=config.simulations,
        fast_simulations=config.simulations,
        full_share=1.0,
        considered=min(16, max(2, config.simulations)),
        opening=0.0,
    )
    games = SelfPlay(config.size, play, komi=7.0, seed=0)
    ask: TurningEvaluator = timed
    games.turn(ask, config.games)  # compiles

    def measure() -> dict[str, float]:
        waited[0], start = 0.0, clock(config)
        turn = games.turn(ask, config.moves)
        took = clock(config) - start
        return {
            "moves": turn.moves / took,
            "evaluations": games.counters.evaluations / took,
            "network": waited[0] / took,
        }

    return measure


def clock(config: Config) -> float:
    """Return the seconds of this process; of all, where it waits for a GPU."""
    on_gpu = choose_device(config.device).type == "cuda"
    return time.perf_counter() if on_gpu else time.process_time()


def measure_peer(config: Config) -> Callable[[], float] | None:
    """Return what measures the moves a second of OpenSpiel's search in Python; None without it."""
    try:
        import pyspiel
        from open_spiel.python.algorithms import mcts
    except ImportError:
        return None
    game = pyspiel.load_game("go", {"board_size": config.size, "komi": 7.0})
    network = build_network(config.network, config.size, config.size)
    network.to(choose_device(config.device)).eval()

    class Judge(mcts.Evaluator):  # type: ignore[misc]
        """The network, asked about one position at a time and remembering the last ones."""

        def __init__(self) -> None:
            self.known: dict[str, tuple[float, np.ndarray]] = {}

        @torch.inference_mode()
        def judged(self, state: Any) -> tuple[float, np.ndarray]:
            key = str(state)
            if key not in self.known:
                seen = np.array(state.observation_tensor(), np.float32) * 255
                planes = np.zeros((1, PLANES, config.size, config.size), np.uint8)
                planes[0, :4] = seen.reshape(4, config.size, config.size)
                planes[0, -1] = 255
                device = next(network.parameters()).device
                found = network(torch.from_numpy(planes).to(device))
                self.known[key] = float(found.value[0]), found.policy[0].softmax(0).cpu().numpy()
            return self.known[key]

        def evaluate(self, state: Any) -> np.ndarray:
            value = self.judged(state)[0]
            return np.array([value, -value] if state.current_player() == 0 else [-value, value])

        def prior(self, state: Any) -> list[tuple[int, float]]:
            policy = self.judged(state)[1]
            return [(action, float(policy[action])) for action in state.legal_actions()]

    def measure() -> float:
        state, count = game.new_initial_state(), max(1, config.moves // 16)
        start = clock(config)
        for _ in range(count):
            bot = mcts.MCTSBot(
                game,
                1.2,
                config.simulations,
                Judge(),
                solve=False,
                child_selection_fn=mcts.SearchNode.puct_value,
            )
            state.apply_action(bot.step(state))
            if state.is_terminal():
                state = game.new_initial_state()
        return count / (clock(config) - start)

    return measure


def main(config: Config) -> int:
    """The command `arcadia bench go-selfplay`."""
    ours, peer = measure_ours(config), measure_peer(config)
    found: list[dict[str, float]] = []
    theirs: list[float] = []
    for _ in range(config.rounds):
        found.append(ours())
        theirs += [peer()] if peer else []
    median = {name: statistics.median(each[name] for each in found) for name in found[0]}
    other = statistics.median(theirs) if theirs else None
    what = f"{config.size} by {config.size}, {config.network}, {config.simulations} simulations"
    rows: list[dict[str, Any]] = [
        {
            "name": f"go self-play, {what}",
            "ours": median["moves"],
            "peer": other,
            "ratio": median["moves"] / other if other else None,
            "unit": "moves/s",
        },
        {
            "name": "go self-play evaluations",
            "ours": median["evaluations"],
            "peer": None,
            "ratio": None,
            "unit": "/s",
        },
        {
            "name": "go self-play, the network's share of the time",
            "ours": median["network"],
            "peer": None,
            "ratio": None,
            "unit": "",
        },
    ]
    if config.json:
        print(json.dumps(rows))
        return 0
    beside = f", OpenSpiel's AlphaZero search {other:.1f}" if other else ""
    ratio = f"; ratio {median['moves'] / other:.1f}" if other else ""
    print(f"{rows[0]['name']}: {median['moves']:.0f} moves/s{beside}{ratio}")
    print(f"{median['evaluations']:,.0f} evaluations/s; the network has {median['network']:.0%}")
    if other is None:
        say("OpenSpiel is not installed (pip install open_spiel): ours stands alone")
    return 0
