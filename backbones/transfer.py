"""Backbones by name: what a model shares with others, saved with its card, frozen, slowed down.

A backbone is an image trunk or an LSTM that a model holds under one of the names in `BACKBONES`:
`cnn` its trunk, `lstm` its only LSTM, `encoder` and `decoder` where one LSTM reads and another
writes. Everything else is the model's heads. A checkpoint keeps each backbone as a file of its own.
In checkpoints of before November 2026 LSTMs lie among the heads, under the same tensor names.

A card says what a file is worth: spec, source job, data, progress, score, commit. It lies in the
header of the .safetensors file, so the two cannot be parted. `backbones/start.py` reads them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from backbones import published_weights as timm
from backbones.cnn import build_trunk
from backbones.lstm import LSTM, LSTMSpec
from backbones.training.checkpoint import BACKBONES, Checkpoint, prefixed
from backbones.training.checks.limits import require_at_most
from backbones.training.checks.received import parse_json
from backbones.training.checks.saved import SLACK_BYTES, Room
from backbones.training.checks.values import from_dict
from backbones.training.config import StartName, require_not_negative, require_positive
from backbones.training.device.machine import commit
from backbones.training.errors import UserError
from backbones.training.files import check_plain
from backbones.training.run import find_run
from backbones.training.session import Snapshot
from backbones.trunk import Pooling, Trunk, TrunkName, TrunkSpec, notice_mean

Backbone = Trunk | LSTM
UNREADABLE = (OSError, SafetensorError, UserError)
MOST_WIDTH, MOST_POOL, BRIGHTEST = 64.0, 1_024, 255.0


@dataclass(frozen=True, kw_only=True)
class TrunkConfig:
    """The image trunk, and where it comes from."""

    trunk: TrunkName = "nature"
    """Kind of trunk."""
    width: float = 1.0
    """Channels of every stage, as a multiple of the published ones."""
    pool: int = 1
    """Pictures are pooled by this factor first (nature halves its first kernel with it)."""
    pooling: Pooling = "max"
    """What pooling takes: the brightest point, or the mean, which keeps dark things and places
    between points."""
    norm: str = ""
    """Normalisation layers: none, group, batch, layer; empty: the trunk's own."""
    mean: float = 0.0
    """What is subtracted from pictures (0 to 255) in the trunk."""
    std: float = 255.0
    """What they are divided by then."""
    init: StartName = ""
    """Start from another run: RUN (all of it if it learnt the same, else its backbones), RUN:cnn
    (its trunk alone), RUN:lstm (its LSTM alone) or a .safetensors file (a backbone of ours, or a
    trunk of timm or torchvision). Agents also start from a .zip of stable-baselines3."""
    freeze: tuple[str, ...] = ()
    """What is not trained: stages of the trunk, such as s1 s2, or a whole backbone: cnn, lstm."""
    lr_backbone: float = 1.0
    """Multiplier on the backbones' learning rate."""

    def __post_init__(self) -> None:
        require_positive(self, "width", "pool", "std")
        require_not_negative(self, "lr_backbone", "mean")
        require_at_most(self, width=MOST_WIDTH, pool=MOST_POOL, mean=BRIGHTEST, std=BRIGHTEST)
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
            pooling=self.pooling,
            mean=(self.mean,),
            std=(self.std,),
            norm=self.norm,
        )


def backbones(model: nn.Module) -> dict[str, Backbone]:
    """Return the backbones that a model has, by name."""
    found = {name: getattr(model, name, None) for name in BACKBONES}
    return {name: module for name, module in found.items() if isinstance(module, Backbone)}


def heads_of(model: nn.Module) -> dict[str, Tensor]:
    """Return all of a model's tensors but those of its backbones."""
    inside = tuple(f"{name}." for name in backbones(model))
    return {k: v for k, v in model.state_dict().items() if not k.startswith(inside)}


