"""Pictures in class folders, loose or in tar files: `train/cat/1.jpg`, `train.tar.xz`.

Each split (train, val, test) is a folder, or a tar (.tar, .tar.gz, .tar.xz, .tar.bz2), or several
(`train-000.tar`, `train-001.tar`). The class is the first folder under the split; in a tar, leading
folders up to one named like the split are passed over. A picture may lie deeper in its class, as
in Tiny ImageNet. Pictures come in the order of class and name, however they lie on the disk, and
classes are numbered by name, as torchvision's ImageFolder does ("10" before "2").

The numbers of the classes belong to the train split: give its `classes` when reading another.

Files that cannot be read are left out and named in `Pictures.skipped`. More than one in a hundred
of them is an error, but never a single one: a set of twenty pictures may have one broken file.

Folders that would take more than `most_bytes` decoded are not kept: every picture is decoded once,
to see whether it can be, and again whenever a batch asks for it (`PictureFiles`).
"""

import math
import warnings
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from backbones.training.device.cores import available_threads
from backbones.training.errors import UserError
from backbones.training.streams import plain
from tasks.data.columns import Column, Dense
from tasks.data.decode import (
    Fit,
    Unreadable,
    check_shape,
    contents,
    decode,
    planes,
    quiet_pillow,
    read_picture,
)
from tasks.data.formats.entries import Entry, folder_of, loose, packed, tars_of
from tasks.data.pictures import PictureFiles, Pictures
from tasks.data.samples import ColumnOf, OnDisk
from tasks.data.split_names import Split

__all__ = ["Split", "read_classes", "read_folder", "read_picture", "read_tars", "tars_of"]

# Pictures per task of a thread: one small JPEG decodes in less time than handing it over takes.
CHUNK = 64
# Of a tar, whose pictures wait in memory. Photos of 10 MB by 64 would be gigabytes.
CHUNK_BYTES = 2**24
# More threads than this only wait for each other: half of the work holds Python's lock.
MAX_THREADS = 4
# Loose files may be this share of a set, but see the first lines.
MAX_BROKEN = 0.01


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


def decode_chunk(chunk: list[Entry], size_px: int, channels: int, fit: Fit) -> list[Decoded]:
    """Return the pixels of a few entries."""
    done = []
    for entry in chunk:
        source, light = entry.source, replace(entry, source=None)  # the bytes may go
        try:
            if source is None or not entry.kind:
                raise Unreadable("lies in no class folder")
            data = source if isinstance(source, bytes) else contents(Path(source))
            done.append(Decoded(light, decode(data, size_px=size_px, channels=channels, fit=fit)))
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
    entries: Iterable[Entry], folders: set[str], size_px: int, channels: int, fit: Fit = planes
) -> Generator[Decoded, None, None]:
    """Yield the pixels of all entries in order.

    Few chunks are on their way at a time, so a tar larger than memory can be read at a small size.
    """
    threads = min(MAX_THREADS, available_threads())
    waiting: deque[Future[list[Decoded]]] = deque()
    with quiet_pillow(), ThreadPoolExecutor(threads) as pool:
        for chunk in chunks(entries, folders):
            waiting.append(pool.submit(decode_chunk, chunk, size_px, channels, fit))
            if len(waiting) > 2 * threads:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


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


@dataclass
class Found:
    """What the pictures of a split turned out to be, once all are decoded."""

    place: str
    """What messages call the split."""
    folders: set[str]
    good: list[Entry]
    broken: list[Decoded]

    def labels(self, classes: tuple[str, ...] | None) -> tuple[Int64[Tensor, "N"], tuple[str, ...]]:
        """Return the pictures' labels, and the classes; UserError if the set is not whole."""
        kinds, total = {entry.kind for entry in self.good}, len(self.good) + len(self.broken)
        found = (self.folders | kinds | {item.entry.kind for item in self.broken}) - {""}
        if not found:
            raise UserError(f"{self.place} holds no class folders; expected CLASS/NAME.jpg in it")
        if not total:
            raise UserError(
                f"{self.place} holds no pictures; expected .png, .jpg, .jpeg, .bmp or .webp"
            )
        check_broken(self.broken, total, self.place)
        classes = check_classes(found, kinds, classes, self.place)
        numbers = {name: number for number, name in enumerate(classes)}
        return torch.tensor([numbers[entry.kind] for entry in self.good]), classes

    @property
    def skipped(self) -> tuple[str, ...]:
        """The files that cannot be read, each with the reason."""
        return tuple(item.why() for item in self.broken)


