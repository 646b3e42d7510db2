"""The command `arcadia arena`: engine against engine, alternating colours, Elo with an interval.

Both sides are `playouts`, `uct`, `random`, or the command line of a program that speaks GTP. A
referee of our own checks every move and counts at the end, by Tromp-Taylor: so dead stones must be
captured before the passes (GNU Go: `gnugo --mode gtp --chinese-rules --capture-all-dead`).
"""

import json
import math
import random
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import tyro

from backbones.training.checks.limits import MOST_GAMES, MOST_SEED, MOST_THREADS, require_at_most
from backbones.training.config import changed, require_not_negative, require_positive
from backbones.training.errors import UserError
from backbones.training.files import make_folder, write_atomically
from backbones.training.progress import say
from backbones.training.run import Run
from rl.go.clock import TimeSettings
from rl.go.engine import MOST_SECONDS, Limits
from rl.go.games import sgf
from rl.go.gtp.client import EngineFailed, GtpEngine
from rl.go.gtp.serve import is_player, ready_engine
from rl.go.rules.board import BLACK, WHITE
from rl.go.rules.position import (
    Position,
    check_komi,
    check_size,
    colour_name,
    read_vertex,
    result,
    vertex,
)
from rl.go.trained import with_size_of


@dataclass(frozen=True, kw_only=True)
class Config:
    """Play games of one engine against another."""

    player: tyro.conf.Positional[str] = "playouts"
    """playouts, uct, random, a run of Go, a network's .safetensors, or in quotes a command that
    speaks GTP."""
    opponent: str = "random"
    """The same."""
    games: int = 100
    """Games; each side has Black in half of them."""
    size: int = 9
    """Points on a side."""
    komi: float = 7.0
    """White's compensation."""
    seconds: float = 1.0
    """Seconds of a move of our players."""
    visits: int = 0
    """Simulations of a move of our players; 0: as many as there is time for."""
    opponent_visits: int = 0
    """The same of the opponent alone; 0: as many as the player's."""
    main_s: float = 0.0
    """Sudden death: seconds of each side for the whole game; 0: no clock."""
    opening: int = 0
    """Random moves that every pair of games begins with."""
    threads: int = 1
    """Games at a time."""
    seed: int = 0
    """Of our players and of the openings."""
    out: Path | None = None
    """Folder for the games, as SGF; default: none are kept."""
    json: bool = False
    """Print one JSON object."""

    def __post_init__(self) -> None:
        require_positive(self, "games", "threads", "seconds")
        require_at_most(
            self,
            games=MOST_GAMES,
            threads=MOST_THREADS,
            seconds=MOST_SECONDS,
            main_s=MOST_SECONDS,
            opening=10_000,
            seed=MOST_SEED,
        )
        check_size(self.size)
        check_komi(self.komi)
        require_not_negative(self, "visits", "opponent_visits", "opening", "main_s", "seed")


@runtime_checkable
class Side(Protocol):
    """One side of a game in the arena."""

    def begin(self, position: Position) -> None:
        """Begin with a position."""

    def played(self, colour: int, move: int) -> None:
        """Update the side's position by a move that was played."""

    def choose(self, colour: int, left_s: float) -> int | None:
        """Return a move, None to resign; `left_s` is 0 where no clock runs."""

    def close(self) -> None:
        """Free what the side holds."""


class OurSide:
    """One of our players."""

    def __init__(self, name: str, config: Config, seed: int) -> None:
        limits = Limits(visits=config.visits, seconds=config.seconds)
        self.engine = ready_engine(name, Position(config.size), limits, seed=seed, memory_mb=128.0)
        self.main_s = config.main_s

    def begin(self, position: Position) -> None:
        self.engine.new_game(position.copy())
        self.engine.set_time(TimeSettings(main_s=self.main_s))

    def played(self, colour: int, move: int) -> None:
        self.engine.position.play(move, colour)

    def choose(self, colour: int, left_s: float) -> int | None:
        if self.main_s:
            self.engine.clocks[colour].set_left(left_s, 0)
        return self.engine.generate(colour)

    def close(self) -> None:
        """Do nothing: there is no other process."""


