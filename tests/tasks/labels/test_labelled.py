"""Splits of labelled pictures: what is taken of them, what they are scored against."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import arcadia
from backbones.training.config import changed
from backbones.training.errors import UserError
from backbones.training.run import find_run
from backbones.training.session import newest_checkpoint
from backbones.transfer import weights_of
from tasks.data import pictures as pictures_module
from tasks.data.columns import Dense
from tasks.data.pictures import PictureFiles
from tasks.data.samples import InMemory
from tasks.evaluate import eval_batch
from tasks.labels import classify
from tasks.labels.labelled import Labelled
from tasks.worlds.chance import SEEDS
from tasks.worlds.digits import digits
from tasks.worlds.scenes import pictures

SMOKE = ["train", "classify", "--preset", "smoke", "--precision", "fp32"]


def class_folders(folder, counts, splits=("train", "val", "test")):
    """Class folders of grey pictures: so many of each class in every split."""
    for split in splits:
        for kind, count in counts.items():
            inside = folder / split / kind
            inside.mkdir(parents=True)
            for n in range(count):
                Image.fromarray(np.full((16, 16), 10 * n, np.uint8)).save(inside / f"{n}.png")
    return folder


def labelled(folder, **changes):
    config = changed(classify.SMOKE, set="", data=str(folder), size_px=16, grey=True, **changes)
    return Labelled(config, {})


def test_a_part_of_sorted_pictures_has_all_their_classes(tmp_path):
    source = labelled(class_folders(tmp_path, {"a": 20, "b": 20, "c": 20}), samples=24)
    learnt = source.labels("train")
    assert len(learnt) == 24 and learnt.bincount().min() >= 4
    for split in ("train", "val"):
        assert source.some(split, 15)["label"].bincount(minlength=3).min() >= 2
    again = labelled(tmp_path, samples=24)
    assert torch.equal(again.labels("train"), learnt)


def test_pictures_held_out_stay_those_of_before(tmp_path):
    source = labelled(class_folders(tmp_path, {"a": 20, "b": 20}, ("train", "test")))
    order = torch.from_numpy(np.random.default_rng(0).permutation(40))
    label = source.pictures("train").label
    assert torch.equal(source.labels("train"), label[order[:32]])
    assert torch.equal(source.labels("val"), label[order[32:]])


def test_a_split_alone_is_scored_against_its_own_commonest_class(tmp_path, runs, capsys):
    whole = class_folders(tmp_path / "set", {"a": 12, "b": 8})
    arcadia.main([*SMOKE, "--data", str(whole), "--grey", "--size-px", "28", "--name", "ab"])
    alone = class_folders(tmp_path / "alone", {"a": 3, "b": 9}, ("test",))
    capsys.readouterr()
    assert arcadia.main(["eval", "ab", "--data", str(alone), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["baseline"] == pytest.approx(25)
    assert arcadia.main(["eval", "ab", "--split", "val", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["baseline"] == pytest.approx(40)


def test_where_val_is_the_test_it_is_said(tmp_path, runs, capsys):
    folder = class_folders(tmp_path / "set", {"a": 10, "b": 10}, ("train", "val"))
    words = ["--data", str(folder), "--grey", "--size-px", "28", "--name", "two"]
    assert arcadia.main([*SMOKE, *words]) == 0
    said = capsys.readouterr().out
    assert "val is the test, scored at the end; 4 pictures held out of train validate" in said
    for split, where in (("test", "of the split val"), ("val", "held out of train")):
        assert arcadia.main(["eval", "two", "--split", split, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["protocol"]["pictures"] == where


def test_too_few_pictures_to_validate_on_are_one_line(tmp_path, runs, capsys):
    folder = class_folders(tmp_path / "set", {"a": 2, "b": 2}, ("train", "test"))
    words = [*SMOKE, "--data", str(folder), "--grey", "--size-px", "28", "--name", "few"]
    assert arcadia.main(words) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and "4 training pictures, too few" in said
    assert arcadia.main([*words, "--eval-every", "0"]) == 0
    shutil.rmtree(folder / "test")
    with pytest.raises(UserError, match="no test split"):
        labelled(folder).samples("test")


def test_every_world_and_task_takes_one_table_of_seeds():
    assert len(set(SEEDS.values())) == 3
    task = classify.Classify.of(changed(classify.SMOKE, set="scenes", samples=8))
    index = torch.arange(4)
    for split, seed in SEEDS.items():
        made = task.data(split).batch(index)["picture"]
        assert torch.equal(made, torch.from_numpy(pictures(seed, index.numpy())[0]))
    task = classify.Classify.of(changed(classify.SMOKE, samples=8))
    made = task.data("val").batch(index)["picture"]
    assert torch.equal(made, torch.from_numpy(digits(SEEDS["val"], index.numpy())[0]))


def test_large_pictures_are_answered_few_at_a_time():
    for side, batch in ((28, 256), (64, 256), (224, 20), (4_096, 1)):
        samples = InMemory({"picture": torch.empty(1, 3, side, side, dtype=torch.uint8)})
        assert eval_batch(samples, torch.device("cpu")) == batch
    assert eval_batch(samples, torch.device("cuda")) == 1


def noise_folders(folder, count):
    """Class folders of random pictures in three splits, one file of the training broken."""
    random = np.random.default_rng(3)
    for split in ("train", "val", "test"):
        for kind in ("a", "b"):
            inside = folder / split / kind
            inside.mkdir(parents=True)
            for n in range(count):
                pixels = random.integers(0, 256, (32, 40, 3), np.uint8)
                Image.fromarray(pixels).save(inside / f"{n}.png")
    (folder / "train" / "a" / "5.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    return folder


def weights(name):
    return weights_of(newest_checkpoint(find_run(name)))


def test_pictures_left_on_disk_are_learnt_from_as_those_in_memory(tmp_path, runs, capsys):
    folder = noise_folders(tmp_path / "set", 40)
    words = [*SMOKE, "--data", str(folder), "--size-px", "28", "--num-epochs", "2", "--flip"]
    words += ["--batch-size", "16"]
    assert arcadia.main([*words, "--name", "memory"]) == 0
    kept = capsys.readouterr().out
    assert arcadia.main([*words, "--name", "disk", "--memory-gb", "1e-9"]) == 0
    read = capsys.readouterr().out
    first, second = weights("memory"), weights("disk")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    scores = [
        json.loads((find_run(n).folder / "eval.json").read_text()) for n in ("memory", "disk")
    ]
    assert scores[0]["scores"] == scores[1]["scores"]
    assert "on the disk" not in kept and "train: 79 pictures stay on the disk" in read
    assert all("1 pictures left out (train/a/5.png: is " in said for said in (kept, read))


def test_a_part_held_out_of_pictures_on_disk_is_that_of_memory(tmp_path):
    folder = class_folders(tmp_path, {"a": 20, "b": 20}, ("train", "test"))
    kept, read = labelled(folder, samples=9), labelled(folder, samples=9, memory_gb=1e-9)
    assert isinstance(read.pictures("train"), PictureFiles)
    for split in ("train", "val", "test"):
        both = [s.samples(split).batch(s.samples(split).in_order()) for s in (kept, read)]
        assert all(torch.equal(both[0][name], both[1][name]) for name in ("picture", "label"))
    described = [source.describe_data() for source in (kept, read)]
    assert described[0] == described[1]


def test_a_picture_that_is_gone_while_it_is_learnt_from_is_one_line(tmp_path):
    folder = class_folders(tmp_path, {"a": 20, "b": 20})
    samples = labelled(folder, memory_gb=1e-9).samples("train")
    (folder / "train" / "a" / "7.png").unlink()
    with pytest.raises(UserError, match=r"a/7\.png does not exist, and could be read before"):
        samples.batch(samples.in_order())


def test_mean_and_deviation_of_many_bytes_are_those_of_few(monkeypatch):
    picture = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (5_000, 3, 4, 4), "u1"))
    at_once = pictures_module.mean_and_std(Dense(picture), 48)
    monkeypatch.setattr(pictures_module, "SMALL_BYTES", 48 * 16 * 7)
    for few, many in zip(at_once, pictures_module.mean_and_std(Dense(picture), 48), strict=True):
        assert many == pytest.approx(few, rel=1e-5)
    values = picture[::2].numpy().astype(np.float64)
    assert many == pytest.approx(values.std((0, 2, 3), ddof=1).tolist(), rel=1e-12)
