"""Smart Game Format, FF[4]: read with line and column of what is wrong, and written.

https://www.red-bean.com/sgf/sgf4.html. Letters: N points on a side.

A file is a collection of game trees; a node has properties, each a list of texts, and the nodes
that follow it, the first being the main line. Neither reading nor writing recurses, so depth is
limited by memory only.
"""

import re
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from backbones.training.errors import UserError
from rl.go.board import BLACK, WHITE
from rl.go.position import NAMED_RULES, IllegalMove, Position, Rules, result

LETTERS = "abcdefghijklmnopqrstuvwxyz"
LARGEST_FILE = 16 * 2**20
COLOURS = {"B": BLACK, "W": WHITE}
# What a file may say in RU, in lower case without anything but letters.
RULES = {
    **{name: NAMED_RULES[name] for name in ("japanese", "korean", "chinese", "aga")},
    "nz": NAMED_RULES["new-zealand"], "newzealand": NAMED_RULES["new-zealand"],
    "tromptaylor": NAMED_RULES["tromp-taylor"], "goe": NAMED_RULES["tromp-taylor"],
    "cgos": NAMED_RULES["cgos"], "chineseogs": NAMED_RULES["chinese-ogs"],
}  # fmt: skip


@dataclass
class Node:
    """A node of a game tree."""

    properties: dict[str, list[str]] = field(default_factory=dict)
    children: list["Node"] = field(default_factory=list, repr=False)
    place: str = ""
    """Where it stands, for messages: the file, line and column."""

    def one(self, name: str, otherwise: str = "") -> str:
        """Return a property's first value, if it has any."""
        return (self.properties.get(name) or [otherwise])[0]

    def main_line(self) -> Iterator["Node"]:
        """Give this node and its first children."""
        node: Node | None = self
        while node:
            yield node
            node = node.children[0] if node.children else None


class BadFile(UserError):
    """A file that is not what it should be; the text names line and column."""


TOKEN = re.compile(r"\s*(?:([();])|([A-Za-z]+)|(\[(?:[^\]\\]|\\.)*\]))", re.DOTALL)


class Parser:
    """Reads tokens and puts nodes together."""

    def __init__(self, text: str, name: str) -> None:
        self.text, self.name, self.places = text, name, Places(text)
        self.roots: list[Node] = []
        self.open: list[Node | None] = []  # where each open "(" goes on from
        self.last: Node | None = None
        self.values: list[str] | None = None

    def wrong(self, at: int, what: str) -> BadFile:
        """Return the complaint about a place."""
        return BadFile(f"{self.name}{self.places.words(at)}: {what}")

    def sign(self, sign: str, at: int) -> None:
        """Take a parenthesis or a semicolon."""
        if sign == "(":
            self.open.append(self.last)
        elif sign == ")":
            self.last = self.open.pop()
        else:
            node = Node(place=self.name + self.places.words(at))
            (self.roots if self.last is None else self.last.children).append(node)
            self.last = node
        self.values = None

    def word(self, word: str, at: int) -> None:
        """Take a property's name."""
        # Files of FF[3] and older have small letters between the capitals.
        key = "".join(letter for letter in word if letter.isupper())
        if not key or self.last is None:
            raise self.wrong(at, f"{word[:10]!r} is no property" if self.last else "no ';' yet")
        self.values = self.last.properties.setdefault(key, [])

    def value(self, value: str, at: int) -> None:
        """Take a value in its brackets."""
        if self.values is None:
            raise self.wrong(at, f"{value[:10]!r} without a property")
        self.values.append(unescaped(value[1:-1]))

    def parse(self, at: int) -> list[Node]:
        """Read from a place to the end."""
        text = self.text
        while token := TOKEN.match(text, at):
            sign, word, value = token.groups()
            start, at = token.start(token.lastindex or 0), token.end()
            if sign and (self.open or sign == "("):
                self.sign(sign, start)
            elif self.open and word:
                self.word(word, start)
            elif self.open and value:
                self.value(value, start)
        rest = len(text) - len(text[at:].lstrip())
        if self.open and rest < len(text):
            raise self.wrong(rest, f"{text[rest : rest + 10]!r} belongs nowhere")
        if self.open:
            raise self.wrong(rest, "ends inside a game: ')' is missing")
        return self.roots