class GtpSide:
    """A program that speaks GTP."""

    def __init__(self, line: str, config: Config) -> None:
        self.engine, self.main_s = GtpEngine(line), config.main_s
        self.size = config.size

    def begin(self, position: Position) -> None:
        for line in (f"boardsize {self.size}", "clear_board", f"komi {position.komi:g}"):
            self.engine.ask(line)
        if self.main_s:
            self.engine.ask(f"time_settings {int(self.main_s)} 0 0")
        for colour, move in position.moves:
            self.played(colour, move)

    def played(self, colour: int, move: int) -> None:
        self.engine.ask(f"play {colour_name(colour)} {vertex(move, self.size)}")

    def choose(self, colour: int, left_s: float) -> int | None:
        if self.main_s:
            self.engine.ask(f"time_left {colour_name(colour)} {int(left_s)} 0")
        answer = self.engine.ask(f"genmove {colour_name(colour)}")
        # Programs know a move that they chose, so it is not told again.
        return None if answer.lower() == "resign" else read_vertex(answer, self.size)

    def close(self) -> None:
        self.engine.close()


@dataclass
class ArenaGame:
    """A game that was played."""

    number: int
    first_is_black: bool
    position: Position
    result: str
    """B+3.5, W+R, B+T, or 0 for a draw."""
    points: float
    """Of the first side: 1, 0.5 or 0."""
    longest_s: float


def build_side(name: str, config: Config, seed: int) -> Side:
    """Return a side; UserError if it is neither a player of ours nor a program."""
    return OurSide(name, config, seed) if is_player(name) else GtpSide(name, config)


def config_for(run: Run) -> type[Config]:
    """Return the settings of `arcadia arena` for a run: the board is the one that it has learnt."""
    return with_size_of(run, Config)


def opened(config: Config, pair: int) -> Position:
    """Return the opening position of a pair of games."""
    position, rng = Position(config.size, config.komi), random.Random(f"{config.seed} {pair}")
    for _ in range(config.opening):
        legal = [m for m in range(position.pass_move) if position.legal(m)]
        if not legal:
            break
        position.play(rng.choice(legal))
    return position


