"""Files that a power cut cannot leave half written and a full disk cannot damage.

And files from somebody else: only plain ones are opened, since a pipe, a socket or a device can
block for ever or never end, and sizes are bounded before memory is allocated.
"""

import contextlib
import io
import os
import re
import stat
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

from backbones.training.errors import UserError

BLOCK_BYTES = 2**18
# What is compressed may always unpack to so much: no machine notices, and small files that repeat
# themselves, as tests and toys do, stay readable.
ALWAYS_UNPACKED_BYTES = 2**26
# Beyond that to so many times its size. Texts, pictures and weights reach 20; bombs have 1,000.
MOST_UNPACKED = 100
KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def kind_of(mode: int) -> str:
    """Return what a file's mode says that it is, such as a named pipe; "" for a plain file."""
    return "" if stat.S_ISREG(mode) else KINDS.get(stat.S_IFMT(mode), "no plain file")


def check_plain(path: Path) -> None:
    """UserError unless a path leads to a plain file; OSError, such as FileNotFoundError, as `stat`.

    For readers that open a path themselves; nothing is opened here.
    """
    if kind := kind_of(os.stat(path).st_mode):
        raise UserError(f"{path} is {kind}; give a plain file")


def open_plain(path: Path) -> BinaryIO:
    """Open a plain file to read its bytes; UserError for anything else, which is not even opened.

    OSError as `open`.
    """
    check_plain(path)
    # Should a pipe have taken its place just now, this does not wait for somebody to write to it.
    file = open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if kind := kind_of(os.fstat(file.fileno()).st_mode):
        file.close()
        raise UserError(f"{path} is {kind}; give a plain file")
    return file


def check_stream(descriptor: int, name: str) -> None:
    """UserError unless something that is open already can be read to an end: a file, a pipe, a
    socket, a terminal or /dev/null, and no folder or other device, such as /dev/zero."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        raise UserError(f"{name} is closed; give a file, or pipe something in") from None
    endless = stat.S_ISCHR(mode) and not os.isatty(descriptor) and not is_null(descriptor)
    if endless or stat.S_ISDIR(mode) or stat.S_ISBLK(mode):
        raise UserError(f"{name} is {kind_of(mode)}; give a file, or pipe something in")


def is_null(descriptor: int) -> bool:
    """Say whether something open is /dev/null, which ends at once."""
    return os.path.samestat(os.fstat(descriptor), os.stat(os.devnull))


def standard_input() -> Any:
    """Return the open standard input, to read bytes; UserError if it is closed or has no end."""
    if sys.stdin is None:
        raise UserError("standard input is closed; give a file, or pipe something in")
    with contextlib.suppress(OSError):  # a stream in memory has no descriptor
        check_stream(sys.stdin.buffer.fileno(), "standard input")
    return sys.stdin.buffer


@contextlib.contextmanager
def open_input(given: str) -> Iterator[Any]:
    """Open what a person named to read from: a plain file, or - or a name of something that is
    open already, such as /dev/stdin and the /dev/fd/63 that a shell makes of `<(command)`.

    UserError for anything else; OSError as `open`.
    """
    name = re.fullmatch(r"/dev/stdin|(?:/dev|/proc/self)/fd/(\d+)", given)
    if given == "-":
        yield standard_input()
    elif name:
        descriptor = int(name[1] or 0)
        check_stream(descriptor, given)
        with open(os.dup(descriptor), "rb") as file:
            yield file
    else:
        with open_plain(Path(given)) as file:
            yield file


def read_at_most(file: IO[bytes] | Any, limit: int) -> bytes:
    """Return up to `limit` bytes of an open file, in blocks.

    `file.read(limit)` takes memory for the whole limit first, however short the file is.
    """
    out = io.BytesIO()
    while out.tell() < limit and (block := file.read(min(BLOCK_BYTES, limit - out.tell()))):
        out.write(block)
    return out.getvalue()


def read_bounded(path: Path, limit: int) -> bytes:
    """Return the bytes of a plain file; UserError if it is none, or larger than `limit` bytes.

    OSError as `open`.
    """
    with open_plain(path) as file:
        data = read_at_most(file, limit + 1)
    if len(data) > limit:
        raise UserError(f"{path} is larger than {written_size(limit)}, the most that is read")
    return data


def most_unpacked(packed_bytes: int) -> int:
    """Return how many bytes a compressed file of this size may unpack to."""
    return max(ALWAYS_UNPACKED_BYTES, MOST_UNPACKED * packed_bytes)


def check_member(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    """UserError if a file in a zip is packed by bzip2 or LZMA, of which a block of 4 KiB can unpack
    to gigabytes at once; those that we read are deflated or stored."""
    if archive.getinfo(name).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UserError(f"{path}: {name} is packed by bzip2 or LZMA; pack it with deflate")


def written_size(size_bytes: int) -> str:
    """Return a number of bytes for people."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size_bytes >= size:
            return f"{size_bytes / size:.4g} {unit}"
    return f"{size_bytes} bytes"


def sync(path: Path) -> None:
    """Force a file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file under a temporary name, sync it, and rename it into place."""
    temporary = path.with_name(f".{path.name}.writing")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        sync(temporary)
        temporary.rename(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync(path.parent)


class SteadyFile:
    """An open file for PyAV, which ends the process where a disk is full: it never hears of errors.

    The first one is kept, and nothing is written after it.
    """

    def __init__(self, file: Any) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        left = memoryview(data)
        try:
            while left and self.error is None:
                left = left[self.file.write(left) :]
        except OSError as error:
            self.error = error
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return int(self.file.seek(offset, whence))

    def tell(self) -> int:
        return int(self.file.tell())

    def check(self) -> None:
        """Raise what went wrong, if anything did."""
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        """Close the file; raise what went wrong, if anything did."""
        self.file.close()
        self.check()


class Appender:
    """Appends to a file, each piece completely or not at all.

    While the disk is full, read-only or gone, pieces wait in memory; they are written in order as
    soon as possible. So a run continues, and nothing is missing in its log.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.waiting: list[bytes] = []
        self.trouble: OSError | None = None

    def write(self, data: bytes) -> None:
        """Append what waits, then a piece; `trouble` is the error if that is not possible."""
        self.waiting.append(data)
        try:
            self.append(b"".join(self.waiting))
        except OSError as error:
            self.trouble = error
        else:
            self.waiting, self.trouble = [], None

    def append(self, data: bytes) -> None:
        """Append bytes now; on OSError the file is as long as it was."""
        with self.path.open("ab", buffering=0) as file:
            size, left = os.fstat(file.fileno()).st_size, memoryview(data)
            try:
                while left:
                    left = left[file.write(left) :]
            except OSError:
                os.ftruncate(file.fileno(), size)
                raise


def make_folder(path: Path) -> None:
    """Make a folder, and what it lies in; UserError if that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; give a place that can be written") from None


def make_empty_folder(path: Path) -> None:
    """Make a folder as `make_folder` does; UserError if it is there and holds something."""
    make_folder(path)
    if any(path.iterdir()):
        raise UserError(f"{path} is not empty; give a new folder")
