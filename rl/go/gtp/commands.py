"""The standard commands of GTP, and printsgf."""

import random
import sys
import time
from collections.abc import Iterable

from backbones.training.errors import UserError
from backbones.training.streams import printable
from rl.go.clock import TimeSettings
from rl.go.games import sgf
from rl.go.gtp.protocol import (
    COMMANDS,
    GtpError,
    Session,
    colour_of,
    command,
    expect,
    move_of,
    number_of,
    whole_of,
)
from rl.go.rules.board import LARGEST, SMALLEST
from rl.go.rules.position import (
    LARGEST_KOMI,
    Position,
    colour_name,
    handicap_points,
    most_handicap,
    result,
    vertex,
)


@command("protocol_version")
def protocol_version(session: Session, args: list[str]) -> str:
    """The protocol's version."""
    return "2"


@command("name")
def name(session: Session, args: list[str]) -> str:
    """Who this is; Lizzie reads KataGo's analysis only from a KataGo."""
    return session.name


@command("version")
def version(session: Session, args: list[str]) -> str:
    """The engine's version."""
    return session.version


@command("known_command")
def known_command(session: Session, args: list[str]) -> str:
    """Say whether a command is known."""
    expect(args, 1)
    return "true" if args[0] in COMMANDS else "false"


@command("list_commands", "help")
def list_commands(session: Session, args: list[str]) -> str:
    """All commands, a line each."""
    return "\n".join(COMMANDS)


@command("quit")
def leave(session: Session, args: list[str]) -> str:
    """Stop answering."""
    session.left = True
    return ""


def begin(session: Session, size: int) -> None:
    """Begin a game on a board of a size, by the rules and with the komi of before."""
    before = session.engine.position
    session.engine.new_game(Position(size, before.komi, before.rules))


@command("boardsize")
def boardsize(session: Session, args: list[str]) -> str | None:
    """Begin on a board of N by N."""
    expect(args, 1)
    size = whole_of(args[0])
    if len(args) > 1 and args[1] != args[0]:
        raise GtpError("unacceptable size: boards are square")
    if not SMALLEST <= size <= LARGEST:
        raise GtpError(f"unacceptable size: {SMALLEST} to {LARGEST} are played")
    begin(session, size)
    return ""


@command("rectangular_boardsize")
def rectangular_boardsize(session: Session, args: list[str]) -> str | None:
    """The same, of W by H."""
    expect(args, 2)
    return boardsize(session, args)


@command("clear_board")
def clear_board(session: Session, args: list[str]) -> str:
    """Begin again."""
    begin(session, session.engine.position.size)
    return ""


@command("komi")
def komi(session: Session, args: list[str]) -> str:
    """Set White's compensation."""
    expect(args, 1)
    session.engine.position.komi = number_of(args[0], -LARGEST_KOMI, LARGEST_KOMI)
    return ""


@command("get_komi")
def get_komi(session: Session, args: list[str]) -> str:
    """White's compensation."""
    return f"{session.engine.position.komi:g}"


@command("play")
def play(session: Session, args: list[str]) -> str:
    """Play a move of a colour; either may move any number of times in a row."""
    expect(args, 2)
    position = session.engine.position
    colour = colour_of(args[0])
    if args[1].lower() != "resign":
        position.play(move_of(args[1], position.size), colour)
    return ""


@command("genmove")
def genmove(session: Session, args: list[str]) -> str:
    """Choose a move of a colour and play it."""
    expect(args, 1)
    colour, position = colour_of(args[0]), session.engine.position
    move = session.engine.generate(colour, lambda: session.stopped)
    if move is None:
        return "resign"
    position.play(move, colour)
    session.pondering = session.ponders
    return vertex(move, position.size)


@command("reg_genmove")
def reg_genmove(session: Session, args: list[str]) -> str:
    """Choose a move and do not play it."""
    expect(args, 1)
    colour, position = colour_of(args[0]), session.engine.position
    before = position.to_play
    move = session.engine.generate(colour, lambda: session.stopped)
    position.whose(before)
    return "resign" if move is None else vertex(move, position.size)


@command("undo")
def undo(session: Session, args: list[str]) -> str:
    """Take the last move back."""
    if not session.engine.position.moves:
        raise GtpError("cannot undo")
    session.engine.position.undo()
    return ""


@command("showboard")
def showboard(session: Session, args: list[str]) -> str:
    """The board, for people."""
    position = session.engine.position
    return f"\n{position}\n{colour_name(position.to_play)} to play, komi {position.komi:g}"


@command("time_settings")
def time_settings(session: Session, args: list[str]) -> str:
    """Main time, overtime and the stones to play in it; no stones for a time: no clock."""
    expect(args, 3)
    main_s, overtime_s = number_of(args[0], 0.0), number_of(args[1], 0.0)
    stones = whole_of(args[2])
    if overtime_s and not stones:
        session.engine.set_time(TimeSettings())
    else:
        session.engine.set_time(TimeSettings(main_s=main_s, overtime_s=overtime_s, stones=stones))
    return ""


