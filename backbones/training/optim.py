"""Schedules as functions of progress in [0, 1], flat gradients, optimisers as plain tensors.

A schedule that depends on progress alone needs nothing else when a run is lengthened or resumed.
"""

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from backbones.training.distributed import World
from backbones.training.errors import UserError

T = TypeVar("T")


def anneal(progress: float, start: float, end: float = 1.0) -> float:
    """Return the factor at this progress: 1 until `start`, then falling on a line to 0 at `end`.

    `start` 0 is the usual linear schedule, 1 is a constant. Where `end` is not behind `start`, it
    falls at once.
    """
    if progress <= start:
        return 1.0
    return max(0.0, (end - progress) / (end - start)) if end > start else 0.0


def one_cycle(progress: float, warm_up: float) -> float:
    """Return the factor at this progress: rising on a line until `warm_up`, then a half cosine to 0
    (Smith 2018, https://arxiv.org/abs/1803.09820)."""
    if progress < warm_up:
        return progress / warm_up
    return 0.5 + 0.5 * math.cos(math.pi * min(1.0, (progress - warm_up) / (1 - warm_up)))


class Average:
    """An exponential moving average of a model's weights and statistics, to score and to keep.

    Early on the window grows with the run, so the random initial weights fade quickly.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """`decay` 0 keeps no average: the model itself is scored."""
        self.decay, self.updates = decay, 0
        self.model = copy.deepcopy(model).eval().requires_grad_(False) if decay else model
        self.source: nn.Module | None = None
        self.mine, self.new = list[Tensor](), list[Tensor]()

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights after an update."""
        self.updates += 1
        if not self.decay:
            return
        if self.source is not model:
            self.source = model
            self.mine, self.new = floating(self.model), floating(model)
        keep = min(self.decay, self.updates / (self.updates + 9))
        torch._foreach_lerp_(self.mine, self.new, 1 - keep)


def floating(model: nn.Module) -> list[Tensor]:
    """Return the weights and statistics of a model themselves, those that are floating point."""
    kept = model.state_dict(keep_vars=True).values()
    return [tensor for tensor in kept if tensor.is_floating_point()]


class FlatGradients:
    """The gradients of some parameters as one flat tensor, of which every `.grad` is a view.

    They are zeroed, summed over processes and clipped in one operation each. Do not set them to
    None: zero them here.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        parameters = list(parameters)
        first, total = parameters[0], sum(p.numel() for p in parameters)
        self.flat = torch.zeros(total, dtype=first.dtype, device=first.device)
        start = 0
        for p in parameters:
            # The strides of the parameter itself: a channels_last weight has such a gradient.
            p.grad = self.flat.as_strided(p.shape, p.stride(), start)
            start += p.numel()

    def zero(self) -> None:
        """Set every gradient to zero."""
        self.flat.zero_()

    def clip(self, max_norm: float) -> Float32[Tensor, ""]:
        """Scale all gradients down to an L2 norm of `max_norm`; return the norm from before."""
        norm = torch.linalg.vector_norm(self.flat)
        self.flat.mul_((max_norm / (norm + 1e-6)).clamp(max=1.0))
        return norm


def with_rates(
    groups: Sequence[Mapping[str, Any]], rate: float, device: torch.device
) -> list[dict[str, Any]]:
    """Return an optimiser's groups, each with a step size of its own for `set_rate`: `rate` times
    the group's `scale`.

    On a GPU they are tensors there: a captured update reads them anew each time.
    """
    rates = [rate * group["scale"] for group in groups]
    if device.type != "cuda":
        return [{**group, "lr": lr} for group, lr in zip(groups, rates, strict=True)]
    return [
        {**group, "lr": torch.tensor(lr, dtype=torch.float32, device=device)}
        for group, lr in zip(groups, rates, strict=True)
    ]


@torch.no_grad()
def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set every group's step size to `rate` times its `scale`; one that is a tensor stays that
    tensor."""
    for group in optimizer.param_groups:
        value = rate * group["scale"]
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(value)
        else:
            group["lr"] = value


class Updater:
    """An optimiser and how a step of it is taken, the same in every loop and of any number of
    processes: a learner has one, a task of several parts one a part.

    Parameters outside the optimiser keep whatever gradients the work left in them.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, world: World, max_grad_norm: float = math.inf
    ) -> None:
        """The groups of `optimizer` are those of `with_rates`."""
        self.optimizer, self.world, self.max_grad_norm = optimizer, world, max_grad_norm
        self.gradients = FlatGradients(p for g in optimizer.param_groups for p in g["params"])

    def set_rate(self, rate: float) -> None:
        """Set the step size of the updates that follow."""
        set_rate(self.optimizer, rate)

    def step(self, work: Callable[[], T]) -> tuple[T, Float32[Tensor, ""]]:
        """Take one step; return what `work` returns, and the gradient's norm from before clipping.

        `work` adds this process's share of the gradient: it calls `backward` as often as it likes,
        in whichever threads, on losses divided by the size of the whole minibatch.
        """
        self.gradients.zero()
        result = work()
        # Shares of one minibatch add up to its gradient, in every process alike.
        self.world.sum_(self.gradients.flat)
        norm = self.gradients.clip(self.max_grad_norm)
        self.optimizer.step()
        return result, norm


def mean_figures(
    names: Sequence[str],
    table: Sequence[Float32[Tensor, "figures_and_norm"]],
    first_update: int,
    world: World,
) -> dict[str, float]:
    """Return the figures of a burst of updates, as TensorBoard tags: sums over processes, means
    over updates. Last in each row stands the norm of the gradient, the same in all processes.

    UserError names the first update at which one is not finite, counted from `first_update` on.
    """
    rows = torch.stack(list(table))
    rows = torch.cat([world.sum_(rows[:, :-1].clone()), rows[:, -1:]], dim=1).cpu()
    require_finite(rows, first_update)
    tags = [f"train/{name}" for name in (*names, "grad_norm")]
    return dict(zip(tags, rows.mean(0).tolist(), strict=True))


def require_finite(figures: Float32[Tensor, "updates figures"], first_update: int) -> None:
    """Raise UserError that names the first update (counted from 1) with a figure not finite."""
    bad = (~figures.isfinite()).any(1).nonzero()
    if len(bad):
        raise UserError(
            f"the loss or its gradient is not finite at update {first_update + int(bad[0]):,}; the "
            "last checkpoint is whole: start anew from its weights with `train --init RUN` and a "
            "lower --learning-rate"
        )


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return a copy of an optimiser's state as `<parameter number>.<slot>`, such as `0.exp_avg`."""
    state = optimizer.state_dict()["state"]
    return {f"{n}.{slot}": v.clone() for n, slots in state.items() for slot, v in slots.items()}


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Take over what `optimizer_tensors` returned of an optimiser of the same parameters."""
    full = optimizer.state_dict()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for name, value in tensors.items():
        number, slot = name.split(".", 1)
        if value.shape == parameters[int(number)].shape:
            # Files know no strides, and fused steps walk over memory as the parameter lies in it.
            value = torch.empty_like(parameters[int(number)]).copy_(value)
        full["state"].setdefault(int(number), {})[slot] = value
    optimizer.load_state_dict(full)
