"""A command's standard streams when they are closed, full, or have no reader."""

import io
import os
import sys
import unicodedata
from contextlib import suppress
from typing import Any

# Unicode's categories of what is not shown but does something: control, formatting (text from right
# to left), surrogates, ends of lines and paragraphs.
NOT_SHOWN = ("Cc", "Cf", "Cs", "Zl", "Zp")
JOINERS = "\u200c\u200d"  # letters of Persian words and parts of pictures are joined by them

# Why lines could not be printed on standard output, where a command went on without.
LOST: list[OSError] = []


def open_streams() -> None:
    """Open replacements for standard streams that are closed.

    Reading then returns nothing, and printing fails as on a full disk. Otherwise the next file that
    is opened, such as a checkpoint, would become the standard output of libraries.
    """
    LOST.clear()
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is not None:
            continue
        # The lowest free number is that of the stream.
        os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
        mode = "r" if name == "stdin" else "w"
        setattr(sys, name, open(number, mode, closefd=False))


def silence(stream: Any) -> None:
    """Redirect a stream that cannot be written to /dev/null, so that its buffer is dropped."""
    with suppress(io.UnsupportedOperation):  # A stream of Python's alone.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def takes_writing(stream: Any) -> bool:
    """Return whether a stream can be written, by writing a line break."""
    try:
        stream.flush()
        os.write(stream.fileno(), b"\n")
    except io.UnsupportedOperation:
        return True
    except OSError:
        return False
    return True


def is_shown(character: str) -> bool:
    """Say whether a character is seen, rather than obeyed by a terminal or impossible to write."""
    return unicodedata.category(character) not in NOT_SHOWN or character in JOINERS


def plain(text: str) -> str:
    """Return a text of any origin as it can be shown on one line, with ? for what is not shown.

    For names and answers; a line for people takes `printable`, which tells what was there.
    """
    return "".join(c if is_shown(c) else "?" for c in text)


def printable(text: object) -> str:
    r"""Return a text of one line whose control characters are shown, as \x1b or \n, not obeyed.

    Names of runs, files and games come from anywhere: an escape sequence in one must not steer the
    terminal, nor a line break forge a line of the log.
    """
    return "".join(c if is_shown(c) else repr(c)[1:-1] for c in str(text))
