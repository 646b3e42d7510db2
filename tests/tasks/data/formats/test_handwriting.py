"""Handwriting in its owners' formats: IAM-OnDB by hand, JSON of points, stroke-3; what is wrong."""

import json
import zipfile

import numpy as np
import pytest

from backbones.training.errors import UserError
from tasks.data.formats.handwriting import read_handwriting, strokes_of_file

XML = """<?xml version="1.0"?><WhiteboardCaptureSession><StrokeSet>
<Stroke colour="black" start_time="1.5" end_time="2"><Point x="10" y="-5" time="1"/>
<Point x="12.5" y="7" time="2"/></Stroke>
<Stroke colour="black"><Point time="3" y="1" x="30"/></Stroke></StrokeSet>
</WhiteboardCaptureSession>"""


def row(text="ab", points=((0, 0, 1), (1, 2, 0), (3, 3, 0)), ratio=2):
    return {"metadata": {"asciiSequence": text, "aspectRatio": ratio}, "points": points}


def iam(folder, forms=("a01-000u", "b02-000z"), lines=2):
    for form in forms:
        for kind in ("lineStrokes", "ascii"):
            (folder / kind / form[:3] / form[:7]).mkdir(parents=True, exist_ok=True)
        text = "OCR:\n\nwrong\n\nCSR:\n\n" + "".join(f"{form} {n}\n" for n in range(1, lines + 1))
        (folder / "ascii" / form[:3] / form[:7] / f"{form}.txt").write_text(text)
        for n in range(1, lines + 1):
            name = f"{form}-{n:02}.xml"
            (folder / "lineStrokes" / form[:3] / form[:7] / name).write_text(XML)
    return folder


def test_iam_s_lines_have_the_text_below_csr(tmp_path):
    (tmp_path / "trainset.txt").write_text(" a01-000u \n")
    (tmp_path / "testset_f.txt").write_text("b02-000z\n")
    lines = read_handwriting(iam(tmp_path), "train")
    assert [line.text for line in lines] == ["a01-000u 1", "a01-000u 2"]
    first, second = lines[0].strokes
    assert first.tolist() == [[10, -5], [12.5, 7]] and second.tolist() == [[30, 1]]
    assert read_handwriting(tmp_path, "test")[0].text == "b02-000z 1"
    with pytest.raises(UserError, match=r"has lists of splits, but none of testset_v\.txt"):
        read_handwriting(tmp_path, "val")


def test_iam_without_lists_is_parted_and_lines_without_text_are_counted(tmp_path):
    forms = [f"a{n:02}-000" for n in range(13)]
    iam(tmp_path, forms)
    sizes = {split: len(read_handwriting(tmp_path, split)) for split in ("train", "val", "test")}
    assert sizes == {"train": 20, "val": 1, "test": 5}
    (tmp_path / "ascii" / "a00" / "a00-000" / "a00-000.txt").unlink()
    with pytest.raises(UserError, match=r"2 of 26 lines have no text.*a00-000-01.xml"):
        read_handwriting(tmp_path, "train")


def test_json_is_read_by_itself_and_in_a_zip(tmp_path):
    rows = [row(text=f"line {n}") for n in range(25)]
    (tmp_path / "set.json").write_text(json.dumps(rows))
    test = read_handwriting(tmp_path, "test")
    assert [line.text for line in test] == [f"line {n}" for n in (4, 9, 14, 19, 24)]
    assert [line.text for line in read_handwriting(tmp_path / "set.json", "val")] == ["line 23"]
    first, second = test[0].strokes
    assert first.tolist() == [[0, 0], [2, 2]] and second.tolist() == [[6, 3]]
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.write(tmp_path / "set.json", "set.json")
        archive.writestr("__MACOSX/._set.json", "x")
    assert len(read_handwriting(tmp_path / "set.zip", "train")) == 19
    with pytest.raises(UserError, match=r"holds set\.json, set\.zip; expected lineStrokes/"):
        read_handwriting(tmp_path, "train")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (row(text=""), "line 2: has no text"),
        (row(text=7), "line 2: has no text"),
        (row(points=[]), "line 2: points have shape"),
        (row(points=[[1, 2]]), r"line 2: points have shape \(1, 2\)"),
        (row(points=[[1, 2, "x"]]), "line 2: expected metadata"),
        (row(points=[[1, float("nan"), 0]]), "not finite"),
        (row(points=[[1, 1e300, 0]]), "beyond 1,000,000,000"),
        (row(ratio=0), "aspectRatio of 0"),
        (row(ratio=1e300), "aspectRatio of 1e"),
        ({"points": [[1, 2, 0]]}, "line 2: expected metadata"),
        ("text", "line 2: expected metadata"),
    ],
)
def test_a_line_that_is_wrong_is_named(tmp_path, wrong, words):
    (tmp_path / "set.json").write_text(json.dumps([row(), wrong]))
    with pytest.raises(UserError, match=words):
        read_handwriting(tmp_path, "train")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "[" * 100_000])
