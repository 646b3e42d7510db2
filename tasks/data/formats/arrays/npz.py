"""The arrays of a `.npz`: a zip of `.npy`, each a header with what its array is, then its numbers.

https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. An array of objects is a
pickle behind its header: `pickled.py` reads those that hold arrays of numbers alone.

What surprises: the header is a dict in Python's own notation. It is read by a pattern, since numpy
has written its three keys in one order in every version.
"""

import re
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from backbones.training.checks.limits import shortened
from backbones.training.errors import UserError
from tasks.data.formats.arrays.pickled import MOST_VALUES, Array, Refused, numbers_in, unpickled
from tasks.data.formats.text import read_member
from tasks.data.split_names import Split, name_of

LARGEST_BYTES = 2**29  # of an array
HEADER = re.compile(
    rb"\{'descr': '([|<>=]?)(O\d?|[iu][1248]|f[248])', 'fortran_order': (True|False), "
    rb"'shape': \(([\dL, ]{0,80})\), ?\}\s*"
)


def read_rows(path: Path, split: Split) -> list[Shaped[np.ndarray, "..."]]:
    """Return the rows of the array of a split in a `.npz`: the arrays that an array of objects
    holds, or an array of numbers row by row.

    UserError if the file has no such split, or holds anything else than arrays of numbers.
    """

    def choose(names: list[str]) -> str:
        stems = {name.removesuffix(".npy"): name for name in names}
        stem = name_of(split, stems, path)
        if stem is None:
            there = shortened(", ".join(list(stems)[:5]), 200) or "nothing"
            raise UserError(f"{path} has no array {split}; it holds {there}")
        return stems[stem]

    name, data = read_member(path, choose, LARGEST_BYTES)
    try:
        return rows_in(data)
    except Refused as error:
        raise UserError(
            f"{path}, {name} is no array of numbers that can be read safely ({error})"
        ) from None


def rows_in(data: bytes) -> list[Shaped[np.ndarray, "..."]]:
    """Return the rows of a `.npy`; Refused if it has none, or is damaged."""
    version, wide = data[6:7], 2 if data[6:7] == b"\1" else 4
    begin = 8 + wide
    end = begin + int.from_bytes(data[8:begin], "little")
    header = HEADER.fullmatch(data, begin, min(end, len(data)))
    if data[:6] != b"\x93NUMPY" or version not in (b"\1", b"\2", b"\3") or not header:
        raise Refused("it has no header of numpy that is known here")
    order, name, by_columns, sizes = (word.decode() for word in header.groups())
    if name.startswith("O"):
        return arrays_in(data[end:])
    shape = tuple(int(size) for size in re.findall(r"\d+", sizes))
    if len(shape) < 2 or shape[0] > MOST_VALUES:
        raise Refused(f"its shape is {list(shape)}")
    return list(numbers_in(data[end:], order + name, shape, by_columns == "True"))


def arrays_in(data: bytes) -> list[Shaped[np.ndarray, "..."]]:
    """Return the arrays of numbers that a pickled array of objects holds; Refused for others."""
    whole = unpickled(data)
    if type(whole) is not Array:
        raise Refused("it holds no array")
    rows, total = list[Shaped[np.ndarray, "..."]](), 0
    for number, each in enumerate(whole.objects(), 1):
        if type(each) is not Array:
            raise Refused(f"row {number:,} is no array")
        rows.append(each.numbers())
        # A pickle can name one array many times: a copy of each would take what no file has.
        total += rows[-1].nbytes
        if total > len(data):
            raise Refused(f"row {number:,} and those before it have more numbers than the file")
    return rows
