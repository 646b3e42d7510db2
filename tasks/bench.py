"""The commands `arcadia bench classify | translate | caption`: what loop, data and log cost.

Ours is the training loop as it is; its peer the same network, optimiser and number format learning
from batches of random numbers of the same shapes. In turn, in one process; medians of the rounds.
"""

import contextlib
import io
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from backbones.training.config import changed, require_positive
from backbones.training.distributed import ALONE
from backbones.training.log import read_metrics
from tasks.data.samples import Batch
from tasks.fit import Fitting
from tasks.job import TaskJob
from tasks.labels import classify


@dataclass(frozen=True, kw_only=True)
class Config:
    """Compare the loop with forward and backward alone."""

    updates: int = 200
    """Updates of each measurement."""
    rounds: int = 3
    """Measurements of each, in turn."""
    json: bool = False
    """Print a list of JSON objects instead of lines."""
    job: classify.Config = field(default_factory=lambda: classify.PRESETS["default"])

    def __post_init__(self) -> None:
        require_positive(self, "updates", "rounds")


def measure_loop(job: TaskJob, config: Any) -> float:
    """Return samples (or tokens) per second of a run in a throw-away folder, its start left out."""
    config = changed(config, fit=changed(config.fit, eval_every=0))
    with tempfile.TemporaryDirectory() as folder:
        before = os.environ.get("ARCADIA_RUNS")
        os.environ["ARCADIA_RUNS"] = folder
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                run = job.train(config)
        finally:
            os.environ.pop("ARCADIA_RUNS")
            if before is not None:
                os.environ["ARCADIA_RUNS"] = before
        lines = [line for line in read_metrics(run.folder) if "train/loss" in line]
    seconds = 60 * (lines[-1]["time/minutes"] - lines[0]["time/minutes"])
    return float((lines[-1]["step"] - lines[0]["step"]) / seconds)


def measure_alone(
    job: TaskJob, config: Any, updates: int, randomised: Callable[[Batch], Batch]
) -> float:
    """Return the same of forward, backward and optimiser on random numbers."""
    fitting = Fitting(job.name, job.make_task(config), ALONE)
    fitting.start()
    # As many batches as are of different shapes, or nearly; made before the clock starts.
    batches = [randomised(fitting.feeder.make(n)) for n in range(min(updates, 20))]
    fitting.feeder.pool.shutdown()
    for batch in batches[:5]:
        fitting.update(batch)
    start = time.perf_counter()
    for n in range(updates):
        fitting.update(batches[n % len(batches)])
    return updates * fitting.feeder.batch_size / (time.perf_counter() - start)


def compare(
    job: TaskJob, config: Any, measured: Any, unit: str, randomised: Callable[[Batch], Batch]
) -> int:
    """Measure both in turn and print the comparison; `measured` is the job's, cut to size."""
    found: dict[str, list[float]] = {"loop": [], "alone": []}
    for _ in range(config.rounds):
        found["loop"].append(measure_loop(job, measured))
        found["alone"].append(measure_alone(job, measured, config.updates, randomised))
    ours, peer = (statistics.median(found[name]) for name in ("loop", "alone"))
    row = {
        "name": f"{job.name} {unit}_per_s",
        "ours": ours,
        "peer": peer,
        "ratio": ours / peer,
        "unit": f"{unit}/s",
        "peer_name": "the same network on random numbers",
    }
    if config.json:
        print(json.dumps([row]))
    else:
        print(f"loop {ours:,.0f} {unit}/s, {row['peer_name']} {peer:,.0f}; ratio {ours / peer:.2f}")
    return 0


def random_pictures(batch: Batch) -> Batch:
    """Return a batch with noise for pictures."""
    return {**batch, "picture": torch.rand_like(batch["picture"].float()) * 255}


def random_texts(batch: Batch) -> Batch:
    """Return a batch with random pieces for words, as long as they were."""
    return {name: shuffled(column) for name, column in batch.items()}


def shuffled(column: Tensor) -> Tensor:
    """Return rows with each piece swapped for another of the batch; lengths as they are."""
    if column.ndim == 1:
        return column
    inside = column != 0
    pieces = column[inside]
    return column.masked_scatter(inside, pieces[torch.randperm(len(pieces), device=pieces.device)])


def cut_to(job: Any, updates: int) -> Any:
    """Return a job's config with so many updates in all its epochs, each of fewer samples:
    generated ones are made in the first and then kept."""
    return changed(job, samples=-(-updates // job.fit.num_epochs) * job.fit.batch_size)


def main(config: Config) -> int:
    """The command `arcadia bench classify`."""
    measured = cut_to(config.job, config.updates)
    return compare(classify.JOB, config, measured, "samples", random_pictures)
