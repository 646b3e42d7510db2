"""Pictures out of tar files, in one pass and without writing anything to the disk.

Plain, gzip, xz and bzip2, known by their first bytes. Nothing is unpacked, so a name such as
`../x` could do no harm here; but who made such a file meant harm, or made it by mistake, and the
whole tar is refused: absolute names, names with `..`, links, devices, pipes and sparse files.

Surprises: Python's `tarfile` ends in silence at a damaged or missing header, as if the archive were
complete, so the two zero blocks at the end are looked for here; and it reads a header of any
length that the file claims, so reads are bounded here.
"""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from backbones.training.errors import UserError
from backbones.training.files import most_unpacked, open_plain, read_at_most
from tasks.data.decode import HEAD_BYTES, LARGEST_BYTES, SUFFIXES, is_picture_data

OPENERS: dict[bytes, Callable[[BinaryIO], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"\xfd7zXZ\x00": lzma.open,
    b"BZh": bz2.open,
}
DRAIN_BYTES = 2**20
ZSTANDARD = b"\x28\xb5\x2f\xfd"
# MemoryError: an xz file may ask for a dictionary of 4 GiB.
DAMAGE = (
    tarfile.TarError,
    OSError,
    EOFError,
    lzma.LZMAError,
    zlib.error,
    RecursionError,
    MemoryError,
)


class Forward(io.RawIOBase):
    """A decompressed file that goes forward only, in bounded reads, and remembers the last one."""

    def __init__(self, file: Any, most: int) -> None:
        self.file, self.most, self.last = file, most, b""

    def check(self, offset: int) -> None:
        """ReadError where a file as small as this one is packed cannot have an end."""
        if offset > self.most:
            raise tarfile.ReadError("it unpacks to far more than its size")

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= LARGEST_BYTES + 1:
            raise tarfile.ReadError(f"a header claims {size:,} bytes")
        self.check(self.file.tell() + size)
        self.last = read_at_most(self.file, size)
        return self.last

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        # Old versions of tarfile walk in circles if a header claims a negative size.
        if whence != io.SEEK_SET or offset < self.file.tell():
            raise tarfile.ReadError("a header points backwards")
        self.check(offset)
        return int(self.file.seek(offset))

    def tell(self) -> int:
        return int(self.file.tell())


@contextmanager
def opened(path: Path) -> Iterator[Forward]:
    """Open a tar for reading through its compression; UserError for one that we have not."""
    with open_plain(path) as file:
        start, size = file.read(6), os.fstat(file.fileno()).st_size
        file.seek(0)
        check_compression(path, start)
        for magic, opener in OPENERS.items():
            if start.startswith(magic):
                with opener(file) as unpacked:
                    yield Forward(unpacked, most_unpacked(size))
                return
        # A header may point behind the end by some blocks.
        yield Forward(file, size + LARGEST_BYTES)


def check_compression(path: Path, start: bytes) -> None:
    """UserError if a file begins as those of a compression that is not read."""
    if start.startswith(ZSTANDARD):
        raise UserError(
            f"{path} is compressed with Zstandard, which is not read; run `zstd -d {path.name}` "
            "and leave the .tar in its place"
        )


def is_hidden(name: PurePosixPath) -> bool:
    """Say whether a name is hidden, such as one of the twins that a Mac adds."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.parts)


def is_picture(name: PurePosixPath) -> bool:
    """Say whether a name is a picture's, and not a hidden one."""
    return name.suffix.lower() in SUFFIXES and not is_hidden(name)


def check_member(path: Path, member: tarfile.TarInfo) -> None:
    """UserError, for the whole tar, unless a member is a plain file or folder inside it."""
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        fault = f"{member.name!r}, which leads out of its folder"
    elif not (member.isfile() or member.isdir()) or member.issparse():
        fault = f"{member.name!r}, which is a link, a device or another special file"
    else:
        return
    raise UserError(f"{path} is refused: it holds {fault}; pack plain files and folders only")


def stream(path: Path, passed: list[str]) -> Iterator[tuple[PurePosixPath, bytes | None]]:
    """Yield the pictures of a tar with their bytes, and its folders with None, as they come; put
    the names of all else into `passed`.

    What has no picture's suffix is known by its content, as in a folder.
    A picture too large to be read comes cut off at one byte more than LARGEST_BYTES.
    """
    try:
        with opened(path) as file:
            yield from members(path, file, passed)
    except UserError:
        raise
    except (*DAMAGE, ValueError) as error:  # ValueError: a size in a header that is no number
        reason = str(error) or type(error).__name__
        raise UserError(
            f"{path} is damaged or no tar file ({reason}); fetch or pack it again"
        ) from None


def members(
    path: Path, file: Forward, passed: list[str]
) -> Iterator[tuple[PurePosixPath, bytes | None]]:
    """Yield what `stream` does, from an open file."""
    with tarfile.open(fileobj=file, mode="r:") as archive:
        while member := archive.next():
            # A list of every member so far would grow by a kilobyte a picture.
            archive.members = []  # type: ignore[attr-defined]
            check_member(path, member)
            name = PurePosixPath(member.name)
            if member.isdir():
                yield name, None
                continue
            data = b"" if is_hidden(name) else read_member(file, member)
            if data or is_picture(name):
                yield name, data
            else:
                passed.append(f"{path.name}/{name}")
    if file.last != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("it is cut off, or a header in it is broken")
    # The checksums of gzip and xz stand at the very end, and are compared when it is reached.
    while file.read(DRAIN_BYTES):
        pass


def read_member(file: Forward, member: tarfile.TarInfo) -> bytes:
    """Return the bytes of a picture, b"" if it is none by its name nor by its first bytes."""
    size = min(member.size, LARGEST_BYTES + 1)
    file.seek(member.offset_data)
    data = b""
    if not is_picture(PurePosixPath(member.name)):
        data = file.read(min(size, HEAD_BYTES))
        if not is_picture_data(data):
            return b""
    data += file.read(size - len(data))
    if len(data) < size:
        raise tarfile.ReadError(f"it ends within {member.name}")
    return data
