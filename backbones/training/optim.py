"""Schedules as functions of progress in [0, 1], flat gradients, optimisers as plain tensors.

A schedule that depends on progress alone needs nothing else when a run is lengthened or resumed.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from backbones.training.errors import UserError


def anneal(progress: float, start: float) -> float:
    """Return the factor at this progress: 1 until `start`, then falling on a line to 0 at the end.

    `start` 0 is the usual linear schedule, 1 is a constant.
    """
    if progress <= start:
        return 1.0
    return max(0.0, (1 - progress) / (1 - start))


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
    for name, value in tensors.items():
        number, slot = name.split(".", 1)
        full["state"].setdefault(int(number), {})[slot] = value
    optimizer.load_state_dict(full)
