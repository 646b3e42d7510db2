"""Deep Q learning on games seen as pixels: Mnih et al. 2015,
https://www.nature.com/articles/nature14236.

Letters: N environments, B transitions of a minibatch, n env steps in a window, A actions.

A block of env steps is played with epsilon-greedy actions and goes into a replay, from which
minibatches are drawn. Unless `sync` is set, a thread plays the next block meanwhile, with the
weights from before these updates. Either way a run is a function of its config.

Switches: `double` (van Hasselt et al. 2016, https://arxiv.org/abs/1509.06461), `dueling` (Wang et
al. 2016), `n_step` returns without correction, `prioritised` replay (Schaul et al. 2016).

What surprises: everything is counted in env steps of all environments together, so that it means
the same for any number of them; updates come in bursts, after each block.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int64, Shaped
from torch import Tensor

from backbones.training.checkpoint import prefixed, under
from backbones.training.config import (
    RunConfig,
    require_fraction,
    require_not_negative,
    require_positive,
)
from backbones.training.device.graphs import upload
from backbones.training.device.precision import Precision
from backbones.training.distributed import World
from backbones.training.errors import UserError
from backbones.training.optim import (
    Updater,
    load_optimizer_tensors,
    mean_figures,
    optimizer_tensors,
)
from backbones.transfer import TrunkConfig
from backbones.trunk import channels_last
from rl.experience.learner import LearnerState, begun, precision_of
from rl.experience.pipeline import backward_in_halves
from rl.experience.replay import DRAWS, Replay, require_room
from rl.experience.rollout import Rollout
from rl.explore import EpsilonGreedyPolicy, Exploration
from rl.games.options import EnvOptions
from rl.networks.acting import acting_copy, copy_weights_
from rl.networks.body import Body, build_cnn
from rl.networks.q_network import QNetwork
from rl.play_config import PlayConfig
from rl.sb3.flag_names import OF_DQN
from rl.training import AgentJob


@dataclass(frozen=True, kw_only=True)
class Config(PlayConfig):
    """Deep Q learning (DQN) on Atari or any game seen as pixels."""

    num_steps: int = 16
    """Env steps of each environment in a block, after which updates follow."""
    buffer_size: int = 100_000
    """Transitions kept for replay; 7 kB each at 84 x 84 grey."""
    learning_starts: int = 20_000
    """Env steps played at random first."""
    train_every: int = 32
    """Env steps (of all environments together) to one update."""
    target_every: int = 4_000
    """Env steps between two copies of the weights into the target network."""
    n_step: int = 3
    """Env steps whose rewards come before the target network's value."""
    double: bool = True
    """The network itself, not its target, says which action the target values (double DQN)."""
    dueling: bool = False
    """A value and advantages instead of values of actions."""
    prioritised: bool = False
    """Draw transitions by their last TD error, not alike."""
    priority_exponent: float = 0.5
    """Power of the TD error that priorities are; 0: all alike."""
    adam_epsilon: float = 1e-8
    """Adam's epsilon."""
    max_grad_norm: float = 10.0
    """Gradients are scaled down to this norm."""
    explore: Exploration = field(default_factory=Exploration)

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes = ("buffer_size", "train_every", "target_every", "n_step")
        require_positive(self, *sizes, "adam_epsilon", "max_grad_norm")
        require_not_negative(self, "learning_starts")
        require_fraction(self, "priority_exponent")
        if self.memory != "none":
            raise ValueError(
                f"memory = {self.memory}: dqn learns from transitions, not sequences; use ppo"
            )
        if self.learning_starts >= self.total_steps:
            raise ValueError(
                f"learning_starts = {self.learning_starts:,} must come before the end of the run, "
                f"total_steps = {self.total_steps:,}; else nothing is learnt"
            )
        least = self.rollout_size + self.num_envs * self.n_step
        if self.buffer_size < least:
            raise ValueError(
                f"buffer_size = {self.buffer_size:,} must hold a block and a window: num_envs * "
                f"(num_steps + n_step) = {least:,} or more"
            )

    def epsilon(self, rollout: int, envs: range) -> Float32[Tensor, "N"]:
        """Return the chance of a random action in a block: 1 until learning starts."""
        env_step = rollout * self.rollout_size
        if env_step < self.learning_starts:
            return torch.ones(len(envs))
        return self.explore.chances(env_step / self.total_steps, envs, self.num_envs)


