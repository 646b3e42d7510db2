"""Pictures with captions by split: what a task gets of photos and of scenes."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from backbones.training.errors import UserError
from backbones.transfer import TrunkConfig
from tasks.data.vocabulary import END
from tasks.fit_config import FitConfig
from tasks.words.captions import CaptionedPictures, one_by_one, references_of
from tasks.worlds import scenes
from tasks.worlds.scene_language import is_right

REAL = Path(os.environ.get("ARCADIA_DATA", ""), "flickr8k_1k")


@dataclass(frozen=True)
class Settings:
    """What the source reads of a task's config."""

    set: str = "scenes"
    data: str = ""
    samples: int = 40
    size_px: int = 32
    easy: float = 0.0
    least: int = 1
    longest: int = 40
    memory_gb: float = 1.0
    trunk: TrunkConfig = field(default_factory=TrunkConfig)
    fit: FitConfig = field(default_factory=FitConfig)


def photos(folder, count, captions=2):
    lines = ["image,caption"]
    for n in range(count):
        Image.new("RGB", (40, 36), (n, 0, 0)).save(folder / f"{n:03}.png")
        lines += [f"{n:03}.png,A dog , number {n} of {k} ." for k in range(captions)]
    (folder / "captions.txt").write_text("\n".join(lines))
    return str(folder)


def test_training_has_one_sample_for_each_scene_with_all_its_captions():
    source = CaptionedPictures(Settings())
    samples = source.samples("train")
    assert len(samples) == 40 and not samples.counted
    batch = samples.batch(torch.arange(1, 6))
    scene = scenes.scene(1, 1, 32)
    assert np.array_equal(batch["picture"][0].numpy(), scene.picture)
    target = one_by_one(batch["caption"])
    assert source.vocabulary.decode(target[0].tolist()) == list(scene.captions)
    assert ((target == END).sum(2) == 1).all()


def test_the_first_epoch_begins_with_the_pictures_of_which_the_least_is_said():
    samples = CaptionedPictures(Settings(easy=0.25)).samples("train")
    lengths = samples.lengths("caption")
    first, others = torch.cat(samples.plan(0, 0, 8)).split([10, 30])
    assert lengths[first].max() <= lengths[others].min()


def test_scores_have_each_picture_once_with_all_its_references():
    source = CaptionedPictures(Settings())
    samples = source.samples("test")
    assert len(samples) == 200 == len(source.names("test"))
    batch = samples.batch(torch.tensor([7, 3]))
    assert batch["number"].tolist() == [7, 3]
    for number, references in zip((7, 3), references_of(batch), strict=True):
        assert tuple(references) == source.captions("test")[number]
        facts = source.told("test", number)
        assert all(is_right(facts, text) for text in references)
    assert source.names("test")[7] == "scene 7"
    assert source.protocol("test")["pictures"] == 200


def test_what_is_known_of_the_training_data_is_enough_to_answer():
    source = CaptionedPictures(Settings())
    again = CaptionedPictures(Settings(), source.about)
    assert not again.read
    assert again.vocabulary.words == source.vocabulary.words
    assert (again.about["side_px"], again.about["channels"]) == (32, 3)
    assert torch.equal(
        again.samples("train").batch(torch.arange(9))["caption"],
        source.samples("train").batch(torch.arange(9))["caption"],
    )


@pytest.mark.parametrize("memory_gb", [1.0, 1e-9])
def test_photos_are_the_same_in_memory_and_on_the_disk(tmp_path, memory_gb):
    source = CaptionedPictures(
        Settings(data=photos(tmp_path, 36), samples=0, memory_gb=memory_gb, size_px=8)
    )
    # 32 to learn from and validate on, 4 to test.
    assert [len(source.samples(split)) for split in ("train", "val", "test")] == [30, 2, 4]
    batch = source.samples("train").batch(torch.tensor([0, 1, 29]))
    assert batch["picture"].shape == (3, 3, 8, 8)
    assert batch["picture"][:, 0, 0, 0].tolist() == [0, 1, 29]
    shown = source.vocabulary.decode(one_by_one(batch["caption"])[2].tolist())
    assert shown == ["A dog, number 29 of 0.", "A dog, number 29 of 1."]
    test = source.samples("test").batch(torch.tensor([3]))
    assert references_of(test) == [["A dog , number 35 of 0 .", "A dog , number 35 of 1 ."]]
    assert source.names("test")[3] == "035.png"
    notes = " | ".join(source.notes())
    assert "the last 4 photos by name are the test" in notes
    assert "the last 2 training photos by name validate" in notes
    assert ("stay on the disk" in notes) == (memory_gb < 1)


def test_without_validation_no_training_photo_is_held_out(tmp_path):
    fit = FitConfig(eval_every=0)
    source = CaptionedPictures(Settings(data=photos(tmp_path, 36), samples=0, fit=fit))
    assert len(source.samples("train")) == 32
    few = CaptionedPictures(Settings(data=str(tmp_path), samples=5, fit=fit))
    assert len(few.samples("train")) == 5 and len(few.samples("test")) == 4


def test_rare_words_are_unknown_and_long_captions_are_left_out(tmp_path):
    data = photos(tmp_path, 36)
    source = CaptionedPictures(Settings(data=data, samples=0, least=5, longest=8))
    assert source.about["words"] == [",", "a", "dog", "number", "of", "0", "1"]
    text = source.vocabulary.decode(
        source.samples("train").batch(torch.tensor([10]))["caption"].tolist()
    )
    assert text == ["A dog, number <unknown> of 0."]
    with pytest.raises(UserError, match="have more than 6 words; give a larger --longest"):
        source = CaptionedPictures(Settings(data=data, samples=0, longest=7))
        source.samples("train")


def test_other_captions_than_those_a_run_began_with_are_refused(tmp_path):
    data = photos(tmp_path, 36)
    about = CaptionedPictures(Settings(data=data, samples=0)).about
    photos(tmp_path, 36, captions=3)
    with pytest.raises(UserError, match="not those that this run began with"):
        CaptionedPictures(Settings(data=data, samples=0), about).samples("train")


def test_a_photo_that_is_none_is_named_and_too_few_photos_have_no_test(tmp_path):
    data = photos(tmp_path, 36)
    (tmp_path / "005.png").write_bytes(b"no picture")
    source = CaptionedPictures(Settings(data=data, samples=0))
    assert len(source.samples("train")) == 29
    assert any("1 photos left out" in note and "005.png" in note for note in source.notes())
    (tmp_path / "few").mkdir()
    with pytest.raises(UserError, match="has no test photos with captions"):
        CaptionedPictures(Settings(data=photos(tmp_path / "few", 8), samples=0)).samples("test")


def test_a_set_that_is_nowhere_is_said_with_what_to_do():
    with pytest.raises(UserError, match="give --data DIR, or use scenes"):
        CaptionedPictures(Settings(set="flickr30k"))


@pytest.mark.skipif(not REAL.is_dir(), reason="needs flickr8k_1k in ARCADIA_DATA")
def test_the_photos_of_flickr8k_are_read():
    source = CaptionedPictures(Settings(set="flickr8k_1k", samples=0, size_px=16))
    assert [len(source.samples(split)) for split in ("train", "val", "test")] == [750, 50, 100]
    assert {len(texts) for texts in source.captions("test")} == {5}
