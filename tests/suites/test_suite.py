"""A matrix of runs: what it asks for, and that it may be stopped anywhere."""

import os
import signal
import subprocess
import sys
import time

import pytest

import arcadia
from backbones.training.errors import UserError
from backbones.training.run import Run
from suites.matrix import Config, command_of, matrix

CATCH = ["--games", "Arcadia/Catch-v0", "--jobs", "ppo:catch", "--env-steps", "2048"]
SMALL = (
    "--flags=--precision fp32 --eval-games 2 --num-envs 4 --num-steps 32 --minibatch-size 64 "
    "--env-threads 1"
)
CALL = ["suite", *CATCH, "--seeds", "2", SMALL]


def test_a_matrix_has_one_seed_of_everything_first():
    config = Config(games="Pong,ALE/Breakout-v5", jobs="ppo, ppo:gpu", seeds=2, env_steps=99)
    cells = matrix(config)
    assert len({cell.run_name + cell.folder for cell in cells}) == len(cells) == 8
    assert [cell.seed for cell in cells] == [1] * 4 + [2] * 4
    assert [cell.env for cell in cells[:2]] == ["ALE/Pong-v5", "ALE/Breakout-v5"]
    words = command_of(cells[2], config)
    assert words[3:7] == ["train", "ppo", "--preset", "gpu"]
    assert words[-2:] == ["--total-steps", "99"] and "suite-gpu-pong-1" in words


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"games": "Pomg"}, "did you mean ALE/Pong-v5"),
        ({"games": " , "}, "needs --games"),
        ({"jobs": "pppo"}, "did you mean"),
        ({"jobs": "classify"}, "plays no games"),
        ({"jobs": "ppo:fats"}, "did you mean fast"),
        ({"seeds": 0}, "above 0"),
        ({"name": "../up"}, "letters, digits"),
    ],
)
def test_what_there_is_not_is_said_before_anything_trains(change, said):
    with pytest.raises(ValueError, match=said):
        matrix(Config(**{"games": "Pong", **change}))


def test_flags_that_no_job_has_are_said_before_anything_trains(runs, capsys):
    assert arcadia.main(["suite", "--games", "Pong", "--flags=--nosuch 1"]) == 2
    assert "nosuch" in capsys.readouterr().err and not runs.exists()


def test_a_run_of_another_length_is_not_taken_for_this_one(runs, capsys):
    assert arcadia.main([*CALL[:-3], "--seeds", "1", SMALL]) == 0
    capsys.readouterr()
    words = [word if word != "2048" else "4096" for word in CALL]
    assert arcadia.main(words) == 2
    assert "is there with total_steps = 2048, not 4096" in capsys.readouterr().err


def test_what_is_done_is_skipped_and_a_failed_run_is_named(runs, capsys):
    assert arcadia.main(CALL) == 0
    said = capsys.readouterr().out
    assert "2 runs, 0 of them done" in said and "catch" in said
    folder = runs / "ppo" / "suite-catch-catch-1"
    began = Run.open(folder).about["started_s"]
    assert arcadia.main([*CALL[:-3], "--seeds", "3", SMALL]) == 0
    assert "3 runs, 2 of them done" in capsys.readouterr().out
    assert Run.open(folder).about["started_s"] == began
    assert (runs / "suites" / "suite" / "report.md").exists()

    newest = sorted((folder / "checkpoints").iterdir())[-1]
    for path in (folder / "checkpoints").iterdir():
        (path / "state.safetensors").write_bytes(b"broken")
    (folder / "eval.json").unlink()
    assert newest.exists() and arcadia.main(CALL) == 1
    assert "catch seed 1" in capsys.readouterr().err


@pytest.mark.slow
def test_a_suite_that_is_killed_or_stopped_goes_on(runs):
    words = [word if word != "2048" else "40000" for word in CALL]
    command = [sys.executable, "-m", "arcadia", *words, "--parallel", "2"]
    env = {**os.environ, "PYTHONPATH": os.getcwd()}

    def begun() -> list[Run]:
        paths = sorted((runs / "ppo").glob("*/metrics.jsonl"))
        return [Run.open(path.parent) for path in paths if path.stat().st_size]

    process = subprocess.Popen(command, env=env)
    while len(begun()) < 2:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert not any(run.is_running() for run in begun())
    assert all(any(run.checkpoints.iterdir()) for run in begun())

    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert any("goes on" in line for line in process.stdout)
    time.sleep(3)
    process.kill()
    process.communicate()
    for run in begun():
        while run.is_running():  # it was not told
            time.sleep(0.2)
    assert subprocess.run(command, env=env).returncode == 0


def test_an_empty_suite_says_what_it_needs(capsys):
    assert arcadia.main(["suite"]) == 2
    assert "games" in capsys.readouterr().err
    with pytest.raises(UserError, match="plays no games"):
        matrix(Config(games="Pong", jobs="translate"))