def keep_pictures(
    done: Iterable[Decoded], found: Found, picture: UInt8[Tensor, "N C H W"] | None
) -> None:
    """Put the decoded pictures into the rows of `picture`, if there is room for them, and say in
    `found` which they are."""
    for item in done:
        if item.pixels is None:
            found.broken.append(item)
            continue
        if picture is not None:
            picture[len(found.good)] = torch.from_numpy(item.pixels)
        found.good.append(item.entry)


def read_folder(
    folder: Path,
    split: Split,
    *,
    size_px: int,
    channels: int = 3,
    classes: tuple[str, ...] | None = None,
    most_bytes: float = math.inf,
) -> Pictures | PictureFiles:
    """Return the pictures of `folder/split/CLASS/`; UserError if they cannot be had."""
    check_shape(size_px, channels)
    place = folder / (folder_of(folder, split) or split)
    if not place.is_dir():
        raise UserError(f"{place} is not a folder; expected {split}/CLASS/NAME.jpg in {folder}")
    passed: list[str] = []
    entries = sorted(loose(folder, split, passed), key=order)
    count = sum(entry.source is not None for entry in entries)
    size_bytes = count * channels * size_px**2
    kept = size_bytes <= most_bytes
    picture = torch.empty(count, channels, size_px, size_px, dtype=torch.uint8) if kept else None
    found = Found(str(place), set(), [], [])
    keep_pictures(decode_all(entries, found.folders, size_px, channels), found, picture)
    label, classes = found.labels(classes)
    rest = label, classes, found.skipped, tuple(passed)
    if picture is not None:
        return Pictures(picture[: len(label)], *rest)
    good = {entry.name for entry in found.good}
    files = [str(e.source) for e in entries if e.source is not None and e.name in good]
    return PictureFiles(PictureReader(files, size_px, channels), *rest, size_bytes)


def read_files(
    paths: Sequence[Path],
    place: str,
    *,
    size_px: int,
    channels: int,
    most_bytes: float = math.inf,
    fit: Fit = planes,
) -> tuple[Column, dict[int, str], str]:
    """Return picture files as a column without those that cannot be read, these by number with the
    reason, and a line if they stay on the disk because they would take more than `most_bytes`.

    UserError, which calls them `place`, if too many cannot be read.
    """
    check_shape(size_px, channels)
    entries = [Entry("photo", path.name, str(path)) for path in paths]
    size_bytes = len(paths) * channels * size_px**2
    kept = size_bytes <= most_bytes
    picture = torch.empty(len(paths) * kept, channels, size_px, size_px, dtype=torch.uint8)
    skipped: dict[int, str] = {}
    found = Found(place, set(), [], [])
    for number, item in enumerate(decode_all(entries, set(), size_px, channels, fit)):
        if item.pixels is None:
            skipped[number] = item.why()
        keep_pictures([item], found, picture if kept else None)
    check_broken(found.broken, len(paths), place)
    if kept:
        return Dense(picture[: len(found.good)]), skipped, ""
    files = [str(path) for number, path in enumerate(paths) if number not in skipped]
    note = (
        f"{len(files):,} pictures stay on the disk and are decoded for every batch; in memory they "
        f"would take {size_bytes / 1e9:,.3g} GB (--memory-gb)"
    )
    return ColumnOf(PictureReader(files, size_px, channels, fit), "picture"), skipped, note


