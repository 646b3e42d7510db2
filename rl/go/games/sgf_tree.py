"""Smart Game Format, FF[4]: text to game trees, with line and column of what is wrong, and back.

https://www.red-bean.com/sgf/sgf4.html. What the trees of Go mean is in `sgf.py`.

A file is a collection of game trees; a node has properties, each a list of texts, and the nodes
that follow it, the first being the main line. Neither reading nor writing recurses, so depth is
limited by memory only.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from backbones.training.errors import UserError

# Nodes, properties and parentheses: room for 2,000 games of 250 moves. A node becomes 200 bytes of
# memory, one with a move 600, so this bounds it to 300 MB.
MOST_TOKENS = 1_000_000
# Properties whose line breaks stay (FF[4]: Text). All others are read as SimpleText.
TEXTS = ("C", "GC")
# White space that becomes a blank in SimpleText.
LINE_WHITE = re.compile("[\t-\r\x1c-\x1f\x85\u2028\u2029]")


@dataclass(slots=True)
class Node:
    """A node of a game tree."""

    properties: dict[str, list[str]] = field(default_factory=dict)
    children: list["Node"] = field(default_factory=list, repr=False)
    at: int = field(default=0, repr=False)
    places: "Places | None" = field(default=None, repr=False)

    @property
    def place(self) -> str:
        """Where it stands, for messages: the file, line and column."""
        return self.places.words(self.at) if self.places else ""

    def one(self, name: str, otherwise: str = "") -> str:
        """Return a property's first value, if it has any; but for TEXTS in one line."""
        value = (self.properties.get(name) or [otherwise])[0]
        return value if name in TEXTS or value.isprintable() else LINE_WHITE.sub(" ", value)

    def main_line(self) -> Iterator["Node"]:
        """Give this node and its first children."""
        node: Node | None = self
        while node:
            yield node
            node = node.children[0] if node.children else None


class BadFile(UserError):
    """A file that is not what it should be; the text names line and column."""


TOKEN = re.compile(r"\s*(?:([();])|([A-Za-z]+)|(\[))")


class Parser:
    """Reads tokens and puts nodes together."""

    def __init__(self, text: str, name: str, note: str = "") -> None:
        self.text, self.places = text, Places(text, name, note)
        # Without what a backslash protects, so that the next "]" ends a value; as long as the text.
        self.masked = text.replace("\\\\", "  ").replace("\\]", "  ")
        self.roots: list[Node] = []
        self.open: list[Node | None] = []  # where each open "(" goes on from
        self.last: Node | None = None
        self.values: list[str] | None = None

    def wrong(self, at: int, what: str) -> BadFile:
        """Return the complaint about a place."""
        return BadFile(f"{self.places.words(at)}: {what}")

    def sign(self, sign: str, at: int) -> None:
        """Take a parenthesis or a semicolon."""
        if sign == "(":
            self.open.append(self.last)
        elif sign == ")":
            self.last = self.open.pop()
        else:
            node = Node(at=at, places=self.places)
            (self.roots if self.last is None else self.last.children).append(node)
            self.last = node
        self.values = None

    def word(self, word: str, at: int) -> None:
        """Take a property's name."""
        # Files of FF[3] and older have small letters between the capitals.
        key = word if word.isupper() else re.sub("[a-z]", "", word)
        if not key or self.last is None:
            raise self.wrong(at, f"{word[:10]!r} is no property" if self.last else "no ';' yet")
        self.values = self.last.properties.setdefault(key, [])

    def value(self, at: int) -> int:
        """Take the value whose bracket opens at a place; return where it is over."""
        end = self.masked.find("]", at)
        if end < 0:
            raise self.wrong(at, "ends inside a value: ']' is missing")
        if self.values is None:
            raise self.wrong(at, f"{self.text[at : min(end + 1, at + 10)]!r} without a property")
        self.values.append(unescaped(self.text[at + 1 : end]))
        return end + 1

    def parse(self, at: int) -> list[Node]:
        """Read from a place to the end."""
        text, count = self.text, 0
        while token := TOKEN.match(text, at):
            kind = token.lastindex or 0
            start, at, count = token.start(kind), token.end(), count + 1
            if count > MOST_TOKENS:
                raise self.wrong(
                    start,
                    f"more than {MOST_TOKENS:,} nodes, properties and "
                    "parentheses; cut the file into several",
                )
            if kind == 1 and (self.open or token[1] == "("):
                self.sign(token[1], start)
            elif self.open and kind == 2:
                self.word(token[2], start)
                at = self.value(at) if text.startswith("[", at) else at
            elif self.open and kind == 3:
                at = self.value(start)
            elif kind == 3 and not (at := 1 + self.masked.find("]", start)):
                break
        rest = len(text) - len(text[at:].lstrip())
        if self.open and rest < len(text):
            raise self.wrong(rest, f"{text[rest : rest + 10]!r} belongs nowhere")
        if self.open:
            raise self.wrong(rest, "ends inside a game: ')' is missing")
        return self.roots


def parse(text: str, name: str = "SGF", note: str = "") -> list[Node]:
    """Return the first nodes of a text's game trees; BadFile says where it goes wrong.

    `note` tells what was assumed of the text's encoding. What stands before the first "(;" is left
    out, as old files have letters there.
    """
    begin = re.search(r"\(\s*;", text)
    if not begin:
        raise BadFile(f"{name}: there is no game in it: no '(;'")
    return Parser(text, name, note).parse(begin.start())


@dataclass(frozen=True, slots=True)
class Places:
    """Lines and columns of a file's text, from 1, for messages."""

    text: str
    name: str
    note: str = ""
    """What had to be assumed of the file's encoding."""

    def words(self, at: int) -> str:
        """Return the file and where a character is in it."""
        line, column = self.text.count("\n", 0, at) + 1, at - self.text.rfind("\n", 0, at)
        return f"{self.name}, line {line}, column {column}"


def unescaped(value: str) -> str:
    """Return a value's text: broken lines joined, backslashes and control characters taken off."""
    if value.isprintable() and "\\" not in value:
        return value
    # Of two backslashes one stays: it is a zero byte, which no text has, until all others are off.
    value = value.replace("\0", "").replace("\\\\", "\0")
    value = re.sub(r"\\(\r\n|\n\r|\n|\r)", "", value)
    # Breaks of all systems are one; other white space is a blank (FF[4]).
    value = re.sub("\r\n|\n\r|\r", "\n", value)
    value = re.sub("[\t\x0b\x0c]", " ", value)
    value = re.sub(r"[\x01-\x08\x0e-\x1f\x7f-\x9f]", "", value)  # of terminals, not of games
    return value.replace("\\", "").replace("\0", "\\")


def escaped(value: str) -> str:
    """Return a text as a value."""
    return value.replace("\\", "\\\\").replace("]", "\\]")


def write(root: Node) -> str:
    """Return a game tree as text."""
    out: list[str] = []
    todo: list[Node | str] = [")", root, "("]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            out.append(item)
            continue
        values = (
            name + "".join(f"[{escaped(value)}]" for value in found)
            for name, found in item.properties.items()
        )
        out.append(";" + "".join(values) + "\n")
        for child in reversed(item.children):
            todo += [")", child, "("] if len(item.children) > 1 else [child]
    return "".join(out) + "\n"
