"""What GoGui, KGS, gtp2ogs, KataGo's clients and gomill ask beyond the standard."""

import json
import math

from backbones.training.errors import UserError
from rl.go.clock import TimeSettings
from rl.go.gtp.commands import genmove
from rl.go.gtp.protocol import (
    GtpError,
    Session,
    colour_of,
    command,
    expect,
    move_of,
    number_of,
    one_line,
    whole_of,
)
from rl.go.rules.position import Position, colour_name, vertex
from rl.go.rules.ruleset import NAMED_RULES, Rules, read_rules

ANALYZE_COMMANDS = (
    "gfx/Ownership/arcadia-ownership",
    "sboard/Heat map/heatmap",
    "string/Final score/final_score",
    "plist/Dead stones/final_status_list dead",
)


@command("gg-undo")
def gg_undo(session: Session, args: list[str]) -> str:
    """Take several moves back."""
    count, position = whole_of(args[0]) if args else 1, session.engine.position
    if count > len(position.moves):
        raise GtpError("cannot undo")
    for _ in range(count):
        position.undo()
    return ""


@command("gogui-play_sequence")
def play_sequence(session: Session, args: list[str]) -> str:
    """Play several moves; none if one of them is illegal."""
    engine = session.engine
    trial = engine.position.copy()
    for colour, word in pairs(args):
        trial.play(move_of(word, trial.size), colour_of(colour))
    engine.position = trial
    return ""


def pairs(args: list[str]) -> list[tuple[str, str]]:
    """Return colours and points; GtpError if one of them is alone."""
    if len(args) % 2:
        raise GtpError("syntax error: colours and points come in pairs")
    return list(zip(args[::2], args[1::2], strict=True))


def set_up(session: Session, args: list[str], keep: bool) -> str:
    """Put stones on the board as it is, or on an empty one; the history begins with the result."""
    before = session.engine.position
    size = before.size
    stones = {m: before.at(m) for m in range(size * size) if keep and before.at(m)}
    named: set[int] = set()
    for colour, word in pairs(args):
        move = move_of(word, size)
        if move == size * size:
            raise GtpError("syntax error: a pass is no stone")
        if move in named:
            raise GtpError(f"{vertex(move, size)} is named twice")
        named.add(move)
        stones[move] = colour_of(colour)
    position = Position(size, before.komi, before.rules)
    try:
        position.set_up((colour, move) for move, colour in stones.items())
    except UserError as error:
        raise GtpError(one_line(error)) from None
    session.engine.new_game(position)
    return ""


@command("set_position")
def set_position(session: Session, args: list[str]) -> str:
    """KataGo's: these stones and no others."""
    return set_up(session, args, keep=False)


@command("gogui-setup")
def gogui_setup(session: Session, args: list[str]) -> str:
    """GoGui's: these stones besides those that stand."""
    return set_up(session, args, keep=True)


@command("gogui-setup_player")
def setup_player(session: Session, args: list[str]) -> str:
    """Who is to play."""
    expect(args, 1)
    session.engine.position.whose(colour_of(args[0]))
    return ""


@command("gogui-interrupt", "stop", "kgs-game_over")
def nothing(session: Session, args: list[str]) -> str:
    """Do nothing: any command interrupts an analysis."""
    return ""


@command("gogui-analyze_commands")
def analyze_commands(session: Session, args: list[str]) -> str:
    """What GoGui's menu offers."""
    return "\n".join(ANALYZE_COMMANDS)


@command("arcadia-ownership")
def ownership(session: Session, args: list[str]) -> str:
    """GoGui's picture of who owns what: black and white by influence."""
    engine = session.engine
    engine.judge()
    owned = engine.player.thoughts(engine.position).ownership
    size = engine.position.size
    points = " ".join(f"{vertex(m, size)} {float(value):.2f}" for m, value in enumerate(owned))
    return f"INFLUENCE {points}"


@command("heatmap")
def heatmap(session: Session, args: list[str]) -> str:
    """The prior of each point, in thousandths, and that of the pass below."""
    engine = session.engine
    size = engine.position.size
    engine.judge()
    found = {c.move: c.prior for c in engine.player.thoughts(engine.position).candidates}
    rows = [
        " ".join(f"{round(1000 * found.get(row * size + x, 0.0)):4}" for x in range(size))
        for row in range(size)
    ]
    return "\n" + "\n".join([*rows, f"pass {round(1000 * found.get(size * size, 0.0))}"])


@command("clear_cache")
def clear_cache(session: Session, args: list[str]) -> str:
    """Forget what was searched."""
    session.engine.player.forget()
    return ""


@command("last_move")
def last_move(session: Session, args: list[str]) -> str:
    """The last move and its colour."""
    position = session.engine.position
    if not position.moves:
        raise GtpError("no previous move known")
    colour, move = position.moves[-1]
    return f"{colour_name(colour)} {vertex(move, position.size)}"


@command("move_history")
def move_history(session: Session, args: list[str]) -> str:
    """All moves, the newest first."""
    position = session.engine.position
    rows = (
        f"{colour_name(colour)} {vertex(m, position.size)}" for colour, m in position.moves[::-1]
    )
    return "\n".join(rows)