def card_metadata(backbone: Backbone, card: dict[str, Any]) -> dict[str, str]:
    """Return a card and the backbone's spec as the header of its file."""
    if isinstance(backbone, LSTM):
        return {"card": json.dumps({**card, "kind": "lstm", "spec": asdict(backbone.spec)})}
    return {"card": json.dumps({**card, "kind": "cnn", "spec": present_spec(backbone).to_dict()})}


def present_spec(trunk: Trunk) -> TrunkSpec:
    """Return a trunk's spec with the mean and deviation that it has now.

    They are no longer those it was built with after it started from published weights.
    """
    if trunk.mean.is_meta:  # a sketch that has shapes only
        return trunk.spec
    spec, mean, std = trunk.spec, trunk.mean.flatten().cpu(), trunk.std.flatten().cpu()
    if torch.equal(mean, torch.tensor(spec.mean)) and torch.equal(std, torch.tensor(spec.std)):
        return spec
    return replace(spec, mean=tuple(mean.tolist()), std=tuple(std.tolist()))


def save_backbone(backbone: Backbone, path: Path, card: dict[str, Any]) -> None:
    """Write a backbone and its card to one .safetensors file."""
    tensors = {name: tensor.contiguous() for name, tensor in backbone.state_dict().items()}
    save_file(tensors, path, card_metadata(backbone, card))


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


def load_backbone(path: Path) -> tuple[Backbone, dict[str, Any]]:
    """Return the backbone in a file, and its card."""
    card, tensors = read_backbone(path)
    most = 2 * sum(tensor.nbytes for tensor in tensors.values()) + SLACK_BYTES
    with Room(most, f"{path}: the backbone of its card is far larger than its weights"):
        backbone = build_backbone(card)
    copy_weights(backbone, tensors)
    return backbone, card


def build_backbone(card: Mapping[str, Any]) -> Backbone:
    """Return the untrained backbone of a card; those of before November 2026 are trunks."""
    spec = card.get("spec", {})
    if card.get("kind") == "lstm":
        return LSTM(from_dict(LSTMSpec, spec, "spec."))
    return build_trunk(TrunkSpec.from_dict(spec))


def full_name(text: str) -> str:
    """Return `--init` with a run's full name in it, so that it means the same run later."""
    timm.refuse_pickle(text)
    if not text or text.endswith(".safetensors") or text.lower().endswith(".zip"):
        return text
    name, colon, part = text.partition(":")
    run = find_run(name)
    try:
        known = find_run(run.name).folder == run.folder
    except UserError:
        known = False  # A path outside the runs folder.
    return f"{run.name if known else run.folder.resolve()}{colon}{part}"


@torch.no_grad()
def copy_weights(backbone: Backbone, tensors: Mapping[str, Tensor]) -> str:
    """Copy tensors by name; return what was adapted.

    With a trunk's weights come the mean and deviation that they were learnt with, where these are
    one number for all channels; else the trunk keeps its own.
    UserError, before anything is copied, names the first layer that does not fit. A first
    convolution of other input channels is adapted: see `adapted`.
    """
    target = {k: v for k, v in backbone.state_dict().items() if k not in ("mean", "std")}
    source = {k: v for k, v in tensors.items() if k not in ("mean", "std")}
    kind = "LSTM" if isinstance(backbone, LSTM) else f"{backbone.spec.name} trunk"
    for name in [*target, *source]:
        if name not in target or name not in source:
            where = "the file" if name not in source else f"this {kind}"
            raise UserError(f"layer {name} is missing in {where}: the two backbones differ")
    first, note = next(iter(target)), ""
    if source[first].ndim == 4 and source[first].shape != target[first].shape:
        source[first], how = adapted(source[first], target[first].shape[1])
        had, want = tensors[first].shape[1], target[first].shape[1]
        note = f"{first} had {had} input channels, the {want} here are {how}"
    for name, tensor in target.items():
        if source[name].shape != tensor.shape:
            sizes = "--trunk, --width and --pool"
            if kind == "LSTM":
                sizes = "--hidden and --lstm-units (a translator: --units and --layers)"
            raise UserError(
                f"layer {name} has shape {tuple(source[name].shape)} in the file and "
                f"{tuple(tensor.shape)} here; use the same {sizes}"
            )
    for name, tensor in target.items():
        tensor.copy_(source[name])
    if isinstance(backbone, Trunk) and all(
        name in tensors and tensors[name].numel() == 1 for name in ("mean", "std")
    ):
        backbone.mean.fill_(tensors["mean"].item())
        backbone.std.fill_(tensors["std"].item())
        notice_mean(backbone)
    return note


