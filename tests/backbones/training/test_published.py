"""What export writes: whole or not at all, and never over what somebody still needs."""

import json
import os
import resource
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import torch

from backbones.training import checkpoint
from backbones.training.errors import UserError
from backbones.training.published import publish, replacing_file, replacing_folder, writing
from backbones.training.run import Run

RESULT = {"metric": "score", "score": 2.0}


@dataclass(frozen=True, kw_only=True)
class Toy:
    size: int = 3


def trained(name, progress=7):
    """Return a run that holds the state of its training."""
    run = Run.create("ppo", Toy(), name, name, "default")
    parts = {part: {"weight": torch.full((100,), 1.0)} for part in ("heads", "state")}
    checkpoint.save(run.checkpoints, progress, parts, {"score": None})
    return run


def export(run, path, force=False):
    found = checkpoint.load_newest(run.checkpoints)[0]
    with replacing_folder(path, run.folder, force) as ready, writing(path):
        return publish(run, found, ready, RESULT)


def contents(folder):
    """Return every path under a folder, hidden ones too, with the bytes of files."""
    return {p: p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


@contextmanager
def small_disk(limit_bytes):
    """Let no file grow beyond a limit; writing more is an OSError, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def broken_config(path):
    path.mkdir()
    (path / "config.json").write_text("{")


def list_as_config(path):
    path.mkdir()
    (path / "config.json").write_text('["from"]')


def some_files(path):
    path.mkdir()
    (path / "notes.txt").write_text("mine")


def overwritten_run(path):
    """What an export over a run in training has left before: "from", and state beside it."""
    trained("other").folder.rename(path)
    about = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**about, "from": "ppo/a"}))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.symlink_to(trained("a").folder), "is the run that is to be exported"),
        (lambda path: trained("other").folder.rename(path), "was trained there, not exported"),
        (overwritten_run, "holds the state of a training"),
        (some_files, "has files in it and is no exported run"),
        (broken_config, "has a config.json that is broken"),
        (list_as_config, "was trained there, not exported"),
        (lambda path: path.write_text("mine"), "is a file"),
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_what_is_no_earlier_export_is_refused_before_any_work(runs, tmp_path, make, reason, force):
    path = tmp_path / "there"
    make(path)
    source = runs / "ppo" / "a" if (runs / "ppo" / "a").exists() else trained("a").folder
    before = contents(tmp_path)
    with pytest.raises(UserError, match=reason), replacing_folder(path, source, force):
        pytest.fail("games would be played")
    assert contents(tmp_path) == before


def test_the_folder_that_one_is_in_is_not_replaced(runs, tmp_path, monkeypatch):
    run, here = trained("a"), tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    with pytest.raises(UserError, match="is the folder that you are in"):
        export(run, here.relative_to(here), force=True)
    assert contents(here) == {}


def test_an_earlier_export_and_an_empty_folder_are_replaced_when_forced(runs, tmp_path):
    run, folder = trained("a"), tmp_path / "new" / "agent"
    said = export(run, folder)
    assert [p.name for p in checkpoint.numbered(folder / "checkpoints")] == ["000000000007"]
    with pytest.raises(UserError, match="exists; choose another name, or --force"):
        export(run, folder)
    (folder / "videos").mkdir()
    (folder / "videos" / "game.mp4").write_bytes(bytes(2**20))
    # The size is that of the export alone.
    assert export(trained("b", progress=3), folder, force=True) == said == "0.0 MiB, score 2.00"
    assert json.loads((folder / "config.json").read_text())["from"] == "ppo/b"
    assert [p.name for p in checkpoint.numbered(folder / "checkpoints")] == ["000000000003"]
    assert (folder / "videos" / "game.mp4").stat().st_size == 2**20
    assert os.listdir(folder.parent) == ["agent"]
    (tmp_path / "empty").mkdir()
    export(run, tmp_path / "empty", force=True)
    assert (tmp_path / "empty" / "eval.json").exists()


@pytest.mark.parametrize("trouble", ["interrupted", "disk", "lost"])
def test_an_export_that_fails_leaves_the_earlier_one_and_nothing_else(runs, tmp_path, trouble):
    run, folder = trained("a"), tmp_path / "agent"
    export(run, folder)
    before = contents(tmp_path)
    for path in (folder, tmp_path / "new" / "parent" / "agent"):
        with (
            pytest.raises(KeyboardInterrupt if trouble == "interrupted" else UserError) as caught,
            replacing_folder(path, run.folder, force=True) as ready,
        ):
            if trouble == "interrupted":
                raise KeyboardInterrupt
            if trouble == "lost":
                ready.rmdir()
            else:
                with small_disk(300), writing(path):
                    publish(run, checkpoint.load_newest(run.checkpoints)[0], ready, RESULT)
        if trouble != "interrupted":
            assert f"{path} cannot be written: " in str(caught.value)
        assert contents(tmp_path) == before


def test_an_export_killed_while_it_renames_is_settled_by_the_next(runs, tmp_path):
    run, folder, older = trained("a"), tmp_path / "agent", tmp_path / ".agent.replaced"
    export(run, folder)
    before = contents(folder)
    folder.rename(older)
    with pytest.raises(UserError, match="--force"):
        export(run, folder)
    assert contents(folder) == before
    folder.rename(older)
    (older / "film.mp4").write_text("mine")
    some = trained("b")
    some.folder.rename(tmp_path / "b")
    os.rename(tmp_path / "b", folder)
    with pytest.raises(UserError, match="was trained there"):
        export(run, folder, force=True)
    assert (folder / "film.mp4").read_text() == "mine" and not older.exists()


def test_a_folder_that_cannot_be_made_is_refused_before_any_work(runs, tmp_path):
    source = trained("a").folder
    (tmp_path / "file").write_text("mine")
    for path in ("/proc/agent", tmp_path / "file" / "agent", tmp_path / "new" / ("x" * 300)):
        with pytest.raises(UserError), replacing_folder(tmp_path / path, source, force=True):
            pytest.fail("games would be played")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("there", [True, False])
def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, there):
    path = tmp_path / ("a.zip" if there else "new/parent/a.zip")
    if there:
        path.write_text("mine")
    before = contents(tmp_path)
    for error in (UserError, KeyboardInterrupt):
        with pytest.raises(error) as caught, replacing_file(path, force=True) as ready:
            assert ready.suffix == ".zip"
            ready.write_bytes(bytes(1000))
            if error is KeyboardInterrupt:
                raise KeyboardInterrupt
            with small_disk(2000):
                ready.write_bytes(bytes(3000))
        assert error is KeyboardInterrupt or f"{path} cannot be written: File" in str(caught.value)
        assert contents(tmp_path) == before
    with replacing_file(path, force=True) as ready:
        ready.write_text("new")
    assert path.read_text() == "new" and os.listdir(path.parent) == ["a.zip"]


def test_a_link_to_a_file_stays_a_link(tmp_path):
    (tmp_path / "real.bin").write_text("old")
    (tmp_path / "a.zip").symlink_to("real.bin")
    with replacing_file(tmp_path / "a.zip", force=True) as ready:
        assert ready.suffix == ".zip"
        ready.write_text("new")
    assert (tmp_path / "a.zip").is_symlink() and (tmp_path / "real.bin").read_text() == "new"


def test_a_file_is_refused_where_something_else_is_or_nothing_can_be(tmp_path):
    (tmp_path / "folder.zip").mkdir()
    (tmp_path / "device.zip").symlink_to("/dev/null")
    for name in ("folder.zip", "device.zip"):
        with (
            pytest.raises(UserError, match="is there and is no file"),
            replacing_file(tmp_path / name, force=True),
        ):
            pytest.fail("it would be written")
    for path in ("/proc/y.zip", "/proc/no/y.zip", tmp_path / "new" / f"{'x' * 300}.zip"):
        with pytest.raises(UserError), replacing_file(tmp_path / path, force=True):
            pytest.fail("it would be written")
    assert sorted(os.listdir(tmp_path)) == ["device.zip", "folder.zip"]
