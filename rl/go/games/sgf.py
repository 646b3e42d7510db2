"""Games of Go in Smart Game Format: read from files, replayed, and written.

Letters: N points on a side. The text itself is parsed in `sgf_tree.py`, its encoding found out in
`sgf_charset.py`.

All recorded moves are replayed, even if the rules forbid them: some records repeat a position
under superko, or contain a suicide. Assumptions about a file are listed in `Position.notes`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from backbones.training.errors import UserError
from backbones.training.files import read_bounded
from rl.go.games.sgf_charset import decode
from rl.go.games.sgf_tree import BadFile, Node, parse, write
from rl.go.rules.board import BLACK, WHITE
from rl.go.rules.position import IllegalMove, Position, result
from rl.go.rules.ruleset import NAMED_RULES, Rules, read_rules, short_form

__all__ = [
    "BadFile",
    "Node",
    "follow",
    "moves_of",
    "parse",
    "read",
    "record",
    "replay",
    "write",
    "write_point",
]

LETTERS = "abcdefghijklmnopqrstuvwxyz"
# Three times the joseki dictionaries with their comments, and 5,000 games of professionals.
LARGEST_FILE = 16 * 2**20
LONGEST_RULES = 300  # characters: all of KataGo's keys are 150
COLOURS = {"B": BLACK, "W": WHITE}
# What is written into RU; `read_rules` reads these and more.
RULES = {
    **{name: NAMED_RULES[name] for name in ("japanese", "korean", "chinese", "aga", "cgos")},
    "newzealand": NAMED_RULES["new-zealand"],
    "tromptaylor": NAMED_RULES["tromp-taylor"],
    "chineseogs": NAMED_RULES["chinese-ogs"],
}
# A number with a point or a comma, perhaps "3 3/4", the unit that servers write, and a half.
KOMI = re.compile(
    r"([+-]?)(\d{1,6}(?:[.,]\d{0,6})?|[.,]\d{1,6})(?:又|\+)?(?:(\d)/(\d))?"
    r"(points?|pts?|moku|目|点|點|집|stones?|zi|子)?(半|반)?"
)
STONES = ("stone", "stones", "zi", "子")


def read(path: str | Path) -> list[Node]:
    """Return the games of a file; BadFile if it is not one, UserError if it cannot be read.

    `sgf_charset.py` says how its bytes become text.
    """
    path = Path(path)
    try:
        data = read_bounded(path, LARGEST_FILE)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    text, note = decode(data)
    return parse(text, str(path), note)


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
            for row in range(top, bottom + 1)
            for column in range(left, right + 1)
        ]
    return found


def size_of(root: Node) -> int:
    """Return the board's size; BadFile if it is not a square that we play on."""
    text = root.one("SZ", "19").strip()
    parts = text.split(":")
    if not all(part.isascii() and part.isdigit() for part in parts) or len(set(parts)) > 1:
        raise BadFile(f"{root.place}: SZ[{text[:9]}] is not a square board")
    try:
        return Position(int(parts[0][:9])).size
    except UserError as error:
        raise BadFile(f"{root.place}: SZ[{text[:9]}]: {error}") from None


def komi_of(root: Node, notes: list[str]) -> float:
    """Return White's points; BadFile if KM is no number, a note if it was in another unit.

    Fox writes hundredths; where rules count stones, half of the points (3.75 for 7.5).
    """
    text = root.one("KM").strip()
    found = KOMI.fullmatch(re.sub(r"\s", "", text.lower())) if text else None
    if found is None or found[4] == "0":
        if text:
            raise BadFile(f"{root.place}: KM[{text[:9]}] is no komi")
        return 0.0
    sign, number, above, below, unit, half = found.groups()
    komi = float(number.replace(",", "."))
    plain = komi + (0.5 if half else 0.0)
    komi = plain / 100 if plain >= 100 else plain
    komi += int(above) / int(below) if above else 0.0
    if unit in STONES or (unit is None and komi % 0.5 == 0.25):
        komi *= 2
    if komi != plain:
        notes.append(f"KM[{text[:20]}] is taken for {sign}{komi:g} points")
    return -komi if sign == "-" else komi


def rules_of(root: Node, otherwise: Rules, notes: list[str]) -> Rules:
    """Return the rules that a file names; `otherwise`, and perhaps a note, if it has none."""
    text = root.one("RU").strip()[:LONGEST_RULES]
    if not text:
        return otherwise
    try:
        return read_rules(text, notes)
    except UserError:
        kept = next((name for name, each in NAMED_RULES.items() if each == otherwise), "others")
        notes.append(f"RU[{text[:20]}] names no rules that are known here: {kept} taken")
        return otherwise


def begin(root: Node, rules: Rules | None = None) -> Position:
    """Return the position that a game begins with; BadFile says what is wrong with it.

    `rules` are those of a game that does not name its own.
    """
    if root.one("GM", "1").strip() not in ("", "1"):
        raise BadFile(f"{root.place}: GM[{root.one('GM')[:9]}] is another game than Go, GM[1]")
    notes = [root.places.note] if root.places and root.places.note else []
    komi = komi_of(root, notes)
    if not -1000 < komi < 1000:
        raise BadFile(f"{root.place}: KM[{root.one('KM')[:9]}] is no komi")
    position = Position(size_of(root), komi, rules_of(root, rules or Rules(), notes))
    position.notes = notes
    return position


