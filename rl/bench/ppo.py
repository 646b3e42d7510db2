"""The command `arcadia bench ppo`: our PPO and stable-baselines3's in turn, on this machine.

Both play the same game with the same hyper-parameters: the `reference` preset, that is 8
environments x 128 steps, 4 epochs, minibatches of 256, the full Nature network, no sticky actions.
Each measurement is a process of its own, with every core at hand (stable-baselines3 gives them to
torch, we to a collector beside the learner), and leaves the first rollout out. Ours learns in the
precision that it finds faster on this machine, the peer in fp32: the output names both.
"""

import json
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from backbones.training.config import changed, require_positive
from backbones.training.distributed import World
from backbones.training.errors import UserError

NUM_ENVS, NUM_STEPS = 8, 128
# What is measured.
UNITS = {
    "env_steps_per_s": "env steps/s",
    "cpu_ms_per_env_step": "ms",
    "peak_memory_mib": "MiB",
    "replay_mib": "MiB",
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Measure PPO against stable-baselines3's, in turn, in one run."""

    env: str = "ALE/Pong-v5"
    """Atari game."""
    rollouts: int = 8
    """Rollouts of 1,024 env steps in a measurement."""
    rounds: int = 3
    """Measurements of each; the median counts."""
    json: bool = False
    """Print one JSON list instead of lines."""

    def __post_init__(self) -> None:
        require_positive(self, "rollouts", "rounds")


def figures(env_steps: int, wall_s: float, cpu_s: float) -> dict[str, float]:
    """Return what one measurement found."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "env_steps_per_s": env_steps / wall_s,
        "cpu_ms_per_env_step": 1000 * cpu_s / env_steps,
        # macOS counts bytes, others KiB.
        "peak_memory_mib": peak / (2**20 if sys.platform == "darwin" else 2**10),
    }


def measure_ours(env: str, rollouts: int, memory: str = "none") -> dict[str, Any]:
    """Time our PPO: the `reference` preset, but playing one rollout ahead of learning.

    `precision` is what it chose to learn in.
    """
    from concurrent.futures import ThreadPoolExecutor

    from rl.ppo import JOB, REFERENCE

    training = JOB.build(changed(REFERENCE, env=env, sync=False, memory=memory), World())
    training.start()
    with ThreadPoolExecutor(1) as pool:
        training.advance(pool)
        return timed(training, pool, rollouts)


def timed(training: Any, pool: Any, rollouts: int) -> dict[str, Any]:
    """Time so many rollouts of a training of ours, each played while the one before is learnt."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(rollouts):
        training.advance(pool)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    found = figures(rollouts * training.config.rollout_size, wall, cpu)
    return {**found, "precision": training.learner.precision.name}


def measure_ours_lstm(env: str, rollouts: int) -> dict[str, Any]:
    """Time the same with an LSTM of 256 units, learning from sequences of 128 env steps."""
    return measure_ours(env, rollouts, "lstm")


def measure_sb3(env: str, rollouts: int) -> dict[str, float]:
    """Time stock PPO of stable-baselines3 on its own Atari wrappers."""
    from stable_baselines3 import PPO

    return measure_stock(PPO, "CnnPolicy", {}, env, rollouts)


def measure_contrib(env: str, rollouts: int) -> dict[str, float]:
    """Time stock RecurrentPPO of sb3-contrib with one LSTM for policy and value, as ours has."""
    from sb3_contrib import RecurrentPPO

    kwargs = {"lstm_hidden_size": 256, "shared_lstm": True, "enable_critic_lstm": False}
    return measure_stock(RecurrentPPO, "CnnLstmPolicy", kwargs, env, rollouts)


def measure_stock(
    algorithm: Any, policy: str, policy_kwargs: dict[str, Any], env: str, rollouts: int
) -> dict[str, float]:
    """Time an algorithm of stable-baselines3 on its own Atari wrappers."""
    from stable_baselines3.common.callbacks import BaseCallback

    class Timer(BaseCallback):
        """Notes the times at which rollouts begin."""

        def _on_training_start(self) -> None:
            self.marks: list[tuple[float, float]] = []

        def _on_rollout_start(self) -> None:
            self.marks.append((time.perf_counter(), time.process_time()))

        def _on_step(self) -> bool:
            return True

    size = NUM_ENVS * NUM_STEPS
    model = algorithm(
        policy,
        stock_environments(env),
        n_steps=NUM_STEPS,
        batch_size=256,
        n_epochs=4,
        learning_rate=2.5e-4,
        clip_range=0.1,
        ent_coef=0.01,
        seed=1,
        device="cpu",
        policy_kwargs=policy_kwargs,
    )
    timer = Timer()
    # The first rollout is not timed.
    model.learn((rollouts + 1) * size, callback=timer)
    marks = [*timer.marks[1:], (time.perf_counter(), time.process_time())]
    return figures(rollouts * size, marks[-1][0] - marks[0][0], marks[-1][1] - marks[0][1])


def stock_environments(env: str) -> Any:
    """Return the peer's own Atari wrappers around a game; give torch all cores, as it expects."""
    import torch
    from stable_baselines3.common.env_util import make_atari_env
    from stable_baselines3.common.vec_env import VecFrameStack

    from backbones.training.device.cores import available_threads
    from rl.games.atari import atari_ids

    torch.set_num_threads(available_threads())
    atari_ids()  # Registers the games.
    kwargs = {"frameskip": 1, "repeat_action_probability": 0.0}
    return VecFrameStack(make_atari_env(env, NUM_ENVS, seed=1, env_kwargs=kwargs), 4)


def in_turn(
    measures: dict[str, Callable[..., dict[str, Any]]], rounds: int, *args: Any
) -> dict[str, dict[str, Any]]:
    """Run every measurement in a fresh process, in turn, `rounds` times; return the medians.

    Of words, such as a precision, return all that occurred.
    """
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in measures}
    context = multiprocessing.get_context("spawn")
    for _ in range(rounds):
        for name, measure in measures.items():
            with ProcessPoolExecutor(1, context) as pool:
                found[name].append(pool.submit(measure, *args).result())
    return {
        name: {key: middle([row[key] for row in rows]) for key in rows[0]}
        for name, rows in found.items()
    }


