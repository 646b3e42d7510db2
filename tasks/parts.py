"""The optimisers of a task's model, one for each part that it names, and how a step is taken."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from backbones import transfer
from backbones.training.checkpoint import prefixed, under
from backbones.training.device.precision import Precision
from backbones.training.distributed import World
from backbones.training.errors import UserError
from backbones.training.optim import Updater, load_optimizer_tensors, optimizer_tensors, with_rates
from tasks.fit_config import FitConfig


def parameter_groups(
    model: nn.Module, lr_backbone: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Return the optimiser's groups: a slower backbone, no decay of biases and norms."""
    groups = []
    for group in transfer.parameter_groups(model, lr_backbone):
        for decays in (True, False):
            params = [p for p in group["params"] if (p.ndim > 1) == decays]
            if params:
                decay = weight_decay if decays else 0.0
                groups.append({**group, "params": params, "weight_decay": decay})
    return groups


class Parts:
    """Every part's optimiser; `step` is what a task's `update` is given."""

    def __init__(
        self,
        model: nn.Module,
        scales: Mapping[str, float],
        fit: FitConfig,
        *,
        lr_backbone: float,
        world: World,
        device: torch.device,
        precision: Precision,
        batch_size: int,
    ) -> None:
        """`scales` are the parts' names and their multiples of the rate; "" is the whole model."""
        self.precision, self.batch_size = precision, batch_size
        self.updaters: dict[str, Updater] = {}
        for name, scale in scales.items():
            part = model.get_submodule(name)
            groups = [
                {**group, "scale": scale * group["scale"]}
                for group in parameter_groups(part, lr_backbone, fit.weight_decay)
            ]
            optimizer = build_optimizer(with_rates(groups, fit.learning_rate, device), fit, device)
            self.updaters[name] = Updater(optimizer, world, fit.max_grad_norm or math.inf)
        # Of each part's last step.
        self.norms = {name: torch.zeros((), device=device) for name in self.updaters}

    def set_rate(self, rate: float) -> None:
        """Set the step size of the updates that follow."""
        for updater in self.updaters.values():
            updater.set_rate(rate)

    def step(self, losses: Callable[[], Tensor], part: str = "") -> Float[Tensor, ""]:
        """Lower the losses by one step of a part: see `tasks.task.Step`."""

        def work() -> Tensor:
            with self.precision.autocast():
                each = losses()
            if each.ndim != 1:
                raise UserError(
                    f"the loss of a batch has shape {tuple(each.shape)}; expected one number a "
                    'sample, [B]: torch\'s losses give that with reduction="none"'
                )
            loss = each.float().sum() / self.batch_size
            loss.backward()
            return loss.detach()

        loss, self.norms[part] = self.updaters[part].step(work)
        return loss

    def tensors(self) -> dict[str, Tensor]:
        """Return the state of all optimisers."""
        state: dict[str, Tensor] = {}
        for name, updater in self.updaters.items():
            state |= prefixed(prefix_of(name), optimizer_tensors(updater.optimizer))
        return state

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `tensors` returned."""
        for name, updater in self.updaters.items():
            load_optimizer_tensors(updater.optimizer, under(prefix_of(name), state))


def prefix_of(part: str) -> str:
    """Return the name under which a part's optimiser is saved: `optimizer` if it is of all."""
    return f"optimizer.{part}" if part else "optimizer"


def build_optimizer(
    groups: list[dict[str, Any]], fit: FitConfig, device: torch.device
) -> torch.optim.Optimizer:
    """Return the optimiser of a config."""
    if fit.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=0.9, nesterov=True, fused=True)
    return torch.optim.AdamW(groups, fused=True, capturable=device.type == "cuda")
