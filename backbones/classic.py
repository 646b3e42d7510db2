"""The classic classifiers behind the trunk contract of `backbones/trunk.py`: ResNet-18 for now.

Letters as there. He et al. 2016, https://arxiv.org/abs/1512.03385, with GroupNorm in place of
BatchNorm (Wu and He 2018, https://arxiv.org/abs/1803.08494): statistics of a batch mix frames of
different policies in reinforcement learning and differ between processes.
"""

import math

import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from backbones.training.errors import UserError
from backbones.trunk import Trunk, TrunkSpec, orthogonal_, scaled


def group_norm(channels: int) -> nn.GroupNorm:
    """Groups of 16 channels where they divide, as in the paper; else the largest divisor below."""
    return nn.GroupNorm(channels // math.gcd(channels, 16), channels)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; names of the layers as in torchvision and timm."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = group_norm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = group_norm(channels)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), group_norm(channels)
            )

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C2 H2 W2"]:
        shortcut = maps if self.downsample is None else self.downsample(maps)
        inner = F.relu(self.bn1(self.conv1(maps)))
        return F.relu(self.bn2(self.conv2(inner)) + shortcut)


class ResNet(Trunk):
    """ResNet-18. A stem stride of 4 is the 7x7 convolution and the max pooling of the paper; 1 and
    2 are one 3x3 convolution, as is usual for small pictures."""

    def __init__(self, spec: TrunkSpec) -> None:
        super().__init__(spec)
        stem = 4 if spec.stem_stride is None else spec.stem_stride
        if stem not in (1, 2, 4):
            raise UserError(f"resnet has stem strides 1, 2 and 4, not {stem}")
        counts = [scaled(c, spec.width) for c in (64, 128, 256, 512)]
        kernel, stride = (7, 2) if stem == 4 else (3, stem)
        self.stem_pool = stem == 4
        self.conv1 = nn.Conv2d(
            spec.in_channels, counts[0], kernel, stride, padding=kernel // 2, bias=False
        )
        self.bn1 = group_norm(counts[0])
        previous, total = counts[0], stem * spec.pool
        for i, count in enumerate(counts, start=1):
            stride = 1 if i == 1 else spec.stage_stride
            blocks = [BasicBlock(previous, count, stride), BasicBlock(count, count, 1)]
            setattr(self, f"layer{i}", nn.ModuleList(blocks))
            previous, total = count, total * stride
            self.channels[f"s{i}"], self.strides[f"s{i}"] = count, total
        orthogonal_(self)

    def stage_modules(self, stage: str) -> list[nn.Module]:
        """The stem belongs to the first stage."""
        modules: list[nn.Module] = [getattr(self, f"layer{stage[1:]}")]
        return [self.conv1, self.bn1, *modules] if stage == "s1" else modules

    def forward(
        self, picture: Shaped[Tensor, "B C H W"], mask: Float[Tensor, "B 1 H W"] | None = None
    ) -> dict[str, Tensor]:
        if mask is not None:
            raise ValueError("resnet takes no mask: its GroupNorm would count what lies outside")
        maps = F.relu(self.bn1(self.conv1(self.enter(picture))))
        if self.stem_pool:
            maps = F.max_pool2d(maps, 3, 2, padding=1)
        out = {}
        for stage in self.stages:
            for block in getattr(self, f"layer{stage[1:]}"):
                maps = block(maps)
            out[stage] = maps
        return out
