"""The command `arcadia play go`: a person against an engine, in the terminal."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from backbones.training.checks.limits import MOST_SEED, require_at_most
from backbones.training.config import RunName, changed, require_positive
from backbones.training.errors import UserError
from backbones.training.run import Run
from rl.go.drawing import bars, draw
from rl.go.engine import MOST_SECONDS
from rl.go.games import sgf
from rl.go.gtp.serve import check_player, ready_engine
from rl.go.levels import check_level, leaves_of, limits_of
from rl.go.rules.board import BLACK, WHITE
from rl.go.rules.position import (
    Position,
    check_komi,
    check_size,
    colour_name,
    handicap_points,
    named_rules,
    read_vertex,
    result,
    vertex,
)
from rl.go.trained import with_size_of

HELP = """D4       play there            pass     pass; two passes end the game
undo     take back your move   hint     what the engine would play
save F   write the game        resign   give up
help     this                  quit     leave"""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Play Go against an engine, in the terminal."""

    engine: str = "playouts"
    """playouts, uct, random, a run of Go, or a network's .safetensors."""
    size: int = 9
    """Points on a side."""
    komi: float = 7.0
    """White's compensation."""
    rules: str = "chinese"
    """Rules by name: tromp-taylor, chinese, cgos, aga, japanese..."""
    colour: Literal["black", "white"] = "black"
    """Yours."""
    handicap: int = 0
    """Stones that Black has at the start; komi is then 0.5."""
    seconds: float = 1.0
    """Seconds that the engine thinks."""
    visits: int = 0
    """Playouts that it thinks at most; 0: as many as there is time for."""
    level: int = 0
    """Its strength, 1 (weakest) to 10, whatever the machine; 0: as --seconds and --visits say."""
    save: Path | None = None
    """Write the game into this SGF file at its end."""
    seed: int = 0
    """Of the engine's playouts."""
    plain: bool = False
    """Draw without colours."""

    def __post_init__(self) -> None:
        require_positive(self, "seconds")
        require_at_most(self, seconds=MOST_SECONDS, seed=MOST_SEED)
        check_size(self.size)
        check_komi(self.komi)
        if self.visits < 0 or self.seed < 0:
            raise ValueError("visits and seed must be 0 or above")
        check_level(self.level)
        named_rules(self.rules)
        check_player(self.engine)
        if self.handicap:
            handicap_points(self.size, self.handicap)


@dataclass(frozen=True, kw_only=True)
class AgainstRun(Config):
    """Play Go against the network of a run, in the terminal."""

    run: RunName = "last"
    """A run of Go: its name, a path, zoo/NAME or last."""


def config_for(run: Run) -> type[AgainstRun]:
    """Return the settings of `arcadia play` for a run: it is the engine, on the board it knows."""
    return with_size_of(run, AgainstRun, engine=str(run.folder))


class Leave(Exception):
    """Raised when the person quits the game."""