def said_of(split: Split, skipped: Mapping[int, str], note: str) -> list[str]:
    """Return what is to be said of a split's photos that `read_files` has read."""
    lines = [f"{split}: {note}"] if note else []
    if skipped:
        reasons = "; ".join(list(skipped.values())[:10])
        lines.append(f"{split}: {len(skipped)} photos left out ({reasons})")
    return lines


def order(entry: Entry) -> tuple[str, str, str]:
    """Return by what pictures are sorted."""
    return entry.kind, entry.name, entry.tar


class PictureReader(OnDisk):
    """Picture files, decoded when they are asked for."""

    def __init__(self, files: list[str], size_px: int, channels: int, fit: Fit = planes) -> None:
        self.files, self.size_px, self.channels, self.fit = files, size_px, channels, fit
        # For all threads and for good: see `quiet_pillow`.
        warnings.filterwarnings("ignore", module=r"PIL\b")
        super().__init__(len(files), self.picture, min(MAX_THREADS, available_threads()))

    def picture(self, number: int) -> Mapping[str, np.ndarray]:
        """Return one picture; UserError if its file is no longer as it was."""
        try:
            data = contents(Path(self.files[number]))
            shape = {"size_px": self.size_px, "channels": self.channels}
            return {"picture": decode(data, **shape, fit=self.fit)}
        except Unreadable as error:
            name = plain(self.files[number])
            raise UserError(
                f"{name} {error}, and could be read before; put it back, or start anew without it"
            ) from None


def read_tars(
    folder: Path,
    split: Split,
    *,
    size_px: int,
    channels: int = 3,
    classes: tuple[str, ...] | None = None,
    most_bytes: float = math.inf,
) -> Pictures:
    """Return the pictures of a split's tars; UserError if they cannot be had."""
    check_shape(size_px, channels)
    paths = tars_of(folder, split)
    if not paths:
        raise UserError(f"{folder} has no {split}.tar, {split}.tar.xz or {split}-000.tar")
    place = str(paths[0]) if len(paths) == 1 else f"{folder}/{split}-*.tar"
    passed: list[str] = []
    found, done = Found(place, set(), [], []), list[Decoded]()
    # How many there are shows at the end, and until then there are two of each.
    most = most_bytes / (2 * channels * size_px**2)
    entries = packed(paths, split, passed)
    with closing(decode_all(entries, found.folders, size_px, channels)) as decoded:
        for item in decoded:
            done.append(item)
            if len(done) > most:
                raise UserError(
                    f"{place} would take more memory than there is room for: {len(done):,} "
                    f"pictures of {size_px} by {size_px} and more; unpack it (class folders are "
                    "then read from disk), or give a smaller --size-px or a larger --memory-gb"
                )
    done.sort(key=lambda item: order(item.entry))
    picture = torch.empty(len(done), channels, size_px, size_px, dtype=torch.uint8)
    keep_pictures(done, found, picture)
    label, classes = found.labels(classes)
    return Pictures(picture[: len(label)], label, classes, found.skipped, tuple(passed))


def read_classes(
    folder: Path,
    split: Split,
    *,
    size_px: int,
    channels: int = 3,
    classes: tuple[str, ...] | None = None,
    most_bytes: float = math.inf,
) -> Pictures | PictureFiles:
    """Return a split from class folders or, where there is no such folder, from tars."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; expected one that holds {split}/CLASS/NAME.jpg")
    shape = {"size_px": size_px, "channels": channels}
    if folder_of(folder, split):
        return read_folder(folder, split, **shape, classes=classes, most_bytes=most_bytes)
    if not tars_of(folder, split):
        raise UserError(
            f"{folder} has neither a folder {split} nor {split}.tar; expected "
            f"{split}/CLASS/NAME.jpg, {split}.tar[.gz|.xz] or {split}-000.tar"
        )
    return read_tars(folder, split, **shape, classes=classes, most_bytes=most_bytes)
