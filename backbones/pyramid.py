"""A feature pyramid: maps of several scales that all know what is in the picture.

Letters: B pictures, C and D channels, H rows, W columns.

Lin et al. 2017, https://arxiv.org/abs/1612.03144. Every stage of the trunk is projected to as many
channels; from the coarsest down, each is added to the finer one, and a 3x3 convolution smooths the
sum. Of a trunk it takes the last stages whose stride is at least `FINEST`, three of them: s3, s4
and s5 of a ResNet. A trunk with fewer gets further levels, by a convolution of stride 2 from its
last stage (as in https://arxiv.org/abs/1708.02002): s2 and s3 of `plain`, and a level behind.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from backbones.trunk import Trunk

FINEST, LEVELS = 4, 3


class Pyramid(nn.Module):
    """Levels from fine to coarse, each with `channels` channels; `strides` are theirs."""

    def __init__(self, trunk: Trunk, channels: int) -> None:
        super().__init__()
        fit = [name for name in trunk.stages if trunk.strides[name] >= FINEST]
        # Two stages of one stride, as Nature's last two, are one level: the later one.
        fit = [a for a, b in zip(fit, [*fit[1:], ""], strict=True) if not same(trunk, a, b)]
        self.stages = (fit or [trunk.stages[-1]])[-LEVELS:]
        self.strides = [trunk.strides[name] for name in self.stages]
        self.project = nn.ModuleList(
            nn.Conv2d(trunk.channels[name], channels, 1) for name in self.stages
        )
        self.further = nn.ModuleList()
        while len(self.strides) < LEVELS:
            before = channels if len(self.further) else trunk.channels[self.stages[-1]]
            self.further.append(nn.Conv2d(before, channels, 3, 2, padding=1))
            self.strides.append(2 * self.strides[-1])
        self.smooth = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1) for _ in self.strides
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_uniform_(layer.weight, a=1)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)

    def forward(self, stages: dict[str, Float[Tensor, "B _ _ _"]]) -> list[Tensor]:
        """Return the levels, [B, D, H, W] each, of a trunk's stages."""
        maps = [layer(stages[name]) for name, layer in zip(self.stages, self.project, strict=True)]
        last = stages[self.stages[-1]]
        for layer in self.further:
            last = layer(last)
            maps.append(last)
        for n in range(len(maps) - 2, -1, -1):
            maps[n] = maps[n] + F.interpolate(maps[n + 1], maps[n].shape[-2:], mode="nearest")
        return [layer(each) for each, layer in zip(maps, self.smooth, strict=True)]


def same(trunk: Trunk, one: str, other: str) -> bool:
    """Say whether two stages have one stride; no stage has that of none."""
    return bool(other) and trunk.strides[one] == trunk.strides[other]
