"""Stock PPO of stable-baselines3 as a job; see `rl/sb3_train.py`. Defaults: the zoo's for Atari."""

from dataclasses import dataclass, field
from typing import Any

from stable_baselines3 import PPO

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
from rl.network import ActorCritic

JOB = "sb3-ppo"


@dataclass(frozen=True, kw_only=True)
class Config:
    """Stock PPO of stable-baselines3 on our environments and trunks."""

    env: str = "ALE/Pong-v5"
    """Gymnasium id: an Atari game, Arcadia/Catch-v0, or module:Env-v0 of your own."""
    total_steps: int = 1_000_000
    """Length of the run in env steps (4 frames each on Atari)."""
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
    gamma: float = 0.99
    """Discount per env step."""
    gae_lambda: float = 0.95
    """Decay of the advantage's trace."""
    clip: float = 0.1
    """Range of the probability ratio within which it is pushed."""
    entropy_coef: float = 0.01
    """Weight of the entropy in the loss."""
    value_coef: float = 0.5
    """Weight of the mean squared value error in the loss."""
    max_grad_norm: float = 0.5
    """Gradients are scaled down to this norm."""
    hidden: int = 512
    """Units between the trunk and the heads."""
    eval_games: int = 20
    """Games of the evaluation at the end; 0: none, and no film."""
    env_options: EnvOptions = field(default_factory=EnvOptions)
    trunk: TrunkConfig = field(default_factory=TrunkConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        require_positive(
            self,
            "total_steps",
            "num_envs",
            "num_steps",
            "num_epochs",
            "minibatch_size",
            "learning_rate",
        )
        require_fraction(self, "gamma", "gae_lambda")


DEFAULT = Config()
SMOKE = changed(
    DEFAULT, hidden=32, eval_games=1, env_options=EnvOptions(max_frames=400),
    trunk=TrunkConfig(width=0.25, pool=2), total_steps=256, num_envs=4, num_steps=32,
    minibatch_size=64,
)  # fmt: skip
CATCH = changed(
    DEFAULT, env="Arcadia/Catch-v0", hidden=64, eval_games=100,
    trunk=TrunkConfig(width=0.25, pool=2), total_steps=60_000, num_envs=16, num_steps=64,
    learning_rate=1e-3,
)  # fmt: skip
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


def build_network(config: Config, num_actions: int) -> ActorCritic:
    """Return our network of the same shape."""
    return sb3_train.build_network(ActorCritic, config, num_actions)  # type: ignore[no-any-return]


def train(config: Config, preset: str = "default") -> Run:
    """Train an agent from nothing; return its run."""
    return sb3_train.train(JOB, config, preset, make_model, ActorCritic)


def resume(run: Run, flags: ResumeConfig | None = None) -> Run:
    """Continue from the newest weights; not exact."""
    return sb3_train.resume(run, flags, Config, make_model, ActorCritic)
