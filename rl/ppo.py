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
return but not the game; a game cut off by the clock is bootstrapped from its last picture.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from backbones import transfer
from backbones.lstm import LSTM, LSTMSpec
from backbones.training.checks import trust
from backbones.training.checks.limits import MOST_GAMES, MOST_THREADS, require_at_most
from backbones.training.config import (
    ResumeConfig,
    RunConfig,
    require_fraction,
    require_not_negative,
    require_positive,
)
from backbones.training.device.graphs import Graphed, upload
from backbones.training.device.precision import Precision, choose_precision, why_no_graphs
from backbones.training.distributed import World, join, leave
from backbones.training.optim import FlatGradients, anneal, require_finite, set_rate, with_rates
from backbones.training.run import Run, begun_before
from backbones.transfer import TrunkConfig
from rl.experience.pipeline import halves, shared_work
from rl.experience.rollout import Rollout, minibatches, require_whole_minibatches
from rl.games.atari import SEED_EVERY
from rl.games.make import MOST_ENVS, EnvOptions, is_atari
from rl.networks.actor_critic import MOST_UNITS, ActorCritic, blank_obs, build_cnn
from rl.returns import explained_variance, gae, normalise
from rl.training import begin, go_on, run_to_end


@dataclass(frozen=True, kw_only=True)
class Config:
    """Proximal policy optimisation (PPO) on Atari or any game seen as pixels."""

    env: str = "ALE/Pong-v5"
    """Gymnasium id: an Atari game, Arcadia/Catch-v0, or module:Env-v0 of your own."""
    total_steps: int = 1_200_000
    """Length of the run in env steps (4 frames each on Atari)."""
    num_envs: int = 16
    """Games played side by side."""
    num_steps: int = 64
    """Env steps of each environment in a rollout."""
    num_epochs: int = 4
    """Passes over a rollout."""
    minibatch_size: int = 256
    """Env steps in one update."""
    learning_rate: float = 1e-3
    """Adam's step size at the start."""
    anneal_from: float = 0.4
    """Progress (0 to 1) from which the learning rate falls on a line to 0; 1: never."""
    gamma: float = 0.99
    """Discount per env step."""
    gae_lambda: float = 0.95
    """Decay of the advantage's trace."""
    clip: float = 0.1
    """Range of the probability ratio within which it is pushed."""
    entropy_coef: float = 0.01
    """Weight of the entropy in the loss."""
    anneal_entropy_from: float = 1.0
    """Progress (0 to 1) from which that weight falls on a line to 0; 1: never."""
    value_coef: float = 0.5
    """Weight of the mean squared value error in the loss."""
    max_grad_norm: float = 0.5
    """Gradients are scaled down to this norm."""
    normalise_over: Literal["rollout", "minibatch"] = "rollout"
    """What advantages are normalised over."""
    clip_rewards: bool | None = None
    """Learn from the sign of rewards; default: on Atari only. Scores are always raw."""
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
    """All games are ended every so many env steps, since they cannot be lived through again when a
    run resumes; 0: never; default: never, unless a try shows that it is needed (not Atari)."""
    video_every_s: float = 120.0
    """Seconds between two animated pictures of a recent game in TensorBoard."""
    eval_games: int = 20
    """Games of the evaluation at the end, sampled actions; 0: none, and no film."""
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
            "clip",
            "max_grad_norm",
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
        require_fraction(self, "anneal_from", "anneal_entropy_from", "gamma", "gae_lambda")
        if self.normalise_over == "minibatch" and self.minibatch_size == 1:
            raise ValueError("minibatch_size = 1 cannot be normalised over; use 2 or more")
        if self.memory == "lstm" and self.minibatch_size % self.num_steps:
            raise ValueError(
                f"minibatch_size = {self.minibatch_size} must be a multiple of num_steps = "
                f"{self.num_steps}: with a memory, minibatches are whole sequences"
            )
        require_not_negative(self, "entropy_coef", "value_coef", "eval_games", "seed_every")
        require_whole_minibatches(self)

    @property
    def rollout_size(self) -> int:
        """Env steps in a rollout, all environments together."""
        return self.num_envs * self.num_steps

    @property
    def num_rollouts(self) -> int:
        """Rollouts in the run."""
        return -(-self.total_steps // self.rollout_size)

    def rate(self, rollouts: int) -> float:
        """Return the learning rate after so many rollouts."""
        return self.learning_rate * anneal(rollouts / self.num_rollouts, self.anneal_from)

    def entropy_weight(self, rollouts: int) -> float:
        """Return the entropy's weight after so many rollouts."""
        return self.entropy_coef * anneal(rollouts / self.num_rollouts, self.anneal_entropy_from)


FAST = Config(
    hidden=256, minibatch_size=128, anneal_entropy_from=0.4, trunk=TrunkConfig(width=0.5, pool=2)
)
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
    "reference": REFERENCE,
    "smoke": SMOKE,
    "catch": CATCH,
    "gpu": GPU,
}


