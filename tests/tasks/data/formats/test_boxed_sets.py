"""Boxes as COCO, VOC, Penn-Fudan and YOLO write them, on files made by hand; and wrong ones."""

import json

import numpy as np
import pytest
from PIL import Image

from backbones.training.errors import UserError
from tasks.data.formats.boxed_sets import read_boxed
from tasks.data.formats.rle import mask_of, runs_in, runs_of, string_of


def photo(path, width=40, height=30):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), "grey").save(path)


def image(number, name):
    return {"id": number, "file_name": name, "width": 40, "height": 30}


def note(number, image_id, box, category=7, **more):
    return {"id": number, "image_id": image_id, "category_id": category, "bbox": box, **more}


def coco(folder, annotations, images=None, split="train", categories=((7, "cat"), (90, "dog"))):
    """Write two photos and a file of boxes."""
    images = images or [image(3, "a.jpg"), image(5, "b.jpg")]
    for each in images:
        photo(folder / split / each["file_name"])
    kinds = [{"id": n, "name": name} for n, name in categories]
    found = {"images": images, "annotations": annotations, "categories": kinds}
    (folder / f"instances_{split}.json").write_text(json.dumps(found))
    return folder


def every(found):
    """Return all photos of a set by name."""
    return {p.path.name: p for photos in found.splits.values() for p in photos}


def test_coco_s_ids_need_not_follow_each_other_and_crowds_are_told(tmp_path):
    boxes = [
        note(1, 5, [1, 2, 10, 20], 90),
        note(2, 3, [0, 0, 40, 30], 7, iscrowd=1),
        note(3, 5, [5.5, 2, 4, 4], 7),
    ]
    found = read_boxed(coco(tmp_path, boxes), masks=False)
    assert found.classes == ("cat", "dog") and found.numbers == (7, 90)
    photos = every(found)
    assert photos["b.jpg"].boxes.tolist() == [[1, 2, 11, 22], [5.5, 2, 9.5, 6]]
    assert photos["b.jpg"].label.tolist() == [2, 1] and not photos["b.jpg"].crowd.any()
    assert photos["a.jpg"].crowd.tolist() == [True] and photos["a.jpg"].size == (30, 40)


def test_masks_come_from_polygons_and_from_both_kinds_of_run_lengths(tmp_path):
    mask = np.zeros((30, 40), bool)
    mask[5:10, 8:20] = True
    mask[20:25, 8:12] = True  # a second piece of the same object
    runs = runs_of(mask)
    pieces = [[8, 5, 20, 5, 20, 10, 8, 10], [8, 20, 12, 20, 12, 25, 8, 25]]
    boxes = [
        note(n, 3, [8, 5, 12, 20], segmentation=drawn)
        for n, drawn in enumerate(
            (
                pieces,
                {"size": [30, 40], "counts": runs.tolist()},
                {"size": [30, 40], "counts": string_of(runs)},
            )
        )
    ]
    one = every(read_boxed(coco(tmp_path, boxes), masks=True))["a.jpg"]
    assert one.masks is not None and len(one.masks) == 3
    assert all((mask_of(runs_in(text), 30, 40) == mask).all() for text in one.masks)


@pytest.mark.parametrize(
    ("annotation", "masks", "words"),
    [
        (note(9, 3, [1, 2, 3, 4], 8), False, "annotation 9 of a.jpg has the category 8"),
        (note(9, 3, [1, 2, 3]), False, r"annotation 9 of a.jpg has the box \[1, 2, 3\]"),
        (note(9, 3, [1, 2, 3, float("nan")]), False, "has the box"),
        (note(9, 4, [1, 2, 3, 4]), False, "has not what COCO's files have"),
        (note(9, 3, [1, 2, 3, 4]), True, "annotation 9 of a.jpg: it has no mask"),
        (
            note(9, 3, [1, 2, 3, 4], segmentation={"size": [40, 30], "counts": [1200]}),
            True,
            "annotation 9 of a.jpg: its mask is of 30 x 40, the photo of 40 x 30",
        ),
        (
            note(9, 3, [1, 2, 3, 4], segmentation={"size": [30, 40], "counts": [7]}),
            True,
            "its runs are 7 pixels together",
        ),
        (note(9, 3, [1, 2, 3, 4], segmentation=[[1, 2, 3, 4]]), True, "is no polygon"),
    ],
)
def test_a_wrong_annotation_is_named_in_one_line(tmp_path, annotation, masks, words):
    with pytest.raises(UserError, match=words) as caught:
        read_boxed(coco(tmp_path, [annotation]), masks=masks)
    assert "\n" not in str(caught.value)


def test_a_file_that_was_cut_short_is_one_line(tmp_path):
    path = coco(tmp_path, [note(1, 3, [1, 2, 3, 4])]) / "instances_train.json"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(UserError, match=r"instances_train.json is no JSON \("):
        read_boxed(tmp_path, masks=False)


