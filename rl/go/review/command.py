"""The command `arcadia review`: a game of Go with what an engine thinks of every move."""

from dataclasses import dataclass
from pathlib import Path

import tyro
from PIL import Image

from backbones.training.checks.limits import MOST_SEED, require_at_most
from backbones.training.config import require_not_negative, require_positive
from backbones.training.progress import ProgressReport, say
from backbones.training.published import replacing_file
from backbones.training.streams import printable
from rl.go.engine import Limits
from rl.go.games import sgf
from rl.go.gtp.serve import check_player, ready_engine
from rl.go.review.annotate import annotate
from rl.go.review.chart import draw_review
from rl.go.review.judge import Review, review_game
from rl.go.rules.position import Position

MOST_VISITS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Config:
    """Write what an engine thinks of each move of a game into a new SGF file, and a picture of the
    curve beside it."""

    file: tyro.conf.Positional[Path]
    """An SGF file."""
    run: tyro.conf.Positional[str] = "playouts"
    """Who judges: a run of Go, a network's .safetensors, playouts or uct."""
    output: Path | None = None
    """The SGF to write; the picture is beside it, as .png. Default: FILE-review.sgf."""
    game: int = 1
    """Which game of the file, from 1."""
    visits: int = 400
    """Simulations of each position."""
    worst: int = 3
    """Moves of each colour whose better variation is written."""
    memory_mb: float = 256.0
    """Memory of the search tree."""
    device: str = "auto"
    """Where a network computes: auto (a GPU if there is one), cpu, cuda or cuda:N."""
    seed: int = 0
    """Of the playouts, and of how a network sees the boards turned."""
    force: bool = False
    """Overwrite files that are there."""

    def __post_init__(self) -> None:
        require_positive(self, "game", "visits", "memory_mb")
        require_not_negative(self, "worst", "seed")
        require_at_most(self, visits=MOST_VISITS, worst=1_000, memory_mb=65_536.0, seed=MOST_SEED)
        check_player(self.run)
        if self.run == "random":
            raise ValueError("random has no opinion of a game; give a run of Go, playouts or uct")
        if self.output is not None and self.output.suffix.lower() != ".sgf":
            raise ValueError(f"output = {self.output} must end in .sgf")

    @property
    def written(self) -> Path:
        """The SGF to write."""
        return self.output or self.file.with_name(f"{self.file.stem}-review.sgf")


def game_of(config: Config) -> tuple[sgf.Node, Position]:
    """Return the game to review, and its end; UserError if there is none, or it is broken."""
    games = sgf.read(config.file)
    if config.game > len(games):
        raise sgf.BadFile(f"{config.file} has {len(games)} games, not {config.game}")
    root = games[config.game - 1]
    end = sgf.follow(root)
    if not end.moves:
        raise sgf.BadFile(f"{root.place}: the game has no moves to review")
    return root, end


def review(config: Config, root: sgf.Node, end: Position) -> Review:
    """Return the review of a game, told on the way how far it is."""
    engine = ready_engine(
        config.run,
        Position(end.size, end.komi, end.rules),
        Limits(visits=config.visits),
        seed=config.seed,
        memory_mb=config.memory_mb,
        device=config.device,
    )
    count = len(end.moves) + 1
    with ProgressReport(count, "positions") as report:
        return review_game(root, engine, config.visits, lambda done: report.update(done, {}))


def main(config: Config) -> int:
    """The command `arcadia review`."""
    root, end = game_of(config)
    for note in end.notes:
        say(f"({note})")
    curves = config.written.with_suffix(".png")
    # Both take their places together, at the end.
    with (
        replacing_file(config.written, config.force) as text,
        replacing_file(curves, config.force) as picture,
    ):
        found = review(config, root, end)
        by = f"{config.run} of Arcadia, {config.visits:,} simulations a position"
        lines = annotate(root, found, by=by, worst=config.worst)
        black, white = (printable(root.one(name, "?"))[:40] for name in ("PB", "PW"))
        picture_of = draw_review(found, f"{black} (black), {white} (white)", config.worst)
        Image.fromarray(picture_of).save(picture)
        text.write_text(sgf.write(root), encoding="utf-8")
    for line in lines:
        say(line)
    say(f"the game is in {config.written}, its curve in {curves}")
    return 0
