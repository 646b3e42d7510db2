"""Readers of label pictures on hand-made files in the original formats; what is wrong is named."""

import numpy as np
import pytest
from PIL import Image

from backbones.training.errors import UserError
from tasks.data.formats.class_maps import CAMVID, CITYSCAPES, CITYSCAPES_TRAIN, UNKNOWN, VOC, VOID
from tasks.data.formats.masks import read_labels, read_masks, read_pair, splits_of_masks


def save(path, pixels, palette=None):
    """Write a picture; its folders too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(pixels, np.uint8))
    if palette:
        image.putpalette(np.asarray(palette, np.uint8).tobytes())
    image.save(path)


def camvid(root, names=("a", "b"), split="train", size=(6, 8)):
    """CamVid as packed for SegNet, without lists."""
    for n, name in enumerate(names):
        save(root / split / f"{name}.png", np.full((*size, 3), n))
        save(root / f"{split}annot" / f"{name}.png", np.full(size, n))
    return root


def test_camvid_is_read_by_its_list_whatever_stands_before_the_paths(tmp_path):
    camvid(tmp_path, "abc")
    line = "/SegNet/CamVid/train/{0}.png /SegNet/CamVid/trainannot/{0}.png"
    (tmp_path / "train.txt").write_text("\n".join(line.format(name) for name in "cb") + "\n\n")
    found = read_masks(tmp_path, "train")
    assert [(a.name, b.parent.name) for a, b in found.pairs] == [
        ("c.png", "trainannot"),
        ("b.png", "trainannot"),
    ]
    assert found.class_map is CAMVID and splits_of_masks(tmp_path) == ("train",)


def test_camvid_takes_a_list_of_names_and_without_any_list_what_is_there(tmp_path):
    camvid(tmp_path, "abc")
    assert len(read_masks(tmp_path, "train")) == 3
    (tmp_path / "train.subset.txt").write_text("b.png\n")
    assert [a.name for a, _ in read_masks(tmp_path, "train").pairs] == ["b.png"]


def test_eleven_is_void_in_camvid_and_classes_keep_their_numbers(tmp_path):
    save(tmp_path / "a.png", [[0, 10], [11, 3]])
    assert read_labels(tmp_path / "a.png", CAMVID).tolist() == [[0, 10], [VOID, 3]]


def test_cityscapes_ids_become_train_ids(tmp_path):
    for place, name, pixels in (
        ("leftImg8bit", "leftImg8bit", np.zeros((2, 3, 3))),
        ("gtFine", "gtFine_labelIds", [[7, 33, 0], [26, 5, 11]]),
    ):
        save(tmp_path / place / "train" / "ulm" / f"ulm_1_2_{name}.png", pixels)
    found = read_masks(tmp_path, "train")
    assert found.class_map is CITYSCAPES
    _, label = read_pair(found.pairs[0], found.class_map)
    assert label.tolist() == [[0, 18, VOID], [13, VOID, 2]]
    ready = tmp_path / "gtFine" / "train" / "ulm" / "ulm_1_2_gtFine_labelTrainIds.png"
    save(ready, [[0, 18, 255], [13, 255, 2]])
    found = read_masks(tmp_path, "train")
    assert found.class_map is CITYSCAPES_TRAIN
    assert read_pair(found.pairs[0], found.class_map)[1].tolist() == label.tolist()


def test_voc_has_a_palette_lists_and_a_border_that_is_void(tmp_path):
    root = tmp_path / "VOCdevkit" / "VOC2012"
    save(root / "JPEGImages" / "2007_1.jpg", np.zeros((2, 3, 3)))
    colours = [*VOC.palette, *[(0, 0, 0)] * (256 - len(VOC.palette))]
    save(root / "SegmentationClass" / "2007_1.png", [[0, 15, 255], [20, 1, 0]], colours)
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    (root / "ImageSets" / "Segmentation" / "val.txt").write_text("2007_1\n")
    assert splits_of_masks(tmp_path) == ("val",)
    found = read_masks(tmp_path, "val")
    _, label = read_pair(found.pairs[0], found.class_map)
    assert label.tolist() == [[0, 15, VOID], [20, 1, 0]]


def test_the_colours_of_voc_are_those_that_everybody_knows():
    assert VOC.palette[:4] == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert VOC.palette[15] == (192, 128, 128) and VOC.palette[20] == (0, 64, 128)


@pytest.mark.parametrize("class_map", [CAMVID, CITYSCAPES, CITYSCAPES_TRAIN, VOC])
def test_every_class_has_a_colour_and_one_number(class_map):
    assert len(class_map.classes) == len(class_map.palette) == len(set(class_map.ids))
    kinds = class_map.table
    assert (kinds < UNKNOWN).sum() == len(class_map.classes)


def test_missing_files_are_counted_and_named_and_above_one_in_a_hundred_stop(tmp_path):
    names = [f"{n:03}" for n in range(200)]
    camvid(tmp_path, names)
    (tmp_path / "train.txt").write_text("\n".join(f"{name}.png" for name in [*names, "gone"]))
    found = read_masks(tmp_path, "train")
    (note,) = found.notes
    assert len(found) == 200 and "1 of 201 pictures are missing (train/gone.png, " in note
    (tmp_path / "train" / "000.png").unlink()
    (tmp_path / "trainannot" / "001.png").unlink()
    with pytest.raises(UserError, match=r"3 of 201 pictures are missing \(train/000.png, train"):
        read_masks(tmp_path, "train")


def test_labels_of_another_size_than_their_picture_are_refused(tmp_path):
    camvid(tmp_path)
    save(tmp_path / "trainannot" / "a.png", np.zeros((6, 9)))
    found = read_masks(tmp_path, "train")
    with pytest.raises(UserError, match=r"a.png has 9 x 6 pixels and its picture 8 x 6"):
        read_pair(found.pairs[0], found.class_map)


def test_unknown_numbers_are_named(tmp_path):
    save(tmp_path / "a.png", [[0, 12], [200, 11]])
    with pytest.raises(UserError, match="the numbers 12, 200, and camvid's labels are 0 to 11"):
        read_labels(tmp_path / "a.png", CAMVID)


def test_a_label_picture_in_colour_is_refused(tmp_path):
    save(tmp_path / "a.png", np.zeros((2, 2, 3)))
    with pytest.raises(UserError, match=r"a picture in colour \(RGB\); expected one number"):
        read_labels(tmp_path / "a.png", CAMVID)


def test_labels_are_not_read_from_a_jpeg_nor_from_damage(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "a.jpg")
    with pytest.raises(UserError, match="read from PNG files only"):
        read_labels(tmp_path / "a.jpg", CAMVID)
    save(tmp_path / "b.png", np.random.default_rng(0).integers(0, 11, (64, 64)))
    data = (tmp_path / "b.png").read_bytes()
    (tmp_path / "b.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=r"b.png is damaged"):
        read_labels(tmp_path / "b.png", CAMVID)


@pytest.mark.parametrize(
    ("line", "reason"),
    [("a.png b.png c.png", "is not a picture and its labels"), ("../x/a.png", "no path below")],
)
def test_lines_that_are_no_pictures_are_refused(tmp_path, line, reason):
    camvid(tmp_path)
    (tmp_path / "train.txt").write_text(line)
    with pytest.raises(UserError, match=reason):
        read_masks(tmp_path, "train")


def test_a_folder_with_something_else_says_what_was_expected(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match=r"holds notes.txt; expected train/ and trainannot/"):
        read_masks(tmp_path, "train")
    camvid(tmp_path)
    with pytest.raises(UserError, match="no labelled test split; it has train"):
        read_masks(tmp_path, "test")
