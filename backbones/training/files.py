"""Files that are whole or not there: what a power cut must not halve."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Force a file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomically(path: Path, text: str) -> None:
    """Write a text file under a temporary name, sync it, and rename it into place."""
    temporary = path.with_name(f".{path.name}.writing")
    temporary.write_text(text)
    sync(temporary)
    temporary.rename(path)
    sync(path.parent)
