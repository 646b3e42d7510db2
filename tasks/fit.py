"""The one loop that every task is trained by.

Letters: B samples of a batch. Progress is counted in samples seen, or tokens of texts. A run is
exact: it may be killed and resumed, and ends with the same weights. Of several processes each takes
every W-th sample of a minibatch; gradients are sums divided by the size of the whole, so one update
by two equals one by one (but for batch norm, whose statistics are a process's own; what is kept is
their mean).
"""

import copy
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from backbones import transfer
from backbones.start import start_from
from backbones.training.checkpoint import Checkpoint, prefixed, under
from backbones.training.config import changed
from backbones.training.device.memory import keep_few_shapes, model_bytes, require_memory
from backbones.training.device.precision import (
    Precision,
    choose_device,
    choose_precision,
    seed_generators,
)
from backbones.training.distributed import World, leave
from backbones.training.errors import Stopped
from backbones.training.log import for_people
from backbones.training.optim import Average, require_finite
from backbones.training.run import Run
from backbones.training.session import OnUpdate, Session, Snapshot, lengthened
from tasks.data.feeder import Feeder
from tasks.data.samples import Batch, Samples
from tasks.evaluate import evaluate, finish, the_score
from tasks.parts import Parts
from tasks.task import Task

RECORD_EVERY = 25  # updates


