"""The one loop that every task is trained by.

Letters: B samples of a batch. Progress is counted in samples seen, or tokens of texts. A run is
exact: it may be killed and resumed, and ends with the same weights. Of several processes each takes
every W-th sample of a minibatch; gradients are sums divided by the size of the whole, so one update
by two equals one by one (but for batch norm, whose statistics are a process's own; what is kept is
their mean).
"""

import copy
import json
import math
import time
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from backbones import transfer
from backbones.start import start_from
from backbones.training.checkpoint import Checkpoint, prefixed, under
from backbones.training.checks.limits import require_at_most
from backbones.training.config import require_fraction, require_positive
from backbones.training.device.memory import model_bytes, require_memory
from backbones.training.device.precision import (
    Precision,
    choose_device,
    choose_precision,
    seed_generators,
)
from backbones.training.distributed import World, leave
from backbones.training.errors import Stopped
from backbones.training.log import for_people
from backbones.training.optim import (
    Average,
    FlatGradients,
    load_optimizer_tensors,
    one_cycle,
    optimizer_tensors,
    require_finite,
    set_rate,
    with_rates,
)
from backbones.training.run import Run
from backbones.training.session import Session, Snapshot
from tasks.data.feeder import Feeder
from tasks.data.samples import Batch, InMemory, Samples
from tasks.evaluate import evaluate, finish
from tasks.task import Task

RECORD_EVERY = 25  # updates
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
        # Of the middle of the update, so that none is of size 0.
        return self.learning_rate * one_cycle((updates + 0.5) / total, self.warm_up)


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


