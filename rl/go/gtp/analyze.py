"""Analysis over GTP, as Leela Zero (lz-) and KataGo (kata-) write it: what Sabaki and Lizzie show.

An answer starts with `=`, has one line per interval, and ends with an empty line as soon as any
command arrives. Winrates are those of the player to move: 0 to 10,000 for lz-, 0 to 1 for kata-.
`ownership` is the last field of its line: from the top left, 1 where the player to move will own.
"""

import time
from dataclasses import dataclass

from rl.go.engine import Limits
from rl.go.gtp.protocol import COLOURS, GtpError, Session, colour_of, command, number_of, whole_of
from rl.go.player import Candidate, Thoughts
from rl.go.rules.board import BLACK
from rl.go.rules.position import vertex
from rl.go.rules.ruleset import read_bool

FLAGS = {
    "ownership",
    "ownershipstdev",
    "rootinfo",
    "movesownership",
    "movesownershipstdev",
    "pvvisits",
    "pvedgevisits",
}


@dataclass
class Asked:
    """What an analysis should say."""

    colour: int
    interval_s: float = 1.0
    most: int = 1_000
    least: int = 0
    ownership: bool = False
    root: bool = False


def read_asked(session: Session, args: list[str]) -> Asked:
    """Read [colour] [interval] and pairs of a key and its value; GtpError for what is unknown."""
    words = list(args)
    colour = session.engine.position.to_play
    if words and words[0].lower() in COLOURS:
        colour = colour_of(words.pop(0))
    asked = Asked(colour)
    if words and words[0].isascii() and words[0].isdigit():
        asked.interval_s = whole_of(words.pop(0), 0, 1_000_000) / 100
    while words:
        key = words.pop(0).lower()
        if not words:
            raise GtpError(f"syntax error: {key[:20]} has no value")
        value = words.pop(0)
        if key == "interval":
            asked.interval_s = number_of(value, 0.0, 1e6) / 100
        elif key == "maxmoves":
            asked.most = max(1, whole_of(value))
        elif key == "minmoves":
            asked.least = whole_of(value)
        elif key in FLAGS:
            wanted = read_bool(value, key)
            asked.ownership |= wanted and key == "ownership"
            asked.root |= wanted and key == "rootinfo"
        else:
            raise GtpError(f"{key[:20]} is not supported")
    asked.interval_s = max(asked.interval_s, 0.01)
    return asked


def shown(thoughts: Thoughts, asked: Asked) -> list[Candidate]:
    """Return the moves to report: those with visits, the best first."""
    looked_at = [each for each in thoughts.candidates if each.visits]
    count = max(min(len(looked_at), asked.most), min(asked.least, len(thoughts.candidates)), 1)
    return thoughts.candidates[:count]


def info(thoughts: Thoughts, asked: Asked, size: int, kata: bool) -> str:
    """Return one line of analysis."""
    parts = []
    for order, each in enumerate(shown(thoughts, asked)):
        spread = 2 * (max(each.winrate * (1 - each.winrate), 0) / max(each.visits, 1)) ** 0.5
        line = " ".join(vertex(move, size) for move in each.line)
        lcb = max(each.winrate - spread, 0)
        head = f"info move {vertex(each.move, size)} visits {each.visits}"
        if kata:
            parts.append(
                f"{head} utility {2 * each.winrate - 1:.4f} winrate {each.winrate:.6f} "
                f"scoreMean {each.score:.2f} scoreLead {each.score:.2f} scoreStdev 0 "
                f"prior {each.prior:.6f} lcb {lcb:.6f} utilityLcb {2 * lcb - 1:.4f} "
                f"order {order} pv {line}"
            )
        else:
            parts.append(
                f"{head} winrate {round(1e4 * each.winrate)} prior {round(1e4 * each.prior)} "
                f"lcb {round(1e4 * lcb)} order {order} pv {line}"
            )
    if kata and asked.root:
        parts.append(
            f"rootInfo visits {thoughts.visits} utility {2 * thoughts.winrate - 1:.4f} "
            f"winrate {thoughts.winrate:.6f} scoreLead {thoughts.score:.2f}"
        )
    if kata and asked.ownership:
        sign = 1 if asked.colour == BLACK else -1
        owned = " ".join(f"{sign * float(value):.3f}" for value in thoughts.ownership)
        parts.append(f"ownership {owned}")
    return " ".join(parts)


class Reporter:
    """Writes an answer's head once something is found, and a line whenever the interval is over.

    Not sooner: a position that cannot be searched is answered by `?` alone.
    """

    def __init__(self, session: Session, asked: Asked, kata: bool) -> None:
        self.session, self.asked, self.kata = session, asked, kata
        self.next_s = time.monotonic() + asked.interval_s
        self.begun = False

    def begin(self) -> None:
        """Write the head of the answer, once."""
        if not self.begun:
            self.session.write(f"={self.session.id}\n")
        self.begun = True

    def __call__(self) -> bool:
        """Report if it is time; say whether another line has come."""
        self.begin()
        if time.monotonic() >= self.next_s:
            self.report()
            self.next_s += self.asked.interval_s
        return self.session.interrupted()

    def report(self) -> None:
        """Write a line."""
        position = self.session.engine.position
        thoughts = self.session.engine.player.thoughts(position)
        self.begin()
        self.session.write(info(thoughts, self.asked, position.size, self.kata) + "\n")


def analyze(session: Session, args: list[str], kata: bool) -> None:
    """Analyse until another line comes."""
    asked = read_asked(session, args)
    session.engine.position.whose(asked.colour)
    reporter = Reporter(session, asked, kata)
    while not session.interrupted():
        session.engine.search(Limits(seconds=asked.interval_s), reporter)
    # The client has seen at least one line, however quick it was.
    reporter.report()
    session.write("\n")


def genmove_analyze(session: Session, args: list[str], kata: bool) -> None:
    """Choose and play a move, with lines of analysis meanwhile."""
    asked, engine = read_asked(session, args), session.engine
    reporter = Reporter(session, asked, kata)
    move = engine.generate(asked.colour, lambda: reporter() and session.stopped)
    if engine.thoughts:
        session.write(info(engine.thoughts, asked, engine.position.size, kata) + "\n")
    if move is None:
        session.write("play resign\n\n")
        return
    engine.position.play(move, asked.colour)
    session.pondering = session.ponders
    session.write(f"play {vertex(move, engine.position.size)}\n\n")


@command("lz-analyze", "analyze")
def lz_analyze(session: Session, args: list[str]) -> None:
    """Leela Zero's analysis."""
    analyze(session, args, kata=False)


@command("kata-analyze")
def kata_analyze(session: Session, args: list[str]) -> None:
    """KataGo's analysis."""
    analyze(session, args, kata=True)


@command("lz-genmove_analyze")
def lz_genmove_analyze(session: Session, args: list[str]) -> None:
    """A move, with Leela Zero's analysis."""
    genmove_analyze(session, args, kata=False)


@command("kata-genmove_analyze")
def kata_genmove_analyze(session: Session, args: list[str]) -> None:
    """A move, with KataGo's analysis."""
    genmove_analyze(session, args, kata=True)
