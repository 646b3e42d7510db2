"""CIFAR-10 as its authors give it: the binary files, and the pickles "for Python".

https://www.cs.toronto.edu/~kriz/cifar.html. A binary file is rows of 3073 bytes: the label, then
32 x 32 red, green and blue values. A pickle holds a dict with `data`, uint8 [N, 3072] in the same
order, and `labels`.

`arrays/pickled.py` reads a pickle without running what it names.

Letters: N pictures, of 3 channels, 32 x 32.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from backbones.training.errors import UserError
from backbones.training.files import read_bounded
from tasks.data.formats.arrays.pickled import Array, Refused, unpickled
from tasks.data.formats.class_names import names_beside
from tasks.data.pictures import Pictures

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PIXELS = 3 * 32 * 32
ROW = 1 + PIXELS
# A batch has 10,000 rows, 31 MB.
LARGEST_BYTES = 2**28
BATCHES = {
    "train": tuple(f"data_batch_{number}" for number in range(1, 6)),
    "test": ("test_batch",),
}

Rows = tuple[UInt8[Tensor, "N 3072"], list[int]]


def read_bytes(path: Path) -> bytes:
    """Return a file's bytes; UserError if it cannot be read or is absurdly large."""
    try:
        return read_bounded(path, LARGEST_BYTES)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None


def read_pickle(path: Path) -> Rows:
    """Return the rows and labels of a batch "for Python"; nothing in it is run."""
    try:
        batch = unpickled(read_bytes(path))
        if type(batch) is not dict:
            raise Refused("it holds no dict")
        rows, labels = (batch.get(name, batch.get(name.encode())) for name in ("data", "labels"))
        if type(rows) is not Array or type(labels) is not list:
            raise Refused("it has no data and labels")
        if not all(type(label) is int for label in labels):
            raise Refused("its labels are not numbers")
        values = rows.numbers()
        if values.dtype != np.uint8 or values.ndim != 2 or values.shape[1] != PIXELS:
            raise Refused(f"data is not uint8 [N, {PIXELS}]")
        return torch.tensor(values), labels
    except Refused as error:
        raise UserError(
            f"{path} is not a batch of CIFAR-10 that can be read safely ({error}); "
            "`arcadia data cifar10` fetches the binary files"
        ) from None


def read_binary(path: Path) -> Rows:
    """Return the rows and labels of a binary batch."""
    data = read_bytes(path)
    if not data or len(data) % ROW:
        raise UserError(
            f"{path} has {len(data):,} bytes, not a multiple of {ROW:,}, a picture and its label; "
            "it is cut off or another set (CIFAR-100 has 3,074): fetch it again"
        )
    rows = torch.frombuffer(bytearray(data), dtype=torch.uint8).reshape(-1, ROW)
    return rows[:, 1:], rows[:, 0].tolist()


def batches(folder: Path, split: str) -> tuple[list[Path], Callable[[Path], Rows]] | None:
    """Return the files of a split and their reader; None if the folder has none of CIFAR-10's."""
    for inside, suffix in (("cifar-10-batches-bin", ".bin"), ("cifar-10-batches-py", "")):
        for place in (folder, folder / inside):
            if any((place / f"{n}{suffix}").is_file() for n in sum(BATCHES.values(), ())):
                files = [place / f"{name}{suffix}" for name in BATCHES[split]]
                return files, read_binary if suffix else read_pickle
    return None


def read_cifar10(folder: Path, split: Literal["train", "test"]) -> Pictures:
    """Return a split of CIFAR-10, [N, 3, 32, 32]; UserError if it is not whole."""
    found = batches(folder, split)
    if found is None:
        raise UserError(
            f"{folder} has neither data_batch_1.bin nor data_batch_1; `arcadia data cifar10` "
            "fetches them"
        )
    paths, read = found
    if missing := [path.name for path in paths if not path.is_file()]:
        raise UserError(f"{paths[0].parent} lacks {', '.join(missing)}; fetch the set again")
    parts = []
    for path in paths:
        rows, labels = read(path)
        if len(rows) != len(labels):
            raise UserError(f"{path} has {len(rows):,} pictures, but {len(labels):,} labels")
        if wrong := [n for n, label in enumerate(labels) if not 0 <= label < len(CLASSES)]:
            raise UserError(
                f"{path} has the label {labels[wrong[0]]} in row {wrong[0]:,}; CIFAR-10 has 0 to 9"
            )
        parts.append((rows, torch.tensor(labels, dtype=torch.int64)))
    picture = torch.cat([rows for rows, _ in parts]).reshape(-1, 3, 32, 32)
    classes = names_beside(paths[0].parent, len(CLASSES)) or CLASSES
    return Pictures(picture, torch.cat([label for _, label in parts]), classes)
