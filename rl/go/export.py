"""The command `arcadia export` for a run of Go: the network alone, such as runs/zoo has.

ONNX files take `planes`, uint8 [batch, F, M, M] (`rl/go/network/features.py`), and give `policy`
[batch, M * M + 1], logits with the pass last, `value` and `score` [batch] and `ownership`
[batch, M, M], all from the view of the player to move.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from backbones.onnx_graph import write_graph
from backbones.training.config import RunName, require_positive
from backbones.training.errors import UserError
from backbones.training.find_job import require_kind
from backbones.training.published import publish, replacing_file, replacing_folder, writing
from backbones.training.run import find_run
from backbones.training.session import newest_checkpoint
from rl.go import evaluate
from rl.go.network.features import PLANES
from rl.go.network.go_network import GoNetwork
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
    onnx: Path | None = None
    """Write this .onnx file, for any ONNX runtime."""
    games: int = 20
    """Games against `playouts` that the folder's score is of."""
    force: bool = False
    """Overwrite a file, or the folder of an earlier export."""

    def __post_init__(self) -> None:
        require_positive(self, "games")
        if sum(path is not None for path in (self.folder, self.file, self.onnx)) != 1:
            raise ValueError(
                "a run of Go is exported with one of --folder DIR, --file F.safetensors, "
                "--onnx F.onnx and --web DIR"
            )
        for path, ending in ((self.file, ".safetensors"), (self.onnx, ".onnx")):
            if path is not None and path.suffix != ending:
                raise ValueError(f"{path} must end in {ending}")


class AsTuple(nn.Module):
    """A Go network as a graph: its judgement as plain tensors."""

    def __init__(self, network: GoNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, planes: Tensor) -> tuple[Tensor, ...]:
        judged = self.network(planes)
        return judged.policy, judged.value, judged.score, judged.ownership


def export_onnx(network: GoNetwork, path: Path) -> str:
    """Write a network as an ONNX graph; return what it takes. UserError without `onnx`."""
    side = network.spec.largest
    planes = torch.full((2, PLANES, side, side), 255, dtype=torch.uint8)
    outputs = ("policy", "value", "score", "ownership")
    write_graph(AsTuple(network), {"planes": planes}, outputs, path)
    return f"planes uint8 [batch, {PLANES}, {side}, {side}]"


def main(config: Config) -> int:
    """The command `arcadia export` of a run of Go."""
    run = find_run(config.run)
    require_kind(run, "go")
    if config.onnx is not None:
        with replacing_file(config.onnx, config.force) as ready:
            purpose = export_onnx(load_trained(run)[0], ready)
        print(f"{config.onnx}: {purpose}")
        return 0
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
