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

import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from backbones import transfer
from backbones.cnn import build_trunk
from backbones.training import checkpoint
from backbones.training.checkpoint import prefixed, under
from backbones.training.config import RunConfig, from_dict, require_fraction, require_positive
from backbones.training.errors import UserError
from backbones.training.log import Board
from backbones.training.optim import anneal, load_optimizer_tensors, optimizer_tensors
from backbones.training.precision import Precision, choose_device, choose_precision
from backbones.training.progress import ProgressReport
from backbones.training.run import Run, StopRequest
from backbones.transfer import TrunkConfig
from rl.advantage import explained_variance, gae, normalise
from rl.agent import load_weights, newest_checkpoint, save_agent
from rl.contract import STACK, Game, mean_score
from rl.environments import EnvOptions, is_atari, make_environments, short_name
from rl.evaluate import finish
from rl.network import ActorCritic, acting_copy, publish
from rl.report import SCORE_OVER_GAMES, Reel, rollout_scalars
from rl.rollout import Collector, Rollout


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
    value_coef: float = 0.5
    """Weight of the mean squared value error in the loss."""
    max_grad_norm: float = 0.5
    """Gradients are scaled down to this norm."""
    normalise_over: Literal["rollout", "minibatch"] = "rollout"
    """What advantages are normalised over."""
    clip_rewards: bool | None = None
    """Learn from the sign of rewards; default: on Atari only. Scores are always raw."""
    hidden: int = 512
    """Units between the trunk and the heads."""
    sync: bool = False
    """Play and learn strictly in turn, instead of one rollout ahead."""
    env_threads: int = 1
    """Emulator threads (Atari)."""
    video_every_s: float = 120.0
    """Seconds between two animated pictures of a recent game in TensorBoard."""
    eval_games: int = 20
    """Games of the evaluation at the end, sampled actions; 0: none, and no film."""
    env_options: EnvOptions = field(default_factory=EnvOptions)
    trunk: TrunkConfig = field(default_factory=TrunkConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        require_positive(
            self, "total_steps", "num_envs", "num_steps", "num_epochs", "minibatch_size",
            "learning_rate", "clip", "max_grad_norm", "hidden", "env_threads", "video_every_s",
        )  # fmt: skip
        require_fraction(self, "anneal_from", "gamma", "gae_lambda")
        if self.normalise_over == "minibatch" and self.minibatch_size == 1:
            raise ValueError("minibatch_size = 1 cannot be normalised over; use 2 or more")
        if self.entropy_coef < 0 or self.value_coef < 0 or self.eval_games < 0:
            raise ValueError("entropy_coef, value_coef and eval_games must be 0 or above")
        size = self.rollout_size
        if size % self.minibatch_size:
            raise ValueError(
                f"num_envs * num_steps = {size} is not a multiple of minibatch_size = "
                f"{self.minibatch_size}; try minibatch_size = {math.gcd(size, self.minibatch_size)}"
            )

    @property
    def rollout_size(self) -> int:
        """Env steps in a rollout, all environments together."""
        return self.num_envs * self.num_steps

    @property
    def num_rollouts(self) -> int:
        """Rollouts in the run."""
        return -(-self.total_steps // self.rollout_size)


FAST = Config(hidden=256, trunk=TrunkConfig(width=0.5, pool=2))
REFERENCE = Config(
    total_steps=10_000_000, num_envs=8, num_steps=128, learning_rate=2.5e-4, anneal_from=0.0,
    normalise_over="minibatch", sync=True, env_options=EnvOptions(sticky=0.0),
)  # fmt: skip
SMOKE = Config(
    total_steps=256, num_envs=4, num_steps=32, minibatch_size=64, num_epochs=1, hidden=32,
    eval_games=1, env_options=EnvOptions(max_frames=400),
    trunk=TrunkConfig(width=0.25, pool=2), run=RunConfig(precision="fp32"),
)  # fmt: skip
CATCH = Config(
    env="Arcadia/Catch-v0", total_steps=60_000, anneal_from=0.7, hidden=64, eval_games=100,
    trunk=TrunkConfig(width=0.25, pool=2),
)  # fmt: skip
PRESETS = {"default": FAST, "fast": FAST, "reference": REFERENCE, "smoke": SMOKE, "catch": CATCH}


def build_network(config: Config, num_actions: int) -> ActorCritic:
    """Return the untrained network of a config, its weights a function of torch's seed."""
    channels = STACK * (3 if config.env_options.colour else 1)
    cnn = build_trunk(config.trunk.spec(channels))
    return ActorCritic(cnn, config.env_options.size_px, num_actions, config.hidden)


def ppo_loss(
    logits: Float[Tensor, "B A"], value: Float[Tensor, "B"], action: Int64[Tensor, "B"],
    old_log_prob: Float[Tensor, "B"], advantage: Float[Tensor, "B"], returns: Float[Tensor, "B"],
    *, clip: float, value_coef: float, entropy_coef: float,
) -> tuple[Tensor, dict[str, Tensor]]:  # fmt: skip
    """Return the loss of a minibatch (equation 9 of the paper, negated) and its parts.

    `kl` is the estimate (r - 1) - log r of Schulman, http://joschu.net/blog/kl-approx.html.
    """
    log_probs = logits.log_softmax(-1)
    log_prob = log_probs.gather(1, action[:, None])[:, 0]
    log_ratio = log_prob - old_log_prob
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    policy_loss = -torch.minimum(ratio * advantage, clipped * advantage).mean()
    value_loss = F.mse_loss(value, returns)
    entropy = -(log_probs.exp() * log_probs).sum(-1).mean()
    loss = policy_loss + value_coef * value_loss - entropy_coef * entropy
    parts = {
        "policy_loss": policy_loss, "value_loss": value_loss, "entropy": entropy,
        "kl": (ratio - 1 - log_ratio).mean(),
        "clip_fraction": ((ratio - 1).abs() > clip).float().mean(),
    }  # fmt: skip
    return loss, {name: part.detach() for name, part in parts.items()}


class Learner:
    """The network, its optimiser, and how many rollouts they have learnt from."""

    def __init__(self, config: Config, num_actions: int, device: torch.device) -> None:
        torch.manual_seed(config.run.seed)
        self.config = config
        self.device = device
        self.network = build_network(config, num_actions)
        transfer.freeze(self.network.cnn, config.trunk.freeze)
        self.network.to(device)
        groups = transfer.parameter_groups(self.network, self.network.cnn, config.trunk.lr_backbone)
        # 1e-5, not Adam's 1e-8: what baselines and all published PPO scores on Atari used.
        self.optimizer = torch.optim.Adam(groups, lr=config.learning_rate, eps=1e-5, fused=True)
        self.rollouts = 0
        self.precision = Precision("fp32", device.type, "not chosen yet")

    def choose_precision(self) -> None:
        """Time the network where `auto` needs it."""
        obs = self.network.blank_obs(self.config.minibatch_size)
        self.precision = choose_precision(
            self.config.run.precision, self.device, lambda: self.network(obs)[0].sum(), self.network
        )

    @property
    def env_steps(self) -> int:
        """Env steps learnt from."""
        return self.rollouts * self.config.rollout_size

    def learn(self, rollout: Rollout) -> dict[str, float]:
        """Update on a rollout; return the mean of every figure over the updates."""
        config, rollout = self.config, rollout.to(self.device)
        factor = anneal(self.rollouts / config.num_rollouts, config.anneal_from)
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * factor * group["scale"]
        clips = is_atari(config.env) if config.clip_rewards is None else config.clip_rewards
        advantage = gae(
            rollout.reward.sign() if clips else rollout.reward, rollout.value, rollout.next_value,
            rollout.terminated, rollout.done, gamma=config.gamma, gae_lambda=config.gae_lambda,
        )  # fmt: skip
        returns = advantage + rollout.value
        flat = {
            "action": rollout.action.flatten(), "old_log_prob": rollout.log_prob.flatten(),
            "advantage": advantage.flatten(), "returns": returns.flatten(),
        }  # fmt: skip
        if config.normalise_over == "rollout":
            flat["advantage"] = normalise(flat["advantage"])
        sums: dict[str, Tensor] = {}
        for epoch in range(config.num_epochs):
            seed = [config.run.seed, self.rollouts, epoch]
            order = np.random.default_rng(seed).permutation(config.rollout_size)
            for index in torch.from_numpy(order).to(self.device).split(config.minibatch_size):
                for name, part in self.update(rollout, index, flat).items():
                    sums[name] = sums.get(name, 0) + part
        self.rollouts += 1
        updates = config.num_epochs * config.rollout_size // config.minibatch_size
        means = {f"train/{name}": float(total) / updates for name, total in sums.items()}
        means["train/learning_rate"] = config.learning_rate * factor
        means["train/explained_variance"] = explained_variance(rollout.value, returns)
        return means

    def update(
        self, rollout: Rollout, index: Int64[Tensor, "B"], flat: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Take one optimiser step on the minibatch at flat indices t * N + n."""
        config = self.config
        batch = {name: values[index] for name, values in flat.items()}
        if config.normalise_over == "minibatch":
            batch["advantage"] = normalise(batch["advantage"])
        with self.precision.autocast():
            logits, value = self.network(rollout.obs(index))
        loss, parts = ppo_loss(
            logits, value, **batch, clip=config.clip, value_coef=config.value_coef,
            entropy_coef=config.entropy_coef,
        )  # fmt: skip
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        parts["grad_norm"] = nn.utils.clip_grad_norm_(trained, config.max_grad_norm)
        self.optimizer.step()
        return parts


class Training:
    """A PPO run in progress: learner, collector, the rollout in hand, and recent scores."""

    def __init__(self, config: Config) -> None:
        self.config = config
        torch.set_num_threads(config.run.threads)
        self.device = choose_device(config.run.device)
        self.envs = make_environments(
            config.env, config.num_envs, seed=config.run.seed, options=config.env_options,
            threads=config.env_threads,
        )  # fmt: skip
        self.learner = Learner(config, len(self.envs.action_names), self.device)
        self.collector = Collector(self.envs, config.num_steps, config.run.seed, self.device)
        self.rollout: Rollout | None = None
        self.scores: list[Game] = []
        self.trained_s = 0.0

    def begin(self) -> list[str]:
        """Start anew, from the trunk of another run if asked; return lines for the log."""
        said = transfer.init_trunk(self.learner.network.cnn, self.config.trunk.init)
        self.learner.choose_precision()
        self.acting = acting_copy(self.learner.network, self.learner.precision.dtype)
        self.collector.reset()
        self.rollout = self.collector.collect(self.acting)
        return said

    def advance(self, pool: ThreadPoolExecutor) -> tuple[Rollout, dict[str, float]]:
        """Learn from the rollout in hand while the next is played, or, with `sync`, before.

        Return the rollout learnt from, and figures as TensorBoard tags.
        """
        assert self.rollout is not None
        rollout, collect, start = self.rollout, self.collector.collect, time.monotonic()
        publish(self.learner.network, self.acting)
        upcoming = None if self.config.sync else pool.submit(collect, self.acting)
        figures = self.learner.learn(rollout)
        learnt = time.monotonic()
        if upcoming is None:
            publish(self.learner.network, self.acting)
        self.rollout = upcoming.result() if upcoming else collect(self.acting)
        end = time.monotonic()
        self.scores = (self.scores + rollout.games)[-SCORE_OVER_GAMES:]
        seconds = {**rollout.seconds, "learn": learnt - start, "wait": end - learnt}
        return rollout, figures | rollout_scalars(self.config.rollout_size, seconds, self.scores)

    def save(self, run: Run) -> None:
        """Write a checkpoint from which `restore` continues exactly."""
        assert self.rollout is not None
        state = prefixed("rollout", self.rollout.tensors())
        state |= prefixed("collector", self.collector.state_dict())
        state |= prefixed("adam", optimizer_tensors(self.learner.optimizer))
        info = {
            "job": "ppo", "data": self.config.env, "num_actions": len(self.envs.action_names),
            "rollouts": self.learner.rollouts, "score": mean_score(self.scores),
            "scores": self.scores, "games": self.rollout.games, "trained_s": self.trained_s,
            "precision": self.learner.precision.name, "commit": run.about["commit"],
        }  # fmt: skip
        save_agent(run, self.learner.env_steps, self.learner.network, state, info)

    def restore(self, run: Run) -> None:
        """Continue from the newest whole checkpoint of a run, and say so."""
        found = newest_checkpoint(run)
        info, state, learner = found.info, found.tensors("state"), self.learner
        checkpoint.set_aside_newer(run.checkpoints, found.info["progress"])
        load_weights(learner.network, found)
        load_optimizer_tensors(learner.optimizer, under("adam", state))
        learner.rollouts = info["rollouts"]
        learner.precision = Precision(info["precision"], self.device.type, "as in the checkpoint")
        self.acting = acting_copy(learner.network, learner.precision.dtype)
        blocks: dict[str, Any] = dict(under("rollout", state))
        self.rollout = Rollout(**blocks, games=[Game(*game) for game in info["games"]])
        self.scores = [Game(*game) for game in info["scores"]]
        self.trained_s = info["trained_s"]
        if not self.collector.load_state_dict(under("collector", state)):
            run.warn(f"{self.config.env} does not repeat its games: this resume is not exact")
        run.log(f"resumed {run.name} at {learner.env_steps:,} env steps")


def train(config: Config, preset: str = "default") -> Run:
    """Train an agent from nothing; return its run. UserError comes before a folder is made."""
    training = Training(config)
    said = training.begin()
    run = Run.create("ppo", config, config.run.name, short_name(config.env), preset)
    with run.lock():
        run.log(f"{run.name}: {config.env}, {config.total_steps:,} env steps, in {run.folder}")
        for line in said:
            run.log(line)
        training.save(run)
        fit(training, run, Board(run.folder))
    return run


def resume(run: Run) -> Run:
    """Continue a run where its newest checkpoint stands."""
    config = from_dict(Config, run.config)
    with run.lock():
        training = Training(config)
        training.restore(run)
        fit(training, run, Board(run.folder, resumed_at=training.learner.env_steps))
    return run


def fit(training: Training, run: Run, board: Board) -> None:
    """Learn rollout after rollout; save, evaluate, film. KeyboardInterrupt if ctrl-C stopped it."""
    config, learner = training.config, training.learner
    run.log(f"device {training.device}, {learner.precision}")
    begin_s, last_save = time.monotonic() - training.trained_s, time.monotonic()
    reel = Reel(board, config.video_every_s)
    report = ProgressReport(config.total_steps, "env steps", learner.env_steps)
    with ThreadPoolExecutor(1, "collector") as pool, StopRequest() as stop, report:
        while learner.rollouts < config.num_rollouts and not stop.requested:
            rollout, figures = training.advance(pool)
            training.trained_s = time.monotonic() - begin_s
            figures["time/minutes"] = training.trained_s / 60
            if not math.isfinite(figures["train/policy_loss"] + figures["train/grad_norm"]):
                raise UserError(
                    f"the loss is not finite at {learner.env_steps:,} env steps; the last "
                    f"checkpoint is whole: try a lower --learning-rate than {config.learning_rate}"
                )
            board.scalars(learner.env_steps, figures)
            if learner.rollouts % 50 == 1:
                board.histogram(learner.env_steps, "rollout/actions", rollout.action)
            reel.add(rollout, learner.env_steps)
            shown = {"score": f"{figures['rollout/score']:.1f}"} if training.scores else {}
            report.update(min(learner.env_steps, config.total_steps), shown)
            if time.monotonic() - last_save >= config.run.checkpoint_every_s:
                training.save(run)
                last_save = time.monotonic()
        training.save(run)
    reel.write(learner.env_steps)
    training.envs.close()
    if learner.rollouts < config.num_rollouts:
        board.close()
        run.log(
            f"stopped at {learner.env_steps:,} env steps; continue with `arcadia resume {run.name}`"
        )
        raise KeyboardInterrupt
    run.log(f"trained {learner.env_steps:,} env steps in {training.trained_s / 60:.1f} min")
    finish(run, board, config.eval_games, learner.env_steps)
    board.close()
