"""The command `arcadia watch`: a game of Go in the terminal, from an SGF file or of a run against
itself."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import tyro

from backbones.training.checks.limits import MOST_SEED, require_at_most
from backbones.training.config import RunName, require_not_negative, require_positive
from backbones.training.run import Run, find_run
from backbones.training.streams import printable
from rl.go.drawing import bars, draw
from rl.go.engine import MOST_SECONDS, Engine, Limits
from rl.go.games import sgf
from rl.go.gtp.serve import ready_engine
from rl.go.learning.selfplay_config import fair_komi
from rl.go.rules.position import Position, check_komi, colour_name, result, vertex


@dataclass(frozen=True, kw_only=True)
class Config:
    """Replay the main line of a game of Go."""

    file: tyro.conf.Positional[Path]
    """An SGF file."""
    game: int = 1
    """Which game of the file, from 1."""
    every_s: float = 0.7
    """Seconds between moves on a terminal; elsewhere they are written at once."""
    moves: int = 0
    """Show the game only until this move; 0: all."""
    plain: bool = False
    """Draw without colours."""

    def __post_init__(self) -> None:
        require_positive(self, "game", "every_s")
        require_not_negative(self, "moves")
        require_at_most(self, every_s=MOST_SECONDS)


@dataclass(frozen=True, kw_only=True)
class WatchRun:
    """Watch the network of a run of Go play itself."""

    run: RunName = "last"
    """A run of Go: its name, a path, zoo/NAME or last."""
    visits: int = 64
    """Simulations of a move."""
    komi: float | None = None
    """White's compensation; default: the fair one of its board."""
    follow: bool = False
    """While the run trains, begin another game with the newest weights."""
    every_s: float = 0.7
    """Seconds between moves on a terminal; elsewhere they are written at once."""
    plain: bool = False
    """Draw without colours."""
    seed: int = 0
    """Of how the network sees the boards turned."""

    def __post_init__(self) -> None:
        require_positive(self, "visits", "every_s")
        require_not_negative(self, "seed")
        require_at_most(self, every_s=MOST_SECONDS, seed=MOST_SEED)
        if self.komi is not None:
            check_komi(self.komi)


def config_for(run: Run) -> type[WatchRun] | type[Config]:
    """Return the settings of `arcadia watch` for a run of Go."""
    return WatchRun


def watch_run(config: WatchRun) -> int:
    """Show a game of a run's network against itself, or with `follow` one after another."""
    run, number = find_run(config.run), 0
    while number == 0 or (config.follow and run.is_running()):
        komi = fair_komi(run.config["size"]) if config.komi is None else config.komi
        position = Position(run.config["size"], komi)
        limits = Limits(visits=config.visits)
        seed = config.seed + number
        engine = ready_engine(
            str(run.folder), position, limits, seed=seed, resign_below=0.0, memory_mb=64.0
        )
        show_game(engine, config)
        number += 1
    return 0


def show_game(engine: Engine, config: WatchRun) -> None:
    """Let an engine play itself, and draw every position with what it thinks."""
    live, position = sys.stdout.isatty(), engine.position
    while not position.over and len(position.moves) < 3 * position.size**2:
        colour = position.to_play
        move = engine.generate(colour)
        assert move is not None  # it never resigns
        thought = bars(position, engine.thoughts) if engine.thoughts else []
        position.play(move, colour)
        said = f"move {len(position.moves)}: {colour_name(colour)} {vertex(move, position.size)}"
        print("\n".join(["", said, *thought, draw(position, live and not config.plain)]))
        if live:
            time.sleep(config.every_s)
    print(f"\nresult: {result(position.score())}")


def main(config: Config | WatchRun) -> int:
    """The command `arcadia watch` of a game of Go."""
    if isinstance(config, WatchRun):
        return watch_run(config)
    games = sgf.read(config.file)
    if config.game > len(games):
        raise sgf.BadFile(f"{config.file} has {len(games)} games, not {config.game}")
    root, live = games[config.game - 1], sys.stdout.isatty()
    colours = live and not config.plain
    print(printable(title(root, sgf.begin(root))))
    told = 0
    for position in sgf.replay(root):
        for note in position.notes[told:]:
            print(printable(f"({note})"))
        told, count = len(position.notes), len(position.moves)
        if count == 0:
            continue
        colour, move = position.moves[-1]
        line = f"move {count}: {colour_name(colour)} {vertex(move, position.size)}"
        print(f"\n{line}\n{draw(position, colours)}")
        if live:
            time.sleep(config.every_s)
        if count == config.moves:
            break
    if not position.moves:
        print(draw(position, colours))
    ended = root.one("RE")
    print(f"\nresult: {printable(ended)}" if ended else "\nno result is given")
    return 0


def title(root: sgf.Node, position: Position) -> str:
    """Return a line with the players, the board's size and komi."""
    size = position.size
    names = f"{root.one('PB', 'black')} against {root.one('PW', 'white')}"
    return f"{names}, {size} by {size}, komi {position.komi:g}"