class Fitting:
    """A run in progress: the task, its model, the optimiser, and how many updates are done."""

    def __init__(self, job: str, task: Task, world: World) -> None:
        config = task.config
        self.job, self.task, self.config, self.world = job, task, config, world
        torch.set_num_threads(config.run.threads)
        self.device = choose_device(config.run.device, world)
        samples = task.data("train")
        if not samples.alike:
            keep_few_shapes()
        self.samples = samples.near(self.device)
        if self.device.type == "cpu":
            pictures = samples.batch(torch.zeros(1, dtype=torch.long)).get(
                "picture", torch.empty(1)
            )
            count = min(config.fit.batch_size, len(samples))
            size = model_bytes(task.model, tuple(pictures.shape[1:]), count)
            require_memory(size, "this run", "model or --batch-size")
        torch.manual_seed(config.run.seed)
        model: Any = task.model()
        self.model = model.to(self.device).to(memory_format=torch.channels_last)
        self.feeder = Feeder(
            self.samples,
            task.prepare,
            seed=config.run.seed,
            batch_size=config.fit.batch_size,
            world=world,
            device=self.device,
            blend=task.blend,
        )
        self.updates = 0
        # Figures and norms of the updates since they were last recorded; a checkpoint keeps them.
        self.figures = ["loss"]
        self.gathered: list[Tensor] = []
        self.total = config.fit.num_epochs * self.feeder.updates_an_epoch

    def start(self) -> list[str]:
        """Start anew, from the weights of another run if asked; return lines for the log."""
        log_lines = self.task.source.notes()
        trunk = getattr(self.config, "trunk", None)
        if trunk is not None:
            same = self.learnt_the_same
            log_lines += self.world.broadcast_json(lambda: start_from(self.model, trunk.init, same))
            transfer.freeze(self.model, trunk.freeze)
        self.world.broadcast_(self.model.state_dict().values())
        log_lines += self.task.start(self.model)
        # On a copy, because timing changes batch norm's running statistics.
        model, batch = copy.deepcopy(self.model), self.feeder.make(0)
        self.precision = choose_precision(
            self.config.run.precision,
            self.device,
            lambda: self.task.loss(model, batch).sum(),
            model,
            self.world,
        )
        # A repeat of this config computes the same.
        run = changed(self.config.run, precision=self.precision.name)
        self.config = changed(self.config, run=run)
        self.optimise()
        return log_lines

    def learnt_the_same(self, run: Run, found: Checkpoint) -> bool:
        """Say whether a run's heads mean the same: it had this task, and knows the same of it."""
        return run.job == self.job and self.task.means_the_same(found.info.get("about", {}))

    def optimise(self) -> None:
        """Build what follows from the model: the parts' optimisers, the average."""
        fit, trunk = self.config.fit, getattr(self.config, "trunk", None)
        self.parts = Parts(
            self.model,
            self.task.parts(),
            fit,
            lr_backbone=trunk.lr_backbone if trunk is not None else 1.0,
            world=self.world,
            device=self.device,
            precision=self.precision,
            batch_size=self.feeder.batch_size,
        )
        self.average = Average(self.model, fit.ema)

    @property
    def progress(self) -> int:
        """Samples seen; of texts, tokens."""
        return self.updates * self.feeder.batch_size

    @property
    def epoch_ended(self) -> int:
        """The number of the epoch that the last update ended; 0 within one."""
        epoch, rest = divmod(self.updates, self.feeder.updates_an_epoch)
        return 0 if rest else epoch

    def update(self, batch: Batch) -> Tensor:
        """Learn from a batch; return this process's figures, and each part's gradient norm."""
        # Rate, and numbers of dropout and noise, are functions of seed and update alone.
        self.parts.set_rate(self.config.fit.rate(self.updates, self.total))
        seed_generators(self.config.run.seed * 1_000_003 + self.updates, self.device)
        if self.updates % self.feeder.updates_an_epoch == 0:
            self.task.carried = {}
        # The task says what is lowered, in which steps.
        self.model.train()
        figures = self.task.update(self.model, batch, self.parts.step)
        self.average.update(self.model)
        self.updates += 1
        self.figures = list(figures)
        return torch.stack([*figures.values(), *self.parts.norms.values()])

    @property
    def names(self) -> list[str]:
        """What `update` returns, by name."""
        norms = [f"{part}_grad_norm".lstrip("_") for part in self.parts.norms]
        return [*self.figures, *norms]

    def checkpoint(self) -> Snapshot | None:
        """Return, in the first process, what `restore` continues from exactly."""
        self.share_statistics()
        gathered = summed(self) if self.gathered else torch.empty(0)
        carried = self.world.gather(self.task.carried)
        self.world.confirm(self.device)
        if not self.world.is_first:
            return None
        state = {**self.parts.tensors(), **prefixed("carried", interleaved(carried))}
        if self.config.fit.ema:
            state |= prefixed("model", self.model.state_dict())
        info = {
            "job": self.job,
            "updates": self.updates,
            "averaged": self.average.updates,
            "precision": self.precision.name,
            "about": self.task.source.about,
            "data": self.task.source.name,
            "score": None,
            "figures": self.figures,
            "gathered": gathered.tolist(),
        }
        return transfer.snapshot(self.progress, self.average.model, state, info)

    def share_statistics(self) -> None:
        """Give every process the mean of all processes' running statistics (batch norm's)."""
        if self.world.size == 1:
            return
        average = self.average.model
        # In the same order in every process.
        for model in [self.model] if average is self.model else [self.model, average]:
            for buffer in model.buffers():
                if buffer.is_floating_point():
                    self.world.sum_(buffer).div_(self.world.size)

    def restore(self, found: Checkpoint) -> list[str]:
        """Continue from a checkpoint; there is nothing to warn of."""
        trunk, info, state = getattr(self.config, "trunk", None), found.info, found.tensors("state")
        if trunk is not None:
            transfer.freeze(self.model, trunk.freeze)
        self.precision = Precision(info["precision"], self.device.type, "as in the checkpoint")
        transfer.load_weights(self.model, found)
        self.optimise()
        if self.config.fit.ema:
            self.model.load_state_dict(under("model", state))
        self.parts.load(state)
        self.task.carried = {
            name: rows[self.world.rank :: self.world.size].to(self.device)
            for name, rows in under("carried", state).items()
        }
        self.average.updates = info["averaged"]
        self.updates = info["updates"]
        # The sums of all processes, which the first one has now; checkpoints of before have none.
        self.figures = info.get("figures", self.figures)
        table = torch.tensor(info.get("gathered", []), device=self.device).view(-1, len(self.names))
        table[:, : len(self.figures)] *= self.world.is_first
        self.gathered = list(table)
        return []

    def lengthened(self, before: Any) -> str:
        """Return what lengthening the run does to its schedule, as a line for the log."""
        fits = before.fit, self.config.fit
        old, new = (
            fit.rate(self.updates, fit.num_epochs * self.feeder.updates_an_epoch) for fit in fits
        )
        return lengthened(fits[0].num_epochs, fits[1].num_epochs, "epochs", old, new)

    def run(
        self, run: Run, resumed: Mapping[str, Any] | None, on_update: OnUpdate | None = None
    ) -> None:
        """Learn batch after batch to the end: see `Loop.run`."""
        fit(self, run, resumed, on_update)


