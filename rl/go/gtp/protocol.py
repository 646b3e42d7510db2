"""The Go Text Protocol: a session that reads commands, keeps a game and answers each command.

Version 2, draft 2 (https://www.lysator.liu.se/~gunnar/gtp/gtp2-spec-draft2.pdf). The commands
themselves are in `commands.py` (the standard), `analyze.py` (what Sabaki and Lizzie use) and
`extensions.py` (GoGui, KGS, KataGo, gomill).

What clients need beyond that document: ids come back even before an error; an answer ends
with exactly one empty line; an analysis goes on until any line comes, then ends with that empty
line; `quit` is answered; lines may end in CR LF and carry control characters.
"""

import queue
import re
import threading
from collections.abc import Callable, Iterable
from typing import Any

from backbones.training.errors import UserError
from rl.go.engine import Engine
from rl.go.rules.board import BLACK, WHITE
from rl.go.rules.position import IllegalMove, read_vertex

COLOURS = {"b": BLACK, "black": BLACK, "w": WHITE, "white": WHITE}
LONGEST_LINE = 65_536

Command = Callable[["Session", list[str]], str | None]
COMMANDS: dict[str, Command] = {}


class GtpError(UserError):
    """A failure that the client is told in an answer that begins with `?`."""


def command(*names: str) -> Callable[[Command], Command]:
    """Make a function the answer to commands of these names; None: it has written by itself."""

    def register(function: Command) -> Command:
        COMMANDS.update(dict.fromkeys(names, function))
        return function

    return register


class Session:
    """A client's conversation with an engine."""

    def __init__(
        self,
        engine: Engine,
        out: Any,
        *,
        version: str = "0",
        name: str = "Arcadia",
        ponder: bool = False,
    ) -> None:
        """`out` is where answers are written."""
        self.engine, self.out = engine, out
        self.version, self.name, self.ponders = version, name, ponder
        self.lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.id, self.left, self.pondering = "", False, False
        self.stopped = self.writing = False

    def serve(self, lines: Iterable[str]) -> None:
        """Answer until `quit` or the end of the lines, which another thread reads."""
        threading.Thread(target=self.listen, args=(lines,), daemon=True).start()
        while not (self.left or self.stopped):
            if self.pondering and self.lines.empty():
                self.engine.ponder(self.interrupted)
                # The tree may be full: what follows is a wait, not a busy loop.
                self.pondering = False
            line = self.lines.get()
            if line is None:
                return
            self.answer(line)

    def listen(self, lines: Iterable[str]) -> None:
        """Put lines into the queue, None behind the last."""
        try:
            for line in lines:
                self.lines.put(line)
        finally:
            self.lines.put(None)

    def stop(self) -> None:
        """Stop the current command and answer no more: the user has pressed ctrl-C."""
        self.stopped = True
        self.lines.put(None)  # whoever waits for a line goes on
        if self.writing:  # to a client that may never read
            raise KeyboardInterrupt

    def interrupted(self) -> bool:
        """Return whether another command, or the end of the input, has arrived."""
        return not self.lines.empty()

    def answer(self, line: str) -> None:
        """Carry out a line and write the answer, if it asks for one."""
        line = "".join(
            " " if c == "\t" else c for c in line[:LONGEST_LINE] if c >= " " or c == "\t"
        )
        words = line.replace("\x7f", "").split("#")[0].split()
        if not words:
            return
        self.id = ""
        if re.fullmatch(r"[0-9]{1,18}", words[0]):
            self.id = words.pop(0)
        self.pondering = False
        try:
            if not words or words[0] not in COMMANDS:
                raise GtpError("unknown command")
            text = COMMANDS[words[0]](self, words[1:])
        except IllegalMove as error:
            self.write(f"?{self.id} illegal move: {one_line(error)}\n\n")
        except UserError as error:
            self.write(f"?{self.id} {one_line(error)}\n\n")
        else:
            if text is not None:
                space = "" if text.startswith("\n") else " "
                self.write(f"={self.id}{space}{text}".rstrip() + "\n\n")

    def write(self, text: str) -> None:
        """Write and flush, since clients wait for it."""
        self.writing = True
        self.out.write(text)
        self.out.flush()
        self.writing = False


def one_line(error: Exception) -> str:
    """Return an error's text without the empty line that would end the answer."""
    return " ".join(str(error).split())


def expect(args: list[str], count: int) -> None:
    """GtpError if there are fewer arguments; more are ignored, as the protocol asks."""
    if len(args) < count:
        raise GtpError(f"syntax error: {count} arguments expected")


def colour_of(word: str) -> int:
    """Return a colour; GtpError if the word names none."""
    if word.lower() not in COLOURS:
        raise GtpError(f"syntax error: {word[:20]!r} is no colour")
    return COLOURS[word.lower()]


def number_of(word: str, low: float = -1e6, high: float = 1e9) -> float:
    """Return a number; GtpError if the word is none or outside what can be meant."""
    try:
        value = float(word)
    except ValueError:
        raise GtpError(f"syntax error: {word[:20]!r} is no number") from None
    if not low <= value <= high:
        raise GtpError(f"{word[:20]} is not between {low:g} and {high:g}")
    return value


def whole_of(word: str, low: int = 0, high: int = 10**9) -> int:
    """Return an integer; GtpError if the word is none or outside what can be meant."""
    if not re.fullmatch(r"[+-]?[0-9]{1,12}", word):
        raise GtpError(f"syntax error: {word[:20]!r} is no integer")
    return int(number_of(word, float(low), float(high)))


def move_of(word: str, size: int) -> int:
    """Return a move; GtpError if there is no such point."""
    try:
        return read_vertex(word[:20], size)
    except UserError as error:
        raise GtpError(f"invalid coordinate: {error}") from None
