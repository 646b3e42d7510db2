"""Readers of questions, on hand-made files in the field's formats, and what they refuse."""

import json

import numpy as np
import pytest
from PIL import Image

from backbones.training.errors import UserError
from tasks.data.formats.questions.sets import read_questions


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(path)


def write(path, found):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found))
    return path


def easy(folder):
    for split in ("train", "test"):
        for n in range(3):
            picture(folder / split / "images" / f"{n}.png")
        rows = [
            [f"is there a  circle in {split}?", "yes", 0],
            ["what shape is it?", "circle", 0],
            ["what color is it?", "red", 2],
        ]
        write(folder / split / "questions.json", rows)
    (folder / "answers.txt").write_text("yes\n")
    return folder


def clevr(folder):
    for split, count in {"train": 2, "val": 1}.items():
        rows = []
        for n in range(count):
            name = f"CLEVR_{split}_{n:06}.png"
            picture(folder / "images" / split / name)
            program = [{"function": "scene"}, {"function": "query_color"}]
            rows.append(
                {"image_filename": name, "question": "What color is it?", "answer": "red"}
                | {"program": program, "split": split}
            )
        write(folder / "questions" / f"CLEVR_{split}_questions.json", {"questions": rows})
    tests = [{"image_filename": "CLEVR_test_000000.png", "question": "How many cubes?"}]
    write(folder / "questions" / "CLEVR_test_questions.json", {"questions": tests})
    return folder


def vqa(folder, split="train2014", numbers=(9, 25)):
    questions, annotations = [], []
    for number in numbers:
        picture(folder / split / f"COCO_{split}_{number:012}.jpg")
        for k in range(2):
            same = {"image_id": number, "question_id": number * 10 + k}
            questions.append({**same, "question": f"Question {k}?"})
            said = [{"answer": "yes", "answer_id": n} for n in range(8)]
            said += [{"answer": "no", "answer_id": 9 + n} for n in range(2)]
            annotations.append({**same, "answers": said, "answer_type": "yes/no"})
    name = f"v2_OpenEnded_mscoco_{split}_questions.json"
    write(folder / name, {"questions": questions, "data_subtype": split})
    write(folder / f"v2_mscoco_{split}_annotations.json", {"annotations": annotations})
    return folder


def change(path, edit):
    found = json.loads(path.read_text())
    edit(found)
    write(path, found)


def test_easy_vqa_has_pictures_of_one_name_in_both_splits(tmp_path):
    found = read_questions(easy(tmp_path))
    assert {s: len(p) for s, p in found.splits.items()} == {"train": 2, "val": 0, "test": 2}
    first, second = found.splits["test"]
    assert first.path == tmp_path / "test" / "images" / "0.png" and second.name == "2.png"
    assert [(one.question, one.answers, one.kind) for one in first.asked] == [
        ("is there a circle in test?", ("yes",), "yes/no"),
        ("what shape is it?", ("circle",), "what shape"),
    ]
    assert second.asked[0].kind == "what color" and second.asked[0].thing == -1


def test_clevr_has_kinds_in_its_programs_and_a_test_without_answers(tmp_path):
    found = read_questions(clevr(tmp_path))
    assert [len(found.splits[split]) for split in ("train", "val", "test")] == [2, 0, 1]
    assert found.splits["test"][0].name == "CLEVR_val_000000.png"
    assert found.splits["train"][0].asked[0].kind == "query_color"
    notes = " | ".join(found.notes)
    assert "CLEVR_test_questions.json has no answers" in notes and "val is the test" in notes


def test_vqa_joins_two_files_by_their_numbers(tmp_path):
    vqa(tmp_path)
    found = read_questions(vqa(tmp_path, "val2014", numbers=(7,)))
    assert [len(found.splits[split]) for split in ("train", "val", "test")] == [2, 0, 1]
    photo = found.splits["train"][1]
    assert photo.path == tmp_path / "train2014" / "COCO_train2014_000000000025.jpg"
    assert [one.question for one in photo.asked] == ["Question 0?", "Question 1?"]
    assert photo.asked[0].answers == ("yes",) * 8 + ("no",) * 2
    assert photo.asked[0].kind == "yes/no"


