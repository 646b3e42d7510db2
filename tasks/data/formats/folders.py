"""Pictures in class folders, loose or in tar files: `train/cat/1.jpg`, `train.tar.xz`.

Each split (train, val, test) is a folder, or a tar (.tar, .tar.gz, .tar.xz, .tar.bz2), or several
(`train-000.tar`, `train-001.tar`). The class is the first folder under the split; in a tar, leading
folders up to one named like the split are passed over. A picture may lie deeper in its class, as
in Tiny ImageNet. Pictures come in the order of class and name, however they lie on the disk, and
classes are numbered by name, as torchvision's ImageFolder does ("10" before "2").

The numbers of the classes belong to the train split: give its `classes` when reading another.

Files that cannot be read are left out and named in `Pictures.skipped`. More than one in a hundred
of them is an error, but never a single one: a set of twenty pictures may have one broken file.
"""

import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from jaxtyping import UInt8

from backbones.training.device.cores import available_threads
from backbones.training.errors import UserError
from backbones.training.files import open_plain
from backbones.training.streams import plain
from tasks.data.decode import (
    HEAD_BYTES,
    SUFFIXES,
    Unreadable,
    check_shape,
    contents,
    decode,
    is_picture_data,
    quiet_pillow,
    read_picture,
)
from tasks.data.formats.tars import is_hidden, is_picture, stream
from tasks.data.pictures import Pictures
from tasks.data.split_names import NAMES, Split, name_of

__all__ = ["Split", "read_classes", "read_folder", "read_picture", "read_tars", "tars_of"]

TAR = r"([-_.]?\d+)?\.(tar|tgz|txz|tar\.(gz|xz|bz2|zst))"
# Pictures per task of a thread: one small JPEG decodes in less time than handing it over takes.
CHUNK = 64
# Of a tar, whose pictures wait in memory. Photos of 10 MB by 64 would be gigabytes.
CHUNK_BYTES = 2**24
# More threads than this only wait for each other: half of the work holds Python's lock.
MAX_THREADS = 4
# Loose files may be this share of a set, but see the first lines.
MAX_BROKEN = 0.01


@dataclass(frozen=True)
class Entry:
    """A picture that was found, or a class folder: then `source` is None."""

    kind: str  # the class; empty if the picture lies in no class folder
    name: str
    source: Path | bytes | None
    tar: str = ""


@dataclass(frozen=True)
class Decoded:
    """An entry's pixels, or why there are none."""

    entry: Entry
    pixels: UInt8[np.ndarray, "C H W"] | None
    reason: str = ""

    def why(self) -> str:
        """Return name and reason on one line, whatever characters the name has."""
        return plain(
            f"{self.entry.tar}{'/' if self.entry.tar else ''}{self.entry.name}: {self.reason}"
        )


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
            yield Entry("", str(name), place)
        else:
            passed.append(str(name))


def below(place: Path, name: PurePosixPath, passed: list[str]) -> Iterator[Entry]:
    """Yield the pictures of a class folder, however deep; a folder linked into itself once."""
    seen = set[str]()
    for parent, folders, files in os.walk(place, followlinks=True):
        inside = name / Path(parent).relative_to(place).as_posix()
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        for file in files:
            if not is_hidden(inside / file) and holds_picture(Path(parent, file)):
                yield Entry(place.name, str(inside / file), Path(parent, file))
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


def packed(paths: Iterable[Path], split: str) -> Iterator[Entry]:
    """Yield the class folders and pictures of a split's tars."""
    for path in paths:
        for name, data in stream(path):
            kind = class_of(name, split, is_folder=data is None)
            if data is not None or (kind and not kind.startswith(".")):
                yield Entry(kind, str(name), data, path.name)


def decode_chunk(chunk: list[Entry], size_px: int, channels: int) -> list[Decoded]:
    """Return the pixels of a few entries."""
    done = []
    for entry in chunk:
        source, light = entry.source, replace(entry, source=None)  # the bytes may go
        try:
            if source is None or not entry.kind:
                raise Unreadable("lies in no class folder")
            data = source if isinstance(source, bytes) else contents(source)
            done.append(Decoded(light, decode(data, size_px=size_px, channels=channels)))
        except Unreadable as error:
            done.append(Decoded(light, None, str(error)))
    return done


def chunks(entries: Iterable[Entry], folders: set[str]) -> Iterator[list[Entry]]:
    """Yield the pictures in lists of CHUNK; put the names of the class folders into `folders`."""
    chunk, size_bytes = [], 0
    for entry in entries:
        if entry.source is None:
            folders.add(entry.kind)
            continue
        chunk.append(entry)
        size_bytes += len(entry.source) if isinstance(entry.source, bytes) else 0
        if len(chunk) == CHUNK or size_bytes >= CHUNK_BYTES:
            yield chunk
            chunk, size_bytes = [], 0
    yield chunk


