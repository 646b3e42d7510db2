"""The parts that do not play: the machine, the tests, tasks, Go."""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from backbones.training.config import changed, with_values
from backbones.training.device.precision import Precision, choose_device
from rl.go import train
from rl.go.network.features import PLANES
from rl.go.network.go_network import build_network


def machine(small: bool, out: Path) -> dict[str, Any]:
    """What is installed, and on what."""
    figures: dict[str, Any] = {"python": platform.python_version()}
    for package in ("torch", "numpy", "gymnasium", "ale-py", "numba", "tyro"):
        try:
            figures[package] = version(package)
        except PackageNotFoundError:
            figures[package] = "missing"
    figures["cores"] = len(os.sched_getaffinity(0))
    if torch.cuda.is_available():
        figures["gpu"] = torch.cuda.get_device_name()
        figures["cuda"] = torch.version.cuda
    return figures


def tests(small: bool, out: Path) -> dict[str, Any]:
    """The tests marked `gpu`."""
    # By their files: others need packages that a bare machine lacks.
    files = [str(p) for p in Path("tests").rglob("test_*.py") if "mark.gpu" in p.read_text()]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, capture_output=True, text=True)
    (out / "tests.txt").write_text(done.stdout + done.stderr)
    lines = (done.stdout or done.stderr).strip().splitlines()
    figures = {"closing line": lines[-1] if lines else ""}
    # 5: nothing was selected or all was skipped, as on a machine without a GPU.
    return figures if done.returncode in (0, 5) else {**figures, "failed": "see tests.txt"}


def classify(preset: str, folder: str) -> Callable[[bool, Path], dict[str, Any]]:
    """Return the part that trains a picture classifier: seconds of training, error."""

    def measure(small: bool, out: Path) -> dict[str, Any]:
        from tasks.labels import classify as job

        data = os.environ.get("ARCADIA_DATA", "")
        place = Path(data) / folder
        if not data or not place.is_dir():
            return {"skipped": f"no folder {folder} in $ARCADIA_DATA"}
        config = job.PRESETS["smoke"] if small else job.PRESETS[preset]
        name = f"{preset}-gpu-{int(time.time())}"
        data_field = {} if small else {"data": str(place)}
        run = job.train(changed(config, run=changed(config.run, name=name), **data_field), preset)
        return figures_of(run.folder, "classify")

    return measure


def figures_of(folder: Path, job: str) -> dict[str, Any]:
    """Return the score of a task's run, the minutes of training and its median speed."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    speeds = {
        key: sorted(row[key] for row in rows if key in row)
        for key in {key for row in rows for key in row if key.startswith("speed/")}
    }
    result = json.loads((folder / "eval.json").read_text())
    figures: dict[str, Any] = {result["metric"]: round(result["score"], 2)}
    figures["training_s"] = round(60 * max(row.get("time/minutes", 0.0) for row in rows), 1)
    for key in ("speed/samples_per_s", "speed/tokens_per_s", "speed/update_s", "speed/wait_s"):
        if speeds.get(key):
            figures[key] = round(speeds[key][len(speeds[key]) // 2], 5)
    return figures


def task(module: str, **values: Any) -> Callable[[bool, Path], dict[str, Any]]:
    """Return the part that trains a task on what it generates: speed, seconds, score."""

    def measure(small: bool, out: Path) -> dict[str, Any]:
        job = import_module(f"tasks.{module}")
        config = job.PRESETS["smoke"] if small else with_values(job.PRESETS["default"], values)
        name = f"{job.JOB.name}-gpu-{int(time.time())}"
        run = job.train(changed(config, run=changed(config.run, name=name)), "default")
        return figures_of(run.folder, job.JOB.name)

    return measure


def go_selfplay(small: bool, out: Path) -> dict[str, Any]:
    """Moves of self-play a second on 9 by 9, learning beside: `train go`, 512 games at once."""
    play = changed(train.PRESETS["9x9"].play, games_at_a_time=512)
    config = changed(
        train.PRESETS["smoke" if small else "9x9"],
        eval_games=0,
        ladder_games=0,
        run=changed(train.PRESETS["9x9"].run, name=f"go-gpu-{int(time.time())}"),
    )
    if not small:
        config = changed(config, total_moves=60_000, moves_a_turn=8_192, play=play)
    run = train.train(config, "9x9")
    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    turns = [(60 * row["time/minutes"], row["step"]) for row in rows if "selfplay/games" in row]
    (begin, first), (end, last) = turns[0], turns[-1]
    return {"moves_per_s": round((last - first) / (end - begin)), "moves": last}


def go_evaluations(small: bool, out: Path) -> dict[str, Any]:
    """Positions of 9 by 9 that the network b6c96 judges in a second, over batch sizes."""
    device = choose_device("auto")
    precision = Precision("bf16" if device.type == "cuda" else "fp32", device.type, "")
    network = build_network("b2c32" if small else "b6c96").to(device).eval()
    network = network.to(memory_format=torch.channels_last)
    figures = {}
    for size in [8] if small else [1024, 4096, 16384]:
        planes = torch.randint(0, 256, (size, PLANES, 9, 9), dtype=torch.uint8, device=device)
        planes[:, -1] = 255
        planes = planes.contiguous(memory_format=torch.channels_last)

        def judge(planes: torch.Tensor = planes) -> None:
            with torch.inference_mode(), precision.autocast():
                network(planes)

        seconds = seconds_a_call(judge, 3 if small else 20, device)
        figures[f"eager, batch {size}"] = round(size / seconds)
        if device.type == "cuda":
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                judge()
            seconds = seconds_a_call(graph.replay, 20, device)
            figures[f"graph, batch {size}"] = round(size / seconds)
    return figures


def seconds_a_call(call: Callable[[], Any], times: int, device: torch.device) -> float:
    """Return the seconds of a call, the mean over some, after three to warm up."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    for _ in range(3):
        call()
    wait()
    begin = time.perf_counter()
    for _ in range(times):
        call()
    wait()
    return (time.perf_counter() - begin) / times
