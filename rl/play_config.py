"""What the configs of all algorithms share that learn from play: the game, the run, the network."""

from dataclasses import dataclass, field
from typing import Literal

from backbones.training.checks.limits import MOST_GAMES, MOST_THREADS, require_at_most
from backbones.training.config import (
    GameName,
    RunConfig,
    require_fraction,
    require_not_negative,
    require_positive,
)
from backbones.training.optim import anneal
from backbones.transfer import TrunkConfig
from rl.games.atari import SEED_EVERY
from rl.games.make import is_atari
from rl.games.options import MOST_ENVS, EnvOptions
from rl.networks.body import MOST_UNITS


@dataclass(frozen=True, kw_only=True)
class PlayConfig:
    """An algorithm on Atari or any game seen as pixels."""

    env: GameName = "ALE/Pong-v5"
    """Gymnasium id: an Atari game, Arcadia/Catch-v0, or module:Env-v0 of your own."""
    total_steps: int = 1_200_000
    """Length of the run in env steps (4 frames each on Atari)."""
    num_envs: int = 16
    """Games played side by side."""
    num_steps: int = 64
    """Env steps of each environment in a rollout."""
    minibatch_size: int = 256
    """Env steps in one update."""
    learning_rate: float = 1e-3
    """Adam's step size at the start."""
    anneal_from: float = 0.4
    """Progress (0 to 1) from which the learning rate decays linearly to 0; 1: never."""
    gamma: float = 0.99
    """Discount per env step."""
    clip_rewards: bool | None = None
    """Learn from the sign of rewards; default: on Atari only. Scores are always raw."""
    centred: bool = False
    """Measure pictures of random play before the run, and centre what the trunk sees on them; the
    run's trunk.mean and trunk.std say what was found."""
    hidden: int = 512
    """Units between the trunk and the heads, or the memory."""
    memory: Literal["none", "lstm"] = "none"
    """An LSTM before the heads, emptied where a game ends; minibatches are then sequences."""
    lstm_units: int = 256
    """Units of the LSTM."""
    sync: bool = False
    """Play and learn strictly in turn, instead of one rollout ahead."""
    env_threads: int | None = None
    """Emulator threads (Atari); default: the cores that this process may use less two, at least
    1."""
    seed_every: int = SEED_EVERY
    """Env steps of an environment between two seedings of its games, at least (Atari). A seeding
    takes some 0.1 s in which all games wait; a resume replays what came after the last one."""
    end_games_every: int | None = None
    """All games are ended every so many env steps, for games that cannot be replayed when a run
    resumes; 0: never; default: never, unless a try shows that it is needed (not Atari)."""
    video_every_s: float = 120.0
    """Seconds between two animated pictures of a recent game in TensorBoard."""
    eval_games: int = 20
    """Games of the evaluation at the end, sampled actions; 0: none, and no video."""
    eval_every: int = 0
    """Env steps between two evaluations while it trains, of as many games by seeds of their own;
    the best checkpoint is then the best of these; 0: none."""
    env_options: EnvOptions = field(default_factory=EnvOptions)
    trunk: TrunkConfig = field(default_factory=TrunkConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        require_positive(
            self,
            "total_steps",
            "num_envs",
            "num_steps",
            "minibatch_size",
            "learning_rate",
            "hidden",
            "lstm_units",
            "env_threads",
            "video_every_s",
        )
        require_at_most(
            self,
            num_envs=MOST_ENVS,
            hidden=MOST_UNITS,
            lstm_units=MOST_UNITS,
            env_threads=MOST_THREADS,
            eval_games=MOST_GAMES,
        )
        require_fraction(self, "anneal_from", "gamma")
        require_not_negative(self, "eval_games", "seed_every", "eval_every")
        if self.eval_every and not self.eval_games:
            raise ValueError(
                f"eval_every = {self.eval_every} needs eval_games of 1 or more, the games of each"
            )
        every = self.end_games_every or 0
        if every < 0 or every % self.num_steps:
            raise ValueError(
                f"end_games_every = {every} must be 0 or a multiple of num_steps = {self.num_steps}"
            )

    @property
    def rollout_size(self) -> int:
        """Env steps in a rollout, all environments together."""
        return self.num_envs * self.num_steps

    @property
    def num_rollouts(self) -> int:
        """Rollouts in the run."""
        return -(-self.total_steps // self.rollout_size)

    @property
    def sees_clipped_rewards(self) -> bool:
        """Whether the algorithm sees the sign of rewards only."""
        return is_atari(self.env) if self.clip_rewards is None else self.clip_rewards

    def rate(self, rollouts: int) -> float:
        """Return the learning rate after so many rollouts."""
        return self.learning_rate * anneal(rollouts / self.num_rollouts, self.anneal_from)
