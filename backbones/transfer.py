"""Carrying a backbone from one job to another: saved with its card, loaded, frozen, slowed down.

A card says what a file is worth: spec, source job, data, progress, score, commit. It lies in the
header of the .safetensors file, so the two cannot be parted.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from backbones.cnn import build_trunk
from backbones.training import checkpoint
from backbones.training.config import require_positive
from backbones.training.errors import UserError
from backbones.training.run import find_run
from backbones.trunk import Trunk, TrunkSpec


@dataclass(frozen=True, kw_only=True)
class TrunkConfig:
    """The image trunk, and where it comes from."""

    trunk: Literal["nature", "impala", "plain", "resnet"] = "nature"
    """Kind of trunk."""
    width: float = 1.0
    """Channels of every stage, as a multiple of the published ones."""
    pool: int = 1
    """Pictures are max-pooled by this factor first (nature halves its first kernel with it)."""
    init: str = ""
    """Start from another run: RUN (all of it if it learnt the same, else its trunk), RUN:cnn (its
    trunk) or a .safetensors file."""
    freeze: tuple[str, ...] = ()
    """Stages that are not trained, such as s1 s2."""
    lr_backbone: float = 1.0
    """Learning rate of the trunk as a multiple of the rest's."""

    def __post_init__(self) -> None:
        require_positive(self, "width", "pool")
        if self.lr_backbone < 0:
            raise ValueError(f"lr_backbone = {self.lr_backbone} must be 0 or above")

    def spec(self, in_channels: int) -> TrunkSpec:
        """Return the trunk's spec for pictures of so many channels."""
        return TrunkSpec(name=self.trunk, in_channels=in_channels, width=self.width, pool=self.pool)


def card_metadata(trunk: Trunk, card: dict[str, Any]) -> dict[str, str]:
    """Return a card and the trunk's spec as the header of its file."""
    return {"card": json.dumps({**card, "spec": trunk.spec.to_dict()})}


def save_backbone(trunk: Trunk, path: Path, card: dict[str, Any]) -> None:
    """Write a trunk and its card to one .safetensors file."""
    tensors = {name: tensor.contiguous() for name, tensor in trunk.state_dict().items()}
    save_file(tensors, path, card_metadata(trunk, card))


def read_backbone(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return (card, tensors) of a backbone's file; UserError if it is none."""
    try:
        with safe_open(path, "pt") as file:
            card = json.loads((file.metadata() or {})["card"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise UserError(f"{path} is not a backbone with a card ({error!r})") from None
    return card, tensors


def load_backbone(path: Path) -> tuple[Trunk, dict[str, Any]]:
    """Return the trunk in a backbone's file, and its card."""
    card, tensors = read_backbone(path)
    trunk = build_trunk(TrunkSpec.from_dict(card["spec"]))
    copy_weights(trunk, tensors)
    return trunk, card


def find_backbone(text: str) -> tuple[Path, list[str]]:
    """Return the file meant by a `.safetensors` path, `RUN` or `RUN:cnn`, and warnings."""
    if text.endswith(".safetensors"):
        return Path(text), []
    name, _, part = text.partition(":")
    if part not in ("", "cnn"):
        raise UserError(f"{text} asks for the part {part!r}; a run has the part cnn")
    found, passed_over = checkpoint.load_newest(find_run(name).checkpoints)
    return found.folder / "cnn.safetensors", passed_over


def full_name(text: str) -> str:
    """Return `--init` with a run's full name in it, so that it means the same run later."""
    if not text or text.endswith(".safetensors"):
        return text
    name, colon, part = text.partition(":")
    return f"{find_run(name).name}{colon}{part}"


def init_trunk(trunk: Trunk, source: str) -> list[str]:
    """Start a trunk from the weights of another run, "" for none; return lines for the log.

    UserError names the first layer that does not fit.
    """
    if not source:
        return []
    path, said = find_backbone(source)
    card, tensors = read_backbone(path)
    adapted = copy_weights(trunk, tensors)
    origin = ", ".join(
        f"{k} {card[k]}" for k in ("job", "data", "progress", "score") if card.get(k)
    )
    return [*said, f"trunk starts from {path} ({origin})" + (f"; {adapted}" if adapted else "")]


@torch.no_grad()
def copy_weights(trunk: Trunk, tensors: dict[str, Tensor]) -> str:
    """Copy tensors by name; return what was adapted. Mean and std stay the trunk's own.

    A first convolution of other input channels is adapted: many to one by their sum, one to n by
    copies divided by n, anything else by copies of their mean, so that outputs keep their size.
    """
    said = ""
    target = {k: v for k, v in trunk.state_dict().items() if k not in ("mean", "std")}
    source = {k: v for k, v in tensors.items() if k not in ("mean", "std")}
    first = next(iter(target))
    for name in [*target, *source]:
        if name not in target or name not in source:
            where = "the file" if name not in source else f"this {trunk.spec.name} trunk"
            raise UserError(f"layer {name} is missing in {where}: the two trunks differ")
    for name, tensor in target.items():
        given = source[name]
        if name == first and given.shape != tensor.shape and given.ndim == 4:
            have, want = given.shape[1], tensor.shape[1]
            if want == 1:
                given, how = given.sum(1, keepdim=True), "their sum"
            elif want % have == 0:
                given, how = given.repeat(1, want // have, 1, 1) * (have / want), "scaled copies"
            else:
                given = given.mean(1, keepdim=True).expand(-1, want, -1, -1) * (have / want)
                how = "copies of their mean"
            said = f"{name} had {have} input channels, the {want} here are {how}"
        if given.shape != tensor.shape:
            raise UserError(
                f"layer {name} has shape {tuple(given.shape)} in the file and "
                f"{tuple(tensor.shape)} here; use the same --trunk, --width and --pool"
            )
        tensor.copy_(given)
    return said


def freeze(trunk: Trunk, stages: Sequence[str]) -> None:
    """Stop training of some stages; UserError for a stage that the trunk does not have."""
    for stage in stages:
        if stage not in trunk.stages:
            raise UserError(f"--freeze {stage}: {trunk.spec.name} has {', '.join(trunk.stages)}")
        for module in trunk.stage_modules(stage):
            module.requires_grad_(False)


def parameter_groups(model: nn.Module, trunk: Trunk, lr_backbone: float) -> list[dict[str, Any]]:
    """Return the optimiser's groups; `scale` multiplies the learning rate (`lr_backbone` for the
    trunk).

    Frozen parameters are in no group.
    """
    inside = {id(p) for p in trunk.parameters()}
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if id(p) in inside], "scale": lr_backbone},
        {"params": [p for p in trained if id(p) not in inside], "scale": 1.0},
    ]
    return [group for group in groups if group["params"]]
