"""What was captured with a pen: IAM-OnDB's folders, JSON of points with text, drawings in stroke-3.

IAM On-Line Handwriting Database (Liwicki and Bunke 2005): `lineStrokes/**/NAME-nn.xml` with
StrokeSet, Stroke and Point (x, y), and the lines of text below `CSR:` in `ascii/**/NAME.txt`; a
list of names (`trainset.txt`, `testset_v.txt`, ...) makes a split. JSON, or a zip of one: a list of
{"metadata": {"asciiSequence", "aspectRatio"}, "points": [[x, y, pen]]}, whose pen is 0 where a
stroke ends, and whose x is to be multiplied by the ratio. Stroke-3 (Ha and Eck 2017,
https://arxiv.org/abs/1704.03477): a `.npz` of arrays `train`, `valid` and `test` of drawings
[n, 3], how far the pen moved across and down, and 1 where it is lifted after that; none has a text.

What surprises: the XML is read by a pattern, not by a parser: attributes of points are all that is
wanted, and entities that multiply cannot be expanded by who knows none.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from backbones.training.errors import UserError
from backbones.training.files import read_bounded
from tasks.data.formats.arrays.npz import read_rows
from tasks.data.formats.text import only_member, read_lines
from tasks.data.missing import MOST_MISSING, some
from tasks.data.split_names import Split
from tasks.data.strokes import Line, Stroke, strokes_of

LARGEST_BYTES = 2**29
MOST_POINTS = 20_000  # of a line
FARTHEST = 1e9  # from 0, in whatever unit: pens give thousands
SUFFIXES = (".json", ".zip", ".npz")
STROKE = re.compile(rb"<Stroke\b[^>]*>(.*?)</Stroke>", re.DOTALL)
POINT = re.compile(rb"<Point\b([^>]*)/?>")
PLACE = {name: re.compile(rb"\b" + name + rb"=\"(-?\d+(?:\.\d+)?)\"") for name in (b"x", b"y")}
TEST_EVERY, VAL_EVERY = 5, 25  # lines, where no list says which
LISTS: dict[Split, tuple[str, ...]] = {
    "train": ("trainset.txt",),
    "val": ("testset_v.txt",),
    "test": ("testset_f.txt", "testset_t.txt"),
}


def read_handwriting(folder: Path, split: Split) -> list[Line]:
    """Return the lines of a split of whatever lies in a folder, or in a file of it; UserError,
    with what was looked for, if there is nothing."""
    if folder.is_dir() and (folder / "lineStrokes").is_dir():
        return read_iam(folder, split)
    path = points_file(folder)
    if path.suffix.lower() == ".npz":
        return read_drawings(path, split)
    return parted(read_points(path), split)


def points_file(folder: Path) -> Path:
    """Return the file of points in a folder, or the one that was given."""
    if folder.is_file():
        return folder
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if len(found) != 1:
        inside = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
        raise UserError(
            f"{folder} holds {inside}; expected lineStrokes/ and ascii/ (IAM-OnDB), or one "
            ".json or .zip of lines with their points, or .npz of drawings (stroke-3): if there "
            "are several, give the file itself"
        )
    return found[0]


def parted(lines: list[Line], split: Split) -> list[Line]:
    """Return a split of lines that no list parts: of every 25 five test and one validates."""
    kept = []
    for number, line in enumerate(lines):
        tests = number % TEST_EVERY == TEST_EVERY - 1
        validates = number % VAL_EVERY == VAL_EVERY - 2
        if split == ("test" if tests else "val" if validates else "train"):
            kept.append(line)
    if not kept:
        raise UserError(f"{len(lines):,} lines of handwriting are too few to have a {split} split")
    return kept


def read_drawings(path: Path, split: Split) -> list[Line]:
    """Return a split of a `.npz` of stroke-3, lines without text; UserError names the first drawing
    that is wrong."""
    return [
        Line("", strokes_of_rows(rows, f"{path}, {split}, drawing {number:,}"))
        for number, rows in enumerate(read_rows(path, split), 1)
    ]


def strokes_of_rows(rows: Shaped[np.ndarray, "..."], where: str) -> list[Stroke]:
    """Return the strokes of a drawing of stroke-3; UserError, with where it stands, if it is
    none."""
    if rows.ndim != 2 or rows.shape[1] != 3 or len(rows) > MOST_POINTS:
        raise UserError(
            f"{where}: has shape {list(rows.shape)}; expected 1 to {MOST_POINTS:,} rows of across, "
            "down and pen lifted (stroke-3)"
        )
    moves = rows.astype(np.float64)
    if not np.isin(moves[:, 2], (0, 1)).all():
        raise UserError(f"{where}: the pen is neither 0 (down) nor 1 (lifted) somewhere")
    if not (np.abs(moves) < FARTHEST).all():
        raise UserError(f"{where}: has a number that is not finite, or beyond {FARTHEST:,.0f}")
    return strokes_of(moves)


def read_points(path: Path) -> list[Line]:
    """Return the lines of a JSON of points, or of a zip of one; UserError names the first that is
    wrong."""
    if path.suffix.lower() == ".zip":
        name, data = only_member(path, ".json")
        name = f"{path.name}, {name}"
    else:
        name, data = str(path), read_file(path)
    rows = parsed(data, name)
    if not isinstance(rows, list) or not rows:
        raise UserError(f"{name} holds no list of lines")
    return [line_of(row, f"{name}, line {number}") for number, row in enumerate(rows, 1)]


def read_line(path: Path) -> Line:
    """Return the line of a JSON of one; UserError if it is none, or has no text."""
    return line_of(parsed(read_file(path), str(path)), str(path))


def read_file(path: Path) -> bytes:
    """Return what a file holds; UserError if it cannot be read."""
    try:
        return read_bounded(path, LARGEST_BYTES)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None


def parsed(data: bytes, name: str) -> Any:
    """Return what JSON holds; UserError if it is none."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name} is no JSON ({error})") from None


