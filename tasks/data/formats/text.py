"""Texts in two languages, line by line: what other systems write, read with the line that is wrong.

Two files with as many lines each, `train.en` and `train.de`, with anything between (Multi30k's
`train.lc.norm.tok.de`), plain or gzip, and `val` and `test` likewise; or one file of tab-separated
pairs in a zip, as ManyThings publishes Tatoeba (`fra-eng.zip`: English first). What has no files of
its own, val or test, is split off the training texts. A file with `.tok.` in its name is tokenised.

What surprises: Python's `splitlines` also cuts at characters such as U+2028, and two files with one
of them in would no longer be aligned; only line feeds end a line here. Tatoeba has many
translations of one sentence, so its splits are made by the sentence to translate, not by pair.
"""

import codecs
import gzip
import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from backbones.training.errors import UserError
from backbones.training.files import (
    check_member,
    most_unpacked,
    open_plain,
    read_at_most,
    written_size,
)
from tasks.data.languages import code_of, names_of
from tasks.data.split_names import NAMES, SPLITS, Split, name_of

LARGEST_BYTES = 2**32  # of a file, unpacked
# Of a line: no sentence has more, and the pieces of more would take a hundred times the memory.
LARGEST_LINE = 2**20
MOST_SKIPPED = 2**26  # of a line that is longer, to find the next one
# The longer mark first: that of UTF-32 begins as that of UTF-16.
WIDE = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
PACKED = {
    b"PK\x03\x04": ("a zip file", "unzip"),
    b"\xfd7zXZ\0": ("packed by xz", "unxz"),
    b"BZh": ("packed by bzip2", "bunzip2"),
    b"\x28\xb5\x2f\xfd": ("packed by zstd", "unzstd"),
    b"\x1f\x8b": ("packed by gzip once more", "gunzip"),
}
DAMAGE = (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError)
# Of a thousand sentences of a file without splits, so many validate and so many test.
PER_MILLE = {"val": 10, "test": 10}


@dataclass(frozen=True)
class Pairs:
    """Lines and their translations, in order."""

    source: list[str]
    target: list[str]
    tokenised: bool = False
    """Words and marks stand apart, as scores of tokenised text want them."""
    left_out: int = 0
    """Pairs with an empty side."""
    split_off: bool = False
    """Taken from the training texts, for want of files of its own."""

    def __len__(self) -> int:
        return len(self.source)

    @cached_property
    def digest(self) -> str:
        """What tells these texts from others: 16 digits of their SHA-256."""
        text = "\n".join([*self.source, "", *self.target])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def first(self, count: int) -> "Pairs":
        """Return the first pairs, as many as there are up to `count`."""
        return replace(self, source=self.source[:count], target=self.target[:count])


def read_lines(path: Path) -> list[str]:
    """Return a text's lines; UserError with the line that is no UTF-8."""
    return decoded(read_bytes(path), path)


def read_bytes(path: Path) -> bytes:
    """Return what a file holds, unpacked if it is gzip; UserError if it cannot be read."""
    try:
        with open_plain(path) as file:
            with unpacked(file) as whole:
                packed = whole is not file
                size = os.fstat(file.fileno()).st_size
                most = min(LARGEST_BYTES, most_unpacked(size)) if packed else LARGEST_BYTES
                return bounded(whole, most, path)
    except DAMAGE as error:
        raise UserError(f"{path} cannot be read ({error})") from None


@contextmanager
def unpacked(file: Any) -> Iterator[Any]:
    """Give an open file, or what unpacks it if it is gzip."""
    # Nothing is taken from it: pipes cannot go back.
    if file.peek(2)[:2] != b"\x1f\x8b":
        yield file
        return
    with gzip.open(file) as whole:
        yield whole


def stream_lines(file: Any, name: str) -> Iterator[bytes]:
    """Yield the lines of an open file as `raw_lines` does, at most one in memory; of a line that is
    longer than LARGEST_LINE so much that `decoded_line` refuses it.

    UserError for a line that never seems to end.
    """
    number = 0
    while line := file.readline(LARGEST_LINE + 1):
        number += 1
        if len(line) > LARGEST_LINE and not line.endswith(b"\n"):
            skip_line(file, f"{name}, line {number}")
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        yield line.removesuffix(b"\n").rstrip(b"\r")


