"""What every job shares that trains an agent, whoever's algorithm it is: its unit is env steps."""

from typing import Any

from backbones.training.checkpoint import Checkpoint
from backbones.training.checks.typed import OtherNames
from backbones.training.config import changed
from backbones.training.job import Job
from rl.games.make import short_name
from rl.sb3.flag_names import OTHER_NAMES


class PlayJob(Job):
    """An algorithm that learns from play, named after its game."""

    kind = "agent"
    other_names: OtherNames = OTHER_NAMES

    def lengthen(self, config: Any, extend: int) -> Any:
        return changed(config, total_steps=config.total_steps + extend)

    def total(self, config: Any, found: Checkpoint) -> int:
        return int(config.total_steps)

    def base_name(self, config: Any) -> str:
        return short_name(config.env)

    def title(self, config: Any) -> str:
        return f"{config.env}, {config.total_steps:,} env steps"
