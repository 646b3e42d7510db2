"""Reports over runs that were written by hand."""

import json

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import arcadia
from backbones.training.config import changed
from backbones.training.errors import UserError
from backbones.training.run import Run
from rl import ppo
from suites.report import curve_table, report_of

PROTOCOL = {
    "env": "ALE/Pong-v5",
    "sticky": 0.25,
    "frame_skip": 4,
    "num_actions": 6,
    "choice": "sampled",
    "epsilon": 0.0,
    "seed": 1_000_000,
}


def write_run(env: str, seed: int, score: float, sticky: float = 0.25, **settings) -> Run:
    """A finished run: its score, and training scores that rise to it in ten minutes."""
    config = changed(ppo.PRESETS["default"], env=env, **settings)
    config = changed(config, run=changed(config.run, seed=seed))
    run = Run.create("ppo", config, "", f"{env}-{seed}", "default")
    result = {
        "run": run.name,
        "score": score,
        "env_steps": 1_000_000,
        "protocol": {**PROTOCOL, "env": env, "sticky": sticky},
    }
    (run.folder / "eval.json").write_text(json.dumps(result))
    lines = [
        {"step": 100_000 * i, "time/minutes": float(i), "rollout/score": score * i / 10}
        for i in range(1, 11)
    ]
    (run.folder / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return run


@pytest.fixture
def four(runs):
    """Two seeds of two games; human play is 14.6 and 30.5, random play -20.7 and 1.7."""
    return [
        write_run("ALE/Pong-v5", 1, 20.0),
        write_run("ALE/Pong-v5", 2, 10.0),
        write_run("ALE/Breakout-v5", 1, 30.5),
        write_run("ALE/Breakout-v5", 2, 59.3),
    ]


def reported(capsys, *words: str):
    assert arcadia.main(["report", "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)


def test_scores_by_game_and_together(four, capsys):
    (group,) = reported(capsys)["groups"]
    pong, breakout = group["games"]["Pong"], group["games"]["Breakout"]
    assert (pong["score"], pong["scores"], pong["seeds"]) == (15.0, [20.0, 10.0], [1, 2])
    assert breakout["human_normalised"] == pytest.approx(1.5)
    together = group["human_normalised"]
    first, second = (40.7 / 35.3 + 30.7 / 35.3) / 2, 1.5
    assert together["mean"][0] == pytest.approx((first + second) / 2)
    assert together["mean"][1] < together["mean"][0] < together["mean"][2]
    assert (together["games"], together["seeds"]) == (2, [2, 2])


def test_the_time_to_a_score_is_that_of_training(four, capsys):
    found = reported(capsys)["groups"][0]["games"]["Pong"]["reached"]
    assert found[four[0].name] == {"env_steps": 800_000, "minutes": 8.0}  # 16 is above 14.6
    assert found[four[1].name] is None
    found = reported(capsys, "--reach", "3")["groups"][0]["games"]["Pong"]["reached"]
    assert [each["minutes"] for each in found.values()] == [2.0, 3.0]


def test_training_scores_are_listed_at_the_env_steps_asked_for(four):
    rows = curve_table(report_of((), every=250_000))
    assert rows[0][1:] == ["250,000", "500,000", "750,000", "1,000,000"]
    assert [row[0] for row in rows[1:]] == [run.name for run in four]
    assert rows[1][2] == "10 (5.0 min)" and rows[4][4] == "59.3 (10.0 min)"
    assert curve_table(report_of(())) == []


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"sticky": 0.0}, "not averaged across sticky: 0.25; 0"),
        ({"gamma": 0.9}, "gamma 0.9"),
        ({"minibatch_size": 512}, "minibatch_size 512"),
    ],
)
def test_runs_of_other_settings_or_protocols_stand_apart(four, capsys, other, said):
    write_run("ALE/Pong-v5", 3, -20.0, **other)
    report = report_of((), published=False)
    assert [len(group.results) for group in report.groups] == [4, 1]
    assert report.groups[0].games["Pong"][0].score == 20.0
    assert arcadia.main(["report", "--no-published"]) == 0
    assert said in " ".join(capsys.readouterr().out.split())


def test_half_written_and_broken_runs_are_named(four, capsys):
    (four[1].folder / "eval.json").unlink()
    (four[2].folder / "eval.json").write_text('{"score": "much"')
    (four[3].folder / "eval.json").write_text('{"score": 1e999, "env_steps": 1, "protocol": {}}')
    found = reported(capsys)
    assert [*found["groups"][0]["games"]] == ["Pong"]
    without = found["without_score"]
    assert "no evaluation yet" in without[four[1].name] and "resume" in without[four[1].name]
    assert all("eval.json is broken" in without[run.name] for run in four[2:])
    (four[0].folder / "eval.json").unlink()
    with pytest.raises(UserError, match="no run has a score"):
        report_of(())


def test_a_run_of_a_task_and_an_unknown_one_are_refused(runs, capsys):
    assert arcadia.main(["report", "zoo/mnist"]) == 2
    assert "plays no games" in capsys.readouterr().err
    assert arcadia.main(["report", "nothing"]) == 2
    assert "not a run" in capsys.readouterr().err
    assert arcadia.main(["report"]) == 2
    assert "there is no run of an agent" in capsys.readouterr().err


def test_published_rows_have_only_these_games_and_their_own_protocol(four, capsys):
    rows = reported(capsys)["published"]
    assert {name for row in rows for name in row["scores"]} == {"pong", "breakout"}
    assert {row["sticky"] for row in rows} == {0.0, 0.25}
    assert reported(capsys, "--no-published")["published"] == []


def test_a_report_is_written_over_an_earlier_one_and_nothing_else(four, tmp_path, capsys):
    place = tmp_path / "out"
    for _ in range(2):
        assert arcadia.main(["report", "--output", str(place)]) == 0
    names = ("report.md", "report.json", "curves.png")
    assert all((place / name).stat().st_size for name in names)
    picture = np.asarray(Image.open(place / "curves.png"))
    assert (picture == (38, 110, 180)).all(-1).sum() > 200  # the first line's colour
    events = EventAccumulator(str(place)).Reload()
    assert events.Tags()["images"] == ["report/curves"]
    (place / "report.json").unlink()
    capsys.readouterr()
    assert arcadia.main(["report", "--output", str(place)]) == 2
    assert "has other things in it" in capsys.readouterr().err
    (tmp_path / "file").write_text("mine")
    assert arcadia.main(["report", "--output", str(tmp_path / "file")]) == 2
    assert (tmp_path / "file").read_text() == "mine"
