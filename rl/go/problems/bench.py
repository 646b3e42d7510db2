"""The command `arcadia bench go-tactics`: tactical positions solved, beside GNU Go, by kind.

Each position is searched anew, with the limits given, and counts if the move played is one of its
answers. The peer is a program that speaks GTP, at whatever time it takes; without it our player
stands alone, and a line says so.
"""

import json
import shlex
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backbones.training.checks.limits import MOST_SEED, require_at_most
from backbones.training.config import require_not_negative, require_positive
from backbones.training.progress import say
from rl.go.engine import MOST_SECONDS, Limits
from rl.go.gtp.client import GtpEngine
from rl.go.gtp.serve import ready_engine
from rl.go.problems.positions import KOMI, PROBLEMS, SIZE, Problem
from rl.go.rules.position import Position, colour_name, read_vertex, vertex

PATIENCE_S = 600.0  # GNU Go may think for long on a busy machine


@dataclass(frozen=True, kw_only=True)
class Config:
    """Count the tactical positions that a player solves on 19 by 19."""

    player: str = "playouts"
    """playouts, uct, random, a run of Go or a network's .safetensors."""
    opponent: str = "gnugo --mode gtp --level 10"
    """Program that speaks GTP and gets the same positions; "" for none."""
    seconds: float = 4.0
    """Seconds of a move of ours."""
    visits: int = 0
    """Simulations of a move of ours; 0: as many as there is time for."""
    problems: int = 0
    """Positions, spread over all; 0: all of them."""
    seed: int = 0
    """Of our player."""
    json: bool = False
    """Print a list of JSON objects instead of lines."""

    def __post_init__(self) -> None:
        require_positive(self, "seconds")
        require_not_negative(self, "visits", "problems", "seed")
        require_at_most(self, seconds=MOST_SECONDS, problems=len(PROBLEMS), seed=MOST_SEED)


def our_moves(config: Config) -> Callable[[Problem], int]:
    """Return what asks our player for its move."""
    limits = Limits(visits=config.visits, seconds=0.0 if config.visits else config.seconds)
    engine = ready_engine(
        config.player, Position(SIZE, KOMI), limits, seed=config.seed, resign_below=0.0
    )

    def move(problem: Problem) -> int:
        engine.new_game(problem.position())
        chosen = engine.generate(problem.to_play)
        assert chosen is not None, "it resigned although it never should"
        return chosen

    return move


def their_moves(program: GtpEngine) -> Callable[[Problem], int | None]:
    """Return what asks a program for its move; None where it resigns."""

    def move(problem: Problem) -> int | None:
        for line in (f"boardsize {SIZE}", "clear_board", f"komi {KOMI:g}"):
            program.ask(line)
        for colour, point in problem.stones:
            program.ask(f"play {colour_name(colour)} {vertex(point, SIZE)}")
        answer = program.ask(f"genmove {colour_name(problem.to_play)}")
        return None if answer.lower() == "resign" else read_vertex(answer, SIZE)

    return move


def row(name: str, ours: int, peer: int | None, count: int) -> dict[str, Any]:
    """Return a row of the table."""
    ratio = ours / peer if peer else None
    return {"name": name, "ours": ours, "peer": peer, "ratio": ratio, "unit": f"of {count}"}


def main(config: Config) -> int:
    """The command `arcadia bench go-tactics`."""
    count = config.problems or len(PROBLEMS)
    problems = [PROBLEMS[i * len(PROBLEMS) // count] for i in range(count)]
    words = shlex.split(config.opponent)
    found = words and shutil.which(words[0])
    program = GtpEngine(config.opponent, PATIENCE_S) if found else None
    ask_ours, ask_theirs = our_moves(config), their_moves(program) if program else None
    all_of: Counter[str] = Counter()
    ours: Counter[str] = Counter()
    theirs: Counter[str] = Counter()
    try:
        for problem in problems:
            all_of[problem.kind] += 1
            ours[problem.kind] += ask_ours(problem) in problem.answers
            if ask_theirs:
                theirs[problem.kind] += ask_theirs(problem) in problem.answers
    finally:
        if program:
            program.close()
    kinds = [(kind, ours[kind], theirs[kind], n) for kind, n in sorted(all_of.items())]
    rows = [
        row(f"go tactics, {name}", solved, peer if program else None, n)
        for name, solved, peer, n in [("all", ours.total(), theirs.total(), count), *kinds]
    ]
    if config.json:
        print(json.dumps(rows))
        return 0
    for each in rows:
        beside = f", {words[0]} {each['peer']}" if program else ""
        print(f"{each['name']}: {each['ours']} {each['unit']}{beside}")
    if words and not program:
        say(f"{words[0]} is not installed: our player stands alone")
    return 0
