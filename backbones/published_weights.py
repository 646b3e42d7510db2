"""Published ImageNet weights, from a .safetensors file of timm or torchvision, for our trunks.

https://github.com/huggingface/pytorch-image-models and https://github.com/pytorch/vision; neither
library is needed. Files are recognised by having no card of ours. resnet18, resnet50, vgg11 and
vgg16 (plain and _bn) come from either, alexnet and googlenet from torchvision, which publishes .pth
files: `REMEDY` converts one.

What surprises: the classifier head is left out, and the trunk's mean and deviation become those
that the weights were trained with. In VGG with BatchNorm the published convolutions have a bias
that ours lack; moved into the running mean it has the same effect.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from backbones.training.errors import UserError
from backbones.trunk import NORMS, Trunk

KNOWN = ("resnet", "resnet18", "resnet50", "vgg11", "vgg16", "alexnet", "googlenet")
HEADS = ("fc.", "head.", "classifier.", "pre_logits.", "aux1.", "aux2.")
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# torchvision's GoogLeNet was trained on -1..1; its `transform_input` undoes ImageNet's.
HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".pkl", ".tar")
REMEDY = (
    "from safetensors.torch import save_file; "
    "save_file(torch.load('IN.pth', weights_only=True), 'OUT.safetensors')"
)


def refuse_pickle(text: str) -> None:
    """UserError if `--init` names a file of pickled weights, which can run code when read."""
    if text.endswith(PICKLES):
        raise UserError(
            f"--init {text}: pickled weights are not read, for they can run code; "
            f"convert them once with: {REMEDY}"
        )


def translated(
    trunk: Trunk, tensors: dict[str, Tensor], path: Path
) -> tuple[dict[str, Tensor], str]:
    """Return published tensors under this trunk's names, and what was left out.

    UserError if the trunk has no published weights, or names the first layer that does not fit.
    """
    check_kind(trunk, tensors, path)
    heads = sorted({k.split(".")[0] for k in tensors if k.startswith(HEADS)})
    body = {k: v for k, v in tensors.items() if not k.startswith(HEADS)}
    given, theirs = {}, dict(names(trunk))
    for ours, name in theirs.items():
        if name in body:
            given[ours] = body[name]
        elif ours.endswith("num_batches_tracked"):
            # Files from before torch 0.4.1 lack the count, which nothing here reads.
            given[ours] = trunk.state_dict()[ours]
        else:
            raise UserError(f"{path} has no layer {name}, which this {trunk.spec.name} trunk needs")
    folded = dict(biases(trunk)) if trunk.spec.norm_kind == "batch" else {}
    for name in body:
        if name not in theirs.values() and name not in folded.values():
            raise UserError(f"{path} has a layer {name}; this {trunk.spec.name} trunk has none")
    for mean, bias in folded.items():
        if bias in body:
            given[mean] = given[mean] - body[bias]
    return given, f"its head ({', '.join(heads)}) is left out" if heads else "it has no head"


def check_kind(trunk: Trunk, tensors: dict[str, Tensor], path: Path) -> None:
    """UserError if a trunk of this kind cannot start from published weights."""
    spec = trunk.spec
    if spec.name not in KNOWN:
        raise UserError(
            f"{path} has no card of Arcadia, so it can only be of timm or torchvision, and these "
            f"have no {spec.name}; use --trunk with one of {', '.join(KNOWN[1:])}"
        )
    has = "batch" if any(name.endswith("running_mean") for name in tensors) else "none"
    if spec.norm_kind != has and has in NORMS[spec.name]:
        other = "--trunk resnet18" if spec.name == "resnet" else f"--norm {has}"
        raise UserError(
            f"{path} was trained with the norm {has}, this {spec.name} trunk has "
            f"{spec.norm_kind}; use {other}"
        )
    stem = 1 if spec.name.startswith("vgg") else 4
    if spec.stem_stride not in (None, stem):
        raise UserError(
            f"{path} was trained with a stem stride of {stem}, this trunk has {spec.stem_stride}; "
            "leave it at its default, on larger pictures"
        )


def names(trunk: Trunk) -> Iterator[tuple[str, str]]:
    """Yield (our name, the published name) of every tensor of a trunk."""
    stacked = dict(positions(trunk))
    for ours in trunk.state_dict():
        if ours in ("mean", "std"):
            continue
        layer, _, kind = ours.rpartition(".")
        if stacked:
            yield ours, f"features.{stacked[layer]}.{kind}"
        elif trunk.spec.name == "googlenet":
            yield ours, googlenet_name(ours)
        else:
            yield ours, ours


def positions(trunk: Trunk) -> Iterator[tuple[str, int]]:
    """Yield (our layer, its place among the published `features`) for AlexNet and VGG.

    Published are flat lists: convolution, norm if there is one, ReLU; a pooling after each stage.
    """
    if trunk.spec.name not in ("alexnet", "vgg11", "vgg16"):
        return
    place, normed = 0, trunk.spec.norm_kind != "none"
    for stage in trunk.stages:
        for i in range(len(getattr(trunk, stage))):
            if normed:
                yield f"{stage}.{i}.0", place
                yield f"{stage}.{i}.1", place + 1
            else:
                yield f"{stage}.{i}", place
            place += 3 if normed else 2
        place += 1


def biases(trunk: Trunk) -> Iterator[tuple[str, str]]:
    """Yield (our running mean, the published bias that belongs into it) for VGG with BatchNorm."""
    for layer, place in positions(trunk):
        if layer.endswith(".0"):
            yield f"{layer.removesuffix('.0')}.1.running_mean", f"features.{place}.bias"


def googlenet_name(ours: str) -> str:
    """Return torchvision's name of a tensor of GoogLeNet; its pooling branch counts the pooling."""
    layer, place, kind = ours.rsplit(".", 2)
    if layer.endswith("branch4"):
        layer += ".1"
    return f"{layer}.{('conv', 'bn')[int(place)]}.{kind}"


@torch.no_grad()
def set_normalisation(trunk: Trunk) -> str:
    """Give a trunk the mean and deviation of its published weights; return a line for the log.

    A trunk with one number for all channels, or with other channels than colours, gets the mean.
    """
    which = HALVES if trunk.spec.name == "googlenet" else IMAGENET
    shown = []
    for buffer, values in zip((trunk.mean, trunk.std), which, strict=True):
        numbers, count = torch.tensor(values) * 255, buffer.numel()
        numbers = numbers.repeat(count // 3) if count % 3 == 0 else numbers.mean().expand(count)
        buffer.copy_(numbers.view_as(buffer))
        shown.append(" ".join(f"{number:.1f}" for number in numbers[:3].tolist()))
    return f"pictures are normalised as for these weights: mean {shown[0]}, deviation {shown[1]}"