def test_boxes_that_cannot_be_are_put_right_or_left_out_and_counted(tmp_path):
    boxes = [
        note(1, 3, [10, 10, -4, 6]),  # corners swapped
        note(2, 3, [35, 20, 10, 5]),  # reaches outside
        note(3, 3, [3, 3, 0, 9]),  # no area
        note(4, 3, [50, 50, 5, 5]),  # outside
        note(5, 3, [1, 1, 2, 2]),
    ]
    found = read_boxed(coco(tmp_path, boxes), masks=False)
    assert every(found)["a.jpg"].boxes.tolist() == [[6, 10, 10, 16], [35, 20, 40, 25], [1, 1, 3, 3]]
    text = "\n".join(found.notes)
    assert "boxes with corners swapped, put right: 1" in text
    assert "boxes that reached outside, cut off: 1" in text
    assert "boxes of no area inside their photo, left out: 2" in text


def test_of_more_than_a_thousand_objects_the_largest_stay(tmp_path):
    boxes = [note(n, 3, [1, 1, 1 + n / 100, 5]) for n in range(1_003)]
    found = read_boxed(coco(tmp_path, boxes), masks=False)
    assert len(every(found)["a.jpg"].label) == 1_000
    assert every(found)["a.jpg"].boxes[0].tolist() == pytest.approx([1, 1, 2.03, 6])
    assert any("beyond the 1,000 largest of a photo, left out: 3" in said for said in found.notes)


def test_missing_photos_are_counted_and_named_and_too_many_stop(tmp_path):
    images = [image(n, f"{n:03}.jpg") for n in range(150)]
    coco(tmp_path, [note(n, n, [1, 1, 5, 5]) for n in range(150)], images)
    (tmp_path / "train" / "007.jpg").unlink()
    found = read_boxed(tmp_path, masks=False)
    assert any(
        "1 of 150 photos with boxes are missing" in n and "007.jpg" in n for n in found.notes
    )
    for n in range(10, 15):
        (tmp_path / "train" / f"{n:03}.jpg").unlink()
    with pytest.raises(UserError, match=r"6 of 150 photos with boxes are missing \(007.jpg, 010"):
        read_boxed(tmp_path, masks=False)


def test_photos_of_one_name_are_told_apart_by_their_split(tmp_path):
    for split in ("train", "val"):
        coco(tmp_path, [note(1, 3, [1, 2, 3, 4])], [image(3, "1.jpg")], split)
    found = read_boxed(tmp_path, masks=False)
    assert found.splits["train"][0].path.parent.name == "train"
    assert found.splits["test"][0].path.parent.name == "val"
    assert "there is no test split: val is the test" in found.notes


def voc(folder, count=4):
    objects = (
        "<object><name>{}</name><difficult>{}</difficult><bndbox><xmin>1</xmin><ymin>2</ymin>"
        "<xmax>{}</xmax><ymax>12</ymax></bndbox></object>"
    )
    for n in range(count):
        photo(folder / "JPEGImages" / f"{n}.jpg")
        inside = objects.format("cat", 0, 10) + objects.format("dog", 1, 20)
        (folder / "Annotations").mkdir(exist_ok=True)
        (folder / "Annotations" / f"{n}.xml").write_text(
            f"<annotation><filename>{n}.jpg</filename><size><width>40</width><height>30</height>"
            f"<depth>3</depth></size>{inside}</annotation>"
        )
    lists = folder / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("0\n1\n")
    (lists / "val.txt").write_text("2\n")
    return folder


def test_voc_counts_pixels_from_one_and_keeps_the_last(tmp_path):
    found = read_boxed(voc(tmp_path), masks=False)
    assert found.classes == ("cat", "dog")
    assert [len(found.splits[s]) for s in ("train", "val", "test")] == [2, 0, 1]
    one = found.splits["train"][0]
    assert one.boxes.tolist() == [[0, 1, 10, 12], [0, 1, 20, 12]]
    assert one.crowd.tolist() == [False, True]  # difficult: neither learnt nor scored
    assert "photos in no list, left out: 1" in found.notes


