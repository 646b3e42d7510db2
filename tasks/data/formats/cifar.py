"""CIFAR-10 as its authors give it: the binary files, and the pickles "for Python".

https://www.cs.toronto.edu/~kriz/cifar.html. A binary file is rows of 3073 bytes: the label, then
32 x 32 red, green and blue values. A pickle holds a dict with `data`, uint8 [N, 3072] in the same
order, and `labels`.

Opening a pickle runs what it names. Here every name but the four that an array of bytes needs is
refused, and those four stand for the inert classes below, not for numpy's: the array is built by
us from what they were given, after its type, shape and length were checked.

Letters: N pictures, of 3 channels, 32 x 32.
"""

import io
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import UInt8
from torch import Tensor

from backbones.training.errors import UserError
from backbones.training.files import read_bounded
from tasks.data.formats.class_names import names_beside
from tasks.data.pictures import Pictures

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PIXELS = 3 * 32 * 32
ROW = 1 + PIXELS
# A batch has 10,000 rows, 31 MB.
LARGEST_BYTES = 2**28
# A batch has 10,000 labels and file names, some 60,000 steps. A byte can be an empty list of 56.
MOST_VALUES = 1_000_000
BATCHES = {
    "train": tuple(f"data_batch_{number}" for number in range(1, 6)),
    "test": ("test_batch",),
}

Rows = tuple[UInt8[Tensor, "N 3072"], list[int]]


class Refused(pickle.UnpicklingError):
    """A pickle that holds more than an array of bytes and plain values."""


class Inert:
    """Takes what a pickle hands to a class, and does nothing with it."""

    def __init__(self, *given: Any) -> None:
        self.given = given
        self.state: Any = ()

    def __setstate__(self, state: Any) -> None:
        self.state = state


class Array(Inert):
    """Stands for numpy's array: its state is version, shape, type, order and bytes."""

    def rows(self) -> UInt8[Tensor, "N 3072"]:
        """Return the values; Refused unless they are rows of a picture's bytes."""
        try:
            _, shape, kind, by_columns, data = self.state
            names = [name.decode() if isinstance(name, bytes) else name for name in kind.given[:1]]
            num, width = shape
            fits = type(data) is bytes and width == PIXELS and len(data) == num * width > 0
        except (TypeError, ValueError, AttributeError):
            raise Refused("data is no array of numpy") from None
        if not fits or names != ["u1"] or by_columns:
            raise Refused(f"data is not uint8 [N, {PIXELS}] by rows")
        return torch.frombuffer(bytearray(data), dtype=torch.uint8).reshape(num, width)


def encode(text: Any, encoding: Any) -> bytes:
    """Stands for _codecs.encode, which Python 3 writes for the bytes of an array."""
    if type(text) is not str or encoding != "latin1":
        raise Refused(f"it encodes as {encoding!r}")
    return text.encode("latin1")


# All that an array of bytes needs, in the pickles of numpy 1 and 2.
ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): Array,
    ("numpy._core.multiarray", "_reconstruct"): Array,
    ("numpy", "ndarray"): Inert,
    ("numpy", "dtype"): Inert,
    ("_codecs", "encode"): encode,
}


class ArrayUnpickler(pickle.Unpickler):
    """Reads plain values and arrays of bytes; Refused for anything else, before it can run."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise Refused(f"it names {module}.{name}")
        return ALLOWED[module, name]


def check_memo(data: bytes) -> None:
    """Refused if a pickle numbers its values beyond its length, or has far too many.

    Python 3.11 to 3.13 allocate a table as long as the largest number: 30 bytes can take 30 GB.
    """
    for count, (opcode, number, _) in enumerate(pickletools.genops(data)):
        if count > MOST_VALUES:
            raise Refused(f"it has more than {MOST_VALUES:,} values")
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(number or 0) > len(data):
            raise Refused(f"it numbers a value {number:,}")


def read_bytes(path: Path) -> bytes:
    """Return a file's bytes; UserError if it cannot be read or is absurdly large."""
    try:
        return read_bounded(path, LARGEST_BYTES)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None


def read_pickle(path: Path) -> Rows:
    """Return the rows and labels of a batch "for Python"; nothing in it is run."""
    data = read_bytes(path)
    try:
        check_memo(data)
        batch = ArrayUnpickler(io.BytesIO(data), encoding="bytes").load()
        if type(batch) is not dict:
            raise Refused("it holds no dict")
        plain = {k.decode() if isinstance(k, bytes) else k: v for k, v in batch.items()}
        rows, labels = plain.get("data"), plain.get("labels")
        if type(rows) is not Array or type(labels) is not list:
            raise Refused("it has no data and labels")
        if not all(type(label) is int for label in labels):
            raise Refused("its labels are not numbers")
        return rows.rows(), labels
    except Exception as error:
        # Damaged pickles raise almost anything, from IndexError to MemoryError.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{path} is not a batch of CIFAR-10 that can be read safely ({reason}); "
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