def adapted(weight: Tensor, want: int) -> tuple[Tensor, str]:
    """Return a convolution's weight for `want` input channels, and how: outputs keep their size.

    Many to one is their sum, one to n are copies divided by n, anything else copies of the mean.
    """
    have = weight.shape[1]
    if want == 1:
        return weight.sum(1, keepdim=True), "their sum"
    if want % have == 0:
        return weight.repeat(1, want // have, 1, 1) * (have / want), "scaled copies"
    mean = weight.mean(1, keepdim=True)
    return mean.expand(-1, want, -1, -1) * (have / want), "copies of their mean"


def freeze(model: nn.Module, names: Sequence[str]) -> None:
    """Stop training of backbones, or of stages of the trunk, BatchNorm's statistics included.

    UserError for a name that the model does not have.
    """
    named = backbones(model)
    trunk = named.get("cnn")
    for name in names:
        backbone = named.get(name)
        if isinstance(backbone, LSTM):
            backbone.requires_grad_(False)
        elif isinstance(trunk, Trunk) and (name == "cnn" or name in trunk.stages):
            trunk.freeze(trunk.stages if name == "cnn" else [name])
        else:
            stages = trunk.stages if isinstance(trunk, Trunk) else ()
            raise UserError(
                f"--freeze {name}: choose from {', '.join([*stages, *named]) or 'nothing'}"
            )


def parameter_groups(model: nn.Module, lr_backbone: float) -> list[dict[str, Any]]:
    """Return the optimiser's groups; `scale` multiplies the learning rate (`lr_backbone` for the
    backbones).

    Frozen parameters are in no group. The groups are in the model's order, which a checkpoint's
    optimiser counts by. A model without a trunk has no --lr-backbone, and one group.
    """
    slow = backbones(model)
    inside = {id(p) for each in slow.values() for p in each.parameters() if "cnn" in slow}
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": list(params), "scale": lr_backbone if is_inside else 1.0}
        for is_inside, params in groupby(trained, lambda p: id(p) in inside)
    ]


def snapshot(
    progress: int, model: nn.Module, state: Mapping[str, Tensor], info: Mapping[str, Any]
) -> Snapshot:
    """Return a checkpoint to write: the backbones with their cards, the heads, the training's
    state."""
    card = {key: info[key] for key in ("job", "data", "score")}
    card |= {"commit": commit(), "progress": progress}
    parts = {"heads": heads_of(model), "state": state}
    parts |= {name: backbone.state_dict() for name, backbone in backbones(model).items()}
    metadata = {name: card_metadata(each, card) for name, each in backbones(model).items()}
    return Snapshot(progress=progress, parts=parts, info=info, metadata=metadata)


def weights_of(found: Checkpoint) -> dict[str, Tensor]:
    """Return a checkpoint's weights under their names in the model, whichever part holds them."""
    weights = dict(found.tensors("heads"))
    for part in BACKBONES:
        weights |= prefixed(part, found.weights.get(part, {}))
    return weights


def load_weights(model: nn.Module, found: Checkpoint) -> None:
    """Copy the weights of a checkpoint into a model."""
    model.load_state_dict(weights_of(found))