def decode_all(
    entries: Iterable[Entry], folders: set[str], size_px: int, channels: int
) -> list[Decoded]:
    """Return the pixels of all entries, in the order of class and name.

    Few chunks are on their way at a time, so a tar larger than memory can be read at a small size.
    """
    threads = min(MAX_THREADS, available_threads())
    done: list[Decoded] = []
    waiting: deque[Future[list[Decoded]]] = deque()
    with quiet_pillow(), ThreadPoolExecutor(threads) as pool:
        for chunk in chunks(entries, folders):
            waiting.append(pool.submit(decode_chunk, chunk, size_px, channels))
            if len(waiting) > 2 * threads:
                done += waiting.popleft().result()
        for future in waiting:
            done += future.result()
    return sorted(done, key=lambda item: (item.entry.kind, item.entry.name, item.entry.tar))


def check_broken(broken: list[Decoded], total: int, place: str) -> None:
    """UserError if more than MAX_BROKEN of the files, and more than one, cannot be read."""
    if len(broken) <= max(1, int(total * MAX_BROKEN)) and len(broken) < total:
        return
    first = "; ".join(item.why() for item in broken[:3])
    raise UserError(
        f"{len(broken):,} of {total:,} pictures of {place} cannot be read, more than "
        f"{MAX_BROKEN:.0%}: {first}{'; ...' if len(broken) > 3 else ''}; mend or remove them"
    )


def check_classes(
    found: set[str], readable: set[str], classes: tuple[str, ...] | None, place: str
) -> tuple[str, ...]:
    """Return the classes in the order of their numbers; UserError if the pictures do not fit."""
    classes = tuple(sorted(found)) if classes is None else classes
    if unknown := sorted(found - set(classes)):
        raise UserError(
            f"{place} has {listed(unknown)}, which the train split has not; remove it, or train "
            "with it"
        )
    if missing := [name for name in classes if name not in readable]:
        raise UserError(
            f"{place} has no picture of {listed(missing)}; add some, or remove the class from "
            "every split"
        )
    return classes


def listed(names: list[str]) -> str:
    """Return names of classes for a message, the first few if they are many."""
    shown = ", ".join(map(plain, names[:5])) + (
        f" and {len(names) - 5} more" if len(names) > 5 else ""
    )
    return f"class {shown}" if len(names) == 1 else f"classes {shown}"


def pictures_of(
    entries: Iterable[Entry],
    place: str,
    size_px: int,
    channels: int,
    classes: tuple[str, ...] | None,
    passed: Sequence[str] = (),
) -> Pictures:
    """Return the pictures of a split's entries; `place` is what messages call it, and `passed`
    holds, once they are read, the names of files that are no pictures."""
    check_shape(size_px, channels)
    folders: set[str] = set()
    done = decode_all(entries, folders, size_px, channels)
    found = (folders | {item.entry.kind for item in done}) - {""}
    if not found:
        raise UserError(f"{place} holds no class folders; expected CLASS/NAME.jpg in it")
    if not done:
        raise UserError(f"{place} holds no pictures; expected .png, .jpg, .jpeg, .bmp or .webp")
    broken = [item for item in done if item.pixels is None]
    check_broken(broken, len(done), place)
    good = [item for item in done if item.pixels is not None]
    classes = check_classes(found, {item.entry.kind for item in good}, classes, place)
    numbers = {name: number for number, name in enumerate(classes)}
    picture = torch.empty(len(good), channels, size_px, size_px, dtype=torch.uint8)
    np.stack([item.pixels for item in good if item.pixels is not None], out=picture.numpy())
    label = torch.tensor([numbers[item.entry.kind] for item in good], dtype=torch.int64)
    return Pictures(picture, label, classes, tuple(item.why() for item in broken), tuple(passed))


def read_folder(
    folder: Path,
    split: Split,
    *,
    size_px: int,
    channels: int = 3,
    classes: tuple[str, ...] | None = None,
) -> Pictures:
    """Return the pictures of `folder/split/CLASS/`; UserError if they cannot be had."""
    place = folder / (folder_of(folder, split) or split)
    if not place.is_dir():
        raise UserError(f"{place} is not a folder; expected {split}/CLASS/NAME.jpg in {folder}")
    passed: list[str] = []
    entries = loose(folder, split, passed)
    return pictures_of(entries, str(place), size_px, channels, classes, passed)


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


def read_tars(
    folder: Path,
    split: Split,
    *,
    size_px: int,
    channels: int = 3,
    classes: tuple[str, ...] | None = None,
) -> Pictures:
    """Return the pictures of a split's tars; UserError if they cannot be had."""
    paths = tars_of(folder, split)
    if not paths:
        raise UserError(f"{folder} has no {split}.tar, {split}.tar.xz or {split}-000.tar")
    place = str(paths[0]) if len(paths) == 1 else f"{folder}/{split}-*.tar"
    return pictures_of(packed(paths, split), place, size_px, channels, classes)


def read_classes(
    folder: Path,
    split: Split,
    *,
    size_px: int,
    channels: int = 3,
    classes: tuple[str, ...] | None = None,
) -> Pictures:
    """Return a split from class folders or, where there is no such folder, from tars."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; expected one that holds {split}/CLASS/NAME.jpg")
    read = read_folder if folder_of(folder, split) else read_tars
    if read is read_tars and not tars_of(folder, split):
        raise UserError(
            f"{folder} has neither a folder {split} nor {split}.tar; expected "
            f"{split}/CLASS/NAME.jpg, {split}.tar[.gz|.xz] or {split}-000.tar"
        )
    return read(folder, split, size_px=size_px, channels=channels, classes=classes)