def line_of(row: Any, where: str) -> Line:
    """Return a line of its JSON; UserError, with where it stands, if it is none."""
    strokes = strokes_of_row(row, where)
    text = row["metadata"].get("asciiSequence")
    if not isinstance(text, str) or not text.strip():
        raise UserError(f"{where}: has no text")
    return Line(text, strokes)


def strokes_of_file(given: str | Path | bytes) -> list[Stroke]:
    """Return the strokes of one line, whose text is not known: IAM-OnDB's XML, or a line of the
    JSON; UserError for anything else."""
    name = "the input" if isinstance(given, bytes) else str(given)
    data = given if isinstance(given, bytes) else read_file(Path(given))
    if strokes := strokes_in(data, name):
        return strokes
    try:
        row = json.loads(data)
    except (ValueError, RecursionError):
        raise UserError(
            "is no handwriting; expected XML of IAM-OnDB, or JSON of one line with its points"
        ) from None
    return strokes_of_row(row, name)


def strokes_of_row(row: Any, where: str) -> list[Stroke]:
    """Return the strokes of a line of the JSON; UserError, with where it stands, if it is none."""
    try:
        points = np.array(row["points"], np.float64)
        ratio = float(row["metadata"].get("aspectRatio", 1))
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
        raise UserError(
            f"{where}: expected metadata with asciiSequence, and points of three numbers each"
        ) from None
    if points.ndim != 2 or points.shape[1] != 3 or not 0 < len(points) <= MOST_POINTS:
        raise UserError(
            f"{where}: points have shape {points.shape}; expected 1 to {MOST_POINTS:,} of [x, y, "
            "pen]"
        )
    if not (np.abs(points) < FARTHEST).all() or not 0 < ratio < FARTHEST:
        raise UserError(
            f"{where}: has a number that is not finite, or beyond {FARTHEST:,.0f}, or an "
            f"aspectRatio of {ratio}"
        )
    ends = np.flatnonzero(points[:, 2] == 0) + 1
    places = points[:, :2] * [ratio, 1]
    return [part for part in np.split(places, ends) if len(part)]


def read_iam(folder: Path, split: Split) -> list[Line]:
    """Return a split of IAM-OnDB: by its lists, or of all lines in the order of their names.

    Lines without their text, or without points, are left out; UserError if more than 1 % are.
    """
    files = sorted((folder / "lineStrokes").rglob("*.xml"))
    if not files:
        raise UserError(f"{folder / 'lineStrokes'} has no .xml in it")
    listed = [folder / name for name in LISTS[split] if (folder / name).is_file()]
    if not listed and any((folder / name).exists() for names in LISTS.values() for name in names):
        raise UserError(f"{folder} has lists of splits, but none of {' or '.join(LISTS[split])}")
    if listed:
        forms = {word for path in listed for line in read_lines(path) for word in line.split()}
        files = [path for path in files if form_of(path) in forms]
    texts = {path.stem: path for path in (folder / "ascii").rglob("*.txt")}
    lines, missing = list[Line](), list[str]()
    for path in files:
        form, _, number = path.stem.rpartition("-")
        strokes = strokes_in(read_file(path), path)
        text = line_in(texts[form], int(number)) if form in texts and number.isdigit() else ""
        if strokes and text:
            lines.append(Line(text, strokes))
        else:
            missing.append(path.name)
    if len(missing) > MOST_MISSING * len(files):
        raise UserError(
            f"{folder}: {len(missing):,} of {len(files):,} lines have no text in ascii/, or no "
            f"points ({some(missing)})"
        )
    return lines if listed else parted(lines, split)


def form_of(path: Path) -> str:
    """Return the form that a line is of, as lists name it: a01-000u-03.xml is of a01-000u."""
    return path.stem.rpartition("-")[0]


def strokes_in(data: bytes, path: Path | str) -> list[Stroke]:
    """Return the strokes of IAM-OnDB's XML; UserError if a point has no place."""
    strokes = []
    for stroke in STROKE.findall(data):
        points = []
        for point in POINT.findall(stroke):
            found = [PLACE[axis].search(point) for axis in (b"x", b"y")]
            if None in found:
                raise UserError(f"{path} has a Point without x and y")
            points.append([float(each[1]) for each in found if each])
        if len(points) > MOST_POINTS:
            raise UserError(f"{path} has a stroke of {len(points):,} points")
        if points:
            if np.abs(points).max() > FARTHEST:
                raise UserError(f"{path} has a point beyond {FARTHEST:,.0f}")
            strokes.append(np.array(points))
    return strokes


def line_in(path: Path, number: int) -> str:
    """Return a line of text of IAM-OnDB's ascii file, counted from 1 below CSR:, "" if there is
    none."""
    lines = [line.strip() for line in read_lines(path)]
    if "CSR:" not in lines:
        return ""
    below = [line for line in lines[lines.index("CSR:") + 1 :] if line]
    return below[number - 1] if 0 < number <= len(below) else ""
