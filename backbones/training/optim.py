"""Schedules as functions of progress in [0, 1], and optimisers as plain tensors.

A schedule that depends on progress alone needs nothing else when a run is lengthened or resumed.
"""

import torch
from torch import Tensor


def anneal(progress: float, start: float) -> float:
    """Return the factor at this progress: 1 until `start`, then falling on a line to 0 at the end.

    `start` 0 is the usual linear schedule, 1 is a constant.
    """
    if progress <= start:
        return 1.0
    return max(0.0, (1 - progress) / (1 - start))


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
