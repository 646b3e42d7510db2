"""Bounds of the values of flags: finite numbers, valid file names, sensible sizes.

`FLAGS` is how every verb reads its flags, so no number that is infinite, not a number or beyond 64
bits gets past the command line. A config's own `__post_init__` states the bounds of its fields, by
`require_at_most`, for values that come from a file as well.
"""

import math
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

# Every user of a seed takes this: NumPy's old generator, which stable-baselines3 seeds, no more.
MOST_SEED = 2**32 - 1
MOST_INT = 2**63 - 1
# What Linux, macOS and Windows take as the name of a file.
MOST_NAME_BYTES = 255
# More than any machine has cores; beyond some ten thousand, OpenMP ends the process.
MOST_THREADS = 1024
MOST_GAMES = 1_000_000

BOOLEANS = {"true": True, "false": False}


def whole(text: str) -> int:
    """Return an integer of 64 bits, also one written 1e6; ValueError if the text is none."""
    try:
        # Compared before it is made an int: 1e999999999 has a billion digits.
        number = Decimal(text)
        beyond = len(text) > 1000 or not -MOST_INT <= number <= MOST_INT
    except InvalidOperation:  # Not a number, or nan.
        raise ValueError(f"{shortened(text)!r} is no whole number") from None
    if beyond:
        raise ValueError(f"{shortened(text)} is beyond 64 bits; give a smaller number")
    if number != int(number):
        raise ValueError(f"{shortened(text)} is no whole number")
    return int(number)


def true_or_false(text: str) -> bool:
    """Return a boolean; ValueError if the text is neither true nor false."""
    if text.lower() not in BOOLEANS:
        raise ValueError(f"{shortened(text)!r} must be true or false")
    return BOOLEANS[text.lower()]


def finite(text: str) -> float:
    """Return a number; ValueError if the text is none, infinite, or not a number."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{shortened(text)} must be a finite number")
    return number


def path_of(text: str) -> Path:
    """Return a path; ValueError if no file system takes one of its names."""
    for name in Path(text).parts:
        if len(name.encode(errors="surrogateescape")) > MOST_NAME_BYTES:
            raise ValueError(
                f"the name {shortened(name)} is longer than {MOST_NAME_BYTES} bytes, which no file "
                "may have; give a shorter one"
            )
    return Path(text)


def shortened(text: str, most: int = 40) -> str:
    """Return a text of which a message shows no more than its beginning."""
    return text if len(text) <= most else f"{text[:most]}..."


FLAGS = ConstructorRegistry()
READERS: dict[Any, tuple[Callable[[str], Any], str]] = {
    int: (whole, "INT"),
    float: (finite, "FLOAT"),
    Path: (path_of, "PATH"),
    str: (str, "TEXT"),
}


@FLAGS.primitive_rule
def reader(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Return how tyro reads a value of a flag; None for a type that it reads by itself.

    A value that may be None is left out, not typed: help shows it as unset.
    """
    kind: Any = info.type
    others = [each for each in get_args(kind) if each is not NoneType]
    optional = len(others) == 1 and NoneType in get_args(kind)
    if optional:
        kind = others[0]
    # A boolean that is not optional is a pair of switches, which tyro makes.
    readers = {**READERS, bool: (true_or_false, "{true,false}")} if optional else READERS
    if kind not in readers:
        return None
    read, metavar = readers[kind]
    known = (int, float) if kind is float else (kind,)
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda texts: read(texts[0]),
        is_instance=lambda value: isinstance(value, known) or (optional and value is None),
        str_from_instance=lambda value: ["unset" if value in (None, "") else str(value)],
    )


def require_at_most(config: object, **most: int | float) -> None:
    """Raise ValueError unless every named field is at most so much; None is no number to check."""
    for name, bound in most.items():
        value = getattr(config, name)
        if value is not None and not value <= bound:
            raise ValueError(f"{name} = {value} must be at most {bound:,}")
