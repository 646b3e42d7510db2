"""The tower of AlphaZero behind the trunk contract: residual blocks of one size, for boards.

Letters as in `backbones/trunk.py`; K blocks. Silver et al. 2018,
https://doi.org/10.1126/science.aar6404, without normalisation; every other block adds to each
channel a linear function of the board's mean and maximum of all channels (Wu 2019, section 3.2,
https://arxiv.org/abs/1902.10565), which carries information across the whole board.

What surprises: there is no normalisation, so each block's last convolution begins K times smaller,
and the sum of K blocks is no larger than one (after Fixup, https://arxiv.org/abs/1901.09321).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from backbones.trunk import Trunk, TrunkSpec, apply_mask, orthogonal_, scaled


def pool_board(
    maps: Float[Tensor, "B C H W"], mask: Float[Tensor, "B 1 H W"] | None
) -> Float[Tensor, "B C2"]:
    """Return the mean and the maximum of each channel over the inside of the mask, in fp32."""
    maps = maps.float()
    if mask is None:
        return torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1)
    count = mask.sum((2, 3))
    mean = (maps * mask).sum((2, 3)) / count
    top = maps.masked_fill(mask == 0, -torch.inf).amax((2, 3))
    return torch.cat([mean, top], 1)


class TowerBlock(nn.Module):
    """ReLU, 3x3, ReLU, 3x3, added to the input; perhaps the board's pool between."""

    def __init__(self, channels: int, pooled: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.pool = nn.Linear(2 * channels, channels) if pooled else None

    def forward(
        self, maps: Float[Tensor, "B C H W"], mask: Float[Tensor, "B 1 H W"] | None
    ) -> Float[Tensor, "B C H W"]:
        inner = self.conv1(F.relu(maps))
        if self.pool is not None:
            pooled = pool_board(F.relu(inner), mask).to(self.pool.weight.dtype)
            heard = self.pool(pooled).to(inner.dtype)
            inner = inner + heard[:, :, None, None]
        return maps + self.conv2(apply_mask(F.relu(inner), mask))


class Tower(Trunk):
    """A 3x3 convolution and K blocks of 64 channels times the width, in two stages of half each."""

    def __init__(self, spec: TrunkSpec) -> None:
        super().__init__(spec)
        stride, channels = spec.stem((1, 2)), scaled(64, spec.width)
        blocks = spec.blocks or 6
        self.s1 = nn.Conv2d(spec.in_channels, channels, 3, stride, padding=1)
        built = [TowerBlock(channels, pooled=k % 2 == 1) for k in range(blocks)]
        self.s2, self.s3 = nn.ModuleList(built[: blocks // 2]), nn.ModuleList(built[blocks // 2 :])
        self.channels = dict.fromkeys(("s1", "s2", "s3"), channels)
        self.strides = dict.fromkeys(("s1", "s2", "s3"), stride * spec.pool)
        orthogonal_(self)
        for block in built:
            nn.init.orthogonal_(block.conv2.weight, 1 / blocks)

    def forward_stages(
        self, maps: Float[Tensor, "B C H W"], mask: Float[Tensor, "B 1 H0 W0"] | None
    ) -> dict[str, Tensor]:
        maps = apply_mask(self.s1(maps), mask)
        if mask is not None and mask.shape[-2:] != maps.shape[-2:]:
            mask = F.adaptive_max_pool2d(mask, (maps.shape[-2], maps.shape[-1]))
        out = {"s1": F.relu(maps)}
        for stage in ("s2", "s3"):
            for block in getattr(self, stage):
                maps = apply_mask(block(maps, mask), mask)
            # The ReLU belongs to the output: a residual stream itself is not rectified.
            out[stage] = F.relu(maps)
        return out
