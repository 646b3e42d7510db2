"""Carrying a backbone from one job to another: saved with its card, loaded, frozen, slowed down.

A card says what a file is worth: spec, source job, data, progress, score, commit. It lies in the
header of the .safetensors file, so the two cannot be parted. A file without a card is taken for
published ImageNet weights: `backbones/published_weights.py`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from backbones import published_weights as timm
from backbones.cnn import build_trunk
from backbones.training import checkpoint
from backbones.training.checkpoint import Checkpoint
from backbones.training.checks.limits import require_at_most
from backbones.training.checks.received import parse_json
from backbones.training.checks.saved import SLACK_BYTES, Room
from backbones.training.config import require_not_negative, require_positive
from backbones.training.errors import UserError
from backbones.training.files import check_plain
from backbones.training.run import commit, find_run
from backbones.training.session import Snapshot
from backbones.trunk import Trunk, TrunkName, TrunkSpec

UNREADABLE = (OSError, SafetensorError, UserError)
MOST_WIDTH, MOST_POOL = 64.0, 1_024


@dataclass(frozen=True, kw_only=True)
class TrunkConfig:
    """The image trunk, and where it comes from."""

    trunk: TrunkName = "nature"
    """Kind of trunk."""
    width: float = 1.0
    """Channels of every stage, as a multiple of the published ones."""
    pool: int = 1
    """Pictures are max-pooled by this factor first (nature halves its first kernel with it)."""
    norm: str = ""
    """Normalisation layers: none, group, batch; empty: the trunk's own."""
    init: str = ""
    """Start from another run: RUN (all of it if it learnt the same, else its trunk), RUN:cnn (its
    trunk), RUN:lstm (an agent's memory alone; the trunk starts anew) or a .safetensors file (a
    trunk of ours, of timm or of torchvision)."""
    freeze: tuple[str, ...] = ()
    """Stages that are not trained, such as s1 s2."""
    lr_backbone: float = 1.0
    """Learning rate of the trunk as a multiple of the rest's."""

    def __post_init__(self) -> None:
        require_positive(self, "width", "pool")
        require_not_negative(self, "lr_backbone")
        require_at_most(self, width=MOST_WIDTH, pool=MOST_POOL)
        timm.refuse_pickle(self.init)
        if self.init.endswith(".safetensors") and Path(self.init).exists():
            check_plain(Path(self.init))  # before anything waits for it
        self.spec(in_channels=1)  # UserError for a norm that the trunk does not have.

    def spec(self, in_channels: int) -> TrunkSpec:
        """Return the trunk's spec for pictures of so many channels."""
        return TrunkSpec(
            name=self.trunk,
            in_channels=in_channels,
            width=self.width,
            pool=self.pool,
            norm=self.norm,
        )


def card_metadata(trunk: Trunk, card: dict[str, Any]) -> dict[str, str]:
    """Return a card and the trunk's spec as the header of its file."""
    return {"card": json.dumps({**card, "spec": present_spec(trunk).to_dict()})}


def present_spec(trunk: Trunk) -> TrunkSpec:
    """Return a trunk's spec with the mean and deviation that it has now.

    They are no longer those it was built with after it started from published weights.
    """
    spec, mean, std = trunk.spec, trunk.mean.flatten().cpu(), trunk.std.flatten().cpu()
    if torch.equal(mean, torch.tensor(spec.mean)) and torch.equal(std, torch.tensor(spec.std)):
        return spec
    return replace(spec, mean=tuple(mean.tolist()), std=tuple(std.tolist()))


def save_backbone(trunk: Trunk, path: Path, card: dict[str, Any]) -> None:
    """Write a trunk and its card to one .safetensors file."""
    tensors = {name: tensor.contiguous() for name, tensor in trunk.state_dict().items()}
    save_file(tensors, path, card_metadata(trunk, card))


