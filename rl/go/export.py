"""The command `arcadia export` for a run of Go: the network alone, such as runs/zoo has."""

from dataclasses import dataclass
from pathlib import Path

from backbones.training.config import RunName, require_positive
from backbones.training.errors import UserError
from backbones.training.find_job import require_kind
from backbones.training.published import publish, replacing_file, replacing_folder, writing
from backbones.training.run import find_run
from backbones.training.session import newest_checkpoint
from rl.go import evaluate
from rl.go.trained import load_trained


@dataclass(frozen=True, kw_only=True)
class Config:
    """Write a run's network as a small run folder, with its card and the score of its games, or as
    one file."""

    run: RunName = "last"
    """A run of Go: its name, a path, zoo/NAME or last."""
    folder: Path | None = None
    """Write this folder."""
    file: Path | None = None
    """Write this .safetensors file, which `gtp`, `arena` and `play` take as a player."""
    games: int = 20
    """Games against `playouts` that the folder's score is of."""
    force: bool = False
    """Overwrite a file, or the folder of an earlier export."""

    def __post_init__(self) -> None:
        require_positive(self, "games")
        if (self.folder is None) == (self.file is None):
            raise ValueError("a run of Go is exported with --folder DIR or --file F.safetensors")
        if self.file is not None and self.file.suffix != ".safetensors":
            raise ValueError(f"file = {self.file} must end in .safetensors")


def main(config: Config) -> int:
    """The command `arcadia export` of a run of Go."""
    run = find_run(config.run)
    require_kind(run, "go")
    if config.file is not None:
        network, found = load_trained(run)
        from rl.go.network.go_network import save_network

        about = {"run": run.name, "moves": found.info["progress"], "commit": found.info["commit"]}
        with replacing_file(config.file, config.force) as ready:
            save_network(network, ready, about)
        print(f"{config.file}: {config.file.stat().st_size / 1000:,.0f} kB")
        return 0
    if config.folder is None:
        raise UserError("say where: --folder DIR")
    with replacing_folder(config.folder, run.folder, config.force) as ready:
        found = newest_checkpoint(run)
        result = evaluate.score(evaluate.Config(run=str(run.folder), games=config.games))
        result = {**result, "run": run.name, "progress": found.info["progress"]}
        with writing(config.folder):
            size = publish(run, found, ready, result, False)
    print(f"{config.folder}: {size}")
    return 0
