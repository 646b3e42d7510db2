"""What lies in class folders and in tars of them: found and named, not yet decoded."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from backbones.training.errors import UserError
from backbones.training.files import open_plain
from tasks.data.decode import HEAD_BYTES, SUFFIXES, is_picture_data
from tasks.data.formats.tars import is_hidden, is_picture, stream
from tasks.data.split_names import NAMES, name_of

TAR = r"([-_.]?\d+)?\.(tar|tgz|txz|tar\.(gz|xz|bz2|zst))"


@dataclass(frozen=True, slots=True)
class Entry:
    """A picture that was found, or a class folder: then `source` is None."""

    kind: str  # the class; empty if the picture lies in no class folder
    name: str
    source: str | bytes | None  # a path, or what a tar holds
    tar: str = ""


def folder_of(folder: Path, split: str) -> str | None:
    """Return the name of a split's folder, None if it has none; UserError if it has two."""
    if not folder.is_dir():
        return None
    return name_of(split, (path.name for path in folder.iterdir() if path.is_dir()), folder)


def loose(folder: Path, split: str, passed: list[str]) -> Iterator[Entry]:
    """Yield the class folders of a split's folder and their pictures, through links too; put the
    names of all else into `passed`."""
    root = folder / (folder_of(folder, split) or split)
    for place in sorted(root.iterdir()):
        name = PurePosixPath(root.name, place.name)
        if is_hidden(name):
            passed.append(str(name))
        elif place.is_dir():
            yield Entry(place.name, str(name), None)
            yield from below(place, name, passed)
        elif holds_picture(place):
            yield Entry("", str(name), str(place))
        else:
            passed.append(str(name))


def below(place: Path, name: PurePosixPath, passed: list[str]) -> Iterator[Entry]:
    """Yield the pictures of a class folder, however deep; a folder linked into itself once."""
    seen, kind = set[str](), place.name
    for parent, folders, files in os.walk(place, followlinks=True):
        inside = name / Path(parent).relative_to(place).as_posix()
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        for file in files:
            if not is_hidden(inside / file) and holds_picture(Path(parent, file)):
                yield Entry(kind, f"{inside}/{file}", os.path.join(parent, file))
            else:
                passed.append(str(inside / file))


def holds_picture(path: Path) -> bool:
    """Say whether a file is a picture by its name or, if that tells nothing, by its content."""
    if is_picture(PurePosixPath(path.name)) or not path.is_file():
        return path.suffix.lower() in SUFFIXES
    try:
        with open_plain(path) as file:
            return is_picture_data(file.read(HEAD_BYTES))
    except OSError:
        return False


def class_of(name: PurePosixPath, split: str, *, is_folder: bool) -> str:
    """Return the class of a file or folder inside a split's tar, "" if it lies in none."""
    folders = name.parts if is_folder else name.parts[:-1]
    places = [n for n, name in enumerate(folders) if name.lower() in NAMES[split]]
    # Not the last folder: a class may be named train.
    if places and (places[0] < len(folders) - 1 or (is_folder and len(folders) == 1)):
        folders = folders[places[0] + 1 :]
    return folders[0] if folders else ""


def packed(paths: Iterable[Path], split: str, passed: list[str]) -> Iterator[Entry]:
    """Yield the class folders and pictures of a split's tars; put the names of all else into
    `passed`."""
    for path in paths:
        for name, data in stream(path, passed):
            kind = class_of(name, split, is_folder=data is None)
            if data is not None or (kind and not kind.startswith(".")):
                yield Entry(kind, str(name), data, path.name)


def tars_of(folder: Path, split: str) -> list[Path]:
    """Return the tars of a split by name; UserError if the same pictures may be there twice."""
    pattern = re.compile(f"({'|'.join(NAMES[split])}){TAR}", re.IGNORECASE)
    tars = {path: pattern.fullmatch(path.name) for path in sorted(folder.iterdir())}
    called = name_of(split, (match[1] for match in tars.values() if match), folder)
    found = [path for path, match in tars.items() if match]
    stems = [path.name.partition(".t")[0] for path in found]
    if len(set(stems)) < len(stems) or (called in stems and len(stems) > 1):
        names = ", ".join(path.name for path in found)
        raise UserError(f"{folder} holds {names}: the same pictures twice; leave one of them")
    return found
