"""The network of semantic segmentation: a trunk and a decoder.

Letters: B pictures, C channels, H rows, W columns, A classes.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from backbones.decoders import Fcn, SegNet, halves
from backbones.training.errors import UserError
from backbones.trunk import Trunk

Decode = Literal["fcn", "segnet"]
SCORED_STAGES = 3


class Segmenter(nn.Module):
    """A trunk whose maps become the scores of every pixel."""

    def __init__(
        self,
        trunk: Trunk,
        decode: Decode,
        stages: Sequence[str],
        classes: int,
        size: tuple[int, int],
    ) -> None:
        """`stages` are those that `fcn` scores, the last three if none are named; `size` is that of
        the pictures. UserError if the trunk does not go with the decoder."""
        super().__init__()
        trunk.conv_output(*size)  # UserError if they are too small for it
        self.cnn = trunk
        self.stages = tuple(trunk.stages if decode == "segnet" else scored_stages(trunk, stages))
        channels = [trunk.channels[stage] for stage in self.stages]
        self.head: Fcn | SegNet
        if decode == "fcn":
            self.head = Fcn(channels, classes)
            return
        if not halves(map_sizes(trunk, size)):
            raise UserError(
                f"--decode segnet mirrors stages that halve their maps, and those of "
                f"{trunk.spec.name} do not; take --trunk vgg11, plain or resnet18, or --decode fcn"
            )
        depths = [convolutions(trunk, stage) for stage in self.stages]
        kind = trunk.spec.norm_kind
        self.head = SegNet(channels, depths, classes, kind)

    def forward(self, picture: Shaped[Tensor, "B C H W"]) -> Float[Tensor, "B A H W"]:
        """Return the scores of every pixel, in fp32."""
        maps = self.cnn(picture)
        size = int(picture.shape[-2]), int(picture.shape[-1])
        return self.head([maps[stage] for stage in self.stages], size)


def scored_stages(trunk: Trunk, asked: Sequence[str]) -> list[str]:
    """Return the stages that are scored, from fine to coarse; UserError for an unknown one."""
    for name in asked:
        if name not in trunk.stages:
            raise UserError(
                f"--stages {name}: {trunk.spec.name} has the stages {', '.join(trunk.stages)}"
            )
    if not asked:
        return list(trunk.stages[-SCORED_STAGES:])
    return [name for name in trunk.stages if name in asked]


@torch.no_grad()
def map_sizes(trunk: Trunk, size: tuple[int, int]) -> list[tuple[int, int]]:
    """Return rows and columns of every stage's map for pictures of a size."""
    before = trunk.training
    zeros = torch.zeros(1, trunk.spec.in_channels, *size, device=trunk.std.device)
    maps = trunk.eval()(zeros)
    trunk.train(before)
    return [(int(maps[stage].shape[-2]), int(maps[stage].shape[-1])) for stage in trunk.stages]


def convolutions(trunk: Trunk, stage: str) -> int:
    """Return how many convolutions of 3 x 3 a stage has, two at most: its mirror image's depth."""
    layers = [
        layer
        for module in trunk.stage_modules(stage)
        for layer in module.modules()
        if isinstance(layer, nn.Conv2d) and layer.kernel_size[0] > 1
    ]
    return max(1, min(2, len(layers)))