def skip_line(file: Any, where: str) -> None:
    """Read to the end of a line; UserError if it has none within MOST_SKIPPED bytes."""
    for _ in range(MOST_SKIPPED // LARGEST_LINE):
        rest = file.readline(LARGEST_LINE)
        if not rest or rest.endswith(b"\n"):
            return
    raise UserError(
        f"{where} does not end within {written_size(MOST_SKIPPED)}; give one sentence a line"
    )


def bounded(file: Any, most: int, name: Any) -> bytes:
    """Return what is left of an open file; UserError if that is more than so many bytes."""
    data = read_at_most(file, most + 1)
    if len(data) > most:
        raise UserError(f"{name} has more than {written_size(most)}, the most that is read")
    return data


def raw_lines(data: bytes) -> list[bytes]:
    """Return the lines of some bytes, without their ends and without a byte-order mark."""
    lines = data.removeprefix(codecs.BOM_UTF8).split(b"\n")
    return [line.rstrip(b"\r") for line in (lines[:-1] if lines[-1] == b"" else lines)]


def decoded(data: bytes, name: Any) -> list[str]:
    """Return the lines of some bytes; UserError for the first that is no UTF-8, or if they are no
    text but a file that is packed."""
    for magic, (what, command) in PACKED.items():
        if data.startswith(magic):
            raise UserError(f"{name} is {what}, no text; unpack it first, with `{command}`")
    return [decoded_line(line, f"{name}, line {n}") for n, line in enumerate(raw_lines(data), 1)]


def decoded_line(line: bytes, where: str) -> str:
    """Return a line as text; UserError if it is no UTF-8, or longer than LARGEST_LINE."""
    if len(line) > LARGEST_LINE:
        raise UserError(
            f"{where}: more than {written_size(LARGEST_LINE)}; give one sentence a line"
        )
    for mark, encoding in WIDE.items():
        if line.startswith(mark):
            raise UserError(
                f"{where}: begins as {encoding.upper()} does, and UTF-8 is read; convert the file "
                f"with `iconv -f {encoding} -t utf-8`"
            )
    if b"\0" in line:
        raise UserError(
            f"{where}: has zero bytes, as UTF-16 has and UTF-8 not; convert the file, for example "
            "with `iconv -f utf-16le -t utf-8`"
        )
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise UserError(
            f"{where}: byte {line[error.start]:#04x} is no UTF-8; convert the file from what it "
            "was written in, for example with `iconv -f latin1 -t utf-8`"
        ) from None


def read_pairs(folder: Path, split: Split, source: str, target: str) -> Pairs:
    """Return a split in two languages; UserError with what lies there instead.

    `folder` may also be ManyThings' zip, or the text in it.
    """
    if folder.is_file():
        return tab_separated(folder, split, source, target)
    files = {name: files_of(folder, name, source, target) for name in SPLITS}
    wanting = [name for name in SPLITS if not files[name]]
    if files[split] and (split != "train" or not wanting):
        return aligned(*files[split])
    archives = sorted([*folder.glob("*-*.zip"), *filter(is_tab_separated, folder.glob("*.txt"))])
    if archives and len(wanting) == len(SPLITS):
        return tab_separated(archives[0], split, source, target)
    if "train" in wanting:
        raise UserError(f"{folder} has no train.{source} or train.*.{source}; {inside(folder)}")
    return split_off(aligned(*files["train"]), split, wanting)


def split_off(pairs: Pairs, split: Split, wanting: Sequence[Split]) -> Pairs:
    """Return what is a split's of training texts, from which the splits `wanting` are taken."""
    places = [split_of(sentence) for sentence in pairs.source]
    kept = [
        n for n, place in enumerate(places) if (place if place in wanting else "train") == split
    ]
    if not kept:
        raise UserError(
            f"there are no {split} texts, and too few training texts ({len(pairs):,} pairs) to "
            "split some off them; give files of its own"
        )
    ours, theirs = ([side[n] for n in kept] for side in (pairs.source, pairs.target))
    left_out = pairs.left_out if split == "train" else 0
    return Pairs(ours, theirs, pairs.tokenised, left_out, split_off=split != "train")


def files_of(folder: Path, split: str, source: str, target: str) -> tuple[Path, ...]:
    """Return a split's two files, none if it has none; UserError if there is but one."""
    sides = [file_of(folder, split, language) for language in (source, target)]
    for path, language in zip(sides, (source, target), strict=True):
        if path is None and any(sides):
            raise UserError(f"{folder} has no {split} text in {language}; {inside(folder)}")
    return tuple(side for side in sides if side)


def inside(folder: Path) -> str:
    """Say what lies in a folder."""
    names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir())
    return f"it holds {', '.join(names[:8]) or 'nothing'}"