def points_of(node: Node, name: str, size: int) -> list[int]:
    """Return the points of a property; BadFile if one is none."""
    points = read_points([v for v in node.properties.get(name, []) if v.strip()], size)
    if points is None:
        raise BadFile(f"{node.place}: {name} has a point that is not on {size} by {size}")
    return points


def set_up(node: Node, position: Position) -> None:
    """Put a node's stones on the board, take others away, and give the turn as PL says."""
    black, white, empty = (points_of(node, name, position.size) for name in ("AB", "AW", "AE"))
    stones = [(BLACK, move) for move in black] + [(WHITE, move) for move in white]
    named = {*(move for _, move in stones), *empty}
    if position.moves:
        stands = all(position.at(move) == colour for colour, move in stones)
        if not stands or any(position.at(move) for move in empty):
            raise BadFile(
                f"{node.place}: stones are set up or taken away in the middle of the game"
            )
    elif named:
        try:
            if len(named) < len(stones) + len(set(empty)):
                raise UserError("stones to set up must stand on different points")
            position.set_up(stones, removed=named)
        except UserError as error:
            raise BadFile(f"{node.place}: {error}") from None
    given = node.one("HA").strip()
    if given.isascii() and given.isdigit() and int(given[:3]) > 1 and not white and black:
        position.whose(WHITE)
    turn = node.one("PL").strip().upper()[:1]
    if turn in COLOURS:
        position.whose(COLOURS[turn])


def moves_of(node: Node, size: int) -> Iterator[tuple[int, int]]:
    """Give the moves of a node, (colour, move) each."""
    for name, colour in COLOURS.items():
        for value in node.properties.get(name, []):
            move = read_point(value.strip(), size)
            if move is None:
                raise BadFile(f"{node.place}: {name}[{value[:9]}] is not on {size} by {size}")
            yield colour, move


class Recorded:
    """A game being replayed: by its own rules, or by laxer ones where they forbid a move."""

    def __init__(self, position: Position) -> None:
        self.position = position
        self.tolerant: Position | None = None  # the same game by the least that rules forbid

    def play(self, move: int, colour: int) -> None:
        """Play a recorded move; IllegalMove if no rules allow it."""
        try:
            self.position.play(move, colour)
        except IllegalMove as error:
            if not self.allowed(move, colour):
                raise
            self.position.play(move, colour, forced=True)
            # Once: a game that was played by other rules breaks these often.
            if not any("as recorded" in note for note in self.position.notes):
                number = len(self.position.moves)
                self.position.notes.append(f"move {number}, {error}: played as recorded")
        if self.tolerant:
            self.tolerant.play(move, colour)

    def allowed(self, move: int, colour: int) -> bool:
        """Return whether simple ko, with suicide of several stones, allows a move."""
        if self.tolerant is None:
            self.tolerant = self.position.copy()
            self.tolerant.rules = Rules(ko="simple", suicide=True)
            self.tolerant.rebuild()
        self.tolerant.whose(colour)
        return self.tolerant.legal(move)


def replay(root: Node, rules: Rules | None = None) -> Iterator[Position]:
    """Give a game's position before each move of the main line, changed in place, and at the end;
    BadFile names a move that no rules allow by its place in the file. `rules` as in `begin`.
    """
    position = begin(root, rules)
    recorded = Recorded(position)
    for node in root.main_line():
        set_up(node, position)
        for colour, move in moves_of(node, position.size):
            position.whose(colour)
            yield position
            try:
                recorded.play(move, colour)
            except IllegalMove as error:
                number = len(position.moves) + 1
                raise BadFile(f"{node.place}: move {number}, {error}") from None
    yield position


def follow(root: Node, moves: int | None = None, rules: Rules | None = None) -> Position:
    """Return the position after so many moves (all) of the main line; BadFile as in `replay`."""
    for position in replay(root, rules):
        if len(position.moves) == moves:
            break
    return position


def record(
    position: Position,
    *,
    black: str = "",
    white: str = "",
    score: float | None = None,
    outcome: str = "",
) -> Node:
    """Return a game as a tree of one line; `outcome` is the result in words such as B+R."""
    size, rules = position.size, position.rules
    names = {found: name for name, found in reversed(RULES.items())}
    properties = {
        "GM": ["1"],
        "FF": ["4"],
        "CA": ["UTF-8"],
        "AP": ["Arcadia"],
        "SZ": [str(size)],
        "KM": [f"{position.komi:g}"],
    }
    properties["RU"] = [names.get(rules) or short_form(rules)]
    for name, value in (("PB", black), ("PW", white)):
        if value:
            properties[name] = [
                value.encode(errors="replace").decode()
            ]  # names of files may be no UTF-8
    if outcome or score is not None:
        properties["RE"] = [outcome or result(score or 0.0)]
    for name, colour in (("AB", BLACK), ("AW", WHITE)):
        points = [write_point(move, size) for stone, move in position.stones if stone == colour]
        if points:
            properties[name] = points
    if position.handicap > 1:
        properties["HA"] = [str(position.handicap)]
    if position.stones and not position.moves and position.to_play == WHITE:
        properties["PL"] = ["W"]
    root = node = Node(properties)
    for colour, move in position.moves:
        following = Node({"B" if colour == BLACK else "W": [write_point(move, size)]})
        node.children.append(following)
        node = following
    return root
