"""What people ask of an environment in words: `continuous=False`, `mymodule:Class(limit=100)`.

Values are literals of Python, read without running anything; a bare word is a text. Whose modules
may be imported for it is decided elsewhere (`backbones/training/checks/trust.py`).
"""

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backbones.training.errors import UserError

WORDS = {"true": True, "false": False, "none": None, "null": None}
KEYWORD = re.compile(r"\s*(?P<name>[A-Za-z_]\w*)\s*=(?P<value>.*)", re.ASCII | re.DOTALL)
CALLED = re.compile(
    r"(?P<module>[A-Za-z_][\w.]*):(?P<name>[A-Za-z_]\w*)(?:\((?P<given>.*)\))?",
    re.ASCII | re.DOTALL,
)
# What is longer, or nested deeper than the parser follows, is no setting.
MOST_LETTERS = 1_000
# Settled here: by --pixels, and by the id itself.
OURS = {"render_mode": "--pixels asks for the drawing", "id": "--env names it"}


def keyword_values(texts: Sequence[str]) -> dict[str, Any]:
    """Return NAME=VALUE texts as keyword arguments; UserError for what is none."""
    values: dict[str, Any] = {}
    for text in texts:
        match = KEYWORD.fullmatch(text)
        if match is None:
            raise UserError(
                f"env_kwargs: {text[:60]!r} is not NAME=VALUE, such as continuous=False"
            )
        name = match["name"]
        if name in OURS:
            raise UserError(f"env_kwargs: {name} is not set here; {OURS[name]}")
        if name in values:
            raise UserError(f"env_kwargs: {name} is given twice")
        values[name] = literal(match["value"].strip())
    return values


def literal(text: str) -> Any:
    """Return the value that a text writes; a bare word, or a path, is a text."""
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    if len(text) > MOST_LETTERS:
        raise UserError(f"the value {text[:40]}... is longer than {MOST_LETTERS:,} letters")
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        if re.search(r"""[\s()\[\]{}"'=]""", text) or not text:
            raise UserError(
                f"{text[:60]!r} is no value as Python writes it, such as 3, 0.5, False, 'a text' "
                "or [1, 2]"
            ) from None
        return text


@dataclass(frozen=True)
class Called:
    """A class of a module, and the keyword arguments that it is called with."""

    module: str
    name: str
    kwargs: dict[str, Any]

    @classmethod
    def read(cls, text: str) -> "Called":
        """Read `module:Class` or `module:Class(name=value, ...)`; UserError for anything else."""
        match = CALLED.fullmatch(text) if len(text) <= MOST_LETTERS else None
        if match is None or match["module"].endswith("."):
            raise UserError(
                f"--wrapper {text[:60]!r} is not module:Class, nor module:Class(limit=100)"
            )
        return cls(match["module"], match["name"], arguments(text, match["given"] or ""))


def arguments(text: str, given: str) -> dict[str, Any]:
    """Return the keyword arguments that stand between parentheses; they are literals."""
    try:
        call = ast.parse(f"f({given})", mode="eval").body
        if not isinstance(call, ast.Call) or call.args or None in [k.arg for k in call.keywords]:
            raise ValueError
        return {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        raise UserError(
            f"--wrapper {text[:60]!r}: between the parentheses stand name=value pairs with values "
            "as Python writes them"
        ) from None
