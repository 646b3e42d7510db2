"""Parallelised Q learning on games seen as pixels: Gallici et al. 2024, PQN,
https://arxiv.org/abs/2407.04811.

Letters: T env steps a rollout, N environments, B positions of a minibatch, A actions.

No replay and no target network: a rollout of T x N env steps is played with epsilon-greedy actions,
its targets are Q(lambda) returns, and it is learnt from for a few epochs of minibatches. What keeps
that stable is layer normalisation, after each convolution and after the hidden layer. Unless `sync`
is set, a thread plays the next rollout meanwhile, with the weights from before these updates.
Either way a run is a function of its config.

What surprises: the targets are made once a rollout, of the values that were noted while it was
played; traces are not cut where a random action was taken (Peng's Q(lambda)); with a memory,
minibatches are whole sequences, from the memory that they were played with.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from backbones.lstm import LSTM, LSTMSpec
from backbones.training.checkpoint import prefixed, under
from backbones.training.config import RunConfig, require_fraction, require_positive
from backbones.training.device.precision import Precision
from backbones.training.distributed import World
from backbones.training.optim import (
    Updater,
    load_optimizer_tensors,
    mean_figures,
    optimizer_tensors,
)
from backbones.transfer import TrunkConfig
from backbones.trunk import orthogonal_, take_rows
from rl.experience.learner import LearnerState, begun, precision_of
from rl.experience.pipeline import backward_in_halves
from rl.experience.rollout import (
    Rollout,
    epochs_of_minibatches,
    memory_of_columns,
    require_whole_minibatches,
)
from rl.explore import EpsilonGreedyPolicy, Exploration
from rl.games.options import EnvOptions
from rl.networks.body import Body, build_cnn
from rl.networks.q_network import QNetwork
from rl.play_config import PlayConfig
from rl.returns import explained_variance, gae
from rl.training import AgentJob


@dataclass(frozen=True, kw_only=True)
class Config(PlayConfig):
    """Parallelised Q learning (PQN) on Atari or any game seen as pixels."""

    num_epochs: int = 2
    """Passes over a rollout."""
    q_lambda: float = 0.65
    """Lambda of the returns that Q learns: 0 one step, 1 all rewards of the rollout."""
    max_grad_norm: float = 10.0
    """Gradients are scaled down to this norm."""
    explore: Exploration = field(default_factory=Exploration)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "num_epochs", "max_grad_norm")
        require_fraction(self, "q_lambda")
        require_whole_minibatches(
            self.minibatch_size, self.num_steps, self.num_envs, columns=self.memory == "lstm"
        )

    def epsilon(self, rollout: int, envs: range) -> Float32[Tensor, "N"]:
        """Return the chance of a random action in a rollout, of some environments."""
        return self.explore.chances(rollout / self.num_rollouts, envs, self.num_envs)


# Every game explores by itself, from epsilon 0.4 down to 0.0007, and a rollout is learnt from four
# times: with one epsilon of 0.01 and two epochs Pong takes more than twice as many env steps.
FAST = Config(
    num_envs=32,
    num_steps=32,
    num_epochs=4,
    minibatch_size=128,
    learning_rate=5e-4,
    centred=True,
    hidden=256,
    explore=Exploration(epsilon=0.4, epsilon_spread=7.0),
    trunk=TrunkConfig(width=0.5, pool=2, pooling="mean", norm="layer"),
)
# The paper's for Atari (its configuration pqn_atari), at 10 M of its 50 M env steps; it ends lives
# as ours do and normalises over channels alone.
REFERENCE = Config(
    total_steps=10_000_000,
    num_envs=128,
    num_steps=32,
    minibatch_size=128,
    learning_rate=2.5e-4,
    anneal_from=1.0,
    sync=True,
    explore=Exploration(epsilon=0.001, eval_epsilon=0.001),
    env_options=EnvOptions(sticky=0.0),
    trunk=TrunkConfig(norm="layer"),
)
SMOKE = Config(
    total_steps=256,
    num_envs=4,
    num_steps=32,
    minibatch_size=64,
    num_epochs=1,
    hidden=32,
    eval_games=1,
    env_options=EnvOptions(max_frames=400),
    trunk=TrunkConfig(width=0.25, pool=2, norm="layer"),
    run=RunConfig(precision="fp32"),
)
CATCH = Config(
    env="Arcadia/Catch-v0",
    total_steps=40_000,
    num_envs=16,
    num_steps=32,
    minibatch_size=128,
    anneal_from=0.7,
    hidden=64,
    eval_games=100,
    explore=Exploration(epsilon_fraction=0.25, eval_epsilon=0.0),
    trunk=TrunkConfig(width=0.25, pool=2, norm="layer"),
)
PRESETS = {
    "default": FAST,
    "fast": FAST,
    "nature": replace(FAST, num_epochs=2, hidden=512, trunk=TrunkConfig(norm="layer")),
    "reference": REFERENCE,
    "smoke": SMOKE,
    "catch": CATCH,
}


def build_network(config: Config, num_actions: int) -> QNetwork:
    """Return the untrained network of a config, its weights a function of torch's seed."""
    cnn = build_cnn(config.trunk, config.env_options.frame_channels)
    spec = LSTMSpec(inputs=config.hidden, units=config.lstm_units)
    lstm = LSTM(spec) if config.memory == "lstm" else None
    size_px = config.env_options.size_px
    network = QNetwork(cnn, size_px, num_actions, config.hidden, lstm, layer_norm=True)
    orthogonal_(network.hidden)
    return network


