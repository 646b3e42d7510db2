"""The layout of the Greatest Hits: written, read back, and what is wrong with such folders."""

import json

import numpy as np
import pytest
import torch

import arcadia
from backbones.media import Frame
from backbones.training.errors import UserError
from tasks.answers import Sound
from tasks.data.formats.greatest_hits import Hit, read_films, read_times, write_film, write_list
from tasks.sounds.cochleagram import RATE_HZ
from tasks.sounds.film_sound import Config
from tasks.sounds.films import Films, struck
from tasks.worlds.strikes import FRAMES_HZ, MATERIALS

NAMES = ["2015-a", "2015-b", "2015-c"]


def write_struck(folder, name, number):
    """Write a film of the world."""
    clip = struck("train", number)
    frames = (Frame(k / FRAMES_HZ, (k + 1) / FRAMES_HZ, f) for k, f in enumerate(clip.frames))
    hits = [
        Hit(time_s, MATERIALS[kind].name, "hit", None)
        for time_s, kind in zip(clip.times_s, clip.materials, strict=True)
    ]
    write_film(folder, name, frames, clip.sound, RATE_HZ, hits)
    return clip


@pytest.fixture
def folder(tmp_path):
    """Three films: two to learn from, of which one is held out, and one to test with."""
    for number, name in enumerate(NAMES):
        write_struck(tmp_path, name, number)
    write_list(tmp_path, "train", NAMES[:2])
    write_list(tmp_path, "test", NAMES[2:])
    return tmp_path


def test_films_of_the_world_come_back_from_its_files(folder):
    source = Films(Config(data=str(folder), samples=100))
    assert {split: [f.name for f in films] for split, films in source.read().items()} == {
        "train": NAMES[:1],
        "val": NAMES[1:2],
        "test": NAMES[2:],
    }
    for split, number in (("train", 0), ("val", 1), ("test", 2)):
        world = Films(Config()).world("train").batch(only(number))
        batch = source.samples(split).batch(only(0))
        np.testing.assert_allclose(batch["time_s"], world["time_s"], atol=1e-4)
        away = batch["frames"].float() - world["frames"].float()
        assert float(away.abs().mean()) < 6  # H.264 loses some
        assert float((batch["heard"] - world["heard"]).abs().float().mean()) < 0.01


def only(number):
    """Return an index of one sample."""
    return torch.tensor([number])


def test_materials_are_those_that_training_names(folder):
    source = Films(Config(data=str(folder)))
    assert source.about["materials"] == [MATERIALS[struck("train", 0).materials[0]].name]
    known = Films(Config(data=str(folder)), {"materials": ["wood", "metal"]})
    assert known.materials == ["wood", "metal"]


def test_a_run_learns_from_a_folder_whose_hits_nobody_labelled(folder, monkeypatch, tmp_path):
    for name in NAMES:
        path = folder / "vis-data" / f"{name}_times.txt"
        rows = [line.split()[0] for line in path.read_text().splitlines()]
        path.write_text("".join(f"{time_s} None None None\n" for time_s in rows))
    monkeypatch.setenv("ARCADIA_RUNS", str(tmp_path / "runs"))
    words = {"preset": "smoke", "precision": "fp32", "eval_every": 0, "batch_size": 1}
    run = arcadia.train("sound", data=str(folder), **words)
    scores = json.loads((run.folder / "eval.json").read_text())["scores"]
    assert scores["material"] == 0 and "onset_f1_50ms" in scores


def test_rows_of_times_may_have_none_everywhere(tmp_path):
    path = tmp_path / "a_times.txt"
    path.write_text("1.5 wood hit static\n\nNone None None None\n0.25 None scratch None\n2.0\n")
    assert read_times(path) == (
        Hit(0.25, None, "scratch", None),
        Hit(1.5, "wood", "hit", "static"),
        Hit(2.0, None, None, None),
    )


@pytest.mark.parametrize("line", ["wood 1.5 hit", "nan wood hit x", "-1 wood", "1 a b c d"])
def test_a_row_that_is_none_is_named_by_its_line(tmp_path, line):
    path = tmp_path / "a_times.txt"
    path.write_text(f"1.0 wood hit static\n{line}\n")
    with pytest.raises(UserError, match=r"a_times\.txt, line 2: .*expected"):
        read_times(path)


@pytest.mark.parametrize("ending", ["_denoised.mp4", "_denoised.wav", "_times.txt"])
def test_a_file_that_is_missing_is_named(folder, ending):
    (folder / "vis-data" / f"{NAMES[0]}{ending}").unlink()
    with pytest.raises(UserError, match=f"{NAMES[0]}{ending} is missing"):
        read_films(folder)


def test_a_folder_of_another_kind_and_lists_that_overlap_are_said(folder, tmp_path):
    with pytest.raises(UserError, match=r"no train\.txt or test\.txt"):
        read_films(tmp_path / "vis-data")
    write_list(folder, "test", NAMES)
    with pytest.raises(UserError, match=r"2015-a is in train.txt and in test.txt"):
        read_films(folder)
    write_list(folder, "test", ["../secret"])
    with pytest.raises(UserError, match="no name of a film"):
        read_films(folder)
    with pytest.raises(UserError, match="is not a folder"):
        Films(Config(data=str(folder / "none")))


def test_a_sound_of_another_take_and_times_behind_the_end_are_said(folder):
    place = folder / "vis-data"
    (place / f"{NAMES[0]}_denoised.wav").write_bytes(
        Sound(np.zeros(8_000, np.float32), 16_000).encoded()
    )
    with pytest.raises(UserError, match=r"1\.5 s shorter than its film"):
        Films(Config(data=str(folder))).samples("train").batch(only(0))
    (place / f"{NAMES[2]}_times.txt").write_text("9.0 wood hit None\n")
    with pytest.raises(UserError, match="ends before the last time"):
        Films(Config(data=str(folder))).samples("test").batch(only(0))


def test_a_damaged_film_is_named(folder):
    (folder / "vis-data" / f"{NAMES[2]}_denoised.mp4").write_bytes(b"no film")
    with pytest.raises(UserError, match=rf"{NAMES[2]}_denoised\.mp4: this is no film"):
        Films(Config(data=str(folder))).samples("test").batch(only(0))
