"""Arcadia from Python: what the command does, with the same names."""

import pytest

import arcadia
from backbones.training.errors import UserError

SMALL = {"env": "Arcadia/Catch-v0", "precision": "fp32", "hidden": 16, "eval_games": 0}


def test_it_trains_tells_how_it_goes_and_goes_on(runs):
    heard = []
    run = arcadia.train(
        "ppo", preset="smoke", on_update=lambda at, figures: heard.append((at, figures)), **SMALL
    )
    assert run.config["hidden"] == 16 and run.config["env"] == "Arcadia/Catch-v0"
    assert [at for at, _ in heard] == [128, 256]
    assert all("train/policy_loss" in figures for _, figures in heard)
    longer = arcadia.resume(run.name, extend=128, on_update=lambda *now: heard.append(now))
    assert longer.config["total_steps"] == 384 and heard[-1][0] == 384
    assert arcadia.load(run.name).config.total_steps == 384
    result = arcadia.evaluate(run.name, games=2, choice="greedy")
    assert result["games"] == 2 and result["protocol"]["choice"] == "greedy"


def test_it_scores_a_task(runs, small_worlds):
    run = arcadia.train(
        "classify", preset="smoke", precision="fp32", samples=64, eval_every=0, width=0.1
    )
    result = arcadia.evaluate(run.name, split="val")
    assert result["metric"] == "error" and result["protocol"]["split"] == "val"


@pytest.mark.parametrize(
    ("job", "flags", "words"),
    [
        ("ppo", {"totalsteps": 5}, "did you mean total_steps"),
        ("ppo", {"total_steps": "many"}, "total_steps = 'many'"),
        ("ppo", {"total_steps": -1}, "total_steps = -1 must be above 0"),
        ("ppo", {"preset": "slow"}, "preset 'slow' is unknown"),
        ("pppo", {}, "did you mean ppo"),
    ],
)
def test_a_mistake_is_a_value_error_that_says_what_there_is(runs, job, flags, words):
    with pytest.raises(UserError, match=words):
        arcadia.train(job, **flags)


def test_what_a_listener_raises_ends_the_run_which_can_go_on(runs):
    def refuse(at, figures):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        arcadia.train("ppo", preset="smoke", on_update=refuse, name="cut", **SMALL)
    assert arcadia.resume("cut").config["total_steps"] == 256
