"""Stock DQN of stable-baselines3 as a job; see `rl/sb3/job.py`.

Defaults: those of rl-baselines3-zoo for Atari, but a run is a tenth as long. The chance of a random
action, which falls over a tenth of the run, is thus down to `epsilon` where learning begins.

No replay is saved with the weights. A resumed job would learn at once from the few transitions
that it has, so it plays `learning_starts` env steps with its policy first.
"""

from dataclasses import dataclass
from typing import Any

from stable_baselines3 import DQN
from stable_baselines3.common.base_class import BaseAlgorithm

from backbones.training.checks.limits import require_at_most
from backbones.training.checks.typed import OtherNames
from backbones.training.config import (
    changed,
    require_fraction,
    require_not_negative,
    require_positive,
)
from backbones.transfer import TrunkConfig
from rl.games.options import MOST_ENVS, EnvOptions
from rl.networks.q_network import QNetwork
from rl.sb3 import job
from rl.sb3.flag_names import OF_STOCK_DQN
from rl.sb3.job import StockJob


@dataclass(frozen=True, kw_only=True)
class Config(job.Config):
    """Stock DQN of stable-baselines3 on our environments and trunks."""

    num_envs: int = 1
    """Games played side by side."""
    learning_rate: float = 1e-4
    """Adam's step size."""
    buffer_size: int = 100_000
    """Transitions kept for replay; 56 kB each at 84 x 84: 4 grey frames before it, 4 after."""
    learning_starts: int = 100_000
    """Env steps played at random before learning begins."""
    minibatch_size: int = 32
    """Transitions in one update."""
    train_every: int = 4
    """Env steps (of each environment) between two updates."""
    target_every: int = 1000
    """Env steps between two copies into the target network."""
    epsilon_fraction: float = 0.1
    """Progress (0 to 1) over which the chance of a random action falls from 1."""
    epsilon: float = 0.01
    """Chance of a random action from then on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(
            self,
            "num_envs",
            "buffer_size",
            "minibatch_size",
            "learning_rate",
            "train_every",
            "target_every",
        )
        require_fraction(self, "epsilon_fraction", "epsilon")
        require_not_negative(self, "learning_starts")
        require_at_most(self, num_envs=MOST_ENVS)

    @property
    def storage(self) -> tuple[int, str]:
        return 2 * self.buffer_size, "--buffer-size"


DEFAULT = Config()
SMOKE = changed(
    DEFAULT,
    hidden=32,
    eval_games=1,
    env_options=EnvOptions(max_frames=400),
    trunk=TrunkConfig(width=0.25, pool=2),
    total_steps=320,
    buffer_size=200,
    learning_starts=100,
)
CATCH = changed(
    DEFAULT,
    env="Arcadia/Catch-v0",
    hidden=64,
    eval_games=100,
    trunk=TrunkConfig(width=0.25, pool=2),
    total_steps=60_000,
    buffer_size=20_000,
    learning_starts=2_000,
)
PRESETS = {"default": DEFAULT, "smoke": SMOKE, "catch": CATCH}


class StockDQN(DQN):
    """SB3's DQN, which learns from env step `learns_after` on, whatever it was trained before."""

    learns_after = 0

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        if self.num_timesteps > self.learns_after:
            super().train(gradient_steps, batch_size)


class DQNJob(StockJob):
    """DQN as a job: resumed, its replay is filled before it learns."""

    other_names: OtherNames = OF_STOCK_DQN

    def resumed(self, model: BaseAlgorithm, config: Any) -> list[str]:
        assert isinstance(model, StockDQN)
        model.learns_after = model.num_timesteps + config.learning_starts
        lines = [
            f"it plays {config.learning_starts:,} env steps (--learning-starts) to fill its replay "
            "before it learns on"
        ]
        if model.learns_after >= config.total_steps:
            left = config.total_steps - model.num_timesteps
            lines.append(
                f"the {left:,} env steps that are left are too few for that: nothing more is "
                "learnt; lengthen the run with --extend"
            )
        return lines


def make_model(config: Config, envs: Any, common: dict[str, Any]) -> StockDQN:
    """Return SB3's model; `common` is what every algorithm takes."""
    return StockDQN(
        **common,
        buffer_size=config.buffer_size,
        learning_starts=config.learning_starts,
        batch_size=config.minibatch_size,
        train_freq=config.train_every,
        target_update_interval=config.target_every,
        optimize_memory_usage=False,
        exploration_fraction=config.epsilon_fraction,
        exploration_final_eps=config.epsilon,
    )


JOB = DQNJob("sb3-dqn", PRESETS, make_model, QNetwork)
train, resume = JOB.train, JOB.resume
