"""Configs, schedules, precision, logs and the progress report."""

import io
import json
import math
import re
import subprocess
import sys
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.testing import assert_close

from backbones.training import progress
from backbones.training.checks.values import from_dict
from backbones.training.config import RunConfig, parse_job, to_dict
from backbones.training.device import precision as precision_module
from backbones.training.device.precision import Precision, choose_device, choose_precision
from backbones.training.errors import UserError
from backbones.training.log import Board, gif, read_metrics
from backbones.training.optim import anneal, load_optimizer_tensors, optimizer_tensors
from backbones.training.progress import LongAnswer, ProgressReport, clock


@dataclass(frozen=True, kw_only=True)
class Toy:
    """A toy job."""

    rate: float = 0.5
    """Learning rate."""
    sizes: tuple[int, ...] = (1, 2)
    """Sizes."""
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self):
        if self.rate < 0:
            raise ValueError(f"rate = {self.rate} must be 0 or above")


PRESETS = {"default": Toy(), "fast": Toy(rate=2.0)}


def test_flags_start_from_the_preset():
    config, name = parse_job(Toy, PRESETS, ["--preset", "fast", "--seed", "7"], prog="toy")
    assert (config.rate, config.run.seed, name) == (2.0, 7, "fast")
    config, name = parse_job(Toy, PRESETS, ["--rate", "1", "--preset=fast"], prog="toy")
    assert (config.rate, name) == (1.0, "fast")
    assert parse_job(Toy, PRESETS, [], prog="toy") == (Toy(), "default")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--rat", "1"], "Unrecognized options: --rat, 1 .*--rate"),
        (["--rate", "-1"], "rate = -1.0 must be 0 or above"),
        (["--rate", "x"], "could not convert string to float: 'x'"),
        (["stray"], "Unrecognized options: stray"),
    ],
)
def test_wrong_flags_are_explained_in_one_line(args, words):
    with pytest.raises(UserError, match=words) as error:
        parse_job(Toy, PRESETS, args, prog="toy")
    assert not re.search(r"\n|---|[│─]", str(error.value))


def test_an_unknown_preset_lists_the_known_ones():
    for args in (["--preset", "slow"], ["--preset"]):
        with pytest.raises(UserError, match="choose one of default, fast"):
            parse_job(Toy, PRESETS, args, prog="toy")


def test_a_config_survives_json():
    config = Toy(rate=1.5, sizes=(3,), run=RunConfig(seed=4))
    assert from_dict(Toy, json.loads(json.dumps(to_dict(config)))) == config


def test_fields_of_another_version_are_named():
    with pytest.raises(UserError, match="speed"):
        from_dict(Toy, {"speed": 3})


def test_schedules_are_functions_of_progress():
    assert [anneal(p, 0.0) for p in (0.0, 0.25, 1.0)] == [1, 0.75, 0]
    assert [anneal(p, 0.5) for p in (0.0, 0.5, 0.75, 1.0)] == [1, 1, 0.5, 0]
    assert [anneal(p, 1.0) for p in (0.0, 0.5, 1.0)] == [1, 1, 1]


def step(model, optimizer):
    optimizer.zero_grad()
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()


def test_an_optimiser_goes_on_from_its_tensors():
    models = [torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)]
    models[1].load_state_dict(models[0].state_dict())
    first, second = (torch.optim.Adam(m.parameters(), lr=0.1, fused=True) for m in models)
    step(models[0], first)
    models[1].load_state_dict(models[0].state_dict())
    load_optimizer_tensors(second, optimizer_tensors(first))
    step(models[0], first)
    step(models[1], second)
    assert torch.equal(models[0].weight, models[1].weight)


def test_devices_that_are_not_there_are_refused():
    assert choose_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match="unknown"):
        choose_device("gpu")
    with pytest.raises(ValueError, match="use --device cpu"):
        choose_device("cuda:63")


def test_precision_is_timed_only_where_the_cpu_has_bf16(monkeypatch):
    model = torch.nn.Linear(4, 4)
    cpu = torch.device("cpu")
    monkeypatch.setattr(precision_module, "cpu_has_bf16", lambda: False)
    chosen = choose_precision("auto", cpu, lambda: model(torch.ones(1, 4)).sum(), model)
    assert chosen.name == "fp32"
    assert "hardware" in chosen.reason
    monkeypatch.setattr(precision_module, "cpu_has_bf16", lambda: True)
    seconds = {"fp32": 2.0, "bf16": 1.0}
    monkeypatch.setattr(precision_module, "time_training", lambda loss, m, p: seconds[p.name])
    assert choose_precision("auto", cpu, lambda: torch.zeros(1), model).name == "bf16"
    assert choose_precision("fp32", cpu, lambda: torch.zeros(1), model).reason == "as asked"


