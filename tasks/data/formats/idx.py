"""IDX files: MNIST, Fashion-MNIST, KMNIST, EMNIST, plain or compressed with gzip.

The format (Yann LeCun, http://yann.lecun.com/exdb/mnist): a magic number, 0x00000803 for pictures
and 0x00000801 for labels, then one 32-bit number a dimension, all big endian, then a byte a value.

Surprises: EMNIST stores its pictures transposed, and numbers its letters from 1; its files begin
with `emnist-`, and both are put right for them. Fashion-MNIST's files have MNIST's names; where the
folder's name has `fashion` in it, its classes get theirs.

Letters: N pictures, H rows, W columns.
"""

import gzip
import os
import re
import string
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import UInt8
from torch import Tensor

from backbones.training.errors import UserError
from backbones.training.files import most_unpacked, open_plain, read_at_most
from tasks.data.formats.class_names import names_beside
from tasks.data.pictures import Pictures

DIMENSIONS = {0x801: 1, 0x803: 3}
# EMNIST by class, the largest set in the format, has 547 MB.
LARGEST_BYTES = 2**30
STEMS = {"train": "train", "test": "t10k"}
NAMES = re.compile(r"(emnist-\w+-)?(train|t10k|test)-(images|labels)[-.]idx[13]-ubyte(\.gz)?")

FASHION = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
MERGED = string.digits + string.ascii_uppercase + "abdefghnqrt"
EMNIST = {
    "byclass": string.digits + string.ascii_uppercase + string.ascii_lowercase,
    "bymerge": MERGED,
    "balanced": MERGED,
    "letters": string.ascii_uppercase,
    "digits": string.digits,
    "mnist": string.digits,
}


@contextmanager
def open_idx(path: Path) -> Iterator[tuple[Any, int]]:
    """Open an IDX file, through gzip if its first bytes say so; give it with its most bytes."""
    with open_plain(path) as file:
        compressed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not compressed:
            yield file, LARGEST_BYTES
            return
        most = min(LARGEST_BYTES, most_unpacked(os.fstat(file.fileno()).st_size))
        with gzip.open(file) as unpacked:
            yield unpacked, most


def read_shape(path: Path, file: Any) -> tuple[int, ...]:
    """Return the dimensions that a file's header gives; UserError if it is no such header."""
    start = file.read(4)
    magic = int.from_bytes(start, "big")
    if len(start) < 4 or magic not in DIMENSIONS:
        raise UserError(
            f"{path} begins with 0x{start.hex()}, but IDX files begin with 0x00000803 (pictures) "
            "or 0x00000801 (labels); is it another format?"
        )
    num = DIMENSIONS[magic]
    sizes = file.read(4 * num)
    if len(sizes) < 4 * num:
        raise UserError(f"{path} is cut off within its header; fetch it again")
    return struct.unpack(f">{num}I", sizes)


def read_idx(path: Path) -> UInt8[Tensor, "..."]:
    """Return an IDX file's values in its own shape; UserError if it is damaged or no such file.

    What is read is bounded by the header, and the header by LARGEST_BYTES.
    """
    try:
        with open_idx(path) as (file, most):
            shape = read_shape(path, file)
            size = 1
            for length in shape:
                size *= length
            if not 0 < size <= most:
                raise UserError(
                    f"{path} claims {' x '.join(f'{n:,}' for n in shape)} values; expected between "
                    f"1 and {most:,} of a file of its size"
                )
            data = read_at_most(file, size + 1)
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UserError(f"{path} cannot be read ({reason}); fetch it again") from None
    if len(data) != size:
        fault = f"has only {len(data):,}" if len(data) < size else "has more"
        raise UserError(
            f"{path} {fault} where its header says {size:,} bytes follow; it is cut off or was "
            "changed: fetch it again"
        )
    return torch.frombuffer(bytearray(data), dtype=torch.uint8).reshape(shape)


def files_of(folder: Path) -> dict[str, dict[tuple[str, str], Path]]:
    """Return the IDX files by set and then (split, kind); sets are "" or `emnist-NAME-`."""
    found: dict[str, dict[tuple[str, str], Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if match := NAMES.fullmatch(path.name):
            split = "train" if match[2] == "train" else "test"
            # Where a file lies there plain and compressed, the plain one is taken.
            found.setdefault(match[1] or "", {}).setdefault((split, match[3]), path)
    return found


def pair(folder: Path, split: str) -> tuple[Path, Path, str, dict[tuple[str, str], Path]]:
    """Return the files of pictures and labels, their set and all files of it."""
    sets = files_of(folder)
    if len(sets) > 1:
        names = ", ".join(name.rstrip("-") or "mnist" for name in sorted(sets))
        raise UserError(f"{folder} holds several sets ({names}); give each a folder of its own")
    name, files = next(iter(sets.items()), ("", {}))
    missing = [
        f"{name}{STEMS[split]}-{kind}-idx{3 if kind == 'images' else 1}-ubyte[.gz]"
        for kind in ("images", "labels")
        if (split, kind) not in files
    ]
    if missing:
        raise UserError(
            f"{folder} has no {' and no '.join(missing)}; `arcadia data mnist` fetches MNIST"
        )
    return files[split, "images"], files[split, "labels"], name, files


def class_names(folder: Path, name: str, num: int) -> tuple[str, ...]:
    """Return the names of the classes of a set with `num` labels."""
    letters = EMNIST.get(name.removeprefix("emnist-").rstrip("-"))
    if name and letters:
        return tuple(letters)
    if names := names_beside(folder, num):
        return names
    if "fashion" in folder.resolve().name.lower() and num == len(FASHION):
        return FASHION
    return tuple(str(number) for number in range(num))


def read_of(path: Path, num_dimensions: int) -> UInt8[Tensor, "..."]:
    """Return the values of a file; UserError if it has pictures for labels or the reverse."""
    values = read_idx(path)
    if values.ndim != num_dimensions:
        kinds = {1: "labels", 3: "pictures"}
        raise UserError(
            f"{path} holds {kinds[values.ndim]} where {kinds[num_dimensions]} were expected; "
            "was it renamed?"
        )
    return values


def read_mnist(folder: Path, split: Literal["train", "test"], transposed: bool = False) -> Pictures:
    """Return a split of the IDX set in a folder, [N, 1, H, W]; UserError if it is not whole.

    `transposed` turns pictures that were stored by columns; EMNIST's are known by their names.
    """
    images, labels, name, files = pair(folder, split)
    picture, label = read_of(images, 3), read_of(labels, 1).long()
    if len(picture) != len(label):
        raise UserError(
            f"{images} has {len(picture):,} pictures, but {labels} has {len(label):,} labels; "
            "they belong to different sets or splits"
        )
    if transposed or name:
        picture = picture.transpose(1, 2).contiguous()
    if name == "emnist-letters-":
        label = label - 1
    # Of both splits, so that a class that one of them lacks does not renumber the model's outputs.
    both = [read_of(path, 1) for (_, kind), path in files.items() if kind == "labels"]
    classes = class_names(folder, name, 1 + max(int(values.max()) for values in both))
    return Pictures(picture[:, None], label, classes)
