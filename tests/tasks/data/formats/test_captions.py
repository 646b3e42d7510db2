"""Readers of captions on hand-made files in the original formats; what is wrong is named."""

import io
import json
import os

import pytest
import torch
from PIL import Image

from backbones.training.errors import UserError
from tasks.data.formats.captions import hold_out, read_photos
from tasks.data.formats.folders import read_files


def picture(value=0, size=(12, 8)):
    file = io.BytesIO()
    Image.new("RGB", size, (value, value, value)).save(file, "png")
    return file.getvalue()


def photos(folder, *names):
    """Put photos into a folder; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for value, name in enumerate(names):
        (folder / name).write_bytes(picture(value))
    return folder


def told(found, split):
    return {photo.name: list(photo.captions) for photo in found.splits[split]}


def numbered(count):
    return [f"{n:03}.png" for n in range(count)]


def test_flickr8k_has_a_token_file_and_lists_of_splits(tmp_path):
    photos(tmp_path / "Flicker8k_Dataset", "a.png", "b.png", "c.png", "d.png")
    lines = [f"{name}.png#{n}\tA {name} no. {n} ." for name in "cabd" for n in range(2)]
    texts = tmp_path / "Flickr8k_text"
    texts.mkdir()
    (texts / "Flickr8k.token.txt").write_text("\n".join(lines) + "\n")
    (texts / "Flickr8k.lemma.token.txt").write_text("a.png#0\tbe\n")
    for split, names in (("train", "a.png\nd.png\n"), ("dev", "b.png"), ("test", "c.png\n")):
        (texts / f"Flickr_8k.{split}Images.txt").write_text(names)
    found = read_photos(tmp_path)
    assert told(found, "train") == {
        "a.png": ["A a no. 0 .", "A a no. 1 ."],
        "d.png": ["A d no. 0 .", "A d no. 1 ."],
    }
    assert list(told(found, "val")) == ["b.png"] and list(told(found, "test")) == ["c.png"]
    assert found.notes == ["captions of Flickr8k.token.txt"]
    assert found.splits["val"][0].path == tmp_path / "Flicker8k_Dataset" / "b.png"


def test_captions_txt_has_quotes_and_commas_inside(tmp_path):
    photos(tmp_path / "images", "a.png", "b c.png")
    (tmp_path / "captions.txt").write_text(
        "image,caption\r\n"
        'a.png,"A dog , a ""big"" one , runs ."\r\n'
        "a.png,A dog , without quotes .\n"
        '"b c.png","A quoted name"\n'
        'b c.png,"Big" dogs run\n'
        'b c.png,a 5" dog\n'
    )
    found = read_photos(tmp_path)
    every = {**told(found, "train"), **told(found, "test")}
    assert every == {
        "a.png": ['A dog , a "big" one , runs .', "A dog , without quotes ."],
        "b c.png": ["A quoted name", '"Big" dogs run', 'a 5" dog'],
    }


def test_a_quote_that_does_not_end_is_named_with_its_line(tmp_path):
    photos(tmp_path, "a.png")
    (tmp_path / "captions.txt").write_text('image,caption\na.png,"A dog\nruns, too"\n')
    with pytest.raises(UserError, match=r"captions.txt, line 2: a quote does not end; write each"):
        read_photos(tmp_path)


@pytest.mark.parametrize("broken", ["", "|"])
def test_flickr30k_has_bars_and_one_of_them_is_missing(tmp_path, broken):
    photos(tmp_path / "flickr30k_images", "1.png", "2.png")
    (tmp_path / "results.csv").write_text(
        "image_name| comment_number| comment\n"
        "1.png| 0| Two dogs | one cat .\n"
        f"1.png| 4 {broken}  A dog runs .\n"
        "2.png| 0| A man\n"
    )
    found = read_photos(tmp_path)
    every = {**told(found, "train"), **told(found, "test")}
    assert every == {"1.png": ["Two dogs | one cat .", "A dog runs ."], "2.png": ["A man"]}
    assert "photos have 1 to 2 captions, and all are used" in found.notes


def test_flickr30k_has_a_token_file_too(tmp_path):
    photos(tmp_path / "flickr30k-images", *numbered(9))
    lines = [f"{name}#{n}\tA\tman" for name in numbered(9) for n in range(5)]
    (tmp_path / "results_20130124.token").write_text("\n".join(lines))
    found = read_photos(tmp_path)
    assert told(found, "test") == {"008.png": ["A man"] * 5} and len(found.splits["train"]) == 8


def coco(captions):
    images = [{"id": n, "file_name": name} for n, name in enumerate(captions)]
    told = [
        {"image_id": n, "id": 10 * n + k, "caption": text}
        for n, texts in enumerate(captions.values())
        for k, text in enumerate(texts)
    ]
    return json.dumps({"info": {}, "images": images, "annotations": told})


def test_coco_has_json_by_split_and_its_val_is_the_test(tmp_path):
    photos(tmp_path / "train2017", "1.png", "2.png")
    photos(tmp_path / "val2017", "3.png")
    notes = tmp_path / "annotations"
    notes.mkdir()
    texts = {"1.png": ["A dog.\n", "A  cat"], "2.png": []}
    (notes / "captions_train2017.json").write_text(coco(texts))
    (notes / "captions_val2017.json").write_text(coco({"3.png": ["A man"]}))
    (notes / "instances_val2017.json").write_text("{}")
    found = read_photos(tmp_path)
    assert told(found, "train") == {"1.png": ["A dog.", "A cat"]}
    assert told(found, "test") == {"3.png": ["A man"]} and not found.splits["val"]
    assert "there is no test split: val is the test" in found.notes
    assert "photos without captions, left out: 1 (2.png)" in found.notes


def test_half_of_a_surrogate_pair_in_json_becomes_a_question_mark(tmp_path):
    photos(tmp_path, "1.png")
    (tmp_path / "captions_train2017.json").write_text(coco({"1.png": ["A \ud83d dog"]}))
    assert told(read_photos(tmp_path), "train") == {"1.png": ["A ? dog"]}


def test_karpathys_json_says_the_split_and_is_preferred(tmp_path):
    photos(tmp_path / "images", *numbered(4))
    images = [
        {"filename": name, "filepath": "val2014", "split": split, "sentences": [{"raw": f"A {n}"}]}
        for n, (name, split) in enumerate(
            zip(numbered(4), ("train", "restval", "val", "test"), strict=True)
        )
    ]
    (tmp_path / "dataset_flickr8k.json").write_text(json.dumps({"images": images}))
    (tmp_path / "captions.txt").write_text("image,caption\n")
    found = read_photos(tmp_path)
    assert told(found, "train") == {"000.png": ["A 0"], "001.png": ["A 1"]}
    assert told(found, "val") == {"002.png": ["A 2"]} and told(found, "test") == {
        "003.png": ["A 3"]
    }
    assert found.notes[0] == "captions of dataset_flickr8k.json"


def csv_of(folder, names, text="A dog"):
    lines = [f"{name},{text}" for name in names]
    (folder / "captions.txt").write_text("\n".join(["image,caption", *lines]))
    return folder


def test_without_lists_the_last_ninth_by_name_is_the_test(tmp_path):
    csv_of(photos(tmp_path, *numbered(90)), numbered(90)[::-1])
    found = read_photos(tmp_path)
    assert [photo.name for photo in found.splits["train"]] == numbered(90)[:80]
    assert [photo.name for photo in found.splits["test"]] == numbered(90)[80:]
    train, val = hold_out(found.splits["train"])
    assert [photo.name for photo in val] == numbered(80)[75:] and len(train) == 75


def test_captions_of_missing_photos_are_named_and_above_one_in_a_hundred_refused(tmp_path):
    csv_of(photos(tmp_path, *numbered(198)), numbered(200))
    found = read_photos(tmp_path)
    assert (
        "2 of 200 photos with captions are missing; their captions are left out (198.png, 199.png)"
        in found.notes
    )
    os.remove(tmp_path / "197.png")
    with pytest.raises(UserError, match=r"3 of 200 .*\(197.png, 198.png, 199.png\), more than 1%"):
        read_photos(tmp_path)


def test_photos_without_captions_and_empty_captions_are_left_out_and_said(tmp_path):
    photos(tmp_path, *numbered(5), "._000.png")
    (tmp_path / "captions.txt").write_text(
        "image,caption\n000.png,A dog\n000.png,\n001.png, . \n002.png,A cat\n"
    )
    found = read_photos(tmp_path)
    assert list(told(found, "train")) == ["000.png", "002.png"]
    assert "photos without captions, left out: 3 (001.png, 003.png, 004.png)" in found.notes
    assert "empty captions, left out: 2" in found.notes


def test_a_photo_in_two_splits_is_refused(tmp_path):
    csv_of(photos(tmp_path, *numbered(3)), numbered(3))
    (tmp_path / "train.txt").write_text("000\n001\n")
    (tmp_path / "test.txt").write_text("001.png\n")
    with pytest.raises(UserError, match=r"001\.png is in test and in train; leave it in one"):
        read_photos(tmp_path)
    (tmp_path / "test.txt").write_text("002.png\n")
    assert list(told(read_photos(tmp_path), "test")) == ["002.png"]


def test_photos_in_no_list_and_photos_that_lie_there_twice_are_said(tmp_path):
    csv_of(photos(tmp_path / "a", *numbered(3)).parent, numbered(3))
    photos(tmp_path / "b", "000.png")
    (tmp_path / "train.txt").write_text("000.png\n001.png\n")
    found = read_photos(tmp_path)
    assert "photos that lie there twice, the first by path read: 1 (000.png)" in found.notes
    assert "photos with captions in no split, left out: 1" in found.notes
    assert found.splits["train"][0].path.parent.name == "a"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("captions.txt", "image,caption\nno comma\n", "line 2: 'no comma' is not a photo's name"),
        ("Flickr8k.token.txt", "a.png A dog\n", "line 1: 'a.png A dog' is not a photo's name, #"),
        ("results.csv", "image,caption\n", "line 1: 'image,caption' is not a photo's name"),
        ("results.csv", "image_name| n| c\nx\n", "line 2: 'x' is not a photo's name, a number"),
        ("captions.txt", b"image,caption\na.png,caf\xe9\n", "line 2: byte 0xe9 is no UTF-8"),
        ("captions_val2017.json", "{", "is no JSON"),
        ("captions_val2017.json", "[" * 100_000, "is no JSON"),
        ("captions_val2017.json", "[]", "has not what COCO's captions have"),
        ("captions_val2017.json", '{"images": [], "annotations": [{}]}', "KeyError: 'image_id'"),
        ("captions_other.json", coco({"a.png": ["x"]}), "has the split 'other'; expected train"),
        ("dataset_coco.json", '{"images": [{"split": "x"}]}', "has the split 'x'; expected train"),
        ("captions_val2017.json", coco({"a.png": [None]}), "caption is 'None', no text"),
        ("dataset_coco.json", "{}", "has not what Karpathy's splits have"),
        ("captions.txt", "image,caption\n", "holds no photo that has a caption in captions.txt"),
        ("words.txt", "", r"holds a.png, words.txt; expected captions.txt \(image,caption\)"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, name, text, message):
    photos(tmp_path, "a.png")
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=message):
        read_photos(tmp_path)


def test_two_files_of_one_kind_are_refused(tmp_path):
    photos(tmp_path, "a.png")
    for name in ("dataset_flickr8k.json", "dataset_coco.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(UserError, match="each with captions; leave one of them"):
        read_photos(tmp_path)
    with pytest.raises(UserError, match="is not a folder"):
        read_photos(tmp_path / "a.png")


def test_names_that_lead_out_of_the_folder_do_not(tmp_path):
    photos(tmp_path, "secret.png")
    inside = photos(tmp_path / "set", "a.png")
    (inside / "captions.txt").write_text("image,caption\n../secret.png,A dog\nx/a.png,A cat\n")
    found = read_photos(inside)
    assert list({**told(found, "train"), **told(found, "test")}) == ["a.png"]


@pytest.mark.parametrize("most_bytes", [1e9, 10.0])
def test_photos_are_read_into_memory_or_when_asked_for_and_broken_ones_are_named(
    tmp_path, most_bytes
):
    photos(tmp_path, *numbered(3))
    (tmp_path / "001.png").write_bytes(b"no picture")
    paths = [tmp_path / name for name in numbered(3)]
    column, skipped, note = read_files(
        paths, "the photos", size_px=4, channels=3, most_bytes=most_bytes
    )
    assert list(skipped) == [1] and "001.png: is not a PNG" in skipped[1]
    assert bool(note) == (most_bytes == 10.0)
    got = column.batch("picture", torch.tensor([1, 0]))
    assert got["picture"][:, 0, 0, 0].tolist() == [2, 0] and len(column) == 2
    (tmp_path / "000.png").write_bytes(b"")
    with pytest.raises(UserError, match="2 of 3 pictures of the photos cannot be read"):
        read_files(paths, "the photos", size_px=4, channels=3, most_bytes=most_bytes)
