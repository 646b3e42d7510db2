"""Files that are whole or not there: what a power cut must not halve and a full disk not damage."""

import contextlib
import os
from pathlib import Path

from backbones.training.errors import UserError


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


class Appender:
    """Appends to a file, each piece whole or not at all.

    What the disk refuses (full, read-only, gone) waits in memory and is written, in order, as soon
    as it can be: a run goes on, and its log has no hole afterwards.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.waiting: list[bytes] = []
        self.trouble: OSError | None = None

    def write(self, data: bytes) -> None:
        """Append a piece, and what waits before it; `trouble` says why if it could not be done."""
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