def interleaved(shares: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return what each of W processes carries of every W-th row as all rows in order."""
    whole = {}
    for name in shares[0] if shares else {}:
        rows = [share[name] for share in shares]
        whole[name] = rows[0].new_empty(sum(map(len, rows)), *rows[0].shape[1:])
        for rank, part in enumerate(rows):
            whole[name][rank :: len(rows)] = part
    return whole


def begun(
    fitting: Fitting, run: Run, resumed: Mapping[str, Any] | None, on_update: OnUpdate | None
) -> Session:
    """Return the session that a run is learnt in; its log says what there is to do, and where."""
    config, feeder = fitting.config, fitting.feeder
    session = Session(
        run,
        config.run,
        fitting.world,
        total=fitting.total * feeder.batch_size,
        unit=feeder.samples.unit,
        done=fitting.progress,
        resumed=resumed,
        on_update=on_update,
    )
    run.log(f"{len(fitting.samples):,} samples, {fitting.total:,} updates, in {run.folder}")
    run.log(f"device {fitting.device}, {fitting.precision}")
    if config.run.graphs:
        run.log("no CUDA graphs (--graphs): a task's updates are not recorded, only PPO's are")
    return session


def fit(
    fitting: Fitting, run: Run, resumed: Mapping[str, Any] | None, on_update: OnUpdate | None = None
) -> None:
    """Learn batch after batch; save, score, show. `Stopped` if ctrl-C stopped it."""
    config, world, feeder, task = fitting.config, fitting.world, fitting.feeder, fitting.task
    samples = {"val": task.to_score("val")} if config.fit.eval_every else {}
    session = begun(fitting, run, resumed, on_update)
    shown: dict[str, str] = {}
    waited, since, first = 0.0, time.monotonic(), fitting.updates
    with feeder, session:
        while fitting.updates < fitting.total and not session.stopped:
            begin = time.monotonic()
            batch = feeder.batch(fitting.updates)
            waited += time.monotonic() - begin
            fitting.gathered.append(fitting.update(batch))
            ended = fitting.epoch_ended
            if fitting.updates % RECORD_EVERY == 0 or ended:
                figures = speeds(fitting.updates - first, feeder, since, waited)
                figures |= losses(fitting)
                session.record(fitting.progress, figures, shown)
                waited, since, first = 0.0, time.monotonic(), fitting.updates
                fitting.gathered = []
            if ended and samples and ended % config.fit.eval_every == 0:
                shown = validate(fitting, session, samples["val"])
                since = time.monotonic()
            session.keep(fitting.checkpoint)
        session.save_last(fitting.checkpoint)
    if fitting.updates < fitting.total:
        run.log(f"stopped at {fitting.progress:,}; continue with `arcadia resume {run.name}`")
        leave(world)
        raise Stopped
    for name, value in shown.items():
        run.log(f"last validation: {name} {value}")
    run.log(
        f"trained {fitting.progress:,} {feeder.samples.unit} in {session.trained_s / 60:.1f} min"
    )
    finish(run, task, fitting.average.model, world, session.board, fitting.progress)
    leave(world)


def speeds(updates: int, feeder: Feeder, since: float, waited: float) -> dict[str, float]:
    """Return where the time of some updates went."""
    spent = time.monotonic() - since
    return {
        f"speed/{feeder.samples.unit}_per_s": updates * feeder.batch_size / spent,
        "speed/update_s": spent / updates,
        "speed/wait_s": waited / updates,
    }


def summed(fitting: Fitting) -> Tensor:
    """Return figures and norms of the updates gathered, [U, names], the figures of all processes
    added."""
    table, count = torch.stack(fitting.gathered), len(fitting.figures)
    table[:, :count] = fitting.world.sum_(table[:, :count].clone())
    return table.float().cpu()


def losses(fitting: Fitting) -> dict[str, float]:
    """Return the means over some updates; UserError names the first that is not finite."""
    table = summed(fitting)
    require_finite(table, fitting.updates - len(table) + 1)
    means = zip(fitting.names, table.mean(0).tolist(), strict=True)
    rate = fitting.config.fit.rate(fitting.updates - 1, fitting.total)
    return {**{f"train/{name}": value for name, value in means}, "train/learning_rate": rate}


def validate(fitting: Fitting, session: Session, samples: Samples) -> dict[str, str]:
    """Score the averaged model on the validation samples and show it; return what to print."""
    task, model = fitting.task, fitting.average.model
    fitting.share_statistics()
    sums = evaluate(task, model, samples, fitting.world)
    scores = task.scores(sums)
    if session.board:
        tagged = {f"val/{name}": value for name, value in scores.items()}
        session.board.scalars(fitting.progress, tagged)
        with for_people("pictures of the validation", session.run.warn):
            task.show(session.board, fitting.progress, model, sums)
    return {f"val {task.metric}": f"{the_score(task, scores):.2f}"}