FAST = Config(
    total_steps=600_000,
    learning_rate=5e-4,
    hidden=256,
    learning_starts=8_000,
    trunk=TrunkConfig(width=0.5, pool=2),
)
# Mnih et al. 2015, but for Adam in place of RMSprop, 8 games side by side, and no FIRE after a lost
# life. There, 10,000 updates lie between two copies of the target.
NATURE = Config(
    total_steps=50_000_000,
    num_envs=8,
    minibatch_size=32,
    learning_rate=6.25e-5,
    anneal_from=1.0,
    buffer_size=1_000_000,
    learning_starts=50_000,
    train_every=4,
    target_every=40_000,
    n_step=1,
    double=False,
    adam_epsilon=1.5e-4,
    explore=Exploration(epsilon=0.1, epsilon_fraction=0.02, eval_epsilon=0.05),
    env_options=EnvOptions(sticky=0.0),
)
# rl-baselines3-zoo's for Atari, which plays one game and updates after each 4 env steps; here 32
# updates follow each 128.
REFERENCE = replace(
    NATURE,
    total_steps=10_000_000,
    learning_rate=1e-4,
    buffer_size=100_000,
    learning_starts=100_000,
    target_every=1_000,
    adam_epsilon=1e-8,
    explore=Exploration(),
)
SMOKE = Config(
    total_steps=384,
    num_envs=4,
    minibatch_size=32,
    hidden=32,
    buffer_size=256,
    learning_starts=128,
    train_every=16,
    target_every=128,
    eval_games=1,
    env_options=EnvOptions(max_frames=400),
    trunk=TrunkConfig(width=0.25, pool=2),
    run=RunConfig(precision="fp32"),
)
CATCH = Config(
    env="Arcadia/Catch-v0",
    total_steps=40_000,
    minibatch_size=128,
    anneal_from=0.7,
    hidden=64,
    buffer_size=20_000,
    learning_starts=2_000,
    target_every=1_000,
    eval_games=100,
    explore=Exploration(epsilon_fraction=0.25, eval_epsilon=0.0),
    trunk=TrunkConfig(width=0.25, pool=2),
)
PRESETS = {
    "default": FAST,
    "fast": FAST,
    "nature": NATURE,
    "reference": REFERENCE,
    "smoke": SMOKE,
    "catch": CATCH,
}


def build_network(config: Config, num_actions: int) -> QNetwork:
    """Return the untrained network of a config, its weights a function of torch's seed."""
    cnn = build_cnn(config.trunk, config.env_options.frame_channels)
    size_px = config.env_options.size_px
    return QNetwork(cnn, size_px, num_actions, config.hidden, dueling=config.dueling)


FIGURES = ("loss", "q_value", "td_error")


def dqn_loss(
    q_value: Float[Tensor, "B A"],
    action: Int64[Tensor, "B"],
    target: Float32[Tensor, "B"],
    weight: Float32[Tensor, "B"] | None,
    *,
    of: int,
) -> tuple[Float32[Tensor, ""], Float32[Tensor, "B figures"]]:
    """Return the loss of a minibatch, and of each transition its `FIGURES`.

    The loss is Huber's of the TD error, which is the square of small ones and whose gradient is at
    most 1, weighted and summed, divided by `of`, the size of the minibatch that these are part of.
    """
    chosen = q_value.float().gather(1, action[:, None])[:, 0]
    loss = F.smooth_l1_loss(chosen, target, reduction="none")
    loss = loss if weight is None else loss * weight
    figures = torch.stack([loss, chosen, (target - chosen).abs()], dim=1)
    return loss.sum() / of, figures.detach()