def middle(values: list[Any]) -> Any:
    """Return the median of numbers; of words, those that occurred."""
    if isinstance(values[0], str):
        return ", ".join(sorted(set(values)))
    return statistics.median(values)


def main(config: Config) -> int:
    """The command `arcadia bench ppo`."""
    return compare("ppo", config, "stable-baselines3", measure_ours, measure_sb3)


def compare(
    name: str, config: Config, peer: str, ours: Callable[..., Any], theirs: Callable[..., Any]
) -> int:
    """Measure both in turn and print what was found; UserError if the peer is not installed."""
    try:
        peer_name = f"{peer} {version(peer)}"
    except PackageNotFoundError:
        raise UserError(
            f"{peer}, the peer, is not installed; `pip install sb3-contrib` brings it"
        ) from None
    from rl.games.make import is_atari

    if not is_atari(config.env):
        raise UserError(f"bench {name} plays Atari; {config.env} is another environment")
    found = in_turn({"ours": ours, "peer": theirs}, config.rounds, config.env, config.rollouts)
    rows, precision = [], found["ours"]["precision"]
    for key, unit in UNITS.items():
        if key not in found["ours"]:
            continue
        mine, other = found["ours"][key], found["peer"][key]
        ratio = mine / other if key == "env_steps_per_s" else other / mine
        row = {"name": f"{name} {key}", "ours": mine, "peer": other, "ratio": ratio, "unit": unit}
        row |= {"peer_name": peer_name, "precision": precision, "peer_precision": "fp32"}
        rows.append(row)
    if config.json:
        print(json.dumps(rows))
        return 0
    print(f"{config.env}, {peer_name}, {config.rounds} rounds, medians")
    print(f"ours learns in {precision}, its choice on this machine; the peer in fp32")
    for row in rows:
        print(
            f"{row['name']:30} ours {row['ours']:8.1f}  peer {row['peer']:8.1f} {row['unit']:12}"
            f" ratio {row['ratio']:.2f}"
        )
    return 0
