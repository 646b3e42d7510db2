"""Full disks, closed outputs, stray files, odd runs: one line, and nothing done is lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete

import arcadia
from backbones.training import checkpoint
from backbones.training.errors import UserError
from backbones.training.log import for_people
from backbones.training.run import find_run, named_run
from rl.games.options import EnvOptions
from rl.games.screen import drawing_notes, make_screen
from rl.shows.film import Film

ROOT = Path(__file__).parents[1]


def command(*args: str, cwd: Path = ROOT, shell: str = "", **env: str):
    """Run the command as `python -m arcadia` in a process of its own, its output sent `shell`."""
    words = " ".join([sys.executable, "-m", "arcadia", *args])
    return subprocess.run(
        f"{words} {shell}",
        shell=True,
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        timeout=120,
    )


@pytest.mark.parametrize(
    ("verb", "shell", "reason", "unbuffered"),
    [
        ("--help", ">/dev/full", "No space left on device", ""),
        ("data", ">/dev/full", "No space left on device", "1"),
        ("--help", ">&-", "Bad file descriptor", ""),
    ],
)
def test_an_output_that_takes_no_writing_is_one_line(verb, shell, reason, unbuffered):
    out = command(verb, shell=shell, PYTHONUNBUFFERED=unbuffered)
    assert out.returncode == 1
    assert out.stderr == (
        f"arcadia: standard output: {reason}; what was to be written there is not whole\n"
    )


def test_modules_of_the_working_folder_never_stand_in_for_ours(tmp_path):
    for name in ("rl/__init__", "tasks/__init__", "backbones", "numpy", "tyro"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    (tmp_path / "own.py").write_text(
        "import gymnasium\ngymnasium.register('Own-v0', entry_point='rl.games.toys:Catch')\n"
    )
    args = ("train", "ppo", "--preset", "smoke", "--env", "own:Own-v0", "--eval-games", "0")
    out = command(*args, cwd=tmp_path, ARCADIA_RUNS=str(tmp_path / "runs"))
    assert out.returncode == 0, out.stderr
    assert (tmp_path / "runs/ppo/own-1/checkpoints").is_dir()


def saved(folder: Path, progress: int) -> Path:
    parts = {"cnn": {"w": torch.ones(2)}, "heads": {"w": torch.full((2,), float(progress))}}
    return checkpoint.save(folder, progress, parts, {"score": None})


def test_stray_files_among_checkpoints_stop_none(tmp_path):
    (tmp_path / ".note.writing").write_text("mine")
    (tmp_path / ".000000000001.writing").write_text("a file where a folder was to be")
    (tmp_path / ".000000000007.replaced.writing").symlink_to("nowhere")
    (tmp_path / "000000000002").symlink_to("nowhere")
    for progress in (1, 2):
        saved(tmp_path, progress)
    assert [path.name for path in checkpoint.numbered(tmp_path)] == ["000000000001", "000000000002"]
    assert (tmp_path / ".note.writing").read_text() == "mine"


def test_weights_stay_readable_when_training_drops_their_checkpoint(tmp_path):
    saved(tmp_path, 1)
    found, _ = checkpoint.load_newest(tmp_path)
    for progress in (2, 3, 4):
        saved(tmp_path, progress)
    assert not found.folder.exists()
    assert found.tensors("heads")["w"].tolist() == [1.0, 1.0]
    with pytest.raises(UserError, match="has no state"):
        found.tensors("state")


ODD_RUNS = {
    "text": '{"format":1,"job":"ppo","config":{"env":"x"},"started_s":"abc"}',
    "deep": "[" * 100_000,
    "no-table": '{"format":1,"job":"ppo","config":[],"started_s":1}',
    "endless": '{"format":1,"job":"ppo","config":{"env":"x"},"started_s":1e999}',
    "no-text": "\udcff",
}


@pytest.fixture
def odd_runs(runs) -> Path:
    for name, text in ODD_RUNS.items():
        (runs / "ppo" / name).mkdir(parents=True)
        (runs / "ppo" / name / "config.json").write_bytes(text.encode(errors="surrogateescape"))
    for name in ("pipe", "loop", "folder"):
        (runs / "ppo" / name).mkdir()
    os.mkfifo(runs / "ppo/pipe/config.json")
    (runs / "ppo/loop/config.json").symlink_to("config.json")
    (runs / "ppo/folder/config.json").mkdir()
    good = runs / "ppo" / "[red]x\x1b[2J\n"
    good.mkdir()
    about = {
        "format": 1,
        "job": "ppo",
        "started_s": 5,
        "config": {"env": "[/x]", "total_steps": "?"},
    }
    (good / "config.json").write_text(json.dumps(about))
    (good / "metrics.jsonl").write_text(
        '{"step":1e999}\n[1]\n{"step":7,"rollout/score":"a","time/minutes":[]}\n'
    )
    os.mkfifo(good / "lock")
    (good / "eval.json").write_text('{"metric":"score","score":1' + "0" * 400 + "}")
    return good


def test_odd_runs_break_neither_the_table_nor_last(odd_runs, capsys):
    assert arcadia.main(["runs"]) == 0
    captured = capsys.readouterr()
    assert "[/x]" in captured.out
    assert captured.out.count("\n") == 2
    assert r"[red]x\x1b[2J\n" in captured.out.replace(" ", "")
    assert "\x1b" not in captured.out + captured.err
    assert captured.err.count("skipped: ") == len(ODD_RUNS) + 2  # a loop of links is not there
    for name in ("last", odd_runs.name):
        assert named_run(name).folder == odd_runs
        # Nothing is read of a run that has pipes in it.
        with pytest.raises(UserError, match="neither a file nor a folder; remove it first"):
            find_run(name)


def test_a_film_on_a_full_disk_is_a_mistake_that_leaves_nothing(tmp_path):
    (tmp_path / "f.part.mp4").symlink_to("/dev/full")
    film, picture = Film(tmp_path / "f.mp4", 30.0), np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(UserError, match="No space left on device"):
        try:
            for _ in range(3):
                film.show(picture, None, "")
        finally:
            film.close()
    assert list(tmp_path.iterdir()) == []


class Drawn(gymnasium.Env):
    """Twenty steps of grey; what it draws is up to `kind`."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": None}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None, kind: str = "none", wide: int = 48) -> None:
        self.observation_space = Box(0, 255, (4, wide), np.uint8)
        self.action_space, self.kind = Discrete(2), kind

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(self.observation_space.shape, np.uint8), {}

    def step(self, action):
        return np.zeros(self.observation_space.shape, np.uint8), 0.0, 0, 0, {}

    def render(self):
        drawings = {"none": None, "float": np.full((9, 9, 3), 50.5), "flat": np.zeros(5, np.uint8)}
        return drawings[self.kind] if self.kind != "raises" else 1 / 0