def test_what_is_no_list_of_lines_is_refused(tmp_path, content):
    (tmp_path / "set.json").write_text(content)
    with pytest.raises(UserError, match=r"is no JSON|holds no list of lines"):
        read_handwriting(tmp_path, "train")


def test_one_line_is_read_of_either_format(tmp_path):
    (tmp_path / "line.xml").write_text(XML)
    (tmp_path / "line.json").write_text(json.dumps(row()))
    assert len(strokes_of_file(tmp_path / "line.xml")) == 2
    assert np.array(strokes_of_file(tmp_path / "line.json")[0]).tolist() == [[0, 0], [2, 2]]
    for bad in (b"", b"\xff\xd8", b"[]", b"{}"):
        with pytest.raises(UserError, match=r"is no handwriting|expected metadata"):
            strokes_of_file(bad)
    with pytest.raises(UserError, match="Point without x and y"):
        strokes_of_file(b'<Stroke><Point x="1"/></Stroke>')
    with pytest.raises(UserError, match="has a point beyond 1,000,000,000"):
        strokes_of_file(b'<Stroke><Point x="1" y="' + b"9" * 400 + b'"/></Stroke>')


def drawings(path, **splits):
    """Write drawings, lists of [across, down, lifted], as sketch-rnn's sets hold them."""
    arrays = {}
    for name, rows in splits.items():
        arrays[name] = np.empty(len(rows), object)
        arrays[name][:] = [np.array(row) for row in rows]
    np.savez_compressed(path, **arrays)


def test_stroke_3_is_moves_and_a_stroke_ends_where_the_pen_is_lifted(tmp_path):
    two = [[5, 5, 0], [1, 2, 1], [-3, 0, 0], [0, 0, 0], [0, 4, 1]]
    no_lift, point = [[0, 1, 0], [2, 0, 0]], [[7, 8, 1]]
    drawings(tmp_path / "x.npz", train=[two, no_lift, point], valid=[point], test=[two])
    train = read_handwriting(tmp_path, "train")
    assert [line.text for line in train] == ["", "", ""]
    assert [[stroke.tolist() for stroke in line.strokes] for line in train] == [
        [[[5, 5], [6, 7]], [[3, 7], [3, 7], [3, 11]]],
        [[[0, 1], [2, 1]]],
        [[[7, 8]]],
    ]
    assert len(read_handwriting(tmp_path / "x.npz", "val")) == 1
    drawings(tmp_path / "y.npz", train=[two])
    with pytest.raises(UserError, match=r"holds x\.npz, y\.npz; .* give the file itself"):
        read_handwriting(tmp_path, "train")
    with pytest.raises(UserError, match=r"y\.npz has no array test; it holds train"):
        read_handwriting(tmp_path / "y.npz", "test")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([[1, 2]], r"drawing 2: has shape \[1, 2\]; expected"),
        ([1, 2, 3], r"drawing 2: has shape \[3\]"),
        ([[1, 0, 1, 0, 0]], r"drawing 2: has shape \[1, 5\]"),
        ([[0, 0, 0]] * 20_001, "expected 1 to 20,000 rows"),
        ([[1, 2, 3]], "drawing 2: the pen is neither 0"),
        ([[1, 2, -1]], "drawing 2: the pen is neither 0"),
        ([[1.0, float("nan"), 1.0]], "drawing 2: has a number that is not finite"),
        ([[1e300, 1.0, 1.0]], "or beyond 1,000,000,000"),
    ],
)
def test_a_drawing_that_is_wrong_is_named(tmp_path, wrong, words):
    drawings(tmp_path / "x.npz", train=[[[1, 2, 1]], wrong])
    with pytest.raises(UserError, match=words):
        read_handwriting(tmp_path, "train")
