"""Photos with captions, in the files of Flickr8k, Flickr30k, COCO and Karpathy's splits.

What lies in the folder, or in a folder in it such as COCO's `annotations`, says which it is
(`caption_files.py` has the formats): `dataset_*.json`, `captions_*.json`, `*.token[.txt]`,
`results.csv`, `captions.txt`; of several kinds the first of these is read. Photos lie anywhere
below the folder.

A photo's split is what the file says (Karpathy), what the file's name says (`captions_val2017`), or
what lists of names beside it say: `Flickr_8k.trainImages.txt`, `devImages`, `testImages`. Where
nothing says it, the last ninth of the photos by name is the test. A test that is missing beside a
val is the val. Where there is no val left, the last sixteenth of the training photos by name, at
most 1,000, is held out for it.

Captions whose photo is missing are left out and named; above one in a hundred of the photos they
are an error, as are photos that cannot be read. So are photos that two splits have.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeVar

from backbones.training.errors import UserError
from backbones.training.streams import plain
from tasks.data.formats.caption_files import READERS, Caption, Reader, read_coco, split_named
from tasks.data.formats.tars import is_hidden, is_picture
from tasks.data.formats.text import read_lines
from tasks.data.missing import check_missing, some
from tasks.data.split_names import SPLITS, Split

ONE_IN_TEST, ONE_IN_VAL, MOST_VAL = 9, 16, 1_000
LIST = re.compile(
    r"(?:.*[._])?(train|training|dev|val|valid|validation|test)(?:_?images)?\.txt", re.I
)
KNOWN = (
    "captions.txt (image,caption), *.token.txt (Flickr8k), results.csv (Flickr30k), "
    "captions_*.json (COCO) or dataset_*.json (Karpathy's splits)"
)

T = TypeVar("T")


@dataclass(frozen=True)
class Photo:
    """A photo on the disk, with its captions in order."""

    name: str
    path: Path
    captions: tuple[str, ...]


@dataclass
class PhotoSet:
    """All photos with captions of a folder by split, sorted by name."""

    splits: dict[Split, list[Photo]]
    notes: list[str] = field(default_factory=list)
    """What was left out, and how splits were made."""


def files_of(folder: Path) -> tuple[list[Path], Reader]:
    """Return the files of captions in a folder and who reads them; UserError if there are none."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; expected one with photos and captions")
    places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    files = [path for place in places for path in sorted(place.iterdir())]
    for pattern, reader in READERS:
        found = [path for path in files if re.fullmatch(pattern, path.name, re.IGNORECASE)]
        if len(found) > 1 and reader is not read_coco:
            names = " and ".join(path.name for path in found)
            raise UserError(f"{folder} holds {names}, each with captions; leave one of them")
        if found:
            return found, reader
    inside = ", ".join(sorted(plain(path.name) for path in folder.iterdir())[:5]) or "nothing"
    raise UserError(f"{folder} holds {inside}; expected {KNOWN}")


def read_photos(folder: Path) -> PhotoSet:
    """Return the photos of a folder with their captions; UserError if they cannot be had."""
    files, reader = files_of(folder)
    captions = []
    for path in files:
        split = split_of_file(path) if reader is read_coco else None
        found = reader(path)
        captions += [Caption(c.photo, c.text, split) for c in found] if split else found
    texts, empty = grouped(captions)
    places, notes = photos_below(folder)
    where = " and ".join(path.name for path in files)
    notes = [f"captions of {where}", *notes, *notes_on(texts, empty, places, folder)]
    photos = {
        name: Photo(name, places[name], tuple(texts[name]))
        for name in sorted(texts)
        if name in places and texts[name]
    }
    if not photos:
        raise UserError(f"{folder} holds no photo that has a caption in {where}")
    said = {each.photo: each.split for each in captions if each.split}
    given = said or listed_splits(files[0].parent, photos)
    check_one_split(captions)
    return in_splits(photos, given, notes)


def split_of_file(path: Path) -> Split:
    """Return the split in the name of a file of COCO's, such as captions_val2017.json."""
    return split_named(re.sub(r"\d+", "", path.stem.split("_", 1)[1]), path)


