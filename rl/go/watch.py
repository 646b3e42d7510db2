"""The command `arcadia watch GAME.sgf`: a game of Go replayed in the terminal."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import tyro

from backbones.training.checks.limits import require_at_most
from backbones.training.config import require_not_negative, require_positive
from backbones.training.streams import printable
from rl.go.drawing import draw
from rl.go.engine import MOST_SECONDS
from rl.go.games import sgf
from rl.go.rules.position import Position, colour_name, vertex


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


def main(config: Config) -> int:
    """The command `arcadia watch GAME.sgf`."""
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
