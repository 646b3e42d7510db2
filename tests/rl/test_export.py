"""The command export: what it refuses, and what it leaves when it fails."""

import json
import sys

import pytest

import arcadia
from backbones.training.config import RunConfig, changed
from rl import ppo
from tests.backbones.training.test_published import contents, small_disk

SMALL = changed(
    ppo.CATCH,
    total_steps=1024,
    hidden=64,
    eval_games=0,
    num_envs=4,
    run=RunConfig(precision="fp32"),
)


@pytest.fixture(scope="module")
def runs_folder(tmp_path_factory):
    """A runs folder with two agents, the second with a memory."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCADIA_RUNS", str(folder))
        ppo.train(changed(SMALL, run=changed(SMALL.run, name="a")))
        ppo.train(changed(SMALL, memory="lstm", lstm_units=8, run=changed(SMALL.run, name="m")))
    return folder


@pytest.fixture(autouse=True)
def trained(runs_folder, monkeypatch):
    monkeypatch.setenv("ARCADIA_RUNS", str(runs_folder))


def test_a_forced_export_never_harms_a_run_that_trains(runs_folder, tmp_path, monkeypatch, capsys):
    before = contents(runs_folder)
    for name in ("a", "m"):
        words = ["export", "a", "--folder", str(runs_folder / "ppo" / name), "--force"]
        assert arcadia.main(words) == 2
    (tmp_path / "notes.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    assert arcadia.main(["export", "a", "--folder", ".", "--force"]) == 2
    assert contents(runs_folder) == before and len(contents(tmp_path)) == 1
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == 3 == said.err.count("choose another")


def test_a_forced_export_replaces_an_earlier_one(runs_folder, tmp_path, capsys):
    folder = tmp_path / "agent"
    for force in ([], ["--force"]):
        assert arcadia.main(["export", "a", "--folder", str(folder), *force]) == 0
        said = capsys.readouterr().out
        assert said.startswith(f"{folder}: 0.") and said.endswith(" over 20 games\n")
    assert json.loads((folder / "config.json").read_text())["from"] == "ppo/a"
    assert [p.name for p in tmp_path.iterdir()] == ["agent"]


# SB3 leaves the file open that it could not write.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", ["sb3", "onnx"])
def test_a_full_disk_leaves_the_file_that_was_there(kind, tmp_path, capsys):
    path = tmp_path / ("it's.zip" if kind == "sb3" else "it's.onnx")
    words = ["export", "a", f"--{kind}", str(path)]
    assert arcadia.main(words) == 0
    assert capsys.readouterr().out.startswith(f"{path}: ")
    before = contents(tmp_path)
    for limit in (100, 50_000):
        with small_disk(limit):
            status = arcadia.main([*words, "--force"])
        assert status == 2
        assert f"{path} cannot be written: File too large" in capsys.readouterr().err
        assert contents(tmp_path) == before


@pytest.mark.parametrize("kind", ["sb3", "onnx"])
def test_places_that_take_no_file_are_refused_in_one_line(kind, tmp_path, capsys):
    ending = "zip" if kind == "sb3" else "onnx"
    folder = tmp_path / f"folder.{ending}"
    folder.mkdir()
    for path in (folder, f"/proc/y.{ending}", f"/proc/no/y.{ending}"):
        assert arcadia.main(["export", "a", f"--{kind}", str(path), "--force"]) == 2
        err = capsys.readouterr().err
        assert len(err.splitlines()) == 1 and ("/proc" in err or str(folder) in err)
    assert contents(tmp_path) == {folder: None}


def test_an_agent_with_a_memory_says_what_to_install_and_leaves_no_folder(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "sb3_contrib", None)
    assert arcadia.main(["export", "m", "--sb3", str(tmp_path / "new" / "m.zip")]) == 2
    err = capsys.readouterr().err
    assert "sb3-contrib is not installed; `pip install sb3-contrib` brings it" in err
    assert not (tmp_path / "new").exists()