class Table:
    """A game between a person and an engine."""

    def __init__(
        self, config: Config, read: Callable[[str], str], write: Callable[[str], None]
    ) -> None:
        """`read` asks for a line, `write` shows one."""
        self.config, self.read, self.write = config, read, write
        komi = 0.5 if config.handicap else config.komi
        position = Position(config.size, komi, named_rules(config.rules))
        if config.handicap:
            position.give_handicap(handicap_points(config.size, config.handicap))
        self.engine = ready_engine(
            config.engine,
            position,
            limits_of(config.level, visits=config.visits, seconds=config.seconds),
            seed=config.seed,
            leaves=leaves_of(config.level),
        )
        self.mine = BLACK if config.colour == "black" else WHITE
        self.result = ""  # B+R once somebody resigned, B+3.5 once counted
        self.written: set[Path] = set()  # files of this game, which may be written again

    @property
    def position(self) -> Position:
        """The current position."""
        return self.engine.position

    def play(self) -> None:
        """Play until somebody resigns or leaves, or two passes."""
        try:
            while not self.position.over and not self.result:
                if self.position.to_play == self.mine:
                    self.show()
                    self.persons_turn()
                else:
                    self.engines_turn()
        except Leave:
            self.write("left; nobody has won")
        except KeyboardInterrupt:
            if self.config.save:
                self.keep(self.config.save)
            raise
        else:
            self.show()
            self.conclude()
        if self.config.save:
            self.keep(self.config.save)

    def show(self) -> None:
        """Draw the board."""
        self.write("\n" + draw(self.position, not self.config.plain))

    def persons_turn(self) -> None:
        """Read the person's input until a move is played."""
        before = len(self.position.moves)
        while len(self.position.moves) == before and not self.result:
            words = self.read(f"{colour_name(self.mine)} to play: ").split(maxsplit=1)
            if not words:
                continue
            try:
                self.obey(words[0].lower(), words[1] if len(words) > 1 else "")
            except UserError as error:
                self.write(str(error))
            before = min(before, len(self.position.moves))

    def obey(self, word: str, rest: str) -> None:
        """Carry out one line of input; UserError if that is not possible."""
        if word in ("quit", "exit", "q"):
            raise Leave
        if word in ("help", "?"):
            self.write(HELP)
        elif word == "undo":
            self.take_back()
        elif word == "resign":
            self.result = f"{'W' if self.mine == BLACK else 'B'}+R"
        elif word == "hint":
            self.engine.search(self.engine.limits)
            thoughts = self.engine.player.thoughts(self.position)
            best = vertex(thoughts.best.move, self.position.size)
            self.write(f"{best}, with which you win {thoughts.best.winrate:.0%} of the games")
        elif word == "save":
            if not rest:
                raise UserError("save FILE: which file?")
            self.keep(Path(rest))
        else:
            self.position.play(read_vertex(word, self.position.size), self.mine)

    def take_back(self) -> None:
        """Take back the person's last move and what followed; UserError if there is none."""
        mine = [i for i, (colour, _) in enumerate(self.position.moves) if colour == self.mine]
        if not mine:
            raise UserError("you have not moved yet")
        while len(self.position.moves) > mine[-1]:
            self.position.undo()
        self.show()

    def engines_turn(self) -> None:
        """Let the engine move, and print its evaluation."""
        colour = 3 - self.mine
        move = self.engine.generate(colour)
        if move is None:
            self.result = f"{'B' if self.mine == BLACK else 'W'}+R"
            self.write(f"{colour_name(colour)} resigns")
            return
        thoughts = self.engine.thoughts
        opinion = bars(self.position, thoughts) if thoughts and thoughts.visits else []
        self.position.play(move, colour)
        played = f"{colour_name(colour)} plays {vertex(move, self.position.size)}"
        self.write("\n".join([played, *opinion]))

    def conclude(self) -> None:
        """Print the result."""
        if not self.result:
            score, dead = self.engine.final_score()
            self.result = result(score)
            if dead:
                stones = ", ".join(vertex(move, self.position.size) for move in dead)
                self.write(f"taken for dead: {stones}")
        if self.result == "0":
            self.write("a draw")
        else:
            winner = "black" if self.result[0] == "B" else "white"
            how = "by resignation" if self.result.endswith("R") else f"by {self.result[2:]} points"
            self.write(f"{winner} wins {how}")

    def keep(self, path: Path) -> None:
        """Write the game into a file; UserError if it is there already or cannot be written."""
        names = {self.mine: "you", 3 - self.mine: self.config.engine}
        root = sgf.record(
            self.position, black=names[BLACK], white=names[WHITE], outcome=self.result
        )
        try:
            with path.open("w" if path in self.written else "x", encoding="utf-8") as file:
                file.write(sgf.write(root))
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from None
        self.written.add(path)
        self.write(f"the game is in {path}")


def main(config: Config) -> int:
    """The command `arcadia play go`."""
    if config.save is not None and config.save.exists():
        raise UserError(f"{config.save} is there already; give another file")
    if config.save is not None and not config.save.parent.is_dir():
        raise UserError(f"{config.save.parent} is no folder; make it first, or save elsewhere")

    def read(prompt: str) -> str:
        try:
            line = input(prompt)
        except EOFError:
            raise Leave from None
        if not sys.stdin.isatty():
            print()  # where nobody's own line break stands behind the prompt
        return line

    plain = config.plain or not sys.stdout.isatty()
    table = Table(changed(config, plain=plain), read, print)
    print(f"you are {config.colour}; `help` lists what you can type")
    table.play()
    return 0