def test_questions_whose_annotations_are_not_there_are_left_out_and_said(tmp_path):
    vqa(tmp_path)
    vqa(tmp_path, "test2015", numbers=(3,))
    (tmp_path / "v2_mscoco_test2015_annotations.json").unlink()
    found = read_questions(tmp_path)
    assert [len(found.splits[split]) for split in ("train", "val", "test")] == [2, 0, 0]
    assert "v2_mscoco_test2015_annotations.json is not there" in " ".join(found.notes)


QUESTIONS = "v2_OpenEnded_mscoco_train2014_questions.json"
ANNOTATIONS = "v2_mscoco_train2014_annotations.json"


@pytest.mark.parametrize(
    ("file", "edit", "said"),
    [
        (QUESTIONS, lambda f: f["questions"].append(f["questions"][0]), "has question 90 twice"),
        (ANNOTATIONS, lambda f: f["annotations"].append(f["annotations"][0]), "90 twice"),
        (QUESTIONS, lambda f: f["questions"].pop(), r"do not belong together: 1 questions .*251"),
        (ANNOTATIONS, lambda f: f["annotations"].pop(), "do not belong together"),
        (ANNOTATIONS, lambda f: f["annotations"][0].update(image_id=8), "speaks of picture 8"),
        (QUESTIONS, lambda f: f["questions"][0].pop("image_id"), "KeyError.*image_id"),
        (QUESTIONS, lambda f: f["questions"][0].update(question=5), "question is '5', no text"),
        (ANNOTATIONS, lambda f: f.pop("annotations"), "KeyError"),
    ],
)
def test_files_of_vqa_that_do_not_belong_together_are_refused(tmp_path, file, edit, said):
    change(vqa(tmp_path) / file, edit)
    with pytest.raises(UserError, match=said):
        read_questions(tmp_path)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([["a?", "yes", 0], ["b?", "no"]], "row 2"),
        ([["a?", "yes", True]], "row 1"),
        ([[None, "yes", 0]], "row 1"),
        ([["a?", "yes", 8], ["b?", "yes", 9], ["c?", "yes", 0]], "2 of 3 photos with questions"),
        ([], "no train photos|no answers"),
    ],
)
def test_rows_that_are_none_and_photos_that_are_missing_are_said(tmp_path, rows, said):
    write(easy(tmp_path) / "train" / "questions.json", rows)
    if rows:
        with pytest.raises(UserError, match=said):
            read_questions(tmp_path)
    else:
        found = read_questions(tmp_path)
        assert not found.splits["train"] and "has no answers" in " ".join(found.notes)


def test_a_photo_of_which_nothing_is_asked_is_left_out(tmp_path):
    write(easy(tmp_path) / "train" / "questions.json", [["", "yes", 0], ["is it?", "no", 1]])
    found = read_questions(tmp_path)
    assert [photo.name for photo in found.splits["train"]] == ["1.png"]
    assert "nothing is asked, left out: 1" in " ".join(found.notes)


def test_two_files_of_one_split_two_pictures_of_one_number_and_no_files_are_refused(tmp_path):
    vqa(tmp_path / "a")
    vqa(tmp_path / "a", "training2017", numbers=(77,))
    with pytest.raises(UserError, match=r"has train questions in .* leave one"):
        read_questions(tmp_path / "a")
    vqa(tmp_path / "b")
    picture(tmp_path / "b" / "other" / "photo9.jpg")
    with pytest.raises(UserError, match="have one number"):
        read_questions(tmp_path / "b")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "notes.txt").write_text("x")
    with pytest.raises(UserError, match=r"holds notes\.txt; expected train/questions.json"):
        read_questions(tmp_path / "c")
    with pytest.raises(UserError, match="is not a folder"):
        read_questions(tmp_path / "d")
    write(tmp_path / "e" / "questions.json", [["a?", "yes", 0]])
    with pytest.raises(UserError, match="says train, val or test"):
        read_questions(tmp_path / "e")
    (tmp_path / "e" / "train_questions.json").write_text("[[")
    (tmp_path / "e" / "questions.json").unlink()
    with pytest.raises(UserError, match="is no JSON"):
        read_questions(tmp_path / "e")
