"""Stock A2C of stable-baselines3 as a job; see `rl/sb3/job.py`.

Defaults: those of rl-baselines3-zoo for Atari, but the optimiser is SB3's own, torch's RMSprop (the
zoo takes RMSpropTFLike, which computes as TensorFlow's did), and a run is a tenth as long.
"""

from dataclasses import dataclass
from typing import Any

from stable_baselines3 import A2C

from backbones.training.checks.limits import require_at_most
from backbones.training.config import changed, require_not_negative, require_positive
from backbones.transfer import TrunkConfig
from rl.games.options import MOST_ENVS, EnvOptions
from rl.networks.actor_critic import ActorCritic
from rl.sb3 import job
from rl.sb3.job import StockJob


@dataclass(frozen=True, kw_only=True)
class Config(job.Config):
    """Stock A2C of stable-baselines3 on our environments and trunks."""

    num_envs: int = 16
    """Games played side by side."""
    num_steps: int = 5
    """Env steps of each environment between two updates."""
    learning_rate: float = 7e-4
    """RMSprop's step size."""
    entropy_coef: float = 0.01
    """Weight of the entropy in the loss."""
    value_coef: float = 0.25
    """Weight of the mean squared value error in the loss."""
    max_grad_norm: float = 0.5
    """Gradients are scaled down to this norm."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "num_envs", "num_steps", "learning_rate", "max_grad_norm")
        require_not_negative(self, "entropy_coef", "value_coef")
        require_at_most(self, num_envs=MOST_ENVS)

    @property
    def storage(self) -> tuple[int, str]:
        return self.num_envs * self.num_steps, "--num-steps"


DEFAULT = Config()
SMOKE = changed(
    DEFAULT,
    hidden=32,
    eval_games=1,
    env_options=EnvOptions(max_frames=400),
    trunk=TrunkConfig(width=0.25, pool=2),
    total_steps=320,
    num_envs=4,
)
CATCH = changed(
    DEFAULT,
    env="Arcadia/Catch-v0",
    hidden=64,
    eval_games=100,
    trunk=TrunkConfig(width=0.25, pool=2),
    total_steps=100_000,
)
PRESETS = {"default": DEFAULT, "smoke": SMOKE, "catch": CATCH}


def make_model(config: Config, envs: Any, common: dict[str, Any]) -> A2C:
    """Return SB3's model; `common` is what every algorithm takes."""
    return A2C(
        **common,
        n_steps=config.num_steps,
        ent_coef=config.entropy_coef,
        vf_coef=config.value_coef,
        max_grad_norm=config.max_grad_norm,
    )


JOB = StockJob("sb3-a2c", PRESETS, make_model, ActorCritic)
train, resume = JOB.train, JOB.resume
