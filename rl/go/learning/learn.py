"""What a Go network learns: the search's policy, who won, who owns each point, by how much.

Letters: B positions, M points on a side, A = M * M + 1 moves.

The losses and their weights are those of Wu 2019 (https://arxiv.org/abs/1902.10565), section 3 and
appendix B, but for the score, which is one number here and not a distribution.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from torch import Tensor

from backbones import transfer
from backbones.training.checkpoint import prefixed, under
from backbones.training.device.precision import Precision
from backbones.training.distributed import World
from backbones.training.optim import (
    Average,
    Updater,
    load_optimizer_tensors,
    mean_figures,
    optimizer_tensors,
    with_rates,
)
from rl.go.learning.replay import GoBatch, GoCounts, PositionReplay
from rl.go.network.go_network import GoJudgement, GoNetwork

VALUE, OWNERSHIP, SCORE = 1.5, 1.5, 0.02  # weights beside the policy's of 1
FAR = 12.0  # points; scores further off count linearly
FIGURES = ("policy_loss", "value_loss", "ownership_loss", "score_error", "policy_kl")


def mean_where(
    each: Float[Tensor, "B"], there: Float32[Tensor, "B"], count: float
) -> Float[Tensor, ""]:
    """Return the mean over the rows that are there, `count` in the whole minibatch; 0 if none."""
    return (each * there).sum() / max(count, 1.0)


def go_loss(
    judged: GoJudgement, batch: GoBatch, of: GoCounts | None = None
) -> tuple[Tensor, Float[Tensor, "figures"]]:
    """Return the loss of some positions, and its `FIGURES`.

    Both are sums divided by the counts `of` the minibatch that these positions are a share of, by
    default the whole.
    """
    of = of or batch.counts()
    # Illegal moves have no probability in the target; moves off the board have a logit of -inf.
    log_policy = judged.policy.log_softmax(1).clamp(min=-1e4)
    cross = -(batch.policy * log_policy).sum(1)
    policy = mean_where(cross, batch.searched, of.searched)
    spread = -(batch.policy * batch.policy.clamp(min=1e-12).log()).sum(1)
    kl = mean_where(cross - spread, batch.searched, of.searched)
    value = mean_where(surprise(judged.value, batch.value), batch.ended, of.ended)
    ownership = mean_where(
        surprise(judged.ownership, batch.ownership).mean((1, 2)), batch.ended, of.ended
    )
    far = F.huber_loss(judged.score, batch.score, reduction="none", delta=FAR)
    score = mean_where(far, batch.ended, of.ended)
    loss = policy + VALUE * value + OWNERSHIP * ownership + SCORE * score
    error = mean_where((judged.score - batch.score).abs(), batch.ended, of.ended)
    return loss, torch.stack([policy, value, ownership, error, kl]).detach()


def surprise(
    judged: Float[Tensor, "*shape"], outcome: Float32[Tensor, "*shape"]
) -> Float32[Tensor, "*shape"]:
    """Return the cross entropy, in nats, of outcomes in [-1, 1] as halves of a win.

    What is not finite stays so, and is named by the update: torch's own function raises.
    """
    chance, won = ((judged.float() + 1) / 2).clamp(1e-6, 1 - 1e-6), (outcome + 1) / 2
    return (won - 1) * torch.log1p(-chance) - won * chance.log()


class GoLearner:
    """The network, its average, which plays, its optimiser, and how often it has learnt."""

    def __init__(self, network: GoNetwork, config: Any, device: torch.device, world: World) -> None:
        """`config` has the fields of `rl/go/train.py`."""
        self.network, self.config, self.device = network.to(device), config, device
        groups = [
            {**group, "params": params, "weight_decay": config.weight_decay * decays}
            for group in transfer.parameter_groups(network, 1.0)
            for decays in (True, False)
            if (params := [p for p in group["params"] if (p.ndim > 1) == decays])
        ]
        adam = torch.optim.AdamW(
            with_rates(groups, config.learning_rate, device),
            fused=True,
            capturable=device.type == "cuda",
        )
        self.updater = Updater(adam, world, config.max_grad_norm)
        self.average = Average(network, config.ema)
        self.precision = Precision("fp32", device.type, "not chosen yet")
        self.updates = 0

    def near(self, batch: GoBatch) -> GoBatch:
        """Return a batch on the device."""
        return GoBatch(*(tensor.to(self.device, non_blocking=True) for tensor in batch))

    def learn(self, replay: PositionReplay, updates: int, rate: float) -> dict[str, float]:
        """Take so many steps; return the figures' means as TensorBoard tags. UserError if one is
        not finite."""
        if not updates:
            return {}
        self.network.train()
        self.updater.set_rate(rate)
        table = [self.update(replay) for _ in range(updates)]
        self.network.eval()
        first = self.updates - updates + 1
        return mean_figures(FIGURES, table, first, self.updater.world) | {
            "train/learning_rate": rate,
            "train/updates": float(self.updates),
        }

    def update(self, replay: PositionReplay) -> Float[Tensor, "figures_and_norm"]:
        """Take one step on rows that are a function of seed and update."""
        rng = np.random.default_rng((self.config.run.seed, 2, self.updates))
        numbers, ways = replay.draw(self.config.batch_size, rng)
        mine = self.updater.world.share(len(numbers))
        batch, of = self.near(replay.batch(numbers[mine], ways[mine])), replay.counts(numbers)

        def work() -> Tensor:
            with self.precision.autocast():
                judged = self.network(batch.planes)
            loss, figures = go_loss(judged, batch, of)
            loss.backward()  # type: ignore[no-untyped-call]
            return figures

        figures, norm = self.updater.step(work)
        self.average.update(self.network)
        self.updates += 1
        return torch.cat([figures, norm[None]])

    @torch.no_grad()
    def judge_new(self, batch: GoBatch) -> dict[str, float]:
        """Return the losses of the playing network on positions that were never learnt from."""
        batch = self.near(batch)
        _, figures = go_loss(self.average.model(batch.planes), batch)
        tagged = zip(FIGURES, figures.tolist(), strict=True)
        return {f"new/{name}": value for name, value in tagged}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return what `load` continues from, the average's weights apart."""
        tensors = prefixed("adam", optimizer_tensors(self.updater.optimizer))
        if self.config.ema:
            tensors |= prefixed("model", self.network.state_dict())
        return tensors, {
            "updates": self.updates,
            "averaged": self.average.updates,
            "precision": self.precision.name,
        }

    def load(self, tensors: Mapping[str, Tensor], info: Mapping[str, Any]) -> None:
        """Continue from a state, once the average has its weights."""
        if self.config.ema:
            self.network.load_state_dict(under("model", tensors))
        load_optimizer_tensors(self.updater.optimizer, under("adam", tensors))
        self.updates, self.average.updates = info["updates"], info["averaged"]
        self.precision = Precision(info["precision"], self.device.type, "as in the checkpoint")
