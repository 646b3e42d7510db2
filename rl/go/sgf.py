"""Smart Game Format, FF[4]: read with line and column of what is wrong, and written.

https://www.red-bean.com/sgf/sgf4.html. Letters: N points on a side.

A file is a collection of game trees; a node has properties, each a list of texts, and the nodes
that follow it, the first being the main line. Neither reading nor writing recurses, so depth is
limited by memory only.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from backbones.training.errors import UserError
from backbones.training.files import read_bounded
from rl.go.board import BLACK, WHITE
from rl.go.position import NAMED_RULES, IllegalMove, Position, Rules, result

LETTERS = "abcdefghijklmnopqrstuvwxyz"
# Three times the joseki dictionaries with their comments, and 5,000 games of professionals.
LARGEST_FILE = 16 * 2**20
# Nodes, properties and parentheses: room for 2,000 games of 250 moves. A node becomes 200 bytes of
# memory, one with a move 600, so this bounds it to 300 MB.
MOST_TOKENS = 1_000_000
# What CA may name, in lower case without anything but letters and digits: what servers and editors
# of Go write, each read by the encoding of Python that has all its characters. Python knows others
# that were never meant for files, and some of those take the square of the text's length.
ENCODINGS = {
    **dict.fromkeys(("utf8", "utf"), "utf-8-sig"),
    **dict.fromkeys(("iso88591", "latin1", "ascii", "usascii", "windows1252", "cp1252"), "cp1252"),
    **dict.fromkeys(("gb2312", "gbk", "gb18030", "cp936", "euccn"), "gb18030"),
    **dict.fromkeys(("big5", "big5hkscs", "cp950"), "big5hkscs"),
    **dict.fromkeys(("shiftjis", "sjis", "xsjis", "cp932", "windows31j"), "cp932"),
    **dict.fromkeys(("euckr", "ksc56011987", "uhc", "cp949"), "cp949"),
    "eucjp": "euc_jp", "iso2022jp": "iso2022_jp",
    **{f"iso8859{n}": f"iso8859-{n}" for n in (2, 5, 7, 9, 15)},
    **{f"windows{n}": f"cp{n}" for n in (1250, 1251, 1253, 1254)},
    **{name: name for name in ("cp1250", "cp1251", "koi8r", "koi8u")},
}  # fmt: skip
COLOURS = {"B": BLACK, "W": WHITE}
# What a file may say in RU, in lower case without anything but letters.
RULES = {
    **{name: NAMED_RULES[name] for name in ("japanese", "korean", "chinese", "aga")},
    "nz": NAMED_RULES["new-zealand"], "newzealand": NAMED_RULES["new-zealand"],
    "tromptaylor": NAMED_RULES["tromp-taylor"], "goe": NAMED_RULES["tromp-taylor"],
    "cgos": NAMED_RULES["cgos"], "chineseogs": NAMED_RULES["chinese-ogs"],
}  # fmt: skip


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


TOKEN = re.compile(r"\s*(?:([();])|([A-Za-z]+)|(\[))")


class Parser:
    """Reads tokens and puts nodes together."""

    def __init__(self, text: str, name: str) -> None:
        self.text, self.places = text, Places(text, name)
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
                raise self.wrong(start, f"more than {MOST_TOKENS:,} nodes, properties and "
                                 "parentheses; cut the file into several")  # fmt: skip
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


def parse(text: str, name: str = "SGF") -> list[Node]:
    """Return the first nodes of a text's game trees; BadFile says where it goes wrong.

    What stands before the first "(;" is left out, as old files have letters there.
    """
    begin = re.search(r"\(\s*;", text)
    if not begin:
        raise BadFile(f"{name}: there is no game in it: no '(;'")
    return Parser(text, name).parse(begin.start())


@dataclass(frozen=True, slots=True)
class Places:
    """Lines and columns of a file's text, from 1, for messages."""

    text: str
    name: str

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
    value = re.sub(r"[\x01-\x08\x0b-\x1f\x7f-\x9f]", "", value)  # of terminals, not of games
    return value.replace("\\", "").replace("\0", "\\")


def escaped(value: str) -> str:
    """Return a text as a value."""
    return value.replace("\\", "\\\\").replace("]", "\\]")


def read(path: str | Path) -> list[Node]:
    """Return the games of a file; BadFile if it is not one, UserError if it cannot be read.

    The bytes are in the encoding that CA names, if it is one of ENCODINGS, in UTF-8 else, or in
    Latin-1 where they are not.
    """
    path = Path(path)
    try:
        data = read_bounded(path, LARGEST_FILE)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    named = re.search(rb"CA\s*\[([\w.:-]+)\]", data[:4096])
    said = re.sub(r"[^a-z0-9]", "", named.group(1).decode("latin-1").lower()) if named else ""
    for encoding in filter(None, [ENCODINGS.get(said), "utf-8-sig", "latin-1"]):
        try:
            text = data.decode(encoding)
        except UnicodeError:
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
    """Return the points of a list, in which aa:cc is a rectangle; None if one is none.

    A list of more points than the board has, which has one twice, is not read to its end.
    """
    found: list[int] = []
    for value in values:
        if len(found) > size * size:
            break
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
        raise BadFile(f"{root.place}: SZ[{said[:9]}] is not a square board")
    try:
        return Position(int(parts[0][:9])).size
    except UserError as error:
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
        raise BadFile(f"{root.place}: KM[{root.one('KM')[:9]}] is no komi")
    named = re.sub(r"[^a-z]", "", root.one("RU").lower())
    return Position(size_of(root), komi, RULES.get(named, Rules()))


def moves_of(node: Node, position: Position) -> Iterator[tuple[int, int]]:
    """Give the moves of a node, (colour, move) each, after its set-up stones are on the board."""
    size = position.size
    stones = []
    for name, colour in (("AB", BLACK), ("AW", WHITE)):
        points = read_points(node.properties.get(name, []), size)
        if points is None:
            raise BadFile(f"{node.place}: {name} has a point that is not on {size} by {size}")
        stones += [(colour, point) for point in points]
    if "AE" in node.properties or (stones and position.moves):
        raise BadFile(f"{node.place}: stones are set up or taken away in the middle of the game")
    if stones:
        try:
            position.set_up(stones)
        except UserError as error:
            raise BadFile(f"{node.place}: {error}") from None
    if node.one("PL").upper()[:1] in COLOURS:
        position.whose(COLOURS[node.one("PL").upper()[:1]])
    for name, colour in COLOURS.items():
        for value in node.properties.get(name, []):
            move = read_point(value.strip(), size)
            if move is None:
                raise BadFile(f"{node.place}: {name}[{value[:9]}] is not on {size} by {size}")
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
            properties[name] = [
                value.encode(errors="replace").decode()
            ]  # names of files may be no UTF-8
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
