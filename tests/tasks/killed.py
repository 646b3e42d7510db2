"""A run of a task, and the same one killed and resumed: what tests of exact resumption share."""

import shutil
from typing import Any

import torch

from backbones.training import checkpoint
from backbones.training.config import changed
from backbones.training.run import Run
from tasks.job import TaskJob


def everything(run: Run, names=("cnn", "heads", "state")) -> dict[str, torch.Tensor]:
    """All tensors of a run's newest checkpoint."""
    found, _ = checkpoint.load_newest(run.checkpoints)
    parts = {part: found.tensors(part) for part in names}
    return {f"{part}.{k}": v for part, tensors in parts.items() for k, v in tensors.items()}


def whole_and_killed(job: TaskJob, config: Any) -> tuple[Run, Run]:
    """A run, and one of the same config that lost its last checkpoint and its score and went on."""
    whole, killed = (
        job.train(changed(config, run=changed(config.run, name=name)))
        for name in ("whole", "killed")
    )
    # As kill -9 leaves it: the log is ahead of the newest checkpoint that is whole.
    shutil.rmtree(sorted(killed.checkpoints.iterdir())[-1])
    (killed.folder / "eval.json").unlink()
    job.resume(killed)
    return whole, killed


def assert_same(whole: Run, killed: Run, names=("cnn", "heads", "state")) -> None:
    """Fail unless two runs ended with the same tensors, bit for bit."""
    mine, theirs = everything(whole, names), everything(killed, names)
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []
