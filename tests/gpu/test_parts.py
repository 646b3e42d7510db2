"""`python -m tests.gpu` runs as a whole, small, on any machine."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def results_of(tmp_path: Path, *parts: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.gpu", "--small", "--out", str(tmp_path)]
    command += ["--only", *parts] if parts else []
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((tmp_path / "gpu.json").read_text())


def test_the_parts_that_agents_need_give_figures_without_a_gpu(tmp_path):
    results = results_of(tmp_path, "machine", "ppo gpu, eager", "go evaluations")
    assert results["ppo gpu, eager"]["env_steps_per_s"] > 0
    assert results["go evaluations"]["eager, batch 8"] > 0
    assert (tmp_path / "profile-gpu-eager.txt").read_text()


@pytest.mark.slow
def test_every_part_gives_figures_without_a_gpu(tmp_path):
    results = results_of(tmp_path)
    assert results["same numbers"]["graphs differ by"] < 1e-4
    skipped = {name for name, figures in results.items() if "skipped" in figures}
    assert skipped <= {"cifar10", "mnist"}


def test_a_part_that_hangs_or_fails_is_said_and_the_next_one_runs(tmp_path):
    from tests.gpu.__main__ import Part, measured

    def hangs(small, out):
        import time

        time.sleep(60)

    def fails(small, out):
        raise ValueError("no such card")

    assert measured(Part("a", 1, hangs), True, tmp_path, 0.5) == {"failed": "over its limit of 0 s"}
    assert measured(Part("b", 1, fails), True, tmp_path, 5) == {
        "failed": "ValueError: no such card"
    }
