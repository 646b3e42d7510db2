"""How many multiplications the models of runs take for one picture: convolutions, linear layers,
LSTMs.

    python docs/multiplications.py glimpse-1 classify-1
"""

from dataclasses import dataclass

import torch
import tyro
from torch import nn

from backbones.training.run import find_run
from tasks.evaluate import load_model


@dataclass(frozen=True, kw_only=True)
class Config:
    """Count multiplications."""

    runs: tyro.conf.Positional[tuple[str, ...]]
    """Runs of classify or glimpse, whose sets are there."""


def multiplications(model: nn.Module, picture: torch.Tensor) -> int:
    """Return how many a model takes for one picture."""
    total = 0

    def count(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: object) -> None:
        nonlocal total
        if isinstance(layer, nn.LSTM):
            total += inputs[0].shape[0] * sum(p.numel() for p in layer.parameters() if p.ndim == 2)
        elif isinstance(layer, nn.Linear | nn.Conv2d):
            assert isinstance(output, torch.Tensor)
            # Every weight once for each place of the output, and for each look.
            total += layer.weight.numel() * output.numel() // layer.weight.shape[0]

    hooks = [layer.register_forward_hook(count) for layer in model.modules()]
    with torch.no_grad():
        model(picture)
    for hook in hooks:
        hook.remove()
    return total


def main(config: Config) -> None:
    for name in config.runs:
        task, model = load_model(find_run(name))
        picture = task.to_score("test").batch(torch.zeros(1, dtype=torch.long))["picture"]
        print(f"{name}: {multiplications(model, picture):,} multiplications a picture")


if __name__ == "__main__":
    main(tyro.cli(Config))
