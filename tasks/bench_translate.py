"""The command `arcadia bench translate`: as in `tasks/bench.py`, of the translator."""

from dataclasses import dataclass, field

from backbones.training.config import changed, require_positive
from tasks.bench import compare, random_texts
from tasks.words import translate


@dataclass(frozen=True, kw_only=True)
class Config:
    """Compare the loop with forward and backward alone."""

    updates: int = 100
    """Updates of each measurement."""
    rounds: int = 3
    """Measurements of each, in turn."""
    json: bool = False
    """Print a list of JSON objects instead of lines."""
    job: translate.Config = field(default_factory=lambda: translate.PRESETS["default"])

    def __post_init__(self) -> None:
        require_positive(self, "updates", "rounds")


def main(config: Config) -> int:
    """The command `arcadia bench translate`."""
    sizes = translate.TextPairs(config.job).samples("train").sizes.float()
    fit = config.job.fit
    an_epoch = -(-config.updates // fit.num_epochs) * fit.batch_size
    samples = 1 + int(an_epoch / float(sizes.mean()))
    measured = changed(config.job, samples=samples)
    return compare(translate.JOB, config, measured, "tokens", random_texts)
