"""A game that fails while training: what was learnt is saved, and the line says where."""

import re

import pytest

import arcadia
from rl.games.first_look import first_look
from rl.games.foreign.blame import trace_of
from rl.games.options import EnvOptions
from rl.games.patience import Patience
from tests.rl.games.other_games import Breaks

MODULE = "tests.rl.games.other_games"
SMOKE = ["--preset", "smoke"]


def train(job, game, *flags):
    """Train a smoke run on a game; return the exit status."""
    words = [*SMOKE, "--precision", "fp32", "--env", f"{MODULE}:{game}", "--name", "failed"]
    return arcadia.main(["train", job, *words, *flags])


@pytest.mark.parametrize("flags", [("--sync",), (), ("--env-processes", "2"), ("--memory", "lstm")])
def test_what_was_learnt_is_saved_and_the_run_goes_on_with_new_games(runs, capsys, flags):
    assert train("ppo", "Breaks", *flags) == 2
    line, *below = capsys.readouterr().err.splitlines()
    assert re.fullmatch(
        rf"arcadia: ppo/failed, env step 172, environment 2: {MODULE}:Breaks failed in step\(\d\): "
        r"ZeroDivisionError: by nobody \(other_games.py, line \d+\); what was learnt in 128 env "
        r"steps is saved, `arcadia resume ppo/failed` goes on with new games",
        line,
    )
    assert below[0] == "Traceback of the environment:" and "in broken" in below[-3]
    assert below[-1] == "ZeroDivisionError: by nobody" and "declared.py" not in str(below)
    assert arcadia.load("failed").card["progress"] == 128
    assert arcadia.main(["resume", "failed"]) == 0
    out = capsys.readouterr()
    assert "had failed at 128 env steps: new games begin" in out.err
    assert "score" in out.out and (runs / "ppo" / "failed" / "eval.json").exists()
    assert arcadia.load("failed").card["progress"] == 256


@pytest.mark.parametrize("job", ["pqn", "dqn"])
def test_every_algorithm_goes_on(runs, capsys, job):
    assert train(job, "Breaks", "--total-steps", "512", "--eval-games", "0") == 2
    assert "is saved" in capsys.readouterr().err
    assert arcadia.main(["resume", "failed"]) == 0
    assert arcadia.load("failed").card["progress"] >= 512


def test_a_reward_that_is_no_number_names_the_environment_and_the_step(runs, capsys):
    assert train("ppo", "TurnsNan") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "env step 172, environment 2" in line and "the reward nan from step()" in line
    assert "finite number" in line and "rate" not in line


def test_a_trial_is_bounded_in_time_and_announced(capsys):
    now = iter([0.0, 0.0, 1.0, 3.0, 9.0, 21.0, 22.0])
    patience = Patience("Game-v0", "a first look", 100, clock=lambda: next(now))
    steps = 0
    while not patience.over():
        steps += 1
    assert steps == 4
    said = capsys.readouterr().out
    assert said == (
        "trying Game-v0 (a first look): 0.67 env steps/s, at most 100 of them or 20 s\n"
    )
    assert patience.notes == ["Game-v0 is slow: only 4 env steps were tried in 20 s (a first look)"]


def test_a_quick_trial_says_nothing(capsys):
    assert first_look(f"{MODULE}:Halves", EnvOptions()) == []
    assert capsys.readouterr().out == ""


def test_a_traceback_begins_in_the_environments_own_code():
    game = Breaks()
    try:
        game.broken(0)
    except ZeroDivisionError as error:
        lines = trace_of(error).splitlines()
    assert lines[0] == "Traceback of the environment:" and lines[-1].startswith("ZeroDivision")
