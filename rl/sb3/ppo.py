"""Stock PPO of stable-baselines3 as a job; see `rl/sb3/job.py`.

Defaults: those of rl-baselines3-zoo for Atari, but learning rate and clip stay where they begin (in
the zoo both fall on a line to 0: lin_2.5e-4, lin_0.1), and a run is a tenth as long.
"""

from dataclasses import dataclass
from typing import Any

from stable_baselines3 import PPO

from backbones.training.checks.limits import require_at_most
from backbones.training.config import (
    changed,
    require_fraction,
    require_not_negative,
    require_positive,
)
from backbones.transfer import TrunkConfig
from rl.games.options import MOST_ENVS, EnvOptions
from rl.networks.actor_critic import ActorCritic
from rl.returns import refuse_single
from rl.sb3 import job
from rl.sb3.job import StockJob


@dataclass(frozen=True, kw_only=True)
class Config(job.Config):
    """Stock PPO of stable-baselines3 on our environments and trunks."""

    num_envs: int = 8
    """Games played side by side."""
    num_steps: int = 128
    """Env steps of each environment in a rollout."""
    num_epochs: int = 4
    """Passes over a rollout."""
    minibatch_size: int = 256
    """Env steps in one update."""
    learning_rate: float = 2.5e-4
    """Adam's step size."""
    gae_lambda: float = 0.95
    """GAE lambda."""
    clip: float = 0.1
    """PPO clip range."""
    entropy_coef: float = 0.01
    """Weight of the entropy in the loss."""
    value_coef: float = 0.5
    """Weight of the mean squared value error in the loss."""
    max_grad_norm: float = 0.5
    """Gradients are scaled down to this norm."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(
            self,
            "num_envs",
            "num_steps",
            "num_epochs",
            "minibatch_size",
            "learning_rate",
            "clip",
            "max_grad_norm",
        )
        require_at_most(self, num_envs=MOST_ENVS)
        require_fraction(self, "gae_lambda")
        require_not_negative(self, "entropy_coef", "value_coef")
        # SB3 normalises advantages over the minibatch, and one value has no deviation.
        if self.minibatch_size == 1:
            raise ValueError("minibatch_size = 1 cannot be normalised over; use 2 or more")
        refuse_single(self.num_envs * self.num_steps)

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
    total_steps=256,
    num_envs=4,
    num_steps=32,
    minibatch_size=64,
)
CATCH = changed(
    DEFAULT,
    env="Arcadia/Catch-v0",
    hidden=64,
    eval_games=100,
    trunk=TrunkConfig(width=0.25, pool=2),
    total_steps=60_000,
    num_envs=16,
    num_steps=64,
    learning_rate=1e-3,
)
PRESETS = {"default": DEFAULT, "smoke": SMOKE, "catch": CATCH}


def make_model(config: Config, envs: Any, common: dict[str, Any]) -> PPO:
    """Return SB3's model; `common` is what every algorithm takes."""
    return PPO(
        **common,
        n_steps=config.num_steps,
        batch_size=config.minibatch_size,
        n_epochs=config.num_epochs,
        gae_lambda=config.gae_lambda,
        clip_range=config.clip,
        ent_coef=config.entropy_coef,
        vf_coef=config.value_coef,
        max_grad_norm=config.max_grad_norm,
    )


JOB = StockJob("sb3-ppo", PRESETS, make_model, ActorCritic)
train, resume = JOB.train, JOB.resume