class Fitting:
    """A run in progress: the task, its model, the optimiser, and how many updates are done."""

    def __init__(self, job: str, task: Task, world: World) -> None:
        config = task.config
        self.job, self.task, self.config, self.world = job, task, config, world
        torch.set_num_threads(config.run.threads)
        self.device = choose_device(config.run.device, world)
        samples = task.data("train")
        self.samples = samples.near(self.device) if isinstance(samples, InMemory) else samples
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
        # Loss and norm of the updates since the last row of figures; a checkpoint keeps them.
        self.gathered: list[Tensor] = []
        self.total = config.fit.num_epochs * self.feeder.updates_an_epoch

    def begin(self) -> list[str]:
        """Start anew, from the weights of another run if asked; return lines for the log."""
        said = self.task.notes()
        trunk = getattr(self.config, "trunk", None)
        if trunk is not None:
            same = self.learnt_the_same
            said += self.world.broadcast_json(lambda: start_from(self.model, trunk.init, same))
            transfer.freeze(self.model, trunk.freeze)
        self.world.broadcast_(self.model.state_dict().values())
        said += self.task.start(self.model)
        # A copy: timing would stir the statistics of batch norm.
        model, batch = copy.deepcopy(self.model), self.feeder.make(0)
        self.precision = choose_precision(
            self.config.run.precision,
            self.device,
            lambda: self.task.loss(model, batch).sum(),
            model,
            self.world,
        )
        self.optimise()
        return said

    def learnt_the_same(self, run: Run, found: Checkpoint) -> bool:
        """Say whether a run's heads mean the same: it had this task, and knows the same of it."""
        about = json.loads(json.dumps(self.task.about))
        return run.job == self.job and found.info.get("about") == about

    def optimise(self) -> None:
        """Build what follows from the model: optimiser, flat gradients, average."""
        fit, trunk = self.config.fit, getattr(self.config, "trunk", None)
        slow = trunk.lr_backbone if trunk is not None else 1.0
        groups = parameter_groups(self.model, slow, fit.weight_decay)
        groups = with_rates(groups, fit.learning_rate, self.device)
        self.optimizer: torch.optim.Optimizer
        if fit.optimizer == "sgd":
            self.optimizer = torch.optim.SGD(groups, momentum=0.9, nesterov=True, fused=True)
        else:
            on_gpu = self.device.type == "cuda"
            self.optimizer = torch.optim.AdamW(groups, fused=True, capturable=on_gpu)
        self.gradients = FlatGradients(p for group in groups for p in group["params"])
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
        """Take one optimiser step; return this process's loss, and the gradient's norm."""
        set_rate(self.optimizer, self.config.fit.rate(self.updates, self.total))
        # Dropout's numbers are a function of seed and update too.
        seed_generators(self.config.run.seed * 1_000_003 + self.updates, self.device)
        self.gradients.zero()
        self.model.train()
        with self.precision.autocast():
            losses = self.task.loss(self.model, batch)
        loss = losses.float().sum() / self.feeder.batch_size
        loss.backward()
        self.world.sum_(self.gradients.flat)
        norm = self.gradients.clip(self.config.fit.max_grad_norm or math.inf)
        self.optimizer.step()
        self.average.update(self.model)
        self.updates += 1
        return torch.stack([loss.detach(), norm])

    def checkpoint(self) -> Snapshot | None:
        """Return, in the first process, what `restore` continues from exactly."""
        self.share_statistics()
        gathered = summed(self.gathered, self.world) if self.gathered else torch.empty(0, 2)
        self.world.confirm(self.device)
        if not self.world.is_first:
            return None
        state = prefixed("optimizer", optimizer_tensors(self.optimizer))
        if self.config.fit.ema:
            state |= prefixed("model", self.model.state_dict())
        info = {
            "job": self.job,
            "updates": self.updates,
            "averaged": self.average.updates,
            "precision": self.precision.name,
            "about": self.task.about,
            "data": self.task.name_of_data,
            "score": None,
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

    def restore(self, found: Checkpoint) -> None:
        """Continue from a checkpoint."""
        trunk, info, state = getattr(self.config, "trunk", None), found.info, found.tensors("state")
        if trunk is not None:
            transfer.freeze(self.model, trunk.freeze)
        self.precision = Precision(info["precision"], self.device.type, "as in the checkpoint")
        transfer.load_weights(self.model, found)
        self.optimise()
        if self.config.fit.ema:
            self.model.load_state_dict(under("model", state))
        load_optimizer_tensors(self.optimizer, under("optimizer", state))
        self.average.updates = info["averaged"]
        self.updates = info["updates"]
        # The sums of all processes, which the first one has now; checkpoints of before have none.
        table = torch.tensor(info.get("gathered", []), device=self.device).view(-1, 2)
        table[:, 0] *= self.world.is_first
        self.gathered = list(table)


def fit(fitting: Fitting, run: Run, resumed: dict[str, Any] | None) -> None:
    """Learn batch after batch; save, score, show. `Stopped` if ctrl-C stopped it."""
    config, world, feeder, task = fitting.config, fitting.world, fitting.feeder, fitting.task
    samples = {"val": task.data("val")} if config.fit.eval_every else {}
    session = Session(
        run,
        config.run,
        world,
        total=fitting.total * feeder.batch_size,
        unit=feeder.unit,
        done=fitting.progress,
        resumed=resumed,
    )
    run.log(f"{len(fitting.samples):,} samples, {fitting.total:,} updates, in {run.folder}")
    run.log(f"device {fitting.device}, {fitting.precision}")
    if config.run.graphs:
        run.log("no CUDA graphs (--graphs): a task's updates are not recorded, only PPO's are")
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
    run.log(f"trained {fitting.progress:,} {feeder.unit} in {session.trained_s / 60:.1f} min")
    finish(run, task, fitting.average.model, world, session.board, fitting.progress)
    leave(world)


def speeds(updates: int, feeder: Feeder, since: float, waited: float) -> dict[str, float]:
    """Return where the time of some updates went."""
    spent = time.monotonic() - since
    return {
        f"speed/{feeder.unit}_per_s": updates * feeder.batch_size / spent,
        "speed/update_s": spent / updates,
        "speed/wait_s": waited / updates,
    }


def summed(gathered: list[Tensor], world: World) -> Tensor:
    """Return loss and norm of some updates, [U, 2], the losses of all processes added."""
    table = torch.stack(gathered)
    table[:, 0] = world.sum_(table[:, 0].clone())
    return table.float().cpu()


def losses(fitting: Fitting) -> dict[str, float]:
    """Return the means over some updates; UserError names the first that is not finite."""
    table = summed(fitting.gathered, fitting.world)
    require_finite(table, fitting.updates - len(table) + 1)
    means = table.mean(0).tolist()
    names = ("train/loss", "train/grad_norm")
    figures = dict(zip(names, means, strict=True))
    rate = fitting.config.fit.rate(fitting.updates - 1, fitting.total)
    return {**figures, "train/learning_rate": rate}


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
    return {f"val {task.metric}": f"{scores[task.metric]:.2f}"}