def parse(text: str, name: str = "SGF") -> list[Node]:
    """Return the first nodes of a text's game trees; BadFile says where it goes wrong.

    What stands before the first "(;" is left out, as old files have letters there.
    """
    begin = re.search(r"\(\s*;", text)
    if not begin:
        raise BadFile(f"{name}: there is no game in it: no '(;'")
    return Parser(text, name).parse(begin.start())


class Places:
    """Lines and columns of a text, from 1."""

    def __init__(self, text: str) -> None:
        self.begins = [0, *(found.end() for found in re.finditer("\n", text))]

    def line_and_column(self, at: int) -> tuple[int, int]:
        """Return where a character is."""
        line = bisect(self.begins, at)
        return line, at - self.begins[line - 1] + 1

    def words(self, at: int) -> str:
        """Return the same for a message."""
        return ", line {}, column {}".format(*self.line_and_column(at))


def unescaped(value: str) -> str:
    """Return a value's text: broken lines joined, backslashes and control characters taken off."""
    value = re.sub(r"\\(\r\n|\n\r|\n|\r)", "", value)
    value = re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", value)  # of terminals, not of games
    return re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)


def escaped(value: str) -> str:
    """Return a text as a value."""
    return value.replace("\\", "\\\\").replace("]", "\\]")


def read(path: str | Path) -> list[Node]:
    """Return the games of a file; BadFile if it is not one, UserError if it cannot be read.

    The bytes are in the encoding that CA names, in UTF-8 else, or in Latin-1 where they are not.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise BadFile(f"{path}: larger than {LARGEST_FILE // 2**20} MiB")
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    named = re.search(rb"CA\s*\[([\w.:-]+)\]", data[:4096])
    said = [named.group(1).decode()] if named else []
    for encoding in [*said, "utf-8-sig", "latin-1"]:
        try:
            text = data.decode(encoding)
        except (UnicodeError, LookupError):
            continue
        return parse(text, str(path))
    raise AssertionError("latin-1 reads everything")


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


def write_point(move: int, size: int) -> str:
    """Return a move as SGF writes it; "" is a pass."""
    return "" if move == size * size else LETTERS[move % size] + LETTERS[move // size]


def read_point(text: str, size: int) -> int | None:
    """Return the move of a point, None if it is none; "" and tt are passes."""
    if text == "" or (text == "tt" and size <= 19):
        return size * size
    if len(text) != 2 or not all(letter in LETTERS[:size] for letter in text):
        return None
    return LETTERS.index(text[1]) * size + LETTERS.index(text[0])


def read_points(values: list[str], size: int) -> list[int] | None:
    """Return the points of a list, in which aa:cc is a rectangle; None if one is none."""
    found = []
    for value in values:
        corners = [read_point(part, size) for part in value.split(":")]
        if len(corners) > 2 or None in corners or size * size in corners:
            return None
        (top, left), (bottom, right) = (divmod(c or 0, size) for c in (corners[0], corners[-1]))
        found += [
            row * size + column
            for row in range(top, bottom + 1) for column in range(left, right + 1)
        ]  # fmt: skip
    return found


def size_of(root: Node) -> int:
    """Return the board's size; BadFile if it is not a square that we play on."""
    said = root.one("SZ", "19").strip()
    parts = said.split(":")
    if not all(part.isascii() and part.isdigit() for part in parts) or len(set(parts)) > 1:
        raise BadFile(f"{root.place}: SZ[{said}] is not a square board")
    try:
        return Position(int(parts[0])).size
    except ValueError as error:  # too many digits, too
        raise BadFile(f"{root.place}: SZ[{said[:9]}]: {error}") from None


