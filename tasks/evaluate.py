"""Scoring a model on a split: at the end of its training, and for `arcadia eval`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from backbones.training.checkpoint import Checkpoint
from backbones.training.checks.saved import config_of, restoring, room_for
from backbones.training.config import RunName, changed, require_not_negative
from backbones.training.device.memory import keep_few_shapes
from backbones.training.device.precision import choose_device
from backbones.training.distributed import ALONE, World
from backbones.training.errors import UserError
from backbones.training.find_job import job_of, require_kind
from backbones.training.log import Board
from backbones.training.run import Run, find_run
from backbones.training.session import newest_checkpoint, write_evaluation
from backbones.training.streams import printable
from backbones.transfer import load_weights
from tasks.answering import with_answer_flags
from tasks.data.samples import Samples, moved
from tasks.data.split_names import Split
from tasks.scores.sums import Counts, Sums, add, emptied
from tasks.task import Task

EVAL_BATCH = 256
GPU_EVAL_BATCH = 1024
# Pictures of a batch on a CPU have at most so many bytes: 256 of the scenes. The maps of a deep
# trunk take several hundred times as much.
EVAL_BYTES = 3 * 2**20


@dataclass(frozen=True, kw_only=True)
class Config:
    """Score a run's model on a split, with a baseline beside."""

    run: RunName = "last"
    """A run: its name, a path, zoo/NAME or last."""
    split: Split = "test"
    """Which samples: test, val or train."""
    data: str = ""
    """Folder of another set of the same classes, or languages; default: the run's own."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu, cuda or cuda:N."""
    threads: int = 0
    """Threads of torch's arithmetic on a CPU; 0: as torch chooses."""
    json: bool = False
    """Print one JSON object instead of lines."""

    def __post_init__(self) -> None:
        require_not_negative(self, "threads")


@torch.no_grad()
def evaluate(task: Task[Any], model: nn.Module, samples: Samples, world: World = ALONE) -> Sums:
    """Return the sums of a model's scores on samples, in fp32; each process takes every W-th."""
    device = next(model.parameters()).device
    batch_size = eval_batch(samples, device)
    model.eval()
    mine = samples.in_order()[world.rank :: world.size]

    def counts(index: Int64[Tensor, "B"]) -> Counts:
        batch = moved(samples.batch(index), device)
        return task.score(task.predict(model, batch), batch)

    if not len(mine):
        return add([emptied(counts(torch.zeros(1, dtype=torch.long)))], world)
    return add(map(counts, mine.split(batch_size)), world)


def eval_batch(samples: Samples, device: torch.device) -> int:
    """Return how many samples are answered at once, for memory to be bounded."""
    most = GPU_EVAL_BATCH if device.type == "cuda" else EVAL_BATCH
    one = samples.batch(torch.zeros(min(1, len(samples)), dtype=torch.long)).get("picture")
    if one is None or not one.nbytes:
        return most
    return max(1, min(most, EVAL_BYTES * most // EVAL_BATCH // one.nbytes))


def load_model(
    run: Run,
    found: Checkpoint | None = None,
    device: torch.device | None = None,
    answer: object = None,
    **changes: Any,
) -> tuple[Task[Any], nn.Module]:
    """Return the task of a run, its config changed where asked, and its trained model on a device.

    `found` is the checkpoint to take, where somebody has read it already; `answer` is the group of
    the config that says how answers are made, if not as in training.
    """
    require_kind(run, "task")
    job: Any = job_of(run)
    found = found or newest_checkpoint(run)
    config = config_of(run, job.config_type, found, changes=changes)
    config = config if answer is None else changed(config, answer=answer)
    with restoring(run):
        task = job.make_task(config, found.info["about"])
        with room_for(run, found):
            model = task.model()
        load_weights(model, found)
    if "line" in task.takes:
        keep_few_shapes()
    return task, model.eval().to(device or torch.device("cpu"))


def device_of(config: Any) -> torch.device:
    """Return the device of a command's flags, and let torch use as many threads as they say."""
    if config.threads:
        torch.set_num_threads(config.threads)
    return choose_device(config.device)


def finish(
    run: Run, task: Task[Any], model: nn.Module, world: World, board: Board | None, progress: int
) -> None:
    """End a run: score it on the test samples, once, and write that down."""
    sums = evaluate(task, model, task.to_score("test"), world)
    if board is None:
        return
    result = report(run.name, task, model, "test", sums)
    for line in lines(result):
        run.log(line)
    scored = {f"eval/{name}": value for name, value in result["scores"].items()}
    result = {**result, "progress": progress}
    write_evaluation(run, board, progress, scored, result, "`arcadia eval` says it again")


def report(run: str, task: Task[Any], model: nn.Module, split: Split, sums: Sums) -> dict[str, Any]:
    """Return the object that `eval --json` prints."""
    scores, task.scored = task.scores(sums), split
    baseline, how = task.baseline()
    others = task.baselines(model, sums)
    return {
        "run": run,
        "metric": task.metric,
        "score": the_score(task, scores),
        "baseline": baseline,
        "protocol": {"split": split, "baseline": how, **task.protocol()},
        "scores": scores,
        **({"baselines": others} if others else {}),
    }


def the_score(task: Task[Any], scores: Mapping[str, float]) -> float:
    """Return the score that counts; UserError if the task has none of that name."""
    if task.metric not in scores:
        raise UserError(
            f"{type(task).__name__}.metric = {task.metric!r} is none of the scores that it gives: "
            f"{', '.join(scores)}"
        )
    return scores[task.metric]


def lines(result: dict[str, Any]) -> list[str]:
    """Return a report for people."""
    scores, others = (
        ", ".join(f"{name} {value:.4g}" for name, value in result.get(key, {}).items())
        for key in ("scores", "baselines")
    )
    protocol = ", ".join(f"{name} {value}" for name, value in result["protocol"].items())
    return [
        f"{result['metric']} {result['score']:.2f}; baseline {result['baseline']:.2f}",
        f"all scores: {scores}",
        *([f"held against: {others}"] if others else []),
        f"protocol: {protocol}",
    ]


def config_for(run: Run) -> type[Config]:
    """Return the settings of `arcadia eval` for a run: with how its task answers."""
    return with_answer_flags(Config, run)


def score(config: Config) -> dict[str, Any]:
    """Return the object that `arcadia eval --json` prints of a task's run."""
    run = find_run(config.run)
    changes: dict[str, Any] = {"data": config.data} if config.data else {}
    answer = getattr(config, "answer", None)
    task, model = load_model(run, device=device_of(config), answer=answer, **changes)
    sums = evaluate(task, model, task.to_score(config.split))
    return report(run.name, task, model, config.split, sums)


def main(config: Config) -> int:
    """The command `arcadia eval` for a task's run."""
    result = score(config)
    shown = [json.dumps(result)] if config.json else [result["run"], *lines(result)]
    print(*map(printable, shown), sep="\n")
    return 0