class DQNLearner:
    """The network, its target, its optimiser, the replay, and how far they are."""

    def __init__(
        self, config: Config, num_actions: int, device: torch.device, world: World, share: range
    ) -> None:
        if world.size > 1:
            raise UserError("dqn learns in one process: its replay is not shared; leave torchrun")
        options = config.env_options
        frame_bytes = options.frame_channels * (options.size_px // config.trunk.pool) ** 2
        require_room(config.buffer_size, frame_bytes, device, prioritised=config.prioritised)
        self.config, self.device, self.world, self.share = config, device, world, share
        self.network, groups = begun(config, build_network, num_actions, device)
        adam = torch.optim.Adam(groups, eps=config.adam_epsilon, fused=True)
        self.updater = Updater(adam, world, config.max_grad_norm)
        self.rollouts = self.updates = 0
        self.precision = Precision("fp32", device.type, "not chosen yet")
        self.no_graphs = "dqn's updates are not recorded"
        self.target: QNetwork  # of the first weights, in their number format
        self.replay: Replay | None = None

    @property
    def env_steps(self) -> int:
        """Env steps in the replay, or gone through it."""
        return self.rollouts * self.config.rollout_size

    def choose_precision(self) -> None:
        """Time the network where `auto` needs it, and make its target in that number format."""
        self.precision = precision_of(self.network, self.config, self.device, self.world)
        self.target = acting_copy(self.network, self.precision.dtype)

    def policy(self, acting: Body) -> EpsilonGreedyPolicy:
        """Return the policy that plays, on a copy of the network for it."""
        chances = partial(self.config.epsilon, envs=self.share)
        return EpsilonGreedyPolicy(acting, chances, len(self.share))

    def replay_like(self, frames: Shaped[Tensor, "rows N C *frame"]) -> Replay:
        """Return the replay, of frames such as these; they are kept as the trunk pools them."""
        config = self.config
        if self.replay is None:
            self.replay = Replay(
                config.buffer_size,
                frames,
                n_step=config.n_step,
                exponent=config.priority_exponent if config.prioritised else None,
                keep=self.network.cnn.pool,
                first_env=self.share.start,
            )
        return self.replay

    def learn(self, rollout: Rollout, pool: ThreadPoolExecutor | None = None) -> dict[str, float]:
        """Add a block to the replay and take its updates; return the mean of all their figures.

        The pool's thread helps whenever it is idle, which changes no bit of the result.
        """
        config, every = self.config, self.config.train_every
        replay = self.replay_like(rollout.frames)
        # Schedules are functions of progress.
        rate, epsilon = config.rate(self.rollouts), config.epsilon(self.rollouts, self.share)
        self.updater.set_rate(rate)
        replay.append(rollout)
        # An update falls to each env step that is a multiple of `train_every`.
        before, now = self.env_steps, self.env_steps + config.rollout_size
        learns = now > config.learning_starts and len(replay.drawable) > 0
        steps = range(before // every * every + every, now + 1, every) if learns else range(0)
        rng = np.random.default_rng([config.run.seed, self.rollouts, 0, DRAWS])
        drawn = torch.from_numpy(rng.random((len(steps), config.minibatch_size)))
        table = []
        for step, uniform in zip(steps, upload(drawn, self.device), strict=True):
            # Draw a minibatch, all transitions alike or by their priorities, and learn from it.
            position, weight = replay.draw(uniform, self.rollouts / config.num_rollouts)
            table.append(self.update(replay, position, weight, pool))
            if step // config.target_every > (step - every) // config.target_every:
                copy_weights_(self.target, self.network)
        self.rollouts += 1
        first = self.updates - len(table) + 1
        means = mean_figures(FIGURES, table, first, self.world) if table else {}
        return means | {
            "train/learning_rate": rate,
            "rollout/epsilon": float(epsilon.mean()),
            "replay/fill": replay.fill,
        }

    def update(
        self,
        replay: Replay,
        position: Int64[Tensor, "B"],
        weight: Float32[Tensor, "B"] | None,
        pool: ThreadPoolExecutor | None = None,
    ) -> Float32[Tensor, "figures_and_norm"]:
        """Take one optimiser step on a minibatch; return its figures and the gradient's norm."""
        part = torch.arange(len(position), device=self.device)

        def loss(index: Int64[Tensor, "_"]) -> tuple[Tensor, Tensor]:
            return self.loss(replay, position[index], None if weight is None else weight[index])

        # The gradient of the minibatch's two halves, clipped, and a step along it.
        halves, norm = self.updater.step(lambda: backward_in_halves(loss, part, 1, pool))
        figures = torch.cat(halves)
        replay.learnt(position, figures[:, FIGURES.index("td_error")])
        self.updates += 1
        return torch.cat([figures.mean(0), norm[None]])

    def loss(
        self, replay: Replay, position: Int64[Tensor, "B"], weight: Float32[Tensor, "B"] | None
    ) -> tuple[Tensor, Float32[Tensor, "B figures"]]:
        """Return the loss of some transitions, and the figures of each."""
        config, network = self.config, self.network
        seen = replay.transitions(position, gamma=config.gamma, clip=config.sees_clipped_rewards)
        with self.precision.autocast():
            q_value = network.judge(channels_last(seen.obs)).q_value
        # Autocasts of their own: one that has seen weights without gradients keeps them so.
        with torch.no_grad(), self.precision.autocast():
            next_obs = channels_last(seen.next_obs)
            following = self.target.judge(next_obs).q_value
            chooser = network.judge(next_obs).q_value if config.double else following
        assert q_value is not None and following is not None and chooser is not None
        best = following.gather(1, chooser.argmax(1, keepdim=True))[:, 0]
        target = seen.returns + seen.discount * best
        return dqn_loss(q_value, seen.action, target, weight, of=config.minibatch_size)

    def state(self) -> LearnerState:
        """Return what `load_state` continues from exactly, the weights apart."""
        tensors = prefixed("adam", optimizer_tensors(self.updater.optimizer))
        tensors |= prefixed("target", self.target.state_dict())
        info = {
            "rollouts": self.rollouts,
            "updates": self.updates,
            "precision": self.precision.name,
        }
        if self.replay is not None:
            tensors |= prefixed("replay", self.replay.state_dict())
        return LearnerState(tensors, info, self.replay.chunks() if self.replay else {})

    def load_state(
        self,
        tensors: Mapping[str, Tensor],
        info: Mapping[str, Any],
        read_chunk: Callable[[str], dict[str, Tensor]],
    ) -> None:
        """Continue from a state; the replay is read from its chunks."""
        load_optimizer_tensors(self.updater.optimizer, under("adam", tensors))
        self.rollouts, self.updates = info["rollouts"], info["updates"]
        self.precision = Precision(info["precision"], self.device.type, "as in the checkpoint")
        self.target = acting_copy(self.network, self.precision.dtype)
        self.target.load_state_dict(under("target", tensors))
        if self.rollouts:
            replay = self.replay_like(tensors["rollout.frames"])
            head = self.rollouts * self.config.num_steps
            replay.load(head, under("replay", tensors), read_chunk)


JOB = AgentJob("dqn", PRESETS, build_network, DQNLearner, OF_DQN)
train, resume = JOB.train, JOB.resume