def test_autocast_computes_in_bf16_and_fp32_leaves_all_alone():
    model = torch.nn.Linear(4, 4)
    with Precision("bf16", "cpu", "").autocast():
        assert model(torch.ones(1, 4)).dtype == torch.bfloat16
    with Precision("fp32", "cpu", "").autocast():
        assert model(torch.ones(1, 4)).dtype == torch.float32


def test_scalars_go_to_both_places_and_those_that_are_no_numbers_to_none(tmp_path):
    board = Board(tmp_path)
    board.scalars(10, {"train/loss": 0.5, "train/bad": math.nan})
    assert read_metrics(tmp_path)[0].items() >= {"step": 10, "train/loss": 0.5}.items()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert events.Tags()["scalars"] == ["train/loss"]
    assert_close(events.Scalars("train/loss")[0].value, 0.5)


def test_what_a_killed_run_logged_after_its_checkpoint_is_taken_back(tmp_path):
    board = Board(tmp_path)
    for i in (10, 20, 30):
        board.scalars(i, {"a": float(i)})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40, "a"')
    Board(tmp_path, resumed_at=20)
    assert [line["step"] for line in read_metrics(tmp_path)] == [10, 20]


@pytest.mark.parametrize("shape", [(6, 20, 30), (6, 20, 30, 3)])
def test_animations_are_gifs_that_tensorboard_reads(tmp_path, shape):
    frames = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    board = Board(tmp_path)
    board.animation(5, "rollout/game", frames, fps=15.0)
    image = EventAccumulator(str(tmp_path)).Reload().Images("rollout/game")[0]
    assert (image.step, image.width, image.height) == (5, 30, 20)
    picture = Image.open(io.BytesIO(image.encoded_image_string))
    assert picture.format == "GIF"
    assert picture.n_frames == 6


def test_a_gif_shows_the_frames_it_was_made_of():
    frames = np.stack([np.full((4, 4), 0, np.uint8), np.full((4, 4), 255, np.uint8)])
    picture = Image.open(io.BytesIO(gif(frames, 10.0)))
    picture.seek(1)
    assert np.asarray(picture.convert("L")).min() == 255
    assert picture.info["duration"] == 100


def test_hparams_stand_beside_the_final_score(tmp_path):
    board = Board(tmp_path)
    board.hparams({"lr": 0.1, "name": "x", "none": None}, {"eval/score": 3.0})
    data = EventAccumulator(str(tmp_path)).Reload().SummaryMetadata("_hparams_/experiment")
    assert data.plugin_data.plugin_name == "hparams"


def test_progress_is_plain_lines_without_a_terminal(capsys):
    with ProgressReport(100, "env steps") as report:
        report.update(10, {})
        report.update(100, {"score": "1.5"})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(" 10 %  10 / 100 env steps")
    assert lines[-1].startswith("100 %")
    assert lines[-1].endswith("score 1.5")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("terminal", [True, False])
def test_a_long_answer_shows_each_part_on_a_terminal_and_nothing_on_a_pipe(
    terminal, monkeypatch, capsys
):
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "QUIET_S", 0.0)
    with LongAnswer() as long:
        for done in (0.0, 40.0, 99.0, 100.0):
            long.tell("s seen", float(done), 100.0)
        long.tell("s of what does not say how long it is", 7.0, 0.0)
        long.tell("s heard", 50.0, 100.0)
    assert ("100 / 100 s seen" in stream.getvalue()) == terminal
    assert ("50 / 100 s heard" in stream.getvalue()) == terminal
    assert "how long" not in stream.getvalue() and not capsys.readouterr().out
    assert terminal or not stream.getvalue()


def test_an_answer_that_takes_no_time_shows_no_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with LongAnswer() as long:
        for done in range(100):
            long.tell("s seen", float(done), 100.0)
    assert not sys.stderr.getvalue()


def test_durations_read_like_a_clock():
    assert [clock(s) for s in (5.0, 65.0, 3725.0)] == ["0:05", "1:05", "1:02:05"]


FAULTS = """
import resource
import torch
from backbones.training.device.memory import keep_freed_memory

torch.set_num_threads(1)
print(keep_freed_memory())
for n in range(30):
    if n == 15:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16 * 2**20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's way of keeping memory")
def test_memory_that_was_freed_is_used_again_without_faults():
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True
    )
    kept, faults = done.stdout.split()
    # Fifteen blocks of 64 MiB have 245,760 pages of 4 KiB.
    assert kept == "False" or int(faults) < 60_000
