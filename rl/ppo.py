"""Proximal policy optimisation on games seen as pixels: Schulman et al. 2017,
https://arxiv.org/abs/1707.06347.

Letters: T env steps a rollout, N environments, B positions of a minibatch, A actions.

A rollout of T x N env steps is played, then learnt from for a few epochs of minibatches. Unless
`sync` is set, a thread plays the next rollout meanwhile, with the weights from before these
updates: data are one rollout old, which the ratio of densities corrects, and both cores of a small
machine are busy. Either way a run is a function of its config: the thread only ever works on
weights that were handed to it.

What surprises: the value loss is the plain mean squared error (as in stable-baselines3; baselines
halve it); advantages are normalised over the rollout or over the minibatch; a lost life ends the
return but not the game; a game cut off by its time limit is bootstrapped from its last picture.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from backbones.lstm import LSTM, LSTMSpec
from backbones.training.checkpoint import prefixed, under
from backbones.training.config import (
    RunConfig,
    require_fraction,
    require_not_negative,
    require_positive,
)
from backbones.training.device.graphs import Graphed
from backbones.training.device.precision import Precision, why_no_graphs
from backbones.training.distributed import World
from backbones.training.optim import (
    Updater,
    anneal,
    load_optimizer_tensors,
    mean_figures,
    optimizer_tensors,
)
from backbones.transfer import TrunkConfig
from backbones.trunk import take_rows
from rl.experience.judge_again import judge_again
from rl.experience.learner import LearnerState, begun, precision_of
from rl.experience.pipeline import backward_in_halves
from rl.experience.reward_scaling import SeenRewards, refuse_both
from rl.experience.rollout import (
    Rollout,
    epochs_of_minibatches,
    memory_of_columns,
    require_whole_minibatches,
)
from rl.games.options import EnvOptions
from rl.networks.acting import SamplingPolicy
from rl.networks.actor_critic import ActorCritic
from rl.networks.body import Body, build_cnn
from rl.play_config import PlayConfig
from rl.returns import explained_variance, gae, normalise
from rl.training import AgentJob


@dataclass(frozen=True, kw_only=True)
class Config(PlayConfig):
    """Proximal policy optimisation (PPO) on Atari or any game seen as pixels."""

    num_epochs: int = 4
    """Passes over a rollout."""
    gae_lambda: float = 0.95
    """GAE lambda."""
    clip: float = 0.1
    """PPO clip range."""
    entropy_coef: float = 0.01
    """Weight of the entropy in the loss."""
    anneal_entropy_from: float = 1.0
    """Progress (0 to 1) from which that weight decays linearly to 0; 1: never."""
    anneal_entropy_to: float = 1.0
    """Progress at which it is 0."""
    proximal: bool = False
    """Judge a rollout once more before learning from it: clip around that policy instead of the one
    that played, and take its values."""
    value_coef: float = 0.5
    """Weight of the mean squared value error in the loss."""
    clip_values: bool = False
    """Clip how far a value moves by the PPO clip range, too (Schulman's baselines)."""
    normalise_rewards: bool = False
    """Learn from raw rewards divided by the running deviation of their discounted sum."""
    target_kl: float = 0.0
    """No further pass over a rollout after one with a mean `kl` above this; 0: all passes."""
    max_grad_norm: float = 0.5
    """Gradients are scaled down to this norm."""
    normalise_over: Literal["rollout", "minibatch"] = "rollout"
    """What advantages are normalised over."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "num_epochs", "clip", "max_grad_norm")
        require_fraction(self, "anneal_entropy_from", "anneal_entropy_to", "gae_lambda")
        require_not_negative(self, "entropy_coef", "value_coef", "target_kl")
        refuse_both(self.clip_rewards, self.normalise_rewards)
        if self.normalise_over == "minibatch" and self.minibatch_size == 1:
            raise ValueError("minibatch_size = 1 cannot be normalised over; use 2 or more")
        require_whole_minibatches(
            self.minibatch_size, self.num_steps, self.num_envs, columns=self.memory == "lstm"
        )

    def entropy_weight(self, rollouts: int) -> float:
        """Return the entropy's weight after so many rollouts."""
        span = (self.anneal_entropy_from, self.anneal_entropy_to)
        return self.entropy_coef * anneal(rollouts / self.num_rollouts, *span)


FAST = Config(
    hidden=256, minibatch_size=128, anneal_entropy_from=0.4, trunk=TrunkConfig(width=0.5, pool=2)
)
# With sticky actions: docs/results.md has what it gains there.
CENTRED = replace(FAST, centred=True, trunk=replace(FAST.trunk, pooling="mean"))
STICKY = replace(CENTRED, proximal=True, anneal_entropy_from=0.2, anneal_entropy_to=0.6)
# The setting of Schulman et al. 2017 and of baselines' ppo2, but for four things: the clip range
# is not annealed, values are not clipped, the value loss weighs twice as much as in baselines (as
# in stable-baselines3), and no FIRE is pressed after a lost life, which makes Breakout harder.
REFERENCE = Config(
    total_steps=10_000_000,
    num_envs=8,
    num_steps=128,
    learning_rate=2.5e-4,
    anneal_from=0.0,
    normalise_over="minibatch",
    sync=True,
    env_options=EnvOptions(sticky=0.0),
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
    trunk=TrunkConfig(width=0.25, pool=2),
    run=RunConfig(precision="fp32"),
)
CATCH = Config(
    env="Arcadia/Catch-v0",
    total_steps=60_000,
    anneal_from=0.7,
    hidden=64,
    eval_games=100,
    trunk=TrunkConfig(width=0.25, pool=2),
)
# Emulators bound it: 8 games for each of 14 threads. At this speed seeding more often would cost.
GPU = replace(
    FAST,
    total_steps=2_400_000,
    num_envs=112,
    num_steps=32,
    minibatch_size=256,
    seed_every=65_536,
    run=RunConfig(graphs=True),
)
PRESETS = {
    "default": FAST,
    "fast": FAST,
    "sticky": STICKY,
    "reference": REFERENCE,
    "smoke": SMOKE,
    "catch": CATCH,
    "gpu": GPU,
}


def build_network(config: Config, num_actions: int) -> ActorCritic:
    """Return the untrained network of a config, its weights a function of torch's seed."""
    cnn = build_cnn(config.trunk, config.env_options.frame_channels)
    spec = LSTMSpec(inputs=config.hidden, units=config.lstm_units)
    lstm = LSTM(spec) if config.memory == "lstm" else None
    return ActorCritic(cnn, config.env_options.size_px, num_actions, config.hidden, lstm)


MOST_WEIGHT = 2.0
FIGURES = ("policy_loss", "value_loss", "entropy", "kl", "clip_fraction")


def ppo_loss(
    logits: Float[Tensor, "B A"],
    value: Float[Tensor, "B"],
    action: Int64[Tensor, "B"],
    old_log_prob: Float[Tensor, "B"],
    advantage: Float[Tensor, "B"],
    returns: Float[Tensor, "B"],
    *,
    clip: float,
    value_coef: float,
    entropy_coef: float | Float32[Tensor, ""],
    of: int,
    weight: Float[Tensor, "B"] | None = None,
    old_value: Float[Tensor, "B"] | None = None,
) -> tuple[Tensor, Float[Tensor, "figures"]]:
    """Return the loss of a minibatch (equation 9 of the paper, negated) and its `FIGURES`.

    Both are sums over these positions divided by `of`, the size of the minibatch that they are a
    share of. `weight` multiplies each position's policy loss. With `old_value`, values are clipped
    as in baselines' ppo2: the larger error counts, of the value and of it moved by at most `clip`.
    `kl` is the estimate (r - 1) - log r of Schulman, http://joschu.net/blog/kl-approx.html.
    """
    log_probs = logits.log_softmax(-1)
    log_prob = log_probs.gather(1, action[:, None])[:, 0]
    log_ratio = log_prob - old_log_prob
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    gain = torch.minimum(ratio * advantage, clipped * advantage)
    policy_loss = -(gain if weight is None else gain * weight).sum() / of
    value_error = (value - returns).square()
    if old_value is not None:
        near = old_value + (value - old_value).clamp(-clip, clip)
        value_error = torch.maximum(value_error, (near - returns).square())
    value_loss = value_error.sum() / of
    entropy = -(log_probs.exp() * log_probs).sum() / of
    kl = (ratio - 1 - log_ratio).sum() / of
    clip_fraction = ((ratio - 1).abs() > clip).sum() / of
    loss = policy_loss + value_coef * value_loss - entropy_coef * entropy
    return loss, torch.stack([policy_loss, value_loss, entropy, kl, clip_fraction]).detach()


class Learner:
    """The network, its optimiser, and how many rollouts they have learnt from.

    Of several processes each has the same network, and learns from the environments of its share.
    """

    def __init__(
        self, config: Config, num_actions: int, device: torch.device, world: World, share: range
    ) -> None:
        self.config, self.device, self.world, self.share = config, device, world, share
        self.network, groups = begun(config, build_network, num_actions, device)
        # 1e-5, not Adam's 1e-8: what baselines and all published PPO scores on Atari used.
        adam = torch.optim.Adam(groups, eps=1e-5, fused=True, capturable=device.type == "cuda")
        self.updater = Updater(adam, world, config.max_grad_norm)
        self.rewards = SeenRewards(config, share, world, scaled=config.normalise_rewards)
        self.rollouts = 0
        self.precision = Precision("fp32", device.type, "not chosen yet")
        self.entropy_coef = torch.zeros((), device=device)
        # What updates read of a rollout, by position, and the positions of one update: always the
        # same tensors, so that an update can be a CUDA graph.
        self.data: dict[str, Tensor] = {}
        self.index = torch.zeros(config.minibatch_size, dtype=torch.int64, device=device)
        self.no_graphs = why_no_graphs(device, world, memory=config.memory == "lstm")
        recorded = config.run.graphs and not self.no_graphs
        self.update_graph = Graphed(lambda: self.update(self.index), device) if recorded else None

    @property
    def env_steps(self) -> int:
        """Env steps learnt from."""
        return self.rollouts * self.config.rollout_size

    def choose_precision(self) -> None:
        """Time the network where `auto` needs it."""
        self.precision = precision_of(self.network, self.config, self.device, self.world)

    def policy(self, acting: Body) -> SamplingPolicy:
        """Return the policy that plays, on a copy of the network for it."""
        return SamplingPolicy(acting)

    def learn(self, rollout: Rollout, pool: ThreadPoolExecutor | None = None) -> dict[str, float]:
        """Update on a rollout; return the mean of every figure over the updates.

        The pool's thread helps whenever it is idle, which changes no bit of the result.
        """
        config = self.config
        # Schedules are functions of progress.
        rate, entropy_coef = config.rate(self.rollouts), config.entropy_weight(self.rollouts)
        self.updater.set_rate(rate)
        self.entropy_coef.fill_(entropy_coef)
        advantage = self.load(rollout)
        # A few passes over the positions, each in another order; with a memory over whole columns.
        shape, columns = (config.num_steps, config.num_envs), config.memory == "lstm"
        seeds = [(config.run.seed, self.rollouts, epoch) for epoch in range(config.num_epochs)]
        table = []
        for epoch in epochs_of_minibatches(
            seeds, config.minibatch_size, shape, self.share, self.device, columns=columns
        ):
            if config.normalise_over == "minibatch":
                # The advantages of each minibatch of the epoch, by one message for all of them.
                values = normalise([advantage[index] for index in epoch], self.world)
                self.data["advantage"][torch.cat(epoch)] = torch.cat(values)
            for index in epoch:
                # One optimiser step, by itself or as a recorded CUDA graph.
                if self.update_graph is None:
                    table.append(self.update(index, pool))
                else:
                    self.index.copy_(index)
                    table.append(self.update_graph().clone())
            if config.target_kl:
                kl = torch.stack(table[-len(epoch) :])[:, FIGURES.index("kl")].mean()
                if float(self.world.sum_(kl)) > config.target_kl:
                    break
        value, returns = self.data["value"], self.data["returns"]
        first = self.rollouts * len(table) + 1
        figures = mean_figures(FIGURES, table, first, self.world) | {
            "train/learning_rate": rate,
            "train/entropy_coef": entropy_coef,
            "train/explained_variance": explained_variance(value, returns, self.world),
        }
        self.rollouts += 1
        return figures

    def load(self, rollout: Rollout) -> Float32[Tensor, "TN"]:
        """Fill `data` from a rollout; return the advantages as they are."""
        config, noted = self.config, rollout.noted
        prepared = self.network.cnn.prepare(rollout.all_obs())
        judged, value = noted, noted["value"]
        if config.proximal:
            with self.precision.autocast():
                judged = judge_again(self.network, rollout, prepared)
            value = judged["value"]
        advantage = gae(
            self.rewards.of(rollout),
            value,
            judged["next_value"],
            rollout.terminated,
            rollout.done,
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
        )
        raw = advantage.flatten()
        over_all = config.normalise_over == "rollout"
        new = {
            "prepared": prepared,
            "action": rollout.action.flatten(),
            "old_log_prob": judged["log_prob"].flatten(),
            "value": value.flatten(),
            "returns": (advantage + value).flatten(),
            "advantage": normalise([raw], self.world)[0] if over_all else torch.empty_like(raw),
        }
        if config.proximal:
            # How much likelier an action was now than when it was played; more counts as 2.
            behind = (judged["log_prob"] - noted["log_prob"]).exp().clamp(max=MOST_WEIGHT)
            new["weight"] = behind.flatten()
        new |= rollout.memory()
        self.data = self.data or {name: torch.empty_like(values) for name, values in new.items()}
        for name, values in new.items():
            self.data[name].copy_(values)
        return raw

    def update(
        self, index: Int64[Tensor, "B"], pool: ThreadPoolExecutor | None = None
    ) -> Float[Tensor, "figures_and_norm"]:
        """Take one optimiser step; return this process's figures and the gradient's norm."""
        # The gradient of this process's share of the minibatch, in halves (of whole columns with a
        # memory); then the sum over all processes, clipped, and a step along it.
        rows = 1 if self.network.lstm is None else self.config.num_steps
        halves, norm = self.updater.step(lambda: backward_in_halves(self.loss, index, rows, pool))
        figures = sum(halves, start=torch.zeros(len(FIGURES), device=self.device))
        return torch.cat([figures, norm[None]])

    def loss(self, index: Int64[Tensor, "B"]) -> tuple[Tensor, Float[Tensor, "figures"]]:
        """Return the loss at some positions of the rollout, and its figures."""
        config, data = self.config, self.data
        begins, memory = memory_of_columns(data, index, config.num_steps, len(self.share))
        with self.precision.autocast():
            judged = self.network.judge(take_rows(data["prepared"], index), begins, memory)
        return ppo_loss(
            judged.logits,
            judged.value,
            data["action"][index],
            data["old_log_prob"][index],
            data["advantage"][index],
            data["returns"][index],
            clip=config.clip,
            value_coef=config.value_coef,
            entropy_coef=self.entropy_coef,
            of=config.minibatch_size,
            weight=data["weight"][index] if config.proximal else None,
            old_value=data["value"][index] if config.clip_values else None,
        )

    def state(self) -> LearnerState:
        """Return what `load_state` continues from exactly, the weights apart."""
        tensors = prefixed("adam", optimizer_tensors(self.updater.optimizer))
        tensors |= prefixed("rewards", self.rewards.state())
        return LearnerState(tensors, {"rollouts": self.rollouts, "precision": self.precision.name})

    def load_state(
        self,
        tensors: Mapping[str, Tensor],
        info: Mapping[str, Any],
        read_chunk: Callable[[str], dict[str, Tensor]],
    ) -> None:
        """Continue from a state; there are no chunks in it."""
        load_optimizer_tensors(self.updater.optimizer, under("adam", tensors))
        self.rewards.load_state(under("rewards", tensors))
        self.rollouts = info["rollouts"]
        self.precision = Precision(info["precision"], self.device.type, "as in the checkpoint")


JOB = AgentJob("ppo", PRESETS, build_network, Learner)
train, resume = JOB.train, JOB.resume
