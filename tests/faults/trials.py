"""What the trials share: starting the command, and comparing how two runs ended."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from backbones.training import checkpoint

ROOT = Path(__file__).parents[2]
TWO_PROCESSES = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2")
# Small and quick to play; saved so often that hardly a rollout passes without.
# Before a process counts as stuck; a busy machine may take a minute to start two of them.
PATIENCE_S = 300.0
# In fp32, because a timing may choose another precision for each of two runs.
FLAGS = (
    "--preset",
    "smoke",
    "--eval-games",
    "0",
    "--precision",
    "fp32",
    "--checkpoint-every-s",
    "0.3",
)


def start(module: Sequence[str], runs: Path, said: Path | None = None) -> subprocess.Popen:
    """Start `python -m module...` in a process group; `said` (runs/said.txt) gets what it says."""
    with (said or runs / "said.txt").open("a") as file:
        return subprocess.Popen(
            [sys.executable, "-m", *module],
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "ARCADIA_RUNS": str(runs)},
            start_new_session=True,
        )


def arcadia(
    *args: str, runs: Path, torchrun: Sequence[str] = (), said: Path | None = None
) -> subprocess.Popen:
    """Start the command, in several processes if torchrun's words are given."""
    return start([*torchrun, *(["-m"] if torchrun else []), "arcadia", *args], runs, said)


def weights(runs: Path, name: str, job: str) -> tuple[int, dict[str, torch.Tensor]]:
    """Return the env steps and all tensors of a run's newest checkpoint: Adam's, of DQN the
    target's, and a replay."""
    found, _ = checkpoint.load_newest(runs / job / name / "checkpoints")
    chunks = [file.removesuffix(".safetensors") for file in found.info["sha256"]]
    parts = {part: found.tensors(part) for part in chunks if part.startswith("replay-")}
    state = found.tensors("state")
    learnt = {p: checkpoint.under(p, state) for p in ("adam", "target", "replay")}
    parts |= {**learnt, **found.weights}
    return found.info["progress"], {f"{p}.{k}": v for p, ts in parts.items() for k, v in ts.items()}


def differing(runs: Path, first: str, second: str, job: str = "ppo") -> list[str]:
    """Return what is not equal, bit for bit, at the ends of two runs."""
    (steps, ours), (others_steps, others) = weights(runs, first, job), weights(runs, second, job)
    names = ["env steps"] if steps != others_steps else []
    return names + [
        k
        for k in ours | others
        if k not in ours or k not in others or not torch.equal(ours[k], others[k])
    ]