@command("gomill-explain_last_move")
def explain(session: Session, args: list[str]) -> str:
    """What was thought before the last own move."""
    thoughts = session.engine.thoughts
    if thoughts is None:
        return ""
    size = session.engine.position.size
    line = " ".join(vertex(move, size) for move in thoughts.best.line)
    return f"{thoughts.visits} visits, win rate {thoughts.best.winrate:.3f}, {line}"


@command("kgs-genmove_cleanup")
def cleanup(session: Session, args: list[str]) -> str:
    """A move when dead stones must be captured first: no polite passes."""
    engine = session.engine
    rules = engine.position.rules
    engine.position.rules = Rules(ko=rules.ko, suicide=rules.suicide)
    try:
        return genmove(session, args) or ""
    finally:
        engine.position.rules = rules


RULES_OF_KGS = {
    "japanese": "japanese",
    "chinese": "chinese",
    "aga": "aga",
    "new_zealand": "new-zealand",
}


@command("kgs-rules")
def kgs_rules(session: Session, args: list[str]) -> str:
    """Play by rules that KGS names."""
    expect(args, 1)
    if args[0].lower() not in RULES_OF_KGS:
        raise GtpError(f"unknown rules; choose one of {', '.join(RULES_OF_KGS)}")
    return take_rules(session, NAMED_RULES[RULES_OF_KGS[args[0].lower()]])


def take_rules(session: Session, rules: Rules) -> str:
    """Play by rules; GtpError if the game so far broke them."""
    position = session.engine.position
    before, position.rules = position.rules, rules
    trial = Position(position.size, position.komi, rules)
    try:
        trial.set_up(position.stones)
        for colour, move in position.moves:
            trial.play(move, colour)
    except UserError:
        position.rules = before
        raise GtpError("the game so far is not legal by these rules") from None
    to_play = position.to_play
    position.rebuild()
    position.whose(to_play)
    session.engine.player.forget()
    return ""


@command("kata-get-rules")
def get_rules(session: Session, args: list[str]) -> str:
    """The rules, as KataGo writes them."""
    return json.dumps(settings_of(session.engine.position.rules))


def settings_of(rules: Rules) -> dict[str, str | bool]:
    """Return rules by KataGo's keys."""
    return {
        "hasButton": False,
        "ko": rules.ko.upper(),
        "scoring": rules.scoring.upper(),
        "suicide": rules.suicide,
        "tax": "NONE",
        "whiteHandicapBonus": "0",
        "friendlyPassOk": rules.friendly,
    }


@command("kata-set-rules")
def set_rules(session: Session, args: list[str]) -> str:
    """Play by rules with a name, as JSON with ko, scoring and suicide, or as koSIMPLEscoreAREA."""
    expect(args, 1)
    return take_rules(session, read_rules(" ".join(args)))


@command("kata-set-rule")
def set_rule(session: Session, args: list[str]) -> str:
    """Change one of the rules that kata-get-rules lists."""
    expect(args, 2)
    settings = settings_of(session.engine.position.rules)
    names = {name.lower(): name for name in settings} | {"score": "scoring"}
    if args[0].lower() not in names:
        raise GtpError(f"unknown rule {args[0][:20]!r}; choose one of {', '.join(settings)}")
    changed = {**settings, names[args[0].lower()]: args[1]}
    return take_rules(session, read_rules(json.dumps(changed)))


@command("kata-list_time_settings")
def list_time_settings(session: Session, args: list[str]) -> str:
    """The time systems that are understood."""
    return "none absolute byoyomi canadian fischer fischer-capped"


@command("kgs-time_settings", "kata-time_settings")
def named_time_settings(session: Session, args: list[str]) -> str:
    """Set a time system by its name and numbers."""
    expect(args, 1)
    system, numbers = args[0].lower(), args[1:]
    needed = {
        "none": 0,
        "absolute": 1,
        "byoyomi": 3,
        "canadian": 3,
        "fischer": 2,
        "fischer-capped": 4,
    }
    if system not in needed:
        raise GtpError(f"unknown time system; choose one of {', '.join(needed)}")
    expect(numbers, needed[system])
    # Only the limits of fischer-capped may be below 0, which means that there is none.
    value = [
        number_of(word, 0.0 if place < 2 or system != "fischer-capped" else -1e9)
        for place, word in enumerate(numbers[: needed[system]])
    ]
    session.engine.set_time(time_system(system, value))
    return ""


def time_system(system: str, value: list[float]) -> TimeSettings:
    """Return the settings of a time system's numbers, in seconds."""
    if system == "none":
        return TimeSettings()
    if system == "absolute" or (system in ("byoyomi", "canadian") and value[2] < 1):
        return TimeSettings(main_s=value[0])  # without periods or stones there is no overtime
    if system == "byoyomi":
        return TimeSettings(main_s=value[0], overtime_s=value[1], stones=1, periods=int(value[2]))
    if system == "canadian":
        return TimeSettings(main_s=value[0], overtime_s=value[1], stones=int(value[2]))
    cap_s, longest_s = [v if v >= 0 else math.inf for v in value[2:]] or [math.inf, math.inf]
    return TimeSettings(
        main_s=min(value[0], cap_s), increment_s=value[1], cap_s=cap_s, longest_s=longest_s
    )
