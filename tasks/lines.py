"""A model that answers lines as a filter: one line out for each line in, whatever happens.

On a terminal it is a conversation; from files and pipes lines are answered many at a time. An empty
line stays empty; one that cannot be answered becomes an empty line and a message on standard error.
"""

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from torch import Tensor

from backbones.training.errors import UserError
from backbones.training.limits import shortened
from backbones.training.streams import printable
from tasks.data.text import decoded_line, raw_lines, read_bytes
from tasks.task import Task

if TYPE_CHECKING:
    from tasks.predict import Config, Predictor

AT_ONCE = 64
SHADES = " ░▒▓█"


def main(config: "Config", predictor: "Predictor") -> int:
    """Answer all lines; exit status 2 if any could not be."""
    if config.attention and (config.json or config.output):
        raise UserError("--attention draws for people; leave --json and --output away")
    for given in config.inputs:
        if given != "-" and (not os.path.exists(given) or os.path.isdir(given)):
            raise UserError(
                f"{shortened(given)} is not a file; give texts, or none for standard input"
            )
    if not config.output:
        return answer(config, predictor, sys.stdout)
    try:
        with new_file(Path(config.output)) as file:
            return answer(config, predictor, file)
    except FileExistsError:
        raise UserError(f"{config.output} exists; give another name, or delete it") from None
    except OSError as error:
        raise UserError(f"{config.output} cannot be written ({error.strerror})") from None


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[TextIO]:
    """Open a new file for the body to write; it is there only if all of it could be written."""
    file = path.open("x", encoding="utf-8")
    try:
        # Closing writes what the file still holds.
        with file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def answer(config: "Config", predictor: "Predictor", out: Any) -> int:
    """Write the answers of all lines in order."""
    at_once = 1 if sys.stdin.isatty() and not config.inputs else AT_ONCE
    lines, failed = numbered(config.inputs), False
    while chunk := list(islice(lines, at_once)):
        read = [understood(predictor.task, where, line) for where, line in chunk]
        failed |= not all(good for _, good in read)
        good = [text for text, good in read if good and text.strip()]
        found = dict(zip(good, predictor.predict(good), strict=True))
        for text, _ in read:
            said = found.get(text, {"text": ""})
            print(json.dumps({"input": text, **said}) if config.json else said["text"], file=out)
            if config.attention and text in found:
                print(drawn(*predictor.task.alignment(predictor.model, text)), file=out)
        out.flush()
    return 2 if failed else 0


def understood(task: Task, where: str, line: bytes) -> tuple[str, bool]:
    """Return a line's text and whether it can be answered; say what is wrong with it."""
    text, good = line.decode(errors="replace"), True
    try:
        task.read_input(decoded_line(line, where))
        doubts = task.doubts(text)
    except UserError as error:
        doubts, good = str(error).removeprefix(f"{where}: "), False
    if doubts:
        # What a text brings along must not steer the terminal.
        print(printable(f"arcadia: {where}: {doubts}"), file=sys.stderr)
    return text, good


def numbered(inputs: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield (where it stands, line) of files, or of standard input."""
    for given in inputs or ["-"]:
        name = "standard input" if given == "-" else given
        lines = standard_input() if given == "-" else raw_lines(read_bytes(Path(given)))
        for number, line in enumerate(lines, 1):
            yield f"{name}, line {number}", line


def standard_input() -> Iterable[bytes]:
    """Return the lines that come in: typed ones as they are typed, others all at once."""
    if not sys.stdin.isatty():
        return raw_lines(sys.stdin.buffer.read())
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  (makes `input` an editor with a history)
    print("One line each; ctrl-D ends.", file=sys.stderr)
    return iter(typed, None)  # type: ignore[arg-type]


def typed() -> bytes | None:
    """Return a typed line, None at the end."""
    try:
        return input("> ").encode(errors="replace")
    except EOFError:
        return None


def drawn(source: list[str], target: list[str], weights: Tensor) -> str:
    """Return where a writer looked, as text: a row for each piece written, the line it read above,
    letter under letter.
    """
    tall, wide = (max(map(len, pieces)) for pieces in (source, target))
    rows = [
        " " * (wide + 1) + "".join(f"{piece.rjust(tall)[n]} " for piece in source)
        for n in range(tall)
    ]
    for piece, looked in zip(target, weights.tolist(), strict=True):
        shades = "".join(2 * SHADES[min(int(5 * weight), 4)] for weight in looked)
        rows.append(f"{piece.rjust(wide)} {shades}")
    return "\n".join(row.rstrip() for row in rows) + "\n"
