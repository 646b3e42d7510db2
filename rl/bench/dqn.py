"""The command `arcadia bench dqn`: our DQN and stable-baselines3's in turn, as in `ppo.py`.

Both have the setting of rl-baselines3-zoo for Atari, the full Nature network and no sticky actions,
but play 8 games side by side and keep 10,000 transitions. Both learn from 8 samples an env step:
the peer from minibatches of 32, one for each 4 env steps, ours from 256 for each 32, which is why
it is not the same training. Memory counts: beside the peak of the process stands the replay itself.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from backbones.training.config import changed
from backbones.training.distributed import World
from rl import dqn
from rl.bench import ppo as bench

LEARNING_STARTS = 1_024
BUFFER_SIZE = 10_000
ROLLOUT = 1_024  # env steps that count as one
OURS = changed(
    dqn.REFERENCE,
    num_envs=bench.NUM_ENVS,
    buffer_size=BUFFER_SIZE,
    minibatch_size=256,
    train_every=32,
)


@dataclass(frozen=True, kw_only=True)
class Config(bench.Config):
    """Measure DQN against stable-baselines3's, in turn, in one run."""


def measure_ours(env: str, rollouts: int) -> dict[str, Any]:
    """Time our DQN, playing one block ahead of learning; `precision` is what it learns in."""
    config = changed(OURS, env=env, learning_starts=LEARNING_STARTS)
    training = dqn.JOB.build(config, World())
    training.start()
    blocks = rollouts * ROLLOUT // config.rollout_size
    with ThreadPoolExecutor(1) as pool:
        while training.learner.updates == 0:
            training.advance(pool)
        found = bench.timed(training, pool, blocks)
    return {**found, "replay_mib": training.learner.replay.nbytes / 2**20}


def measure_sb3(env: str, rollouts: int) -> dict[str, float]:
    """Time stock DQN of stable-baselines3 on its own Atari wrappers."""
    from stable_baselines3 import DQN
    from stable_baselines3.common.callbacks import BaseCallback

    class Timer(BaseCallback):
        """Notes when the first updates have been taken."""

        def _on_step(self) -> bool:
            if not hasattr(self, "begin") and self.model._n_updates:  # type: ignore[attr-defined]
                self.begin = time.perf_counter(), time.process_time(), self.num_timesteps
            return True

    model = DQN(
        "CnnPolicy",
        bench.stock_environments(env),
        learning_rate=1e-4,
        buffer_size=BUFFER_SIZE,
        learning_starts=LEARNING_STARTS,
        batch_size=32,
        # In steps of all environments at once.
        train_freq=4,
        gradient_steps=bench.NUM_ENVS,
        target_update_interval=1_000,
        seed=1,
        device="cpu",
    )
    timer = Timer()
    model.learn(LEARNING_STARTS + (rollouts + 1) * ROLLOUT, callback=timer)
    wall, cpu = time.perf_counter() - timer.begin[0], time.process_time() - timer.begin[1]
    found = bench.figures(model.num_timesteps - timer.begin[2], wall, cpu)
    buffer: Any = model.replay_buffer
    arrays = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
    return {**found, "replay_mib": sum(getattr(buffer, a).nbytes for a in arrays) / 2**20}


def main(config: Config) -> int:
    """Compare ours and DQN."""
    return bench.compare("dqn", config, "stable-baselines3", measure_ours, measure_sb3)
