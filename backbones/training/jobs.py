"""Every job by name: the module that it lives in, its kind, what it is. Strings only, so that
`--help` is quick.

A job is a `Job` (`backbones/training/job.py`) that its module calls `JOB`;
`backbones/training/find_job.py` loads it.
"""

import os
import sys
from importlib import import_module
from typing import Literal, NamedTuple

Kind = Literal["agent", "task", "go"]


class Entry(NamedTuple):
    """One row of the table."""

    module: str
    kind: Kind
    about: str


JOBS = {
    "ppo": Entry("rl.ppo", "agent", "PPO agents on Atari, or any game seen as pixels"),
    "dqn": Entry("rl.dqn", "agent", "DQN agents: double, dueling, n-step, prioritised replay"),
    "pqn": Entry("rl.pqn", "agent", "PQN agents: Q(lambda) from parallel games, without a replay"),
    "sb3-ppo": Entry(
        "rl.sb3.ppo", "agent", "stock PPO of stable-baselines3 on our environments and trunks"
    ),
    "sb3-a2c": Entry("rl.sb3.a2c", "agent", "stock A2C of stable-baselines3"),
    "sb3-dqn": Entry("rl.sb3.dqn", "agent", "stock DQN of stable-baselines3"),
    "go": Entry("rl.go.train", "go", "Go, learnt from self-play alone"),
    "classify": Entry(
        "tasks.labels.classify", "task", "image classification: MNIST, CIFAR-10, class folders"
    ),
    "caption": Entry("tasks.words.caption", "task", "captions: a sentence for a picture"),
    "translate": Entry("tasks.words.translate", "task", "translation of text, line by line"),
    "sound": Entry("tasks.sounds.film_sound", "task", "sound for silent film of strokes"),
}


def import_own(module: str) -> object:
    """Import a user's module, from the folder where the person stands if it is nowhere else."""
    # Behind everything else, so that a file there never stands in for one of ours.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    return import_module(module)