@command("time_left")
def time_left(session: Session, args: list[str]) -> str:
    """What a side has left, as its server counts."""
    expect(args, 3)
    clock = session.engine.clocks.get(colour_of(args[0]))
    left_s, stones = number_of(args[1]), whole_of(args[2])
    if clock:
        clock.set_left(left_s, stones)
    return ""


def vertices(moves: Iterable[int], size: int) -> str:
    """Return moves as a line."""
    return " ".join(vertex(move, size) for move in moves)


def give(session: Session, moves: list[int]) -> str:
    """Put handicap stones on an empty board."""
    position = session.engine.position
    if position.moves or position.stones:
        raise GtpError("board not empty")
    try:
        position.give_handicap(moves)
    except UserError as error:
        raise GtpError(f"bad vertex list: {error}") from None
    return vertices(moves, position.size)


@command("fixed_handicap")
def fixed_handicap(session: Session, args: list[str]) -> str:
    """Place handicap stones on the fixed points."""
    expect(args, 1)
    try:
        moves = handicap_points(session.engine.position.size, whole_of(args[0]))
    except UserError as error:
        raise GtpError(f"invalid number of stones: {error}") from None
    return give(session, moves)


@command("place_free_handicap")
def place_free_handicap(session: Session, args: list[str]) -> str:
    """Place handicap stones where the engine chooses."""
    expect(args, 1)
    size, stones = session.engine.position.size, whole_of(args[0])
    if not 2 <= stones < size * size:
        raise GtpError(f"invalid number of stones: 2 to {size * size - 1}")
    fixed = min(stones, most_handicap(size))
    moves = handicap_points(size, fixed) if fixed else []
    free = [m for m in range(size * size) if m not in moves]
    random.Random(size).shuffle(free)
    inner = sorted(free, key=lambda m: on_edge(m, size))
    return give(session, [*moves, *inner[: stones - len(moves)]])


def on_edge(move: int, size: int) -> bool:
    """Say whether a point lies on the first line."""
    row, column = divmod(move, size)
    return not (0 < row < size - 1 and 0 < column < size - 1)


@command("set_free_handicap")
def set_free_handicap(session: Session, args: list[str]) -> str:
    """Place handicap stones where the client says."""
    expect(args, 2)
    size = session.engine.position.size
    moves = [move_of(word, size) for word in args]
    if size * size in moves:
        raise GtpError("bad vertex list: a pass is no stone")
    give(session, moves)
    return ""


@command("final_score")
def final_score(session: Session, args: list[str]) -> str:
    """The result if the game ended here, dead stones taken off as the engine judges them."""
    return result(session.engine.final_score()[0])


@command("final_status_list")
def final_status_list(session: Session, args: list[str]) -> str:
    """The stones that are alive or dead, a chain a line; no chain is told to be in seki."""
    expect(args, 1)
    if args[0] not in ("alive", "dead", "seki"):
        raise GtpError(f"syntax error: {args[0][:20]!r} is not alive, dead or seki")
    position = session.engine.position
    if args[0] == "seki":
        return ""
    dead = set(session.engine.final_score()[1])
    rows: dict[int, list[int]] = {}
    for move, point in enumerate(position.points()):
        if position.at(move) and (move in dead) == (args[0] == "dead"):
            rows.setdefault(int(position.board["head"][point]), []).append(move)
    return "\n".join(vertices(row, position.size) for row in rows.values())


@command("loadsgf")
def loadsgf(session: Session, args: list[str]) -> str:
    """Take up a file's game, after all moves or before move number N; rules stay that it does not
    name, and what was assumed of it is told on standard error."""
    expect(args, 1)
    moves = whole_of(args[1], 1) - 1 if len(args) > 1 else None
    try:
        position = sgf.follow(sgf.read(args[0])[0], moves, session.engine.position.rules)
    except UserError as error:
        raise GtpError(f"cannot load file: {error}") from None
    for note in position.notes:
        print(printable(f"{args[0]}: {note}"), file=sys.stderr)
    session.engine.new_game(position)
    return colour_name(position.to_play)


@command("printsgf")
def printsgf(session: Session, args: list[str]) -> str:
    """The game as SGF (also with `-`), or into a file that is not there yet."""
    text = sgf.write(sgf.record(session.engine.position))
    if args in ([], ["-"]):
        return text.strip()
    try:
        with open(args[0], "x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise GtpError(f"cannot write file: {error.strerror}") from None
    return ""


@command("cputime", "gomill-cpu_time")
def cputime(session: Session, args: list[str]) -> str:
    """Seconds of processor time that this process has used."""
    return f"{time.process_time():.3f}"
