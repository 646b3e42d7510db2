"""Image trunks behind the contract of `backbones/trunk.py`, and the way to any of them by name.

Letters as there. `nature` is Mnih et al. 2015, https://doi.org/10.1038/nature14236; `impala` is
figure 3 of Espeholt et al. 2018, https://arxiv.org/abs/1802.01561; `plain` is 3x3 convolutions and
nothing else (its `norm` puts a layer after each). The classic classifiers are in
`backbones/resnet.py`, `backbones/vgg.py` and `backbones/inception.py`, the network of CIFAR speed
runs in `backbones/airbench.py`, that of board games in `backbones/tower.py`.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from backbones.airbench import Airbench
from backbones.inception import GoogLeNet
from backbones.norm import conv_norm
from backbones.resnet import ResNet
from backbones.tower import Tower
from backbones.training.errors import UserError
from backbones.trunk import (
    Trunk,
    TrunkSpec,
    apply_mask,
    orthogonal_,
    plan_stages,
    refuse_mask,
    scaled,
)
from backbones.vgg import AlexNet, Vgg


class Nature(Trunk):
    """Three convolutions. With `pool` 2 the first one halves kernel and stride, so it sees the same
    pixels at a quarter of the cost."""

    def __init__(self, spec: TrunkSpec) -> None:
        super().__init__(spec)
        if spec.pool not in (1, 2, 4):
            raise UserError(f"nature pools its input by 1, 2 or 4, not by {spec.pool}")
        stem = spec.stem_stride or 4 // spec.pool
        kernel = 2 * stem if stem > 1 else 3
        c1, c2, c3 = (scaled(c, spec.width) for c in (32, 64, 64))
        kind, padding = spec.norm_kind, 1 if stem == 1 else 0
        self.s1 = conv_norm(spec.in_channels, c1, kernel, stem, kind=kind, padding=padding)
        self.s2 = conv_norm(c1, c2, 4, 2, kind=kind, padding=0)
        self.s3 = conv_norm(c2, c3, 3, 1, kind=kind, padding=0)
        stride = stem * spec.pool
        self.channels = {"s1": c1, "s2": c2, "s3": c3}
        self.strides = {"s1": stride, "s2": 2 * stride, "s3": 2 * stride}
        orthogonal_(self)

    def forward_stages(
        self, maps: Float[Tensor, "B C H W"], mask: Float[Tensor, "B 1 H0 W0"] | None
    ) -> dict[str, Tensor]:
        s1 = apply_mask(F.relu(self.s1(maps)), mask)
        s2 = apply_mask(F.relu(self.s2(s1)), mask)
        s3 = apply_mask(F.relu(self.s3(s2)), mask)
        return {"s1": s1, "s2": s2, "s3": s3}


class Residual(nn.Module):
    """ReLU, 3x3, ReLU, 3x3, added to the input: the block of IMPALA."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(
        self, maps: Float[Tensor, "B C H W"], mask: Float[Tensor, "B 1 H0 W0"] | None
    ) -> Float[Tensor, "B C H W"]:
        inner = apply_mask(self.conv1(F.relu(maps)), mask)
        return maps + apply_mask(self.conv2(F.relu(inner)), mask)


class ImpalaStage(nn.Module):
    """3x3 convolution, 3x3 max pooling with the stride, two residual blocks."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.blocks = nn.ModuleList([Residual(channels), Residual(channels)])

    def forward(
        self, maps: Float[Tensor, "B C H W"], mask: Float[Tensor, "B 1 H0 W0"] | None
    ) -> Float[Tensor, "B C2 H2 W2"]:
        maps = apply_mask(self.conv(maps), mask)
        if self.stride > 1:
            maps = apply_mask(F.max_pool2d(maps, 3, self.stride, padding=1), mask)
        for block in self.blocks:
            maps = block(maps, mask)
        return maps


class Impala(Trunk):
    """Three residual stages of 16, 32 and 32 channels times the width."""

    def __init__(self, spec: TrunkSpec) -> None:
        super().__init__(spec)
        counts = [scaled(c, spec.width) for c in (16, 32, 32)]
        for name, in_channels, channels, stride in plan_stages(self, counts):
            setattr(self, name, ImpalaStage(in_channels, channels, stride))
        orthogonal_(self)

    def forward_stages(
        self, maps: Float[Tensor, "B C H W"], mask: Float[Tensor, "B 1 H0 W0"] | None
    ) -> dict[str, Tensor]:
        out = {}
        for stage in self.stages:
            maps = getattr(self, stage)(maps, mask)
            # The ReLU belongs to the output: a residual stream itself is not rectified.
            out[stage] = F.relu(maps)
        return out


class Plain(Trunk):
    """Three stages of two 3x3 convolutions with ReLU; the first of each stage strides.

    A normalisation layer stands between a convolution and its ReLU, where the spec wants one.
    """

    def __init__(self, spec: TrunkSpec) -> None:
        super().__init__(spec)
        counts = [scaled(c, spec.width) for c in (32, 64, 128)]
        for name, in_channels, channels, stride in plan_stages(self, counts):
            first = conv_norm(in_channels, channels, 3, stride, kind=spec.norm_kind)
            second = conv_norm(channels, channels, 3, kind=spec.norm_kind)
            setattr(self, name, nn.ModuleList([first, second]))
        orthogonal_(self)

    def forward_stages(
        self, maps: Float[Tensor, "B C H W"], mask: Float[Tensor, "B 1 H0 W0"] | None
    ) -> dict[str, Tensor]:
        if self.spec.norm_kind != "none":
            refuse_mask(self, mask)
        out = {}
        for stage in self.stages:
            for layer in getattr(self, stage):
                maps = apply_mask(F.relu(layer(maps)), mask)
            out[stage] = maps
        return out


KINDS: dict[str, type[Trunk]] = {
    "nature": Nature,
    "impala": Impala,
    "plain": Plain,
    "resnet": ResNet,
    "alexnet": AlexNet,
    "vgg11": Vgg,
    "vgg16": Vgg,
    "googlenet": GoogLeNet,
    "resnet18": ResNet,
    "resnet50": ResNet,
    "airbench": Airbench,
    "tower": Tower,
}


def build_trunk(spec: TrunkSpec) -> Trunk:
    """Return the untrained trunk that a spec describes."""
    return KINDS[spec.name](spec)