def read_backbone(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return (card, tensors) of a backbone's file; UserError if it is none."""
    try:
        card, tensors = read_file(path)
    except UNREADABLE as error:
        raise UserError(f"{path} is not a backbone with a card ({why(error)})") from None
    if card is None:
        raise UserError(f"{path} is not a backbone with a card (its header has none)")
    return card, tensors


def read_file(path: Path) -> tuple[dict[str, Any] | None, dict[str, Tensor]]:
    """Return (card, tensors) of any .safetensors file; None for the card of a foreign one."""
    check_plain(path)
    with safe_open(path, "pt") as file:
        text = (file.metadata() or {}).get("card")
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    return None if text is None else parse_json(text, "its card"), tensors


def why(error: Exception) -> str:
    """Return why a file of weights could not be read, in our words."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "no safetensors" if isinstance(error, SafetensorError) else str(error)


def load_backbone(path: Path) -> tuple[Trunk, dict[str, Any]]:
    """Return the trunk in a backbone's file, and its card."""
    card, tensors = read_backbone(path)
    most = 2 * sum(tensor.nbytes for tensor in tensors.values()) + SLACK_BYTES
    with Room(most, f"{path}: the trunk of its card is far larger than its weights"):
        trunk = build_trunk(TrunkSpec.from_dict(card.get("spec", {})))
    copy_weights(trunk, tensors)
    return trunk, card


def find_backbone(text: str) -> tuple[Path, list[str]]:
    """Return the file meant by a `.safetensors` path, `RUN` or `RUN:cnn`, and warnings."""
    timm.refuse_pickle(text)
    if text.endswith(".safetensors"):
        return Path(text), []
    name, _, part = text.partition(":")
    if part not in ("", "cnn"):
        raise UserError(f"{text} asks for the part {part!r}; a run has the part cnn")
    run = find_run(name)
    found, passed_over = checkpoint.load_newest(run.checkpoints, run.about)
    return found.folder / "cnn.safetensors", passed_over


def full_name(text: str) -> str:
    """Return `--init` with a run's full name in it, so that it means the same run later."""
    timm.refuse_pickle(text)
    if not text or text.endswith(".safetensors"):
        return text
    name, colon, part = text.partition(":")
    run = find_run(name)
    try:
        known = find_run(run.name).folder == run.folder
    except UserError:
        known = False  # A path outside the runs folder.
    return f"{run.name if known else run.folder.resolve()}{colon}{part}"


def init_trunk(trunk: Trunk, source: str) -> list[str]:
    """Start a trunk from the weights of another run, "" for none; return lines for the log.

    UserError names the first layer that does not fit.
    """
    if not source:
        return []
    path, said = find_backbone(source)
    try:
        card, tensors = read_file(path)
    except UNREADABLE as error:
        raise UserError(f"{path} is not a backbone, nor a file of weights ({why(error)})") from None
    if card is None:
        tensors, origin = timm.translated(trunk, tensors, path)
    else:
        origin = ", ".join(
            f"{k} {card[k]}" for k in ("job", "data", "progress", "score") if card.get(k)
        )
    adapted = copy_weights(trunk, tensors)
    lines = [*said, f"trunk starts from {path} ({origin})" + (f"; {adapted}" if adapted else "")]
    return [*lines, timm.set_normalisation(trunk)] if card is None else lines


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
    """Stop training of some stages, their BatchNorm statistics included.

    UserError for a stage that the trunk does not have.
    """
    for stage in stages:
        if stage not in trunk.stages:
            raise UserError(f"--freeze {stage}: {trunk.spec.name} has {', '.join(trunk.stages)}")
    trunk.freeze(stages)


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


def snapshot(
    progress: int, model: nn.Module, state: Mapping[str, Tensor], info: Mapping[str, Any]
) -> Snapshot:
    """Return a checkpoint to write: the backbone with its card, the heads, the training's state.

    A model without a `cnn` is all heads.
    """
    parts, metadata = {"heads": heads_of(model), "state": state}, {}
    cnn: Any = getattr(model, "cnn", None)
    if cnn is not None:
        card = {key: info[key] for key in ("job", "data", "score")}
        card |= {"commit": commit(), "progress": progress}
        parts["cnn"] = cnn.state_dict()
        metadata["cnn"] = card_metadata(cnn, card)
    return Snapshot(progress=progress, parts=parts, info=info, metadata=metadata)


def heads_of(model: nn.Module) -> dict[str, Tensor]:
    """Return all of a model's tensors but those of its backbone."""
    return {k: v for k, v in model.state_dict().items() if not k.startswith("cnn.")}


def load_weights(model: nn.Module, found: Checkpoint) -> None:
    """Copy the backbone and the heads of a checkpoint into a model."""
    cnn = checkpoint.prefixed("cnn", found.tensors("cnn")) if hasattr(model, "cnn") else {}
    model.load_state_dict(cnn | found.tensors("heads"))