def play_game(config: Config, number: int) -> ArenaGame:
    """Play one game; an illegal move or no answer ends the whole match."""
    names, position = (config.player, config.opponent), opened(config, number // 2)
    sides: list[Side] = []
    try:
        for i, name in enumerate(names):
            own = config
            if i and config.opponent_visits:
                own = changed(config, visits=config.opponent_visits)
            sides.append(build_side(name, own, config.seed + 2 * number + i))
            sides[-1].begin(position)
        first_is_black = number % 2 == 0
        colours = (BLACK, WHITE) if first_is_black else (WHITE, BLACK)
        by_colour = dict(zip(colours, sides, strict=True))
        with blamed(position, dict(zip(colours, names, strict=True))):
            outcome, longest_s = referee(config, position, by_colour)
    finally:
        for side in sides:
            side.close()
    black = {"B": 1.0, "W": 0.0}.get(outcome[0], 0.5)
    return ArenaGame(
        number, first_is_black, position, outcome, black if first_is_black else 1 - black, longest_s
    )


@contextmanager
def blamed(position: Position, names: dict[int, str]) -> Iterator[None]:
    """Turn an illegal move, or none, into a UserError that names the engine."""
    try:
        yield
    except EngineFailed:  # which names the program
        raise
    except UserError as error:
        # The move was not played, so who chose it is still to play.
        who = f"{names[position.to_play]} as {colour_name(position.to_play)}"
        raise UserError(f"{who} answered with a move that cannot be played: {error}") from None


def referee(config: Config, position: Position, sides: dict[int, Side]) -> tuple[str, float]:
    """Let two sides play a game to its end; return the result and the longest time of a move."""
    left_s, longest_s = {colour: config.main_s for colour in sides}, 0.0
    while not position.over and len(position.moves) < 4 * position.size**2:
        colour = position.to_play
        start = time.monotonic()
        move = sides[colour].choose(colour, left_s[colour])
        took_s = time.monotonic() - start
        longest_s, left_s[colour] = max(longest_s, took_s), left_s[colour] - took_s
        winner = "W" if colour == BLACK else "B"
        if config.main_s and left_s[colour] < 0:
            return f"{winner}+T", longest_s
        if move is None:
            return f"{winner}+R", longest_s
        position.play(move, colour)
        # Programs play what they choose by themselves; our sides are told like the other.
        for other, side in sides.items():
            if other != colour or isinstance(side, OurSide):
                side.played(colour, move)
    return result(position.score()), longest_s


def interval(points: float, games: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a fraction of points."""
    z, share = 1.96, points / games
    middle = (share + z * z / (2 * games)) / (1 + z * z / games)
    half = z * math.sqrt(share * (1 - share) / games + z * z / (4 * games**2)) / (1 + z * z / games)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def elo(share: float) -> float:
    """Return the Elo difference for a fraction of points, limited to 1,200."""
    share = min(max(share, 0.001), 0.999)
    return -400 * math.log10(1 / share - 1)


def summary(config: Config, games: list[ArenaGame]) -> dict[str, Any]:
    """Return the result of a match as JSON has it."""
    count, points = len(games), sum(game.points for game in games)
    low, high = interval(points, count)
    blacks = [game.points for game in games if game.first_is_black]
    return {
        "player": config.player,
        "opponent": config.opponent,
        "games": count,
        "score": points / count,
        "low": low,
        "high": high,
        "elo": elo(points / count),
        "elo_low": elo(low),
        "elo_high": elo(high),
        "as_black": sum(blacks) / len(blacks),
        "lost_on_time": sum(game.result[1:] == "+T" and game.points == 0 for game in games),
        "mean_moves": sum(len(game.position.moves) for game in games) / count,
        "longest_move_s": max(game.longest_s for game in games),
        "different_games": len({tuple(game.position.moves) for game in games}),
    }


def keep(config: Config, game: ArenaGame) -> None:
    """Write a game's SGF into the folder, if one was given; OSError if it is not writable."""
    if config.out is None:
        return
    names = (config.player, config.opponent)
    black, white = names if game.first_is_black else names[::-1]
    root = sgf.record(game.position, black=black, white=white, outcome=game.result)
    write_atomically(config.out / f"{game.number:04}.sgf", sgf.write(root))


def play_match(config: Config, done: Callable[[ArenaGame], None]) -> list[ArenaGame]:
    """Play all games, `threads` at a time; `done` is called with each when it ends."""
    games = []
    with ThreadPoolExecutor(config.threads) as pool:
        try:
            for game in pool.map(lambda number: play_game(config, number), range(config.games)):
                games.append(game)
                done(game)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return games


def main(config: Config) -> int:
    """The command `arcadia arena`."""
    if config.out is not None:
        make_folder(config.out)
        if any(config.out.iterdir()):
            raise UserError(f"{config.out} is not empty; give another folder for the games")

    lost: list[int] = []

    def done(game: ArenaGame) -> None:
        try:
            keep(config, game)
        except OSError as error:
            lost.append(game.number)
            say(
                f"arcadia: game {game.number + 1} could not be written into {config.out} "
                f"({error.strerror}); the match goes on",
                sys.stderr,
            )
        if not config.json:
            colour = "black" if game.first_is_black else "white"
            moves = len(game.position.moves)
            say(
                f"game {game.number + 1}: {config.player} is {colour}, {game.result}, {moves} moves"
            )

    found = summary(config, play_match(config, done))
    if config.json:
        say(json.dumps(found))
    else:
        text = (
            "{player} scores {score:.0%} ({low:.0%} to {high:.0%}) of {games} games against "
            "{opponent}: Elo {elo:+.0f} ({elo_low:+.0f} to {elo_high:+.0f})"
        )
        say(text.format(**found))
    return 1 if lost else 0
