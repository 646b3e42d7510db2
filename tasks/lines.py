"""A model that answers lines as a filter: one line out for each line in, whatever happens.

On a terminal it is a conversation; from files and pipes lines are answered many at a time. An empty
line stays empty; one that cannot be answered becomes an empty line and a message on standard error.
"""

import contextlib
import json
import os
import select
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO, runtime_checkable

from backbones.training.errors import UserError
from backbones.training.files import open_input, standard_input
from backbones.training.progress import say
from backbones.training.streams import plain
from tasks.answers import Answer
from tasks.data.formats.text import DAMAGE, decoded_line, stream_lines, unpacked
from tasks.predictor import Config, Predictor
from tasks.task import Task

AT_ONCE = 64


@runtime_checkable
class Out(Protocol):
    """What answers are printed to."""

    def write(self, text: str, /) -> object:
        """Write a text."""

    def flush(self) -> None:
        """Pass on what was written."""


def main(config: Config, predictor: Predictor) -> int:
    """Answer all lines; exit status 2 if any could not be."""
    if config.explain and config.output:
        raise UserError("--explain shows people where the model looked; leave --output away")
    for given in config.inputs:
        if not is_line(given, predictor.task):
            check_input(given)
    if not config.output:
        return answer(config, predictor, sys.stdout)
    with written(config.output) as file:
        return answer(config, predictor, file)


@contextlib.contextmanager
def written(output: str) -> Iterator[TextIO]:
    """Open a new file for the body to write; it is there only if all of it could be written.

    UserError if it exists, or cannot be written.
    """
    path = Path(output)
    try:
        file = path.open("x", encoding="utf-8")
        try:
            # Closing writes what the file still holds.
            with file:
                yield file
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    except FileExistsError:
        raise UserError(f"{output} exists; give another name, or delete it") from None
    except OSError as error:
        raise UserError(f"{output} cannot be written ({error.strerror})") from None


def answer(config: Config, predictor: Predictor, out: Out) -> int:
    """Write the answers of all lines in order."""
    piped = not config.inputs or "-" in config.inputs
    failed = False
    for chunk in as_they_come(numbered(config.inputs, predictor.task), piped):
        read = [understood(predictor.task, where, line) for where, line in chunk]
        failed |= not all(good for _, good in read)
        good = [text for text, good in read if good and text.strip()]
        if predictor.task.goes_on and not (config.json or config.explain):
            for text in good:
                write_on(predictor, text, out)
            continue
        found = dict(zip(good, predictor.answer(good), strict=True))
        for text, _ in read:
            row = found.get(text, Answer("")).to_dict()
            # What explains an answer is for people, or beside it for programs.
            seen = predictor.explain([text]) if config.explain and text in found else []
            if config.json:
                row |= {"explained": seen[0].values} if seen else {}
                print(json.dumps({"input": text, **row}), file=out)
            else:
                print(row["text"], *(f"{each.text}" for each in seen), sep="\n", file=out)
        out.flush()
    return 2 if failed else 0


def write_on(predictor: Predictor, line: str, out: Out) -> None:
    """Write the answer to a line as it is made, with a line break behind it."""
    for piece in predictor.write_on(line):
        out.write("\n".join(map(plain, piece.split("\n"))))
        out.flush()
    out.write("\n")
    out.flush()


def is_line(given: str, task: Task[Any]) -> bool:
    """Say whether an input is a line itself, not where lines are: of models that write on, what is
    no file."""
    return task.goes_on and given != "-" and not os.path.lexists(given)


def as_they_come(
    lines: Iterator[tuple[str, bytes]], piped: bool
) -> Iterator[list[tuple[str, bytes]]]:
    """Yield lines up to AT_ONCE together; those of standard input when no more are there yet."""
    chunk = []
    for line in lines:
        chunk.append(line)
        if len(chunk) == AT_ONCE or (piped and is_idle()):
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def is_idle() -> bool:
    """Say whether standard input holds nothing to read now."""
    try:
        return on_terminal() or not select.select([standard_input()], [], [], 0)[0]
    except (OSError, ValueError):  # it is no file, or the system waits for sockets only
        return False


def understood(task: Task[Any], where: str, line: bytes) -> tuple[str, bool]:
    """Return a line's text and whether it can be answered; say what is wrong with it."""
    text, good = line.decode(errors="replace"), True
    try:
        task.ask([decoded_line(line, where)])
        doubts = task.doubts(text)
    except UserError as error:
        doubts, good = str(error).removeprefix(f"{where}: "), False
    if doubts:
        # What a text brings along must not steer the terminal.
        say(f"arcadia: {where}: {doubts}", sys.stderr)
    return text, good


def numbered(inputs: Sequence[str], task: Task[Any]) -> Iterator[tuple[str, bytes]]:
    """Yield (where it stands, line) of files, or of standard input."""
    for given in inputs or ["-"]:
        if is_line(given, task):
            yield "the line", given.encode(errors="surrogateescape")
            continue
        name = "standard input" if given == "-" else given
        lines = typed_lines() if given == "-" and on_terminal() else read(given, name)
        for number, line in enumerate(lines, 1):
            yield f"{name}, line {number}", line


def check_input(given: str) -> None:
    """UserError unless lines can be read from what was given."""
    try:
        with open_input(given):
            return
    except UserError as error:
        raise UserError(f"{error}, or nothing for standard input") from None
    except OSError as error:
        raise UserError(
            f"{given} is not a file that can be read ({error.strerror}); give texts, or none for "
            "standard input"
        ) from None


def on_terminal() -> bool:
    """Say whether standard input is typed on a terminal."""
    return sys.stdin is not None and sys.stdin.isatty()


def read(given: str, name: str) -> Iterator[bytes]:
    """Yield the lines of a file or stream as they come, so that it may be longer than memory."""
    try:
        with open_input(given) as file:
            if given == "-":
                yield from stream_lines(file, name)
                return
            with unpacked(file) as lines:
                yield from stream_lines(lines, name)
    except DAMAGE as error:
        raise UserError(f"{name} cannot be read ({error})") from None


def typed_lines() -> Iterator[bytes]:
    """Yield the lines that are typed."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  (makes `input` an editor with a history)
    print("One line each; ctrl-D ends.", file=sys.stderr)
    yield from iter(typed, None)  # type: ignore[misc]


def typed() -> bytes | None:
    """Return a typed line, None at the end."""
    try:
        return input("> ").encode(errors="replace")
    except EOFError:
        return None
