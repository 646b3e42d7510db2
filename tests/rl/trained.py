"""Trainings of agents a few rollouts long, whole and continued: what tests of algorithms share."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from backbones.training import checkpoint
from backbones.training.distributed import World
from rl.training import AgentJob, Training


def trained(job: AgentJob, config: Any, rollouts: int) -> tuple[Training, list[dict[str, float]]]:
    """A training after so many rollouts, and the figures of each."""
    training = Training(job, config, World())
    training.start()
    with ThreadPoolExecutor(1) as pool:
        figures = [training.advance(pool)[1] for _ in range(rollouts)]
    return training, figures


def continued(part: Training, folder: Path, rollouts: int) -> Training:
    """Another training, from a checkpoint of `part` in a folder and so many rollouts on."""
    made = part.checkpoint()
    checkpoint.save(folder, made.progress, made.parts, made.info, made.metadata, made.chunks)
    again = Training(part.job, part.config, World())
    assert again.restore(checkpoint.load_newest(folder)[0]) == []
    with ThreadPoolExecutor(1) as pool:
        for _ in range(rollouts):
            again.advance(pool)
    return again
