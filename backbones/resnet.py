"""ResNets behind the trunk contract of `backbones/trunk.py`; the older classics are in
`backbones/vgg.py` and `backbones/inception.py`.

Letters as there. He et al. 2016, https://arxiv.org/abs/1512.03385. `resnet` is ResNet-18 with
GroupNorm, which reinforcement learning needs; `resnet18` and `resnet50` have BatchNorm, as the
published weights do. Layers carry the names of torchvision and timm, so their files fit.

What surprises: the 3x3 convolution of a bottleneck strides, not the 1x1 before it as in the paper
("version 1.5", which all published weights follow; https://arxiv.org/abs/1706.02677, section 5.1).
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from backbones.norm import he_normal_, make_norm
from backbones.trunk import Trunk, TrunkSpec, orthogonal_, refuse_mask, scaled


def shortcut(in_channels: int, channels: int, stride: int, kind: str) -> nn.Module | None:
    """Return a 1x1 convolution and its norm where a block changes the size, else None."""
    if stride == 1 and in_channels == channels:
        return None
    conv = nn.Conv2d(in_channels, channels, 1, stride, bias=False)
    return nn.Sequential(conv, make_norm(kind, channels))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int, kind: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = make_norm(kind, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = make_norm(kind, channels)
        self.downsample = shortcut(in_channels, channels, stride, kind)

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C2 H2 W2"]:
        kept = maps if self.downsample is None else self.downsample(maps)
        inner = F.relu(self.bn1(self.conv1(maps)))
        return F.relu(self.bn2(self.conv2(inner)) + kept)


class Bottleneck(nn.Module):
    """1x1 down, 3x3 with the stride, 1x1 up to four times the channels, and a shortcut."""

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int, kind: str) -> None:
        super().__init__()
        out = channels * self.expansion
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = make_norm(kind, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = make_norm(kind, channels)
        self.conv3 = nn.Conv2d(channels, out, 1, bias=False)
        self.bn3 = make_norm(kind, out)
        self.downsample = shortcut(in_channels, out, stride, kind)

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C2 H2 W2"]:
        kept = maps if self.downsample is None else self.downsample(maps)
        inner = F.relu(self.bn1(self.conv1(maps)))
        inner = F.relu(self.bn2(self.conv2(inner)))
        return F.relu(self.bn3(self.conv3(inner)) + kept)


Block = type[BasicBlock] | type[Bottleneck]
DEPTHS: dict[str, tuple[Block, tuple[int, ...]]] = {
    "resnet": (BasicBlock, (2, 2, 2, 2)),
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
}


class ResNet(Trunk):
    """A stem and four stages of residual blocks.

    A stem stride of 4 is the 7x7 convolution and the max pooling of the paper; 1 and 2 are one 3x3
    convolution, as is usual for small pictures.
    """

    always_centres = True

    def __init__(self, spec: TrunkSpec) -> None:
        super().__init__(spec)
        stem, kind = spec.stem((4, 2, 1)), spec.norm_kind
        counts = [scaled(c, spec.width) for c in (64, 128, 256, 512)]
        kernel, stride = (7, 2) if stem == 4 else (3, stem)
        self.stem_pool = stem == 4
        self.conv1 = nn.Conv2d(
            spec.in_channels, counts[0], kernel, stride, padding=kernel // 2, bias=False
        )
        self.bn1 = make_norm(kind, counts[0])
        make_block, depths = DEPTHS[spec.name]
        previous, total = counts[0], stem * spec.pool
        for i, (count, depth) in enumerate(zip(counts, depths, strict=True), start=1):
            stride = 1 if i == 1 else spec.stage_stride
            blocks = nn.ModuleList()
            for j in range(depth):
                blocks.append(make_block(previous, count, stride if j == 0 else 1, kind))
                previous = count * make_block.expansion
            setattr(self, f"layer{i}", blocks)
            total *= stride
            self.channels[f"s{i}"], self.strides[f"s{i}"] = previous, total
        if spec.name == "resnet":
            orthogonal_(self)
        else:
            he_normal_(self)

    def stage_modules(self, stage: str) -> list[nn.Module]:
        """The stem belongs to the first stage."""
        modules: list[nn.Module] = [getattr(self, f"layer{stage[1:]}")]
        return [self.conv1, self.bn1, *modules] if stage == "s1" else modules

    def forward_stages(
        self, maps: Float[Tensor, "B C H W"], mask: Float[Tensor, "B 1 H0 W0"] | None
    ) -> dict[str, Tensor]:
        refuse_mask(self, mask)
        maps = F.relu(self.bn1(self.conv1(maps)))
        if self.stem_pool:
            maps = F.max_pool2d(maps, 3, 2, padding=1)
        out = {}
        for stage in self.stages:
            for block in getattr(self, f"layer{stage[1:]}"):
                maps = block(maps)
            out[stage] = maps
        return out
