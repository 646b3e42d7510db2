"""GoogLeNet behind the trunk contract of `backbones/trunk.py`.

Letters as there. Szegedy et al. 2015, https://arxiv.org/abs/1409.4842, table 1, in the form whose
weights torchvision publishes: BatchNorm after every convolution (the paper had none), and with it
three things that differ from the table. The `5x5` branch is a 3x3 convolution, the last pooling is
2x2, and poolings round up.

The auxiliary classifiers are no part of the trunk: they hang on the stage s3 and belong to the
head that trains it. The local response normalisation is left out.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from backbones.norm import conv_norm, he_normal_, rectified
from backbones.trunk import Trunk, TrunkSpec, refuse_mask, scaled

# What the paper's code and torchvision use; torch's own is 1e-5.
EPS = 1e-3
# Channels of 1x1; 3x3 reduce, 3x3; 5x5 reduce, 5x5; projection after pooling (table 1).
BLOCKS = {
    "s2": {"3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64)},
    "s3": {
        "4a": (192, 96, 208, 16, 48, 64),
        "4b": (160, 112, 224, 24, 64, 64),
        "4c": (128, 128, 256, 24, 64, 64),
        "4d": (112, 144, 288, 32, 64, 64),
        "4e": (256, 160, 320, 32, 128, 128),
    },
    "s4": {"5a": (256, 160, 320, 32, 128, 128), "5b": (384, 192, 384, 48, 128, 128)},
}


class Inception(nn.Module):
    """Four branches side by side: 1x1, 3x3, another 3x3 and pooling, joined by channel."""

    def __init__(self, in_channels: int, counts: tuple[int, ...], kind: str) -> None:
        super().__init__()

        def conv(before: int, after: int, kernel: int) -> nn.Module:
            return conv_norm(before, after, kernel, kind=kind, eps=EPS)

        one, reduce3, three, reduce5, five, project = counts
        self.branch1 = conv(in_channels, one, 1)
        self.branch2 = nn.ModuleList([conv(in_channels, reduce3, 1), conv(reduce3, three, 3)])
        self.branch3 = nn.ModuleList([conv(in_channels, reduce5, 1), conv(reduce5, five, 3)])
        self.branch4 = conv(in_channels, project, 1)
        self.channels = one + three + five + project

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C2 H W"]:
        pooled = F.max_pool2d(maps, 3, 1, padding=1)
        branches = [
            rectified([self.branch1], maps),
            rectified(self.branch2, maps),
            rectified(self.branch3, maps),
            rectified([self.branch4], pooled),
        ]
        return torch.cat(branches, 1)


class GoogLeNet(Trunk):
    """A stem and nine Inception blocks in three stages.

    A stem stride of 4 is the stem of the paper; 1 and 2 have a 3x3 first convolution and no
    pooling in the stem, for small pictures.
    """

    always_centres = True

    def __init__(self, spec: TrunkSpec) -> None:
        super().__init__(spec)
        self.stem_stride, kind = spec.stem((4, 2, 1)), spec.norm_kind
        kernel, stride = (7, 2) if self.stem_stride == 4 else (3, self.stem_stride)
        c1, previous = scaled(64, spec.width), scaled(192, spec.width)
        self.conv1 = conv_norm(spec.in_channels, c1, kernel, stride, kind=kind, eps=EPS)
        self.conv2 = conv_norm(c1, c1, 1, kind=kind, eps=EPS)
        self.conv3 = conv_norm(c1, previous, 3, kind=kind, eps=EPS)
        total = self.stem_stride * spec.pool
        self.channels["s1"], self.strides["s1"] = previous, total
        for stage, blocks in BLOCKS.items():
            for name, counts in blocks.items():
                block = Inception(previous, tuple(scaled(c, spec.width) for c in counts), kind)
                setattr(self, f"inception{name}", block)
                previous = block.channels
            total *= spec.stage_stride
            self.channels[stage], self.strides[stage] = previous, total
        he_normal_(self)

    def stage_modules(self, stage: str) -> list[nn.Module]:
        """The stem is the first stage."""
        if stage == "s1":
            return [self.conv1, self.conv2, self.conv3]
        return [getattr(self, f"inception{name}") for name in BLOCKS[stage]]

    def forward_stages(
        self, maps: Float[Tensor, "B C H W"], mask: Float[Tensor, "B 1 H0 W0"] | None
    ) -> dict[str, Tensor]:
        refuse_mask(self, mask)
        maps = rectified([self.conv1], maps)
        if self.stem_stride == 4:
            maps = F.max_pool2d(maps, 3, 2, ceil_mode=True)
        out = {"s1": rectified([self.conv2, self.conv3], maps)}
        stride = self.spec.stage_stride
        for stage, blocks in BLOCKS.items():
            maps = out[self.stages[len(out) - 1]]
            if stride > 1:
                kernel = 2 if stage == "s4" else 3
                maps = F.max_pool2d(maps, max(kernel, stride), stride, ceil_mode=True)
            for name in blocks:
                maps = getattr(self, f"inception{name}")(maps)
            out[stage] = maps
        return out
