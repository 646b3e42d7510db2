"""How a run is trained, resumed and lengthened: the same for every algorithm and every task.

A `Job` builds a `Loop` from its config; the loop learns. Everything around that is here: several
processes, the run's folder, the checkpoint to go on from, what was trained already.
"""

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from backbones.training.checkpoint import Checkpoint
from backbones.training.checks import trust
from backbones.training.checks.saved import config_of, rebuilding, restoring
from backbones.training.checks.typed import OtherNames
from backbones.training.config import ResumeConfig, changed
from backbones.training.distributed import World, join, leave
from backbones.training.errors import UserError
from backbones.training.jobs import JOBS, Kind
from backbones.training.run import Run, begun_before, shared_run
from backbones.training.session import OnUpdate, finished, is_evaluated, resume_point
from backbones.transfer import full_name

ANEW: AbstractContextManager[object] = nullcontext()


@runtime_checkable
class Loop(Protocol):
    """A training in progress, from its first update or from a checkpoint."""

    config: Any
    """The job's config; once started, with what was found out, such as the number format."""

    def start(self) -> list[str]:
        """Begin from nothing, or from another run's weights; return lines for the log."""

    def restore(self, found: Checkpoint) -> list[str]:
        """Continue from a checkpoint; return warnings, such as that this is not exact."""

    def lengthened(self, before: Any) -> str:
        """Return what lengthening the run, whose config was `before`, does to its schedule."""

    def run(self, run: Run, resumed: Mapping[str, Any] | None, on_update: OnUpdate | None) -> None:
        """Learn to the end; save, score, show. `Stopped` if ctrl-C stopped it.

        `resumed` is the info of the checkpoint where it goes on, empty where there was none yet;
        None for a new run.
        """


class Job(ABC):
    """Something to train: its name, its presets, and how a config becomes a loop.

    A module of jobs calls its one `JOB`. `presets` must have a `default`, whose type is the config.
    """

    kind: ClassVar[Kind]
    other_names: OtherNames = {}  # noqa: RUF012
    """What other libraries call its settings, for people who bring their flags."""

    def __init__(self, name: str, presets: Mapping[str, Any]) -> None:
        self.name, self.presets = name, presets
        self.config_type: type[Any] = type(presets["default"])
        # As a run's config.json names it: `module:NAME` for a job in a module of the user's.
        self.full_name = name if name in JOBS else ""

    @abstractmethod
    def build(
        self,
        config: Any,
        world: World,
        found: Checkpoint | None = None,
        rebuilt: AbstractContextManager[object] = ANEW,
    ) -> Loop:
        """Return the loop of a config, or of a checkpoint of it; UserError if it cannot be.

        What a checkpoint's sizes decide, such as networks, is built within `rebuilt`: it bounds
        their memory, and names the run if the checkpoint is malformed.
        """

    @abstractmethod
    def lengthen(self, config: Any, extend: int) -> Any:
        """Return a config whose run is longer by so much of its unit."""

    @abstractmethod
    def total(self, config: Any, found: Checkpoint) -> int | None:
        """Return the progress at which a run of this config ends; None if only a loop can say."""

    def settle(self, config: Any, world: World) -> tuple[Any, list[str]]:
        """Return a config in which nothing depends on this moment, and lines for the log.

        `--init` gets the full name of its run: `last` will be this run soon.
        """
        if hasattr(config, "init"):
            config = changed(config, init=world.broadcast_json(lambda: full_name(config.init)))
        if hasattr(config, "trunk"):
            init = world.broadcast_json(lambda: full_name(config.trunk.init))
            config = changed(config, trunk=changed(config.trunk, init=init))
        return config, []

    def base_name(self, config: Any) -> str:
        """Return the name of a run's folder, but for its number."""
        return self.name

    def title(self, config: Any) -> str:
        """Return what a run of this config is, in the first line of its log; "" for none."""
        return ""

    def train(self, config: Any, preset: str = "default", on_update: OnUpdate | None = None) -> Run:
        """Train from nothing; return the run. UserError comes before a folder is made."""
        world = join()
        trust.allow(getattr(config, "env", ""))
        trust.allow(getattr(config, "callback", ""))
        begun = begun_before(world, config.run.name)
        if begun:
            return self.resume(begun, on_update=on_update)
        config, notes = self.settle(config, world)
        loop = self.build(config, world)
        notes = [*notes, *loop.start()]
        config = loop.config
        name, base = config.run.name, self.base_name(config)
        run = shared_run(
            world, lambda: Run.create(self.findable(), config, name, base, preset, folder=self.name)
        )
        title = self.title(config)
        for line in ([f"{run.name}: {title}, in {run.folder}"] if title else []) + notes:
            run.log(line)
        with run.lock():
            loop.run(run, None, on_update)
        return run

    def resume(
        self, run: Run, flags: ResumeConfig | None = None, on_update: OnUpdate | None = None
    ) -> Run:
        """Continue a run where its newest checkpoint stands, longer or elsewhere if flags say."""
        world, flags = join(), flags or ResumeConfig()
        with run.lock():
            found = resume_point(run, world)
            before = config_of(run, self.config_type, found, env=flags.env)
            # A command that torchrun restarts has lengthened the run already.
            extend = 0 if run.was_changed_before_restart() else flags.extend
            if found and not extend and self.is_over(run, before, found, world):
                run.log(finished(run.name))
                leave(world)
                return run
            longer = self.lengthen(before, extend) if extend else before
            config = changed(longer, run=flags.applied_to(before.run))
            loop = self.build(config, world, found, rebuilding(run, found))
            with restoring(run):
                warnings = loop.restore(found) if found else []
            run = run.reconfigured(config)
            if extend:
                run.log(loop.lengthened(before))
            for line in warnings:
                run.warn(line)
            if not found:
                run.log(f"{run.name} has no checkpoint yet: it begins anew")
                for line in loop.start():
                    run.log(line)
                run = run.reconfigured(loop.config)
            loop.run(run, found.info if found else {}, on_update)
        return run

    def is_over(self, run: Run, config: Any, found: Checkpoint, world: World) -> bool:
        """Say whether a run is trained to its end and scored."""
        total, progress = self.total(config, found), found.info["progress"]
        return total is not None and progress >= total and is_evaluated(run, world, progress)

    def findable(self) -> str:
        """Return the name by which a run's job is found again, `module:NAME` for a user's own."""
        if not self.full_name:
            module = sys.modules[self.config_type.__module__]
            names = [key for key, value in vars(module).items() if value is self]
            if not names:
                raise UserError(
                    f"the job {self.name} is in no module of its config's ({module.__name__}); "
                    "write JOB = ... there"
                )
            stem = Path(getattr(module, "__file__", "") or "").stem
            self.full_name = (
                f"{stem if module.__name__ == '__main__' else module.__name__}:{names[0]}"
            )
        return self.full_name
