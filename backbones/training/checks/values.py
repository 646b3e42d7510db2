"""Values from a file, checked as if they were typed: against the type hints of a dataclass.

JSON has no tuples, so lists stand for them; a whole number may stand where any number may.
"""

import math
import types
import typing
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, Literal, TypeVar

from backbones.training.errors import UserError

T = TypeVar("T")

# Counts and sizes, whatever they count, fit an integer of 64 bits; paths fit the system's limit.
LARGEST, LONGEST = 2**63 - 1, 4096


def from_dict(kind: type[T], values: Any, place: str = "") -> T:
    """Read what `to_dict` wrote, after a trip through JSON.

    UserError names the field, with `place` before it, if it is unknown or its value is not of the
    field's type; ValueError comes from the dataclass itself, for a value out of range.
    """
    if not isinstance(values, dict):
        raise UserError(f"{place.rstrip('.') or 'the config'} = {shown(values)} must be a table")
    values = upgraded(kind, values)
    hints = typing.get_type_hints(kind)
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - known)
    if unknown:
        raise UserError(
            "the config has fields that this version does not know: "
            f"{', '.join(place + shown(name)[1:-1] for name in unknown[:5])}; it was written by "
            "another version of Arcadia"
        )
    try:
        return kind(**{k: checked(hints[k], value, place + k) for k, value in values.items()})
    except TypeError as error:  # A field that has no default is missing.
        raise UserError(
            f"{place.rstrip('.') or 'the config'} is not whole ({str(error).splitlines()[0]})"
        ) from None


def upgraded(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    """Return values with the fields that earlier versions had elsewhere in their present groups.

    `kind.MOVED` says from where to where: `{"beam": "answer.beam"}`.
    """
    moved: dict[str, str] = getattr(kind, "MOVED", {})
    kept = {name: value for name, value in values.items() if name not in moved}
    for name in values.keys() & moved.keys():
        group, field = moved[name].split(".")
        kept[group] = {**kept.get(group, {}), field: values[name]}
    return kept


def checked(hint: Any, value: Any, name: str) -> Any:
    """Return a value as a field of this type holds it; UserError if it is not of the type."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and types.NoneType in inside:
            return None
        (rest,) = [one for one in inside if one is not types.NoneType]
        return checked(rest, value, name)
    if origin is Literal:
        return accepted(value in [*map(str, inside)], value, name, f"one of {', '.join(inside)}")
    if origin is tuple:
        accepted(isinstance(value, list | tuple), value, name, "a list")
        kinds = [inside[0]] * len(value) if inside[-1] is ... else inside
        accepted(len(kinds) == len(value), value, name, f"{len(kinds)} values")
        return tuple(checked(k, v, name) for k, v in zip(kinds, value, strict=True))
    if is_dataclass(hint):
        return from_dict(typing.cast(type, hint), value, f"{name}.")
    fits, wanted = PLAIN[hint]
    accepted(fits(value), value, name, wanted)
    return float(value) if hint is float else value


def is_whole(value: Any) -> bool:
    """Say whether a value is a whole number of 64 bits; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST


def is_number(value: Any) -> bool:
    """Say whether a value is a finite number."""
    return is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def is_text(value: Any) -> bool:
    """Say whether a value is a text that a command line could hold."""
    if not isinstance(value, str) or len(value) > LONGEST or "\0" in value:
        return False
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


PLAIN: dict[Any, tuple[Callable[[Any], bool], str]] = {
    bool: (lambda value: isinstance(value, bool), "true or false"),
    int: (is_whole, "a whole number"),
    float: (is_number, "a finite number"),
    str: (is_text, f"a text of at most {LONGEST:,} characters, none of them NUL"),
    list: (lambda value: isinstance(value, list), "a list"),
    dict: (lambda value: isinstance(value, dict), "a table"),
}


def accepted(fits: bool, value: Any, name: str, wanted: str) -> Any:
    """Return a value that fits; UserError says what was given and what was expected."""
    if not fits:
        raise UserError(f"{name} = {shown(value)} must be {wanted}")
    return value


def shown(value: Any) -> str:
    """Return a value as a message shows it: in one line, and not too long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
