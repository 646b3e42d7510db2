"""Run folders: found by every name people use, locked while in training, never guessed."""

import json
import signal
import subprocess
import sys
from dataclasses import dataclass

import pytest

from backbones.training.errors import UserError
from backbones.training.run import Run, all_runs, find_run
from backbones.training.session import StopRequest


@dataclass(frozen=True, kw_only=True)
class Toy:
    size: int = 3


def create(name="", base="Pong", job="ppo"):
    return Run.create(job, Toy(), name, base, "default")


def test_a_run_is_found_by_path_name_job_and_last(runs):
    first, second = create(), create(base="Ms Pacman!")
    assert first.name == "ppo/pong-1"
    assert second.name == "ppo/ms-pacman-1"
    for text in ("pong-1", "ppo/pong-1", str(first.folder)):
        assert find_run(text).folder == first.folder
    assert find_run("last").folder == second.folder
    assert [run.name for run in all_runs()] == ["ppo/pong-1", "ppo/ms-pacman-1"]


def test_names_are_numbered_and_a_given_name_is_never_reused(runs):
    assert create().name == "ppo/pong-1"
    assert create().name == "ppo/pong-2"
    create(name="mine")
    with pytest.raises(UserError, match="a run named mine exists"):
        create(name="mine")


def test_a_name_in_two_jobs_asks_which(runs):
    create(name="mine")
    create(name="mine", job="dqn")
    with pytest.raises(UserError, match="dqn/mine, ppo/mine"):
        find_run("mine")


def test_what_is_no_run_is_refused(runs, tmp_path):
    with pytest.raises(UserError, match="no run in"):
        find_run("last")
    with pytest.raises(UserError, match="is not a run"):
        find_run("nonsense")
    broken = create().folder
    (broken / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config.json is missing or broken"):
        find_run("pong-1")


def test_the_config_says_how_the_run_was_made(runs):
    about = json.loads((create().folder / "config.json").read_text())
    assert about["config"] == {"size": 3}
    assert about["command"].startswith("arcadia")
    assert about["versions"]["torch"]
    assert about["hardware"]["cores"] >= 1
    assert {"commit", "started", "format", "preset"} <= set(about)


def test_one_broken_config_does_not_hide_the_other_runs(runs, capsys):
    (create().folder / "config.json").write_bytes(b"\xff\xfe")
    create()
    assert [run.name for run in all_runs()] == ["ppo/pong-2"]
    assert "skipped" in capsys.readouterr().err


def test_a_newer_format_is_refused(runs):
    path = create().folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    with pytest.raises(UserError, match="update Arcadia"):
        find_run("pong-1")


def test_a_second_process_on_the_same_run_is_refused(runs):
    run = create()
    code = f"""
from pathlib import Path
from backbones.training.run import Run
run = Run.open(Path({str(run.folder)!r}))
print(run.is_running())
try:
    run.lock().__enter__()
except ValueError as error:
    print(error)
"""
    assert not run.is_running()
    with run.lock():
        assert run.is_running()
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert out.splitlines()[0] == "True"
    assert "being trained by another process" in out
    assert not run.is_running()


def test_the_first_interrupt_is_a_request_and_the_second_is_an_interrupt(capfd):
    with StopRequest() as stop:
        assert not stop.requested
        signal.raise_signal(signal.SIGINT)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert "saving first" in capfd.readouterr().err


def test_log_lines_go_to_the_file_and_to_people(runs, capsys):
    run = create()
    run.log("hello")
    assert capsys.readouterr().out == "hello\n"
    assert "hello" in (run.folder / "log.txt").read_text()


def test_a_runs_folder_that_cannot_be_made_is_a_clear_line(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ARCADIA_RUNS", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"no run can be made in .*set \$ARCADIA_RUNS"):
        create()