def check_one_split(captions: Iterable[Caption]) -> None:
    """UserError for a photo that two splits have."""
    of: dict[str, Split] = {}
    for each in captions:
        if each.split and of.setdefault(each.photo, each.split) != each.split:
            raise UserError(
                f"{plain(each.photo)} is in {of[each.photo]} and in {each.split}; leave it in one"
            )


def grouped(captions: Iterable[Caption]) -> tuple[dict[str, list[str]], int]:
    """Return the captions of every photo that is named, and how many of them are empty."""
    texts: dict[str, list[str]] = {}
    empty = 0
    for each in captions:
        mine = texts.setdefault(each.photo, [])
        if any(letter.isalnum() for letter in each.text):
            mine.append(each.text)
        else:
            empty += 1
    return texts, empty


def photos_below(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Return the picture files below a folder by name, and what is to be said of them.

    Of two with one name the first by path is taken.
    """
    places: dict[str, Path] = {}
    twice, seen = set[str](), set[str]()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        folders[:] = [] if real in seen else sorted(folders)
        if real in seen:
            continue
        seen.add(real)
        for name in sorted(files):
            if is_picture(PurePosixPath(name)) and not is_hidden(PurePosixPath(name)):
                twice |= {name} & places.keys()
                places.setdefault(name, Path(parent, name))
    said = f"photos that lie there twice, the first by path read: {len(twice):,} ({some(twice)})"
    return places, [said] if twice else []


def notes_on(
    texts: Mapping[str, list[str]], empty: int, places: Mapping[str, Path], folder: Path
) -> list[str]:
    """Return what is to be said of captions and photos that do not belong together; UserError if
    too many photos are missing."""
    missing = sorted(texts.keys() - places.keys())
    notes = check_missing(missing, len(texts), folder, "captions")
    if without := sorted(name for name in places if not texts.get(name)):
        notes.append(f"photos without captions, left out: {len(without):,} ({some(without)})")
    if empty:
        notes.append(f"empty captions, left out: {empty:,}")
    counts = {len(mine) for name, mine in texts.items() if mine and name in places}
    if len(counts) > 1:
        notes.append(f"photos have {min(counts)} to {max(counts)} captions, and all are used")
    return notes


def listed_splits(folder: Path, photos: Mapping[str, Photo]) -> dict[str, Split]:
    """Return the splits of photos by the lists of names in a folder; UserError for a photo that two
    of them have."""
    stems = {Path(name).stem: name for name in photos}
    of: dict[str, Split] = {}
    for path in sorted(folder.iterdir()):
        found = LIST.fullmatch(path.name)
        if not found:
            continue
        split = split_named(found[1], path)
        for line in read_lines(path):
            name = stems.get(Path(line.strip()).stem, "")
            if name and of.setdefault(name, split) != split:
                raise UserError(f"{plain(name)} is in {of[name]} and in {split}; leave it in one")
    return of


def in_splits(
    photos: Mapping[str, Photo], given: Mapping[str, Split], notes: list[str]
) -> PhotoSet:
    """Return photos by split, as said or by the rule of the first lines."""
    splits: dict[Split, list[Photo]] = {split: [] for split in SPLITS}
    if given:
        for name, photo in photos.items():
            if name in given:
                splits[given[name]].append(photo)
        if left := len(photos) - sum(map(len, splits.values())):
            notes.append(f"photos with captions in no split, left out: {left:,}")
        if not splits["test"] and splits["val"]:
            splits["test"], splits["val"] = splits["val"], []
            notes.append("there is no test split: val is the test")
    else:
        every = list(photos.values())
        count = len(every) // ONE_IN_TEST
        splits["train"], splits["test"] = every[: len(every) - count], every[len(every) - count :]
        notes.append(f"no lists of splits: the last {count:,} photos by name are the test")
    return PhotoSet(splits, notes)


def hold_out(train: list[T]) -> tuple[list[T], list[T]]:
    """Return the photos to learn from and those to validate on: the last sixteenth by name."""
    held = min(MOST_VAL, len(train) // ONE_IN_VAL)
    return train[: len(train) - held], train[len(train) - held :]
