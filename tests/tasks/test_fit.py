"""The one loop: exact resume, as many processes as one likes, averages, schedules, bad ends."""

import json
import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from backbones.training import checkpoint
from backbones.training.config import ResumeConfig, RunConfig, changed
from backbones.training.errors import UserError
from backbones.training.log import read_metrics
from backbones.training.optim import Average, one_cycle
from backbones.training.run import Run, find_run
from backbones.transfer import TrunkConfig
from tasks.data.augment import AugmentConfig
from tasks.fit_config import FitConfig
from tasks.labels import classify
from tests.faults.trials import PATIENCE_S, TWO_PROCESSES, arcadia
from tests.tasks.killed import assert_same, everything, whole_and_killed

TINY = changed(
    classify.SMOKE,
    samples=192,
    dropout=0.2,
    ensemble=2,
    trunk=TrunkConfig(trunk="plain", width=0.125),
    augment=AugmentConfig(crop_px=1, mixup=0.2),
    fit=FitConfig(num_epochs=2, batch_size=32, learning_rate=0.02, ema=0.9),
    run=RunConfig(precision="fp32", checkpoint_every_s=1e-6),
)


@pytest.mark.parametrize("optimizer", ["sgd", pytest.param("adamw", marks=pytest.mark.slow)])
def test_a_killed_run_ends_the_same_bit_for_bit_and_says_the_same(runs, optimizer):
    config = changed(TINY, fit=changed(TINY.fit, optimizer=optimizer))
    whole, killed = whole_and_killed(classify.JOB, config)
    assert_same(whole, killed)
    kept = ("step", "val/", "eval/", "train/")
    written = [
        [{k: v for k, v in row.items() if k.startswith(kept)} for row in read_metrics(run.folder)]
        for run in (whole, killed)
    ]
    # No row of losses is the mean of fewer updates, and no score stands there twice.
    assert written[0] == written[1]
    (killed.folder / "eval.json").unlink()
    classify.resume(killed)
    assert len(read_metrics(killed.folder)) == len(written[0])


def test_a_finished_run_says_so_and_can_be_lengthened(runs, capsys):
    run = classify.train(changed(TINY, fit=changed(TINY.fit, num_epochs=1)))
    classify.resume(run)
    assert "is finished" in capsys.readouterr().out
    classify.resume(run, ResumeConfig(extend=1))
    again = find_run(run.name)
    assert again.config["fit"]["num_epochs"] == 2
    assert checkpoint.load_newest(again.checkpoints)[0].info["progress"] == 2 * 192


def test_a_run_killed_before_its_score_is_scored_when_it_resumes(runs):
    run = classify.train(TINY)
    before = json.loads((run.folder / "eval.json").read_text())
    (run.folder / "eval.json").unlink()
    classify.resume(run)
    assert json.loads((run.folder / "eval.json").read_text()) == before


@pytest.mark.slow
def test_two_processes_end_where_one_does(tmp_path):
    flags = ["train", "classify", "--preset", "smoke", "--samples", "96", "--batch-size", "32"]
    flags += ["--norm", "none", "--precision", "fp32", "--dropout", "0", "--learning-rate", "0.02"]
    for name, torchrun in (("one", ()), ("two", TWO_PROCESSES)):
        process = arcadia(*flags, "--name", name, runs=tmp_path, torchrun=torchrun)
        assert process.wait(timeout=PATIENCE_S) == 0, (tmp_path / "said.txt").read_text()
    one, two = (everything(Run.open(tmp_path / "classify" / name)) for name in ("one", "two"))
    assert [name for name in one if one[name].is_floating_point()]
    for name, tensor in one.items():
        assert_close(two[name], tensor, atol=1e-5, rtol=1e-5)
    scores = [
        json.loads((tmp_path / "classify" / name / "eval.json").read_text())["scores"]
        for name in ("one", "two")
    ]
    # After three updates many answers are nearly ties: one of 5,000 may go the other way.
    assert scores[0]["error"] == pytest.approx(scores[1]["error"], abs=0.05)


def test_the_average_forgets_the_beginning_and_counts_statistics_in():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = Average(model, 0.9)
    seen = []
    for n in range(200):
        with torch.no_grad():
            model[0].weight.fill_(float(n))
            model[1].running_mean.fill_(float(n))
        average.update(model)
        seen.append(float(average.model[0].weight[0, 0]))
    # Lags 1 / (1 - 0.9) - 1 = 9 updates behind a steady rise.
    assert seen[-1] == pytest.approx(199 - 9, abs=0.2)
    assert float(average.model[1].running_mean[0]) == pytest.approx(seen[-1], rel=1e-5)
    assert int(average.model[1].num_batches_tracked) == 0 and model.training


def test_without_an_average_the_model_itself_is_scored():
    model = nn.Linear(2, 2)
    assert Average(model, 0.0).model is model


@pytest.mark.parametrize(
    ("progress", "factor"), [(0.0, 0), (0.1, 0.5), (0.2, 1), (0.6, 0.5), (1.0, 0)]
)
def test_the_step_size_rises_on_a_line_and_falls_as_half_a_cosine(progress, factor):
    assert one_cycle(progress, 0.2) == pytest.approx(factor, abs=1e-12)


def test_a_loss_that_is_not_finite_names_its_update(runs):
    config = changed(TINY, fit=changed(TINY.fit, learning_rate=1e30, optimizer="adamw"))
    with pytest.raises(UserError, match=r"not finite at update \d+"):
        classify.train(config)


def test_biases_and_norms_do_not_decay():
    from tasks.parts import parameter_groups

    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    groups = parameter_groups(model, 1.0, 0.1)
    decays = {group["weight_decay"]: [p.ndim for p in group["params"]] for group in groups}
    assert decays == {0.1: [4], 0.0: [1, 1, 1]}


def test_losses_of_a_run_are_finite_and_its_log_names_where_time_went(runs):
    run = classify.train(TINY)
    lines = read_metrics(run.folder)
    trained = [line for line in lines if "train/loss" in line]
    assert trained and all(math.isfinite(line["train/loss"]) for line in trained)
    assert {"speed/samples_per_s", "speed/wait_s", "train/grad_norm"} <= trained[-1].keys()
    assert [line["step"] for line in lines if "val/error" in line] == [192, 384]
    assert "eval/error" in lines[-1]