@pytest.mark.parametrize("kind", ["none", "float", "flat", "raises"])
def test_a_drawing_that_cannot_be_shown_gives_way_to_what_the_agent_sees(kind, tmp_path):
    name = f"Drawn{kind.title()}-v0"
    gymnasium.register(name, entry_point=Drawn, kwargs={"kind": kind}, disable_env_checker=True)
    assert "shown is what the agent sees" in drawing_notes(name, EnvOptions())[0]
    screen = make_screen(name, EnvOptions())
    assert screen.reset(0).pictures[0].shape == (4, 48, 3)
    shown = screen.step(0)
    assert shown.over is False
    assert screen.steps_per_s == 15.0


def test_a_very_wide_game_can_be_filmed(tmp_path):
    film = Film(tmp_path / "f.mp4", 15.0)
    film.show(np.zeros((4, 4_001, 3), np.uint8), None, "")
    film.show(np.zeros((9, 9, 3), np.uint8), None, "")
    film.close()
    assert (tmp_path / "f.mp4").stat().st_size > 500


def test_what_is_drawn_for_people_ends_in_a_warning():
    warnings: list[str] = []
    with for_people("the film", warnings.append):
        raise ZeroDivisionError("no pictures")
    assert warnings == ["the film could not be made (ZeroDivisionError: no pictures)"]