FIGURES = ("loss", "q_value", "td_error")


def q_loss(
    q_value: Float[Tensor, "B A"], action: Int64[Tensor, "B"], returns: Float[Tensor, "B"], of: int
) -> tuple[Float32[Tensor, ""], Float32[Tensor, "figures"]]:
    """Return the loss of a minibatch, half the squared error of the actions' values, and its
    `FIGURES`; sums divided by `of`, the size of the minibatch that these positions are a share of.
    """
    chosen = q_value.float().gather(1, action[:, None])[:, 0]
    error = returns - chosen
    loss = 0.5 * error.square().sum() / of
    return loss, torch.stack([loss, chosen.sum() / of, error.abs().sum() / of]).detach()


class PQNLearner:
    """The network, its optimiser, and how many rollouts they have learnt from.

    Of several processes each has the same network, and learns from the environments of its share.
    """

    def __init__(
        self, config: Config, num_actions: int, device: torch.device, world: World, share: range
    ) -> None:
        self.config, self.device, self.world, self.share = config, device, world, share
        self.network, groups = begun(config, build_network, num_actions, device)
        # Adam with the warm-up of Liu et al. 2020, https://arxiv.org/abs/1908.03265, as the paper.
        radam = torch.optim.RAdam(groups, foreach=True)
        self.updater = Updater(radam, world, config.max_grad_norm)
        self.rollouts = 0
        self.precision = Precision("fp32", device.type, "not chosen yet")
        self.no_graphs = "pqn's updates are not recorded"
        self.data: dict[str, Tensor] = {}  # what updates read of a rollout, by position

    @property
    def env_steps(self) -> int:
        """Env steps learnt from."""
        return self.rollouts * self.config.rollout_size

    def choose_precision(self) -> None:
        """Time the network where `auto` needs it."""
        self.precision = precision_of(self.network, self.config, self.device, self.world)

    def policy(self, acting: Body) -> EpsilonGreedyPolicy:
        """Return the policy that plays, on a copy of the network for it."""
        chances = partial(self.config.epsilon, envs=self.share)
        return EpsilonGreedyPolicy(acting, chances, len(self.share), notes=("value",))

    def learn(self, rollout: Rollout, pool: ThreadPoolExecutor | None = None) -> dict[str, float]:
        """Update on a rollout; return the mean of every figure over the updates.

        The pool's thread helps whenever it is idle, which changes no bit of the result.
        """
        config = self.config
        # Schedules are functions of progress.
        rate, epsilon = config.rate(self.rollouts), config.epsilon(self.rollouts, self.share)
        self.updater.set_rate(rate)
        self.load(rollout)
        # A few passes over the positions, each in another order; with a memory over whole columns.
        shape, columns = (config.num_steps, config.num_envs), config.memory == "lstm"
        seeds = [(config.run.seed, self.rollouts, epoch) for epoch in range(config.num_epochs)]
        epochs = epochs_of_minibatches(
            seeds, config.minibatch_size, shape, self.share, self.device, columns=columns
        )
        table = [self.update(index, pool) for epoch in epochs for index in epoch]
        value, returns = rollout.noted["value"].flatten(), self.data["returns"]
        first = self.rollouts * len(table) + 1
        figures = mean_figures(FIGURES, table, first, self.world) | {
            "train/learning_rate": rate,
            "train/explained_variance": explained_variance(value, returns, self.world),
            "rollout/epsilon": float(epsilon.mean()),
        }
        self.rollouts += 1
        return figures

    def load(self, rollout: Rollout) -> None:
        """Fill `data` from a rollout, whose returns are made of the values that were noted."""
        value = rollout.noted["value"]
        # Q(lambda)'s return is the value of the best action and the advantage over it: equation 7
        # of the paper, with the best actions' values in place of a policy's.
        advantage = gae(
            rollout.reward.sign() if self.config.sees_clipped_rewards else rollout.reward,
            value,
            rollout.noted["next_value"],
            rollout.terminated,
            rollout.done,
            gamma=self.config.gamma,
            gae_lambda=self.config.q_lambda,
        )
        self.data = {
            "prepared": self.network.cnn.prepare(rollout.all_obs()),
            "action": rollout.action.flatten(),
            "returns": (advantage + value).flatten(),
        }
        self.data |= rollout.memory()

    def update(
        self, index: Int64[Tensor, "B"], pool: ThreadPoolExecutor | None = None
    ) -> Float[Tensor, "figures_and_norm"]:
        """Take one optimiser step; return this process's figures and the gradient's norm."""
        # The gradient of this process's share of the minibatch, in halves of whole columns where
        # there is a memory; then the sum over all processes, clipped, and a step along it.
        rows = 1 if self.network.lstm is None else self.config.num_steps
        halves, norm = self.updater.step(lambda: backward_in_halves(self.loss, index, rows, pool))
        figures = sum(halves, start=torch.zeros(len(FIGURES), device=self.device))
        return torch.cat([figures, norm[None]])

    def loss(self, index: Int64[Tensor, "B"]) -> tuple[Tensor, Float32[Tensor, "figures"]]:
        """Return the loss at some positions of the rollout, and its figures."""
        config, data = self.config, self.data
        begins, memory = memory_of_columns(data, index, config.num_steps, len(self.share))
        with self.precision.autocast():
            judged = self.network.judge(take_rows(data["prepared"], index), begins, memory)
        assert judged.q_value is not None
        returns = data["returns"][index]
        return q_loss(judged.q_value, data["action"][index], returns, config.minibatch_size)

    def state(self) -> LearnerState:
        """Return what `load_state` continues from exactly, the weights apart."""
        tensors = prefixed("radam", optimizer_tensors(self.updater.optimizer))
        return LearnerState(tensors, {"rollouts": self.rollouts, "precision": self.precision.name})

    def load_state(
        self,
        tensors: Mapping[str, Tensor],
        info: Mapping[str, Any],
        read_chunk: Callable[[str], dict[str, Tensor]],
    ) -> None:
        """Continue from a state; there are no chunks in it."""
        load_optimizer_tensors(self.updater.optimizer, under("radam", tensors))
        self.rollouts = info["rollouts"]
        self.precision = Precision(info["precision"], self.device.type, "as in the checkpoint")


JOB = AgentJob("pqn", PRESETS, build_network, PQNLearner)
train, resume = JOB.train, JOB.resume
