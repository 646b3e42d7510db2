"""How long and in which steps a task is learnt: a group of every task's config."""

from dataclasses import dataclass
from typing import Literal

from backbones.training.checks.limits import require_at_most
from backbones.training.config import require_fraction, require_positive
from backbones.training.optim import one_cycle

MOST_BATCH, MOST_EPOCHS = 2**24, 1_000_000


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How long and in which steps a task is learnt."""

    num_epochs: int = 20
    """Passes over the training samples."""
    batch_size: int = 128
    """Samples in one update; of texts, tokens."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """SGD with Nesterov momentum 0.9, or AdamW."""
    learning_rate: float = 0.1
    """Highest step size; it rises to it on a line and falls to 0 as half a cosine."""
    warm_up: float = 0.2
    """Progress (0 to 1) at which the step size is highest."""
    weight_decay: float = 5e-4
    """Decay of weights; biases and normalisation layers have none."""
    max_grad_norm: float = 0.0
    """Gradients are scaled down to this norm; 0: they stay as they are."""
    ema: float = 0.999
    """Decay of the average of weights that is scored and kept; 0: the last weights are."""
    eval_every: int = 1
    """Epochs between two scores on the validation samples; 0: none."""

    def __post_init__(self) -> None:
        require_positive(self, "num_epochs", "batch_size", "learning_rate")
        require_fraction(self, "warm_up", "ema")
        require_at_most(self, batch_size=MOST_BATCH, num_epochs=MOST_EPOCHS)
        if min(self.weight_decay, self.max_grad_norm, self.eval_every) < 0:
            raise ValueError("weight_decay, max_grad_norm and eval_every must be 0 or above")

    def rate(self, updates: int, total: int) -> float:
        """Return the step size of the update that follows so many of all."""
        # The rate at the middle of the update: at its start the first would be 0.
        return self.learning_rate * one_cycle((updates + 0.5) / total, self.warm_up)