def file_of(folder: Path, split: str, language: str) -> Path | None:
    """Return a split's file in a language, None if it has none; UserError if there are more."""
    names = sorted(path.name for path in folder.iterdir())
    starts = tuple(f"{name}{mark}" for name in NAMES[split] for mark in "._")
    for called in names_of(language):
        endings = (f".{called}", f".{called}.gz")
        found = [
            name for name in names if name.endswith(endings) and name.lower().startswith(starts)
        ]
        name_of(split, (name.replace("_", ".").partition(".")[0] for name in found), folder)
        if len(found) > 1:
            many = ", ".join(found)
            raise UserError(f"{folder} has more than one {split} text in {language}: {many}")
        if found:
            return folder / found[0]
    return None


def aligned(source: Path, target: Path) -> Pairs:
    """Return the pairs of two files; UserError unless they have as many lines."""
    ours, theirs = read_lines(source), read_lines(target)
    if len(ours) != len(theirs):
        raise UserError(
            f"{source.name} has {len(ours):,} lines and {target.name} {len(theirs):,}; line by "
            "line they must be translations of each other"
        )
    tokenised = all(".tok." in path.name for path in (source, target))
    return whole(list(zip(ours, theirs, strict=True)), tokenised, source.name)


def whole(pairs: list[tuple[str, str]], tokenised: bool, name: str) -> Pairs:
    """Return pairs without those that have an empty side; UserError if none is left."""
    kept = [(ours, theirs) for ours, theirs in pairs if ours.strip() and theirs.strip()]
    if not kept:
        raise UserError(f"{name} has no line with a translation")
    sources, targets = ([pair[side] for pair in kept] for side in (0, 1))
    return Pairs(sources, targets, tokenised, len(pairs) - len(kept))


def is_tab_separated(path: Path) -> bool:
    """Say whether a text is one of ManyThings': named after a language, with a tab in it."""
    if code_of(path.stem.partition("-")[0]) == path.stem or path.name.startswith("_"):
        return False
    with open_plain(path) as file:
        return b"\t" in file.readline(LARGEST_LINE)


def tab_separated(archive: Path, split: Split, source: str, target: str) -> Pairs:
    """Return a split of ManyThings' zip, or of the text in it: the first column is the second
    language of its name, English if that has but one (`deu.txt`)."""
    second, first = [*archive.stem.split("-")[:2], "eng"][:2]
    columns = []
    for language in (source, target):
        places = [
            n
            for n, name in enumerate((first, second))
            if name.startswith(language) or code_of(name) == code_of(language)
        ]
        if not places:
            raise UserError(f"{archive.name} has {first} and {second}, not {language}")
        columns.append(places[0])
    read = read_archive if archive.suffix.lower() == ".zip" else read_lines
    pairs = []
    for number, line in enumerate(read(archive), 1):
        fields = line.split("\t")
        if len(fields) < 2:
            raise UserError(f"{archive.name}, line {number} has no tab; expected two texts")
        # By what is asked: one German sentence has several English ones.
        if split_of(fields[columns[0]]) == split:
            pairs.append((fields[columns[0]], fields[columns[1]]))
    return whole(pairs, False, archive.name)


def split_of(sentence: str) -> Split:
    """Return the split that a sentence belongs to, with all its translations."""
    place = zlib.crc32(sentence.encode()) % 1000
    if place < PER_MILLE["val"]:
        return "val"
    return "test" if place < PER_MILLE["val"] + PER_MILLE["test"] else "train"


def read_archive(archive: Path) -> list[str]:
    """Return the lines of the one text in a zip."""
    name, data = only_member(archive, ".txt")
    return decoded(data, f"{archive.name}, {name}")


def only_member(archive: Path, suffix: str) -> tuple[str, bytes]:
    """Return the name and the content of the one file of a kind in a zip; those that begin with _
    are about it. UserError if there is another number of them."""

    def choose(names: list[str]) -> str:
        found = [name for name in names if name.endswith(suffix) and not name.startswith("_")]
        if len(found) != 1:
            raise UserError(f"{archive} holds {len(found)} files in {suffix}; expected one")
        return found[0]

    return read_member(archive, choose)


def read_member(
    archive: Path, choose: Callable[[list[str]], str], largest: int = LARGEST_BYTES
) -> tuple[str, bytes]:
    """Return the name and the content of the file in a zip that `choose` takes of all names;
    UserError if it cannot be read, or unpacks to more than `largest` bytes."""
    try:
        with open_plain(archive) as packed, zipfile.ZipFile(packed) as opened:
            name = choose(opened.namelist())
            check_member(opened, name, archive)
            most = min(largest, most_unpacked(archive.stat().st_size))
            with opened.open(name) as file:
                return name, bounded(file, most, archive)
    except DAMAGE as error:
        raise UserError(f"{archive} cannot be read ({error})") from None
