"""A change of structure moves no number: small runs end with the weights that were recorded.

`tests/recorded.json` holds, for each tensor of each run's last model, whichever part of the
checkpoint it lies in, the sum of its numbers and of their sizes, as commit 10a1ff2 left them.
`python -m tests.test_same_numbers` records anew, which only a change of what is computed may need.
The bounds allow for other processors' rounding.
"""

import json
import math
import os
import sys
import tempfile
from pathlib import Path

import pytest
import torch

import arcadia
from backbones.training.checkpoint import load_newest
from backbones.transfer import weights_of

RECORDED = Path(__file__).parent / "recorded.json"
FLAGS = ("--name", "same", "--precision", "fp32", "--threads", "1")
RUNS = {
    "ppo": (
        "ppo",
        "--preset",
        "smoke",
        "--eval-games",
        "0",
        "--total-steps",
        "512",
        "--sticky",
        "0.25",
    ),
    "ppo-lstm": (
        "ppo",
        "--preset",
        "smoke",
        "--eval-games",
        "0",
        "--total-steps",
        "512",
        "--memory",
        "lstm",
        "--lstm-units",
        "32",
    ),
    "ppo-catch": (
        "ppo",
        "--preset",
        "catch",
        "--eval-games",
        "0",
        "--total-steps",
        "2048",
        "--env-threads",
        "1",
    ),
    "dqn": ("dqn", "--preset", "smoke", "--eval-games", "0", "--dueling", "--prioritised"),
    "classify": ("classify", "--preset", "smoke"),
    "classify-airbench": (
        "classify",
        "--preset",
        "smoke",
        "--trunk",
        "airbench",
        "--norm",
        "",
        "--flip",
        "--ensemble",
        "2",
        "--tta",
        "flip",
    ),
    "translate": ("translate", "--preset", "smoke"),
    "translate-old": ("translate", "--preset", "smoke", "--no-attention"),
}


def figures(name: str, folder: Path) -> dict[str, list[float]]:
    """Train the run; return the sum of every tensor's numbers, and of their sizes."""
    torch.set_num_threads(1)
    before = os.environ.get("ARCADIA_RUNS")
    os.environ["ARCADIA_RUNS"] = str(folder)
    try:
        assert arcadia.main(["train", *RUNS[name], *FLAGS]) == 0
    finally:
        os.environ.pop("ARCADIA_RUNS")
        if before is not None:
            os.environ["ARCADIA_RUNS"] = before
    (run,) = folder.glob("*/same")
    found = load_newest(run / "checkpoints")[0]
    tensors = {name: tensor.double() for name, tensor in weights_of(found).items()}
    return {
        name: [float(tensor.sum()), float(tensor.abs().sum())] for name, tensor in tensors.items()
    }


SLOW = ("translate-old",)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in RUNS]
)
def test_the_same_seed_gives_the_weights_of_before(name, tmp_path, small_worlds):
    recorded = json.loads(RECORDED.read_text())[name]
    found = figures(name, tmp_path)
    assert found.keys() == recorded.keys()
    for tensor, (total, size) in recorded.items():
        # Sums may cancel, so they are held against the sum of sizes.
        assert math.isclose(found[tensor][1], size, rel_tol=1e-3, abs_tol=1e-5), tensor
        assert abs(found[tensor][0] - total) <= 1e-3 * size + 1e-5, tensor


if __name__ == "__main__":
    for name in RUNS:
        with tempfile.TemporaryDirectory() as place:
            found = figures(name, Path(place))
        held = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
        RECORDED.write_text(json.dumps({**held, name: found}, indent=0, sort_keys=True) + "\n")
        print(name, len(found), "tensors", file=sys.stderr)
