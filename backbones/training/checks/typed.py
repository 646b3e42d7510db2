"""Flags as people type them, in our words: names that other libraries have for a setting, and
booleans with a value (`--sync true`).

A job says which names of others it knows (`Job.other_names`). Each of them means exactly one
setting of ours, or is refused with what to give instead: a name that is nearly the same would train
something else in silence.
"""

import dataclasses
import sys
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any

from backbones.training.checks.limits import BOOLEANS
from backbones.training.errors import UserError
from backbones.training.progress import say


@dataclass(frozen=True)
class Meaning:
    """What another library's setting is here: a setting of ours, or why there is none."""

    setting: str = ""
    """Name of our setting; "": there is none."""
    why_not: str = ""
    """What to give instead, where there is no setting of the same meaning."""
    note: str = ""
    """What is said when it is used, where two other libraries mean different things by it."""
    switch: tuple[Any, Any] | None = None
    """Of a boolean of theirs: what our setting is where it is true, and where it is false."""


OtherNames = Mapping[str, Meaning]


def field_types(kind: type[Any]) -> dict[str, Any]:
    """Return the type of every setting of a config by its name, those of its groups included."""
    found: dict[str, Any] = {}
    hints: dict[str, Any] = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        inner: Any = hints[field.name]
        grouped = dataclasses.is_dataclass(inner)
        found |= field_types(inner) if grouped else {field.name: inner}
    return found


def is_boolean(hint: Any) -> bool:
    """Say whether a setting is true or false, or also None, which is found out later."""
    return hint is bool or set(typing.get_args(hint)) == {bool, NoneType}


def meaning_of(name: str, known: Mapping[str, Any], others: OtherNames, shown: str) -> Meaning:
    """Return what a name of another library means; UserError if that is no setting of the job.

    `shown` is the name as the person wrote it, for the message.
    """
    meaning = others[name]
    if meaning.setting not in known:
        instead = meaning.why_not or f"this job has no {shown_like(meaning.setting, shown)}"
        raise UserError(f"{shown} is not taken: {instead}")
    if meaning.note:
        say(f"{shown}: {meaning.note}", sys.stderr)
    return meaning


def shown_like(setting: str, example: str) -> str:
    """Return the name of a setting as a flag if the example is one."""
    return "--" + setting.replace("_", "-") if example.startswith("--") else setting


def take_flag(args: Sequence[str], flag: str) -> tuple[str | None, list[str]]:
    """Return the value of a flag, None where it is not given, and the arguments without it."""
    rest = list(args)
    for i, arg in enumerate(rest):
        if arg == flag or arg.startswith(f"{flag}="):
            words = [arg.partition("=")[2]] if "=" in arg else rest[i + 1 : i + 2]
            del rest[i : i + (1 if "=" in arg else 2)]
            return (words[0] if words else ""), rest
    return None, rest


def in_our_words(kind: type[Any], args: Sequence[str], others: OtherNames) -> list[str]:
    """Return arguments with our names of flags, and booleans without values.

    UserError for a name that is refused, or a boolean that is neither true nor false.
    """
    known, words, rest = field_types(kind), list[str](), list(args)
    while rest:
        arg = rest.pop(0)
        flag, equals, text = arg.partition("=")
        name, on = flag.removeprefix("--").replace("-", "_"), True
        if not flag.startswith("--") or flag == "--":
            words.append(arg)
            continue
        if name.startswith("no_") and name not in known and name not in others:
            name, on = name.removeprefix("no_"), False
        meaning = None
        if name in others and name not in known:
            meaning = meaning_of(name, known, others, flag)
            name = meaning.setting
        if not (meaning and meaning.switch) and not is_boolean(known.get(name)):
            words.append("--" + name.replace("_", "-") + equals + text if meaning else arg)
            continue
        if equals or (rest and rest[0].lower() in BOOLEANS):
            on = on == boolean(flag, text if equals else rest.pop(0))
        words += switched(name, known[name], on, meaning)
    return words


def boolean(flag: str, text: str) -> bool:
    """Return what a boolean was given as; UserError if that is neither true nor false."""
    if text.lower() not in BOOLEANS:
        raise UserError(f"{flag} = {text!r} must be true or false, or stand alone")
    return BOOLEANS[text.lower()]


def switched(name: str, hint: Any, on: bool, meaning: Meaning | None) -> list[str]:
    """Return the arguments that set a boolean, ours or another library's."""
    flag = name.replace("_", "-")
    if meaning and meaning.switch:
        return [f"--{flag}", str(meaning.switch[0 if on else 1])]
    if hint is bool:
        return [f"--{flag}" if on else f"--no-{flag}"]
    return [f"--{flag}", str(on).lower()]


def in_our_names(kind: type[Any], values: Mapping[str, Any], others: OtherNames) -> dict[str, Any]:
    """Return settings that were given in Python, by our names; UserError for one that is refused.

    What is unknown stays, for whoever reads it to name the nearest.
    """
    known, found = field_types(kind), dict[str, Any]()
    for name, value in values.items():
        if name in known or name not in others:
            found[name] = value
            continue
        meaning = meaning_of(name, known, others, name)
        found[meaning.setting] = (
            value if meaning.switch is None else meaning.switch[0 if value else 1]
        )
    return found
