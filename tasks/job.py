"""How a task becomes a job of the command: trained from nothing, resumed, lengthened."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from backbones.training.checkpoint import Checkpoint
from backbones.training.config import changed
from backbones.training.device.memory import keep_freed_memory
from backbones.training.distributed import World
from backbones.training.errors import UserError
from backbones.training.job import ANEW, Job
from tasks.fit import Fitting
from tasks.task import Task


class TaskJob(Job):
    """A task as a job: its name, its presets, its class."""

    kind = "task"

    def __init__(self, name: str, presets: Mapping[str, Any], task_type: type[Task[Any]]) -> None:
        super().__init__(name, presets)
        for group in ("fit", "run"):
            if not hasattr(presets["default"], group):
                raise UserError(
                    f"the config of the job {name} has no field {group!r}; see the example in "
                    "CONTRIBUTING.md"
                )
        # A config, and what a checkpoint kept of the data if there is one -> the task.
        self.make_task = task_type.of

    def settle(self, config: Any, world: World) -> tuple[Any, list[str]]:
        config, notes = super().settle(config, world)
        if getattr(config, "data", ""):
            # A run is resumed and scored from other folders too.
            config = changed(config, data=str(Path(config.data).expanduser().absolute()))
        return config, notes

    def build(
        self,
        config: Any,
        world: World,
        found: Checkpoint | None = None,
        rebuilt: AbstractContextManager[object] = ANEW,
    ) -> Fitting:
        keep_freed_memory()
        with rebuilt:
            # What was learnt of the data then, so that it means the same now.
            task = self.make_task(config, found.info["about"] if found else None)
            if not found:
                for split in ("val", "test") if config.fit.eval_every else ("test",):
                    task.to_score(split)  # UserError now, rather than when all is learnt
            return Fitting(self.findable(), task, world)

    def lengthen(self, config: Any, extend: int) -> Any:
        """Return a config that is longer by so many epochs."""
        return changed(config, fit=changed(config.fit, num_epochs=config.fit.num_epochs + extend))

    def total(self, config: Any, found: Checkpoint) -> int | None:
        total, then = found.info.get("total"), found.info.get("config")
        if total is None or then is None:
            return None  # an old checkpoint: the data say how long an epoch is
        return int(total // then["fit"]["num_epochs"] * config.fit.num_epochs)
