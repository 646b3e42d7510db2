"""Folders of photos with questions: easy-VQA's, CLEVR's, VQA's (version 1 and 2).

A file is known by `questions` in its name and by how it begins (`files.py` has the formats), its
split by the file's name, else by its folder's. VQA's annotations lie anywhere in the same set,
under the name of their questions. Pictures lie below the folder of their file, or else anywhere
below the set's; VQA's are found by the number at the end of their names. Without a test split that
has answers val is the test.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backbones.training.errors import UserError
from backbones.training.streams import plain
from tasks.data.formats.captions import photos_below
from tasks.data.formats.questions.files import (
    Asked,
    Row,
    kind_of_file,
    read_clevr,
    read_easy,
    read_vqa,
)
from tasks.data.missing import check_missing, some
from tasks.data.split_names import NAMES, SPLITS, Split

EXPECTED = (
    "train/questions.json (easy-VQA), CLEVR_train_questions.json, or "
    "v2_OpenEnded_mscoco_train2014_questions.json with its annotations"
)


@dataclass(frozen=True)
class AskedPhoto:
    """A photo on the disk, with the questions about it in order."""

    path: Path
    asked: tuple[Asked, ...]

    @property
    def name(self) -> str:
        """What the photo is called."""
        return self.path.name


@dataclass
class QuestionSet:
    """All photos with questions of a folder by split, sorted by path."""

    splits: dict[Split, list[AskedPhoto]]
    notes: list[str] = field(default_factory=list)
    """What was left out, and how splits were made."""


def read_questions(folder: Path) -> QuestionSet:
    """Return the photos of a folder with their questions; UserError if they cannot be had."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; expected one with photos and questions")
    files = json_files(folder)
    asking = [path for path in files if re.search("questions", path.name, re.I)]
    if not asking:
        inside = ", ".join(sorted(plain(path.name) for path in folder.iterdir())[:5]) or "nothing"
        raise UserError(f"{folder} holds {inside}; expected {EXPECTED}")
    splits: dict[Split, list[AskedPhoto]] = {split: [] for split in SPLITS}
    of: dict[Split, Path] = {}
    notes = list[str]()
    for path in asking:
        split = split_of(path, folder)
        rows = rows_of(path, files, notes)
        if not rows:
            continue
        if split in of:
            raise UserError(
                f"{folder} has {split} questions in {of[split].name} and in {path.name}; leave one"
            )
        of[split], splits[split] = path, with_photos(rows, path, folder, notes)
    if not splits["test"] and splits["val"]:
        splits["test"], splits["val"] = splits["val"], []
        notes.append("there is no test split with answers: val is the test")
    return QuestionSet(splits, notes)


def json_files(folder: Path) -> list[Path]:
    """Return the JSON files in a folder and in those in it."""
    places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    return [path for place in places for path in sorted(place.glob("*.json"))]


def split_of(path: Path, folder: Path) -> Split:
    """Return the split of a file by its name, else by its folder's; UserError if neither says."""
    where = [path.stem] if path.parent == folder else [path.stem, path.parent.name]
    for name in where:
        for word in re.findall("[a-z]+", name.lower()):
            for split in SPLITS:
                if word in NAMES[split] or word.startswith(split):
                    return split
    raise UserError(f"{path}: neither its name nor its folder says train, val or test")


def rows_of(path: Path, files: Sequence[Path], notes: list[str]) -> list[Row]:
    """Return the questions of a file that have answers."""
    kind = kind_of_file(path)
    if kind == "vqa":
        wanted = re.sub("(openended|multiplechoice)_", "", path.name, flags=re.I)
        wanted = re.sub("questions", "annotations", wanted, flags=re.I).lower()
        found = [other for other in files if other.name.lower() == wanted]
        rows = read_vqa(path, found[0]) if found else []
        why = f" ({wanted} is not there)"
    else:
        rows = (read_easy if kind == "easy" else read_clevr)(path)
        why = ""
    if not rows:
        notes.append(f"{path.name} has no answers{why}: its questions are left out")
    return rows


def with_photos(
    rows: Sequence[Row], path: Path, folder: Path, notes: list[str]
) -> list[AskedPhoto]:
    """Return the photos of a file's questions; UserError if too many are missing."""
    places, said = photos_below(path.parent)
    if not places:
        places, said = photos_below(folder)
    by: dict[str | int, Path] = {**numbered(places.values(), rows)}
    by.update(places)
    asked: dict[str | int, list[Asked]] = {}
    for row in rows:
        asked.setdefault(row.picture, []).append(row.asked)
    missing = sorted(str(picture) for picture in asked.keys() - by.keys())
    notes += [*said, *check_missing(missing, len(asked), folder, "questions")]
    empty = [picture for picture, each in asked.items() if not any(a.question for a in each)]
    if empty:
        notes.append(f"photos of which nothing is asked, left out: {len(empty):,}")
    found = [
        AskedPhoto(by[picture], tuple(each for each in all_of if each.question))
        for picture, all_of in asked.items()
        if picture in by and picture not in empty
    ]
    return sorted(found, key=lambda photo: str(photo.path))


def numbered(paths: Iterable[Path], rows: Sequence[Row]) -> dict[str | int, Path]:
    """Return photos by the number at the end of their names, if questions have such; UserError if
    two have the same."""
    found: dict[str | int, Path] = {}
    if not any(isinstance(row.picture, int) for row in rows):
        return found
    for path in paths:
        digits = re.search(r"(\d+)$", path.stem)
        if digits and found.setdefault(int(digits[1]), path) != path:
            twice = some([path.name, found[int(digits[1])].name])
            raise UserError(f"{twice} have one number, and questions go by it; leave one of them")
    return found
