"""A model that answers lines as a filter: one line out for each line in, whatever happens.

On a terminal it is a conversation; from files and pipes lines are answered many at a time. An empty
line stays empty; one that cannot be answered becomes an empty line and a message on standard error.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from backbones.training.errors import UserError
from tasks.data.text import decoded, read_lines

if TYPE_CHECKING:
    from tasks.predict import Config, Predictor

AT_ONCE = 64
SHADES = " ░▒▓█"


def main(config: "Config", predictor: "Predictor") -> int:
    """Answer all lines; exit status 2 if any could not be."""
    if not config.output:
        return answer(config, predictor, sys.stdout)
    try:
        with Path(config.output).open("x") as file:
            return answer(config, predictor, file)
    except FileExistsError:
        raise UserError(f"{config.output} exists; give another name, or delete it") from None
    except OSError as error:
        raise UserError(f"{config.output} cannot be written ({error.strerror})") from None


def answer(config: "Config", predictor: "Predictor", out: Any) -> int:
    """Write the answers of all lines in order."""
    at_once = 1 if sys.stdin.isatty() and not config.inputs else AT_ONCE
    lines, failed = numbered(config.inputs), False
    while chunk := list(islice(lines, at_once)):
        good = []
        for where, line in chunk:
            try:
                predictor.task.read_input(line)
                doubts = predictor.task.doubts(line)
            except UserError as error:
                failed, doubts = True, str(error)
            else:
                good += [line] if line.strip() else []
            if doubts:
                print(f"arcadia: {where}: {doubts}", file=sys.stderr)
        found = dict(zip(good, predictor.predict(good) if good else [], strict=True))
        for _, line in chunk:
            said = found.get(line, {"text": ""})
            print(json.dumps({"input": line, **said}) if config.json else said["text"], file=out)
            if config.attention and line in found:
                print(drawn(*predictor.task.alignment(predictor.model, line)), file=out)
        out.flush()
    return 2 if failed else 0


def numbered(inputs: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (where it stands, line) of files, or of standard input; UserError for no text."""
    for given in inputs or ["-"]:
        name, lines = "standard input", standard_input() if given == "-" else None
        if lines is None:
            if not Path(given).is_file():
                raise UserError(f"{given} is not a file; give texts, or none for standard input")
            name, lines = given, read_lines(Path(given))
        for number, line in enumerate(lines, 1):
            yield f"{name}, line {number}", line


def standard_input() -> Iterable[str]:
    """Return the lines that come in: typed ones as they are typed, others all at once."""
    if not sys.stdin.isatty():
        return decoded(sys.stdin.buffer.read(), "standard input")
    print("One line each; ctrl-D ends.", file=sys.stderr)
    return iter(typed, None)  # type: ignore[arg-type]


def typed() -> str | None:
    """Return a typed line, None at the end."""
    try:
        return input("> ")
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
