"""The precision that a run computes in is found once."""

import shutil

import arcadia
from backbones.training import checkpoint
from backbones.training.device import precision
from backbones.training.run import find_run


def test_the_precision_that_a_timing_picked_is_in_the_config(runs, monkeypatch):
    """So a start anew, before the first checkpoint, and a repeat of the config pick none."""
    seconds = {"fp32": 2.0, "bf16": 1.0}
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: True)
    monkeypatch.setattr(precision, "time_training", lambda loss, model, it: seconds[it.name])
    flags = ["--preset", "smoke", "--env", "Arcadia/Catch-v0", "--eval-games", "0"]
    assert arcadia.main(["train", "ppo", *flags, "--precision", "auto"]) == 0
    run = find_run("last")
    assert run.config["run"]["precision"] == "bf16"
    seconds["bf16"] = 3.0
    shutil.rmtree(run.checkpoints)
    assert arcadia.main(["resume", "last"]) == 0
    log = (run.folder / "log.txt").read_text()
    assert log.count("bf16: forward and backward took") == log.count("bf16: as asked") == 1
    assert checkpoint.load_newest(run.checkpoints)[0].info["precision"] == "bf16"
