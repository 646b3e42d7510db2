"""Stock DQN of stable-baselines3 as a job; see `rl/sb3_train.py`. Defaults: the zoo's for Atari."""

from dataclasses import dataclass, field
from typing import Any

from stable_baselines3 import DQN

from backbones.training.config import (
    ResumeConfig,
    RunConfig,
    changed,
    require_fraction,
    require_positive,
)  # fmt: skip
from backbones.training.run import Run
from backbones.transfer import TrunkConfig
from rl import sb3_train
from rl.environments import EnvOptions
from rl.network import QNetwork

JOB = "sb3-dqn"


@dataclass(frozen=True, kw_only=True)
class Config:
    """Stock DQN of stable-baselines3 on our environments and trunks."""

    env: str = "ALE/Pong-v5"
    """Gymnasium id: an Atari game, Arcadia/Catch-v0, or module:Env-v0 of your own."""
    total_steps: int = 1_000_000
    """Length of the run in env steps (4 frames each on Atari)."""
    num_envs: int = 1
    """Games played side by side."""
    learning_rate: float = 1e-4
    """Adam's step size."""
    gamma: float = 0.99
    """Discount per env step."""
    buffer_size: int = 100_000
    """Transitions kept for replay; 28 kB each at 84 x 84, 4 frames."""
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
    hidden: int = 512
    """Units between the trunk and the heads."""
    eval_games: int = 20
    """Games of the evaluation at the end; 0: none, and no film."""
    env_options: EnvOptions = field(default_factory=EnvOptions)
    trunk: TrunkConfig = field(default_factory=TrunkConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        require_positive(
            self, "total_steps", "num_envs", "buffer_size", "minibatch_size", "learning_rate"
        )
        require_fraction(self, "gamma", "epsilon_fraction", "epsilon")


DEFAULT = Config()
SMOKE = changed(
    DEFAULT, hidden=32, eval_games=1, env_options=EnvOptions(max_frames=400),
    trunk=TrunkConfig(width=0.25, pool=2), total_steps=320, buffer_size=200, learning_starts=100,
)  # fmt: skip
CATCH = changed(
    DEFAULT, env="Arcadia/Catch-v0", hidden=64, eval_games=100,
    trunk=TrunkConfig(width=0.25, pool=2), total_steps=60_000, buffer_size=20_000,
    learning_starts=2_000,
)  # fmt: skip
PRESETS = {"default": DEFAULT, "smoke": SMOKE, "catch": CATCH}


def make_model(config: Config, envs: Any, common: dict[str, Any]) -> DQN:
    """Return SB3's model; `common` is what every algorithm takes."""
    return DQN(
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


def build_network(config: Config, num_actions: int) -> QNetwork:
    """Return our network of the same shape."""
    return sb3_train.build_network(QNetwork, config, num_actions)  # type: ignore[no-any-return]


def train(config: Config, preset: str = "default") -> Run:
    """Train an agent from nothing; return its run."""
    return sb3_train.train(JOB, config, preset, make_model, QNetwork)


def resume(run: Run, flags: ResumeConfig | None = None) -> Run:
    """Continue from the newest weights; not exact."""
    return sb3_train.resume(run, flags, Config, make_model, QNetwork)
