"""A program that joins the ladder of a training run, such as GNU Go: a match now and then.

It is no rung: the network's Elo stays what its own rungs gave, and the program's place beside them
is what the match says, with Wilson's 95 % interval of the match alone. The network chooses as it
does on the ladder, with the same simulations. Matches teach nothing, and take bounded time: a
program that crashes, hangs or plays what cannot be played voids the game, and training goes on.
"""

import contextlib
import shlex
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from torch import nn

from backbones.training.errors import UserError
from rl.go import arena
from rl.go.learning.ladder import choose_moves, opened
from rl.go.network.evaluator import turning_evaluator
from rl.go.rules.board import BLACK, WHITE
from rl.go.rules.position import Position

GNUGO = "gnugo"
# It takes off no dead stones at the end, as our count does not; with one seed it repeats itself.
GNUGO_FLAGS = "--mode gtp --chinese-rules --capture-all-dead --level 10 --seed 1"
GAMES = ("/usr/games", "/usr/local/games")  # where Debian puts it, which is not on every $PATH
GNUGO_SMALLEST = 5
NONE = "no GNU Go here for boards of this size: the ladder has the run's own networks alone"
PATIENCE_S = 20.0  # for an answer
GAME_S = 30.0  # of each side for a game
# After which no game of a match is begun. With the longest game and a last answer this stays below
# the two minutes after which other processes of the run would take the first for dead.
MATCH_S = 30.0
MOST_VOIDED = 2  # games of a match, after which it ends


def command_of(name: str, size: int) -> str:
    """Return the command line that `--ladder-opponent` means; "" where it is none."""
    if name != GNUGO:
        return name.strip()
    found = [path for folder in (None, *GAMES) if (path := shutil.which(GNUGO, path=folder))]
    return f"{found[0]} {GNUGO_FLAGS}" if found and size >= GNUGO_SMALLEST else ""


def require_command(command: str) -> None:
    """UserError if there is no such program."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UserError(f"--ladder-opponent {command!r} is no command line: {error}") from None
    if words and shutil.which(words[0]) is None:
        raise UserError(
            f"--ladder-opponent {command!r}: there is no program {words[0]}; is it on $PATH, or "
            'given with its folder? --ladder-opponent "" plays without one'
        )


class SearchSide:
    """The network, searched as on the ladder, as a side of an arena's game."""

    def __init__(self, network: nn.Module, simulations: int, rng: np.random.Generator) -> None:
        self.evaluate, self.simulations = turning_evaluator(network), simulations
        self.rng, self.position = rng, Position()

    def begin(self, position: Position) -> None:
        """Take over the referee's position itself, in which all moves are played."""
        self.position = position

    def played(self, colour: int, move: int) -> None:
        """Do nothing: the position knows it."""

    def choose(self, colour: int, left_s: float) -> int | None:
        return choose_moves([self.position], self.evaluate, self.simulations, self.rng)[0]

    def close(self) -> None:
        """Do nothing: there is no other process."""


@dataclass
class ProgramMatch:
    """How a match ended."""

    points: list[float] = field(default_factory=list)
    """Of the network, a game each."""
    troubles: list[str] = field(default_factory=list)
    """Why games were voided, a line each."""

    def figures(self, network_elo: float) -> dict[str, float]:
        """Return the match as TensorBoard tags: the program's Elo where the network has this."""
        figures = {"ladder/opponent_voided": float(len(self.troubles))}
        if self.points:
            count, points = len(self.points), sum(self.points)
            low, high = arena.interval(points, count)
            figures |= {
                "ladder/opponent_games": float(count),
                "ladder/share_of_opponent": points / count,
                "ladder/opponent_elo": network_elo - arena.elo(points / count),
                "ladder/opponent_elo_low": network_elo - arena.elo(high),
                "ladder/opponent_elo_high": network_elo - arena.elo(low),
            }
        return figures


class Opponent:
    """A program on the ladder, by its command line."""

    def __init__(self, command: str, *, size: int, komi: float, simulations: int) -> None:
        self.command, self.simulations = command, simulations
        self.rules = arena.Config(opponent=command, size=size, komi=komi, main_s=GAME_S)

    def match(self, network: nn.Module, games: int, seed: int, number: int) -> ProgramMatch:
        """Let a network play the program; `number` counts matches."""
        found, until = ProgramMatch(), time.monotonic() + MATCH_S
        for game in range(games):
            if time.monotonic() > until or len(found.troubles) >= MOST_VOIDED:
                break
            chance = (seed, 4, number, game // 2)
            position = opened(self.rules.size, self.rules.komi, chance)
            ours = SearchSide(network, self.simulations, np.random.default_rng((*chance, game % 2)))
            try:
                found.points.append(self.play(position, ours, BLACK if game % 2 == 0 else WHITE))
            except UserError as error:
                found.troubles.append(f"game {game + 1} is void: {error}")
        return found

    def play(self, position: Position, ours: SearchSide, colour: int) -> float:
        """Return the points of our side, which plays a colour; UserError if the program fails."""
        program = arena.GtpSide(self.command, self.rules)
        program.engine.patience_s = PATIENCE_S
        sides: dict[int, arena.Side] = {colour: ours, 3 - colour: program}
        names = {colour: "the network", 3 - colour: self.command}
        try:
            for side in sides.values():
                side.begin(position)
            with arena.blamed(position, names):
                outcome, _ = arena.referee(self.rules, position, sides)
            if outcome.endswith("+T"):
                raise UserError(f"it takes longer than {GAME_S:g} s a side")
        except UserError:
            program.engine.process.kill()  # one that hangs would not hear that it should quit
            raise
        finally:
            with contextlib.suppress(OSError):
                program.close()
        black = {"B": 1.0, "W": 0.0}.get(outcome[0], 0.5)
        return black if colour == BLACK else 1 - black


def line(moves: int, command: str, figures: Mapping[str, float]) -> str:
    """Return a match's figures as a line for people."""
    if "ladder/opponent_elo" not in figures:
        return f"at {moves:,} moves no game against {command} came to its end"
    now, low, high = (figures[f"ladder/opponent_elo{end}"] for end in ("", "_low", "_high"))
    return (
        f"at {moves:,} moves {figures['ladder/share_of_opponent']:.0%} of "
        f"{figures['ladder/opponent_games']:.0f} games against {command}, which stands at Elo "
        f"{now:.0f} ({low:.0f} to {high:.0f})"
    )
