"""How a task becomes a job of the command: trained from nothing, resumed, lengthened."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backbones.training.checks.saved import config_of, restoring, room_for
from backbones.training.config import ResumeConfig, changed
from backbones.training.device.memory import keep_freed_memory
from backbones.training.distributed import join, leave
from backbones.training.run import Run, begun_before, shared_run
from backbones.training.session import finished, is_evaluated, lengthened, resume_point
from backbones.transfer import full_name
from tasks.fit import Fitting, fit
from tasks.task import Task


@dataclass(frozen=True)
class Job:
    """A task as a job: its name, its config, its class."""

    name: str
    config_type: type[Any]
    task_type: Callable[..., Task]

    def train(self, config: Any, preset: str = "default") -> Run:
        """Train from nothing; return the run. UserError comes before a folder is made."""
        world = join()
        keep_freed_memory()
        begun = begun_before(world, config.run.name)
        if begun:
            return self.resume(begun)
        if hasattr(config, "init"):
            config = changed(config, init=world.broadcast_json(lambda: full_name(config.init)))
        if hasattr(config, "trunk"):
            init = world.broadcast_json(lambda: full_name(config.trunk.init))
            config = changed(config, trunk=changed(config.trunk, init=init))
        if getattr(config, "data", ""):
            # A run is resumed and scored from other folders too.
            config = changed(config, data=str(Path(config.data).expanduser().absolute()))
        task = self.task_type(config)
        for split in ("val", "test") if config.fit.eval_every else ("test",):
            task.data(split)  # UserError now, rather than when all is learnt
        fitting = Fitting(self.name, task, world)
        said = fitting.begin()
        run = shared_run(
            world, lambda: Run.create(self.name, config, config.run.name, self.name, preset)
        )
        for line in said:
            run.log(line)
        with run.lock():
            fit(fitting, run, None)
        return run

    def resume(self, run: Run, flags: ResumeConfig | None = None) -> Run:
        """Continue a run where its newest checkpoint stands; `extend` is in epochs."""
        world, flags = join(), flags or ResumeConfig()
        keep_freed_memory()
        with run.lock():
            found = resume_point(run, world)
            before = config_of(run, self.config_type, found, env=flags.env)
            extend = 0 if run.was_changed_before_restart() else flags.extend
            epochs = before.fit.num_epochs + extend
            config = changed(
                before, fit=changed(before.fit, num_epochs=epochs), run=flags.applied_to(before.run)
            )
            # What was learnt of the data then, so that it means the same now.
            about = found.info["about"] if found else None
            with restoring(run), room_for(run, found):
                fitting = Fitting(self.name, self.task_type(config, about), world)
                if found:
                    fitting.restore(found)
            done = fitting.updates >= fitting.total
            if done and not extend and is_evaluated(run, world, fitting.progress):
                run.log(finished(run.name))
                leave(world)
                return run
            run = run.reconfigured(config)
            if extend:
                an_epoch = fitting.feeder.updates_an_epoch
                old, new = before.fit.num_epochs, epochs
                rates = (
                    each.fit.rate(fitting.updates, each.fit.num_epochs * an_epoch)
                    for each in (before, config)
                )
                run.log(lengthened(old, new, "epochs", *rates))
            if not found:
                fitting.begin()
                run.log(f"{run.name} has no checkpoint yet: it begins anew")
            fit(fitting, run, found.info if found else {})
        return run
