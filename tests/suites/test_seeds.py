"""One command, several seeds: names, what is done already, mean and spread."""

import json
import shutil

import pytest

import arcadia
from backbones.training.errors import UserError
from backbones.training.run import find_run
from suites.seeds import count_of, free_name

TINY = ["ppo", "--preset", "smoke", "--env", "Arcadia/Catch-v0", "--eval-games", "2"]


@pytest.mark.parametrize("text", ["0", "-1", "x", "", "1.5", "1001", "9" * 5000])
def test_a_number_of_seeds_that_is_none_is_one_line(text):
    with pytest.raises(UserError, match=r"^--seeds = .* must be a whole number from 1") as error:
        count_of(text)
    assert len(str(error.value)) < 150


def test_without_a_name_the_runs_get_one_that_is_free(tmp_path):
    assert free_name(tmp_path, "pong") == "pong-1"
    (tmp_path / "pong-1").mkdir()
    (tmp_path / "pong-2-1").mkdir()
    assert free_name(tmp_path, "pong") == "pong-3"


def test_what_is_done_is_not_trained_again_and_the_mean_stands_at_the_end(runs, capsys):
    assert arcadia.main(["train", *TINY, "--name", "two-1", "--seed", "5"]) == 0
    shutil.copytree(runs / "ppo" / "two-1", runs / "ppo" / "two-2")
    for name, seed, score in (("two-1", 5, 1.0), ("two-2", 6, 4.0)):
        folder = runs / "ppo" / name
        about = json.loads((folder / "config.json").read_text())
        about["config"]["run"]["seed"] = seed
        (folder / "config.json").write_text(json.dumps(about))
        result = json.loads((folder / "eval.json").read_text())
        (folder / "eval.json").write_text(json.dumps({**result, "score": score}))
    capsys.readouterr()
    command = ["train", *TINY, "--seeds", "2", "--name=two", "--seed=5"]
    assert arcadia.main(command) == 0
    out = capsys.readouterr().out
    assert "ppo/two-1: seed 5, 1 of 2\nppo/two-1 is finished" in out
    assert "score 2.50, standard deviation 2.12, over 2 seeds: 1.00, 4.00\n" in out
    assert (runs / "suites" / "two" / "report.md").exists()
    assert arcadia.main([*command[:-1], "--seed=6"]) == 2
    assert "ppo/two-1 is there with seed 5, not 6; give another --name" in capsys.readouterr().err


def test_mistakes_are_said_before_anything_trains(runs, capsys):
    assert arcadia.main(["train", "ppo", "--seeds", "2", "--clip", "-1"]) == 2
    assert "--clip = -1.0 must be above 0" in capsys.readouterr().err
    assert arcadia.main(["train", "ppo", "--seeds"]) == 2
    assert "--seeds = '' must be a whole number" in capsys.readouterr().err
    assert not list(runs.glob("*/*"))


@pytest.mark.slow
def test_several_seeds_are_runs_of_their_own(runs, capfd):
    assert arcadia.main(["train", *TINY, "--seeds", "2", "--name", "both"]) == 0
    assert [find_run(f"both-{n}").config["run"]["seed"] for n in (1, 2)] == [1, 2]
    assert "over 2 seeds:" in capfd.readouterr().out