def test_voc_s_masks_are_numbers_of_objects_in_a_palette(tmp_path):
    folder = voc(tmp_path)
    (folder / "SegmentationObject").mkdir()
    for n in range(3):
        numbers = np.zeros((30, 40), np.uint8)
        numbers[2:12, 0:10], numbers[12:14] = 1, 255  # the border belongs to nobody
        drawn = Image.fromarray(numbers, "L").convert("P")
        drawn.putdata(numbers.ravel().tolist())
        drawn.save(folder / "SegmentationObject" / f"{n}.png")
    found = read_boxed(folder, masks=True)
    one = found.splits["train"][0]
    assert one.masks is not None
    cat, dog = (mask_of(runs_in(text), 30, 40) for text in one.masks)
    assert cat.sum() == 100 and cat[2:12, :10].all() and not dog.any()
    Image.new("P", (30, 40)).save(folder / "SegmentationObject" / "1.png")
    with pytest.raises(UserError, match=r"1.png is of 30 x 40, its photo of 40 x 30"):
        read_boxed(folder, masks=True)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("</annotation>", "", "is no whole XML file"),
        ("<xmin>1</xmin>", "<xmin>one</xmin>", "<xmin>one</xmin>; expected a number"),
        ("<width>40</width>", "", "without <width>"),
        ("<annotation>", "<!DOCTYPE a [<!ENTITY b 'c'>]><annotation>", "entities of its own"),
    ],
)
def test_wrong_xml_is_one_line(tmp_path, old, new, words):
    path = voc(tmp_path) / "Annotations" / "1.xml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UserError, match=words) as caught:
        read_boxed(tmp_path, masks=False)
    assert "1.xml" in str(caught.value) and "\n" not in str(caught.value)


def test_penn_fudan_s_boxes_are_those_of_its_masks(tmp_path):
    (tmp_path / "PedMasks").mkdir()
    for n in range(3):
        photo(tmp_path / "PNGImages" / f"FudanPed0000{n}.png")
        numbers = np.zeros((30, 40), np.uint8)
        numbers[3:20, 5:9], numbers[10:30, 30:40] = 1, 2
        Image.fromarray(numbers).save(tmp_path / "PedMasks" / f"FudanPed0000{n}_mask.png")
    found = read_boxed(tmp_path, masks=True)
    assert found.classes == ("person",) and len(found.splits["test"]) == 1
    assert found.splits["train"][0].boxes.tolist() == [[5, 3, 9, 20], [30, 10, 40, 30]]


def test_yolo_s_lengths_are_shares_and_its_polygons_masks(tmp_path):
    for n in range(3):
        photo(tmp_path / "images" / "train2017" / f"{n}.jpg")
        for kind, line in (
            ("boxes", "1 0.5 0.5 0.25 0.2\n"),
            ("masks", "1 0.25 0.5 0.5 0.5 0.5 1 0.25 1"),
        ):
            folder = tmp_path / kind / "labels" / "train2017"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{n}.txt").write_text(line)
            (tmp_path / kind / "data.yaml").write_text("path: .\nnames:\n  0: cat\n  1: 'dog'\n")
    plain = read_boxed(tmp_path, masks=False)
    assert plain.classes == ("cat", "dog") and plain.splits["train"][0].label.tolist() == [2]
    assert plain.splits["train"][0].boxes.tolist() == [[15, 12, 25, 18]]
    drawn = read_boxed(tmp_path, masks=True).splits["train"][0]
    assert drawn.boxes.tolist() == [[10, 15, 20, 30]] and drawn.masks is not None
    assert mask_of(runs_in(drawn.masks[0]), 30, 40)[15:30, 10:20].all()


def test_yolo_s_folders_by_split_numbers_with_gaps_and_photos_without_a_file(tmp_path):
    for split in ("train", "valid"):
        for n in range(3):
            photo(tmp_path / split / "images" / f"{n}.jpg")
        labels = tmp_path / split / "labels"
        labels.mkdir()
        for n in (0, 1, 9):  # the third photo has none, one file has no photo
            (labels / f"{n}.txt").write_text("7 0.5 0.5 0.25 0.2\n" if n else "")
    (tmp_path / "data.yaml").write_text("names:\n  3: cat\n  7: dog\nother: x\n")
    found = read_boxed(tmp_path, masks=False)
    assert found.classes == ("cat", "dog") and found.numbers == (3, 7)
    assert [len(p.label) for p in found.splits["train"]] == [0, 1, 0]
    assert found.splits["train"][1].label.tolist() == [2]
    assert len(found.splits["test"]) == 3
    assert sum("1 of its files belong to no photo, passed over (9)" in n for n in found.notes) == 2


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("cat 0.5 0.5 0.1 0.1", "is no class with a middle and a size"),
        ("0 0.5 0.5 0.1", "is no class with a middle and a size"),
        ("0 0.5 nan 0.1 0.1", "is no class with a middle and a size"),
        ("5 0.5 0.5 0.1 0.1", "line 2 has the class 5; the .yaml file names 0, 1, ..."),
    ],
)
def test_a_wrong_line_of_yolo_s_is_named(tmp_path, line, words):
    photo(tmp_path / "images" / "0.jpg")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "0.txt").write_text(f"0 0.5 0.5 0.1 0.1\n{line}\n")
    (tmp_path / "data.yaml").write_text("names: [cat, dog]\n")
    with pytest.raises(UserError, match=words):
        read_boxed(tmp_path, masks=False)


def test_a_folder_without_boxes_says_what_was_looked_for(tmp_path):
    (tmp_path / "readme.md").write_text("x")
    with pytest.raises(UserError, match=r"holds readme.md; expected instances_train.json \(COCO\)"):
        read_boxed(tmp_path, masks=False)
