"""The command `arcadia bench caption`: as in `tasks/bench.py`, of the captioner."""

from dataclasses import dataclass, field

from backbones.training.config import require_positive
from tasks.bench import compare, cut_to, random_pictures
from tasks.words import caption


@dataclass(frozen=True, kw_only=True)
class Config:
    """Compare the loop with forward and backward alone."""

    updates: int = 60
    """Updates of each measurement."""
    rounds: int = 3
    """Measurements of each, in turn."""
    json: bool = False
    """Print a list of JSON objects instead of lines."""
    job: caption.Config = field(default_factory=lambda: caption.PRESETS["default"])

    def __post_init__(self) -> None:
        require_positive(self, "updates", "rounds")


def main(config: Config) -> int:
    """The command `arcadia bench caption`."""
    measured = cut_to(config.job, config.updates)
    return compare(caption.JOB, config, measured, "samples", random_pictures)