def build_network(config: Config, num_actions: int) -> ActorCritic:
    """Return the untrained network of a config, its weights a function of torch's seed."""
    cnn = build_cnn(config.trunk, config.env_options.colour)
    spec = LSTMSpec(inputs=config.hidden, units=config.lstm_units)
    lstm = LSTM(spec) if config.memory == "lstm" else None
    return ActorCritic(cnn, config.env_options.size_px, num_actions, config.hidden, lstm)


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
) -> tuple[Tensor, Float[Tensor, "figures"]]:
    """Return the loss of a minibatch (equation 9 of the paper, negated) and its `FIGURES`.

    Both are sums over these positions divided by `of`, the size of the minibatch that they are a
    share of. `kl` is the estimate (r - 1) - log r of Schulman,
    http://joschu.net/blog/kl-approx.html.
    """
    log_probs = logits.log_softmax(-1)
    log_prob = log_probs.gather(1, action[:, None])[:, 0]
    log_ratio = log_prob - old_log_prob
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    policy_loss = -torch.minimum(ratio * advantage, clipped * advantage).sum() / of
    value_loss = (value - returns).square().sum() / of
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
        torch.manual_seed(config.run.seed)
        self.config, self.device, self.world, self.share = config, device, world, share
        self.network = build_network(config, num_actions)
        transfer.freeze(self.network, config.trunk.freeze)
        self.network.to(device)
        groups = transfer.parameter_groups(self.network, config.trunk.lr_backbone)
        groups = with_rates(groups, config.learning_rate, device)
        on_gpu = device.type == "cuda"
        # 1e-5, not Adam's 1e-8: what baselines and all published PPO scores on Atari used.
        self.optimizer = torch.optim.Adam(groups, eps=1e-5, fused=True, capturable=on_gpu)
        self.gradients = FlatGradients(p for group in groups for p in group["params"])
        self.rollouts = 0
        self.precision = Precision("fp32", device.type, "not chosen yet")
        self.entropy_coef = torch.zeros((), device=device)
        # What updates read of a rollout, by position, and the positions of one update: always the
        # same tensors, so that an update can be a CUDA graph.
        self.data: dict[str, Tensor] = {}
        self.index = torch.zeros(config.minibatch_size, dtype=torch.int64, device=device)
        self.no_graphs = why_no_graphs(device, world, memory=config.memory == "lstm")
        recorded = config.run.graphs and not self.no_graphs
        self.update_graph = Graphed(partial(self.update, self.index), device) if recorded else None

    def choose_precision(self) -> None:
        """Time the network where `auto` needs it."""
        obs = blank_obs(self.network, self.config.minibatch_size)
        self.precision = choose_precision(
            self.config.run.precision,
            self.device,
            lambda: self.network(obs)[0].sum(),
            self.network,
            self.world,
        )

    @property
    def env_steps(self) -> int:
        """Env steps learnt from."""
        return self.rollouts * self.config.rollout_size

    def learn(self, rollout: Rollout, pool: ThreadPoolExecutor | None = None) -> dict[str, float]:
        """Update on a rollout; return the mean of every figure over the updates.

        The pool's thread helps whenever it is idle, which changes no bit of the result.
        """
        config = self.config
        rate, entropy_coef = config.rate(self.rollouts), config.entropy_weight(self.rollouts)
        set_rate(self.optimizer, rate)
        self.entropy_coef.fill_(entropy_coef)
        advantage = self.take(rollout)
        table = []
        for parts in self.epochs():
            if config.normalise_over == "minibatch":
                values = normalise([advantage[index] for index in parts], self.world)
                self.data["advantage"][torch.cat(parts)] = torch.cat(values)
            for index in parts:
                if self.update_graph is None:
                    figures, norm = self.update(index, rollout, pool)
                else:
                    self.index.copy_(index)
                    figures, norm = self.update_graph()
                table.append(torch.cat([figures, norm[None]]))
        returns = self.data["returns"].view_as(rollout.value)
        means = self.means(torch.stack(table)) | {
            "train/learning_rate": rate,
            "train/entropy_coef": entropy_coef,
            "train/explained_variance": explained_variance(rollout.value, returns, self.world),
        }
        self.rollouts += 1
        return means

    def take(self, rollout: Rollout) -> Float32[Tensor, "TN"]:
        """Fill `data` from a rollout; return the advantages as they are."""
        config = self.config
        clips = is_atari(config.env) if config.clip_rewards is None else config.clip_rewards
        advantage = gae(
            rollout.reward.sign() if clips else rollout.reward,
            rollout.value,
            rollout.next_value,
            rollout.terminated,
            rollout.done,
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
        )
        raw = advantage.flatten()
        over_all = config.normalise_over == "rollout"
        new = {
            "prepared": self.network.prepare(rollout),
            "action": rollout.action.flatten(),
            "old_log_prob": rollout.log_prob.flatten(),
            "returns": (advantage + rollout.value).flatten(),
            "advantage": normalise([raw], self.world)[0] if over_all else torch.empty_like(raw),
        }
        self.data = self.data or {name: torch.empty_like(values) for name, values in new.items()}
        for name, values in new.items():
            self.data[name].copy_(values)
        return raw

    def epochs(self) -> list[list[Int64[Tensor, "_"]]]:
        """Return the minibatches of every epoch, as positions; they go to the device at once."""
        config = self.config
        epochs = [
            minibatches(
                np.random.default_rng([config.run.seed, self.rollouts, epoch]),
                config.minibatch_size,
                config.num_steps,
                config.num_envs,
                self.share,
                columns=config.memory == "lstm",
            )
            for epoch in range(config.num_epochs)
        ]
        parts = [part for epoch in epochs for part in epoch]
        there = iter(upload(torch.cat(parts), self.device).split([len(part) for part in parts]))
        return [[next(there) for _ in epoch] for epoch in epochs]

    def update(
        self,
        index: Int64[Tensor, "B"],
        rollout: Rollout | None = None,
        pool: ThreadPoolExecutor | None = None,
    ) -> tuple[Float[Tensor, "figures"], Float[Tensor, ""]]:
        """Take one optimiser step; return this process's figures and the gradient's norm.

        Only a memory needs the rollout.
        """
        self.gradients.zero()
        rows = 1 if self.network.lstm is None else self.config.num_steps
        tasks = [partial(self.backward, part, rollout) for part in halves(index, rows)]
        none = torch.zeros(len(FIGURES), device=self.device)
        figures = sum(shared_work(tasks, pool), start=none)
        self.world.sum_(self.gradients.flat)
        norm = self.gradients.clip(self.config.max_grad_norm)
        self.optimizer.step()
        return figures, norm

    def backward(
        self, index: Int64[Tensor, "B"], rollout: Rollout | None
    ) -> Float[Tensor, "figures"]:
        """Add the gradient of a part of a minibatch; return the part's figures."""
        config = self.config
        with self.precision.autocast():
            logits, value = self.network.judge(self.data["prepared"], index, rollout)
        of_loss = ("action", "old_log_prob", "advantage", "returns")
        loss, figures = ppo_loss(
            logits,
            value,
            **{name: self.data[name][index] for name in of_loss},
            clip=config.clip,
            value_coef=config.value_coef,
            entropy_coef=self.entropy_coef,
            of=config.minibatch_size,
        )
        loss.backward()
        return figures

    def means(self, table: Float[Tensor, "updates figures_and_norm"]) -> dict[str, float]:
        """Return the figures of all processes, mean over a rollout's updates, as tags.

        UserError names the first update at which one is not finite.
        """
        table = torch.cat([self.world.sum_(table[:, :-1].clone()), table[:, -1:]], dim=1).cpu()
        require_finite(table, self.rollouts * len(table) + 1)
        names = [f"train/{name}" for name in (*FIGURES, "grad_norm")]
        return dict(zip(names, table.mean(0).tolist(), strict=True))


def train(config: Config, preset: str = "default") -> Run:
    """Train an agent from nothing; return its run. UserError comes before a folder is made."""
    world = join()
    trust.allow(config.env)
    begun = begun_before(world, config.run.name)
    if begun:
        return resume(begun)
    training, run = begin("ppo", config, Learner, preset, world)
    with run.lock():
        run_to_end(training, run, None)
    return run


def resume(run: Run, flags: ResumeConfig | None = None) -> Run:
    """Continue a run where its newest checkpoint stands, longer or elsewhere if the flags say."""
    world = join()
    with run.lock():
        again = go_on(run, Config, Learner, flags or ResumeConfig(), world)
        if again is None:
            leave(world)
            return run
        training, run, info = again
        run_to_end(training, run, info)
    return run
