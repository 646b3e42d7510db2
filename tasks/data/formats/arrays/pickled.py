"""Pickles of numpy's arrays, as CIFAR-10 "for Python" and `.npz` of objects hold them.

Opening a pickle runs what it names. Here every name but the few that an array of numbers needs is
refused, and those few stand for the inert classes below, not for numpy's: an array is built by us
from what they were given, after its type, shape and length were checked.

What surprises: pickles of Python 2 hold byte strings where Python 3 has text, so both are taken.
"""

import io
import math
import pickle
import pickletools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Shaped

# 70,000 drawings of QuickDraw take 1.2 million steps. A byte can be an empty dict of 64.
MOST_VALUES = 2_000_000
NUMBER = re.compile(r"[iu][1248]|f[248]")


class Refused(pickle.UnpicklingError):
    """A pickle that holds more than arrays of numbers and plain values, or is damaged."""


class Inert:
    """Takes what a pickle hands to a class, and does nothing with it."""

    def __init__(self, *given: Any) -> None:
        self.given = given
        self.state: Any = ()

    def __setstate__(self, state: Any) -> None:
        self.state = state


class Kind(Inert):
    """Stands for numpy's dtype: given a name such as i2, its state says the order of bytes."""

    def name(self) -> str:
        """Return its name: O for objects, or as `np.dtype` takes it, such as <i2; Refused for
        any other, such as text."""
        order_of_bytes = self.state[1:2] if type(self.state) is tuple else ()
        words = [*self.given[:1], *order_of_bytes]
        name, *order = [word.decode() if isinstance(word, bytes) else word for word in words]
        if name in ("O", "O4", "O8"):
            return "O"
        if not NUMBER.fullmatch(name) or order not in ([], ["<"], [">"], ["|"], ["="]):
            raise Refused("it holds an array of something else than numbers")
        return "".join(order) + str(name)


class Array(Inert):
    """Stands for numpy's array: its state is version, shape, type, order, and bytes or objects."""

    def parts(self) -> tuple[tuple[int, ...], str, bool, Any]:
        """Return shape, type, whether columns come first, and what it holds; Refused if it is no
        array."""
        try:
            _, shape, kind, by_columns, data = self.state
            if any(type(size) is not int or size < 0 for size in shape):
                raise Refused("an array has no shape")
            if type(kind) is not Kind:
                raise Refused("an array has no type")
            return tuple(shape), kind.name(), bool(by_columns), data
        except (TypeError, ValueError, AttributeError):
            raise Refused("it holds no array of numpy where one should be") from None

    def numbers(self) -> Shaped[np.ndarray, "..."]:
        """Return its numbers, which lie where they lay in the pickle; Refused unless they are
        numbers, and as many as its shape says."""
        shape, name, by_columns, data = self.parts()
        if name == "O" or type(data) is not bytes:
            raise Refused("it holds an array of objects where numbers should be")
        return numbers_in(data, name, shape, by_columns)

    def objects(self) -> list[Any]:
        """Return the objects that it holds; Refused unless it is a row of them."""
        shape, name, _, data = self.parts()
        if name != "O" or type(data) is not list or shape != (len(data),):
            raise Refused("it holds no row of objects")
        return data


def numbers_in(
    data: bytes, name: str, shape: tuple[int, ...], by_columns: bool
) -> Shaped[np.ndarray, "..."]:
    """Return bytes as an array; Refused unless its shape takes exactly so many, at least one."""
    kind = np.dtype(name)
    if not 0 < math.prod(shape) * kind.itemsize == len(data) or len(shape) > 4:
        raise Refused(f"an array {list(shape)} of {kind} has {len(data):,} bytes")
    return np.frombuffer(data, kind).reshape(shape, order="F" if by_columns else "C")


def encode(text: Any, encoding: Any) -> bytes:
    """Stands for _codecs.encode, which Python 3 writes for the bytes of an array."""
    if type(text) is not str or encoding not in ("latin1", b"latin1"):
        raise Refused(f"it encodes as {encoding!r}")
    return text.encode("latin1")


# All that an array of numbers needs, in the pickles of numpy 1 and 2.
ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): Array,
    ("numpy._core.multiarray", "_reconstruct"): Array,
    ("numpy", "ndarray"): Inert,
    ("numpy", "dtype"): Kind,
    ("_codecs", "encode"): encode,
}


class ArrayUnpickler(pickle.Unpickler):
    """Reads plain values and arrays; Refused for anything else, before it can run."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise Refused(f"it names {module}.{name}")
        return ALLOWED[module, name]


def check_steps(data: bytes) -> None:
    """Refused if a pickle numbers its values beyond its length, or has far too many.

    Python 3.11 to 3.13 allocate a table as long as the largest number: 30 bytes can take 30 GB.
    """
    for count, (opcode, number, _) in enumerate(pickletools.genops(data)):
        if count > MOST_VALUES:
            raise Refused(f"it has more than {MOST_VALUES:,} values")
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(number or 0) > len(data):
            raise Refused(f"it numbers a value {number:,}")
        if opcode.name in ("EMPTY_SET", "FROZENSET"):  # 216 bytes each, and no array has one
            raise Refused("it holds a set")


def unpickled(data: bytes) -> Any:
    """Return what a pickle holds, plain values and `Array`s; nothing in it is run.

    Refused, with why in one line, if it names anything else or is damaged.
    """
    try:
        check_steps(data)
        return ArrayUnpickler(io.BytesIO(data), encoding="bytes").load()
    except Exception as error:
        # Damaged pickles raise almost anything, from IndexError to MemoryError.
        raise Refused((str(error) or type(error).__name__).splitlines()[0]) from None