def begin(root: Node) -> Position:
    """Return the position that a game begins with; BadFile says what is wrong with it."""
    if root.one("GM", "1").strip() not in ("", "1"):
        raise BadFile(f"{root.place}: GM[{root.one('GM')[:9]}] is another game than Go, GM[1]")
    try:
        komi = float(root.one("KM", "0") or 0)
    except ValueError:
        komi = float("nan")
    if not -1000 < komi < 1000:
        raise BadFile(f"{root.place}: KM[{root.one('KM')}] is no komi")
    named = re.sub(r"[^a-z]", "", root.one("RU").lower())
    return Position(size_of(root), komi, RULES.get(named, Rules()))


def moves_of(node: Node, position: Position) -> Iterator[tuple[int, int]]:
    """Give the moves of a node, (colour, move) each, after its set-up stones are on the board."""
    size, place = position.size, node.place
    stones = []
    for name, colour in (("AB", BLACK), ("AW", WHITE)):
        points = read_points(node.properties.get(name, []), size)
        if points is None:
            raise BadFile(f"{place}: {name} has a point that is not on {size} by {size}")
        stones += [(colour, point) for point in points]
    if "AE" in node.properties or (stones and position.moves):
        raise BadFile(f"{place}: stones are set up or taken away in the middle of the game")
    if stones:
        try:
            position.set_up(stones)
        except UserError as error:
            raise BadFile(f"{place}: {error}") from None
    if node.one("PL").upper()[:1] in COLOURS:
        position.whose(COLOURS[node.one("PL").upper()[:1]])
    for name, colour in COLOURS.items():
        for value in node.properties.get(name, []):
            move = read_point(value.strip(), size)
            if move is None:
                raise BadFile(f"{place}: {name}[{value}] is not on {size} by {size}")
            yield colour, move


def replay(root: Node) -> Iterator[Position]:
    """Give a game's position before each move of the main line, changed in place, and at the end;
    BadFile names an illegal one by its place in the file.
    """
    position = begin(root)
    for node in root.main_line():
        for colour, move in moves_of(node, position):
            yield position
            try:
                position.play(move, colour)
            except IllegalMove as error:
                number = len(position.moves) + 1
                raise BadFile(f"{node.place}: move {number}, {error}") from None
    yield position


def follow(root: Node, moves: int | None = None) -> Position:
    """Return the position after so many moves (all) of the main line; BadFile as in `replay`."""
    for position in replay(root):
        if len(position.moves) == moves:
            break
    return position


def record(
    position: Position, *, black: str = "", white: str = "", score: float | None = None,
    said: str = "",
) -> Node:  # fmt: skip
    """Return a game as a tree of one line; `said` is the result in words such as B+R."""
    size, rules = position.size, position.rules
    names = {found: name for name, found in reversed(RULES.items())}
    properties = {
        "GM": ["1"], "FF": ["4"], "CA": ["UTF-8"], "AP": ["Arcadia"], "SZ": [str(size)],
        "KM": [f"{position.komi:g}"],
    }  # fmt: skip
    if rules in names:
        properties["RU"] = [names[rules]]
    for name, value in (("PB", black), ("PW", white)):
        if value:
            properties[name] = [value]
    if said or score is not None:
        properties["RE"] = [said or result(score or 0.0)]
    for name, colour in (("AB", BLACK), ("AW", WHITE)):
        points = [write_point(move, size) for stone, move in position.stones if stone == colour]
        if points:
            properties[name] = points
    blacks = sum(colour == BLACK for colour, _ in position.stones)
    if blacks > 1 and blacks == len(position.stones):
        properties["HA"] = [str(blacks)]
    if position.stones and not position.moves and position.to_play == WHITE:
        properties["PL"] = ["W"]
    root = node = Node(properties)
    for colour, move in position.moves:
        following = Node({"B" if colour == BLACK else "W": [write_point(move, size)]})
        node.children.append(following)
        node = following
    return root
