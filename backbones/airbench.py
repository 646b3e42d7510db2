"""The CIFAR network of Jordan 2024, https://arxiv.org/abs/2404.00498, behind the trunk contract of
`backbones/trunk.py`.

Letters as there, and P patches, D numbers of a 2x2 patch (4 C). A 2x2 whitening convolution, then
three groups of two 3x3 convolutions with max pooling, BatchNorm and GELU (sections 3.1 to 3.3).

What surprises: the whitening filters never train; until `whiten` fits them to pictures they pass
the pixels and their negatives on. The scale of the BatchNorms stays 1, only their shifts train. The
paper's momentum of 0.6 is the fraction of the old statistics, so 0.4 in torch's convention. The
max pooling of 3x3 and the linear layer with outputs divided by 9 belong to the head.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from backbones.norm import make_norm
from backbones.training.errors import UserError
from backbones.trunk import Trunk, TrunkSpec, plan_stages, refuse_mask, scaled

# Added to the variances, so that patches without noise do not make enormous filters.
EPS = 5e-4
AT_ONCE = 512


class Group(nn.Module):
    """Convolution, max pooling, norm, GELU, convolution, norm, GELU."""

    def __init__(self, in_channels: int, channels: int, stride: int, kind: str) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.norm1 = make_norm(kind, channels, eps=1e-12, momentum=0.4)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = make_norm(kind, channels, eps=1e-12, momentum=0.4)
        for conv in (self.conv1, self.conv2):
            # As many filters as there are inputs pass one input on each; the others are random.
            nn.init.dirac_(conv.weight.data[: conv.in_channels])
        for norm in (self.norm1, self.norm2):
            norm.get_parameter("weight").requires_grad_(False)

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C2 H2 W2"]:
        maps = self.conv1(maps)
        if self.stride > 1:
            maps = F.max_pool2d(maps, self.stride)
        maps = F.gelu(self.norm1(maps))
        return F.gelu(self.norm2(self.conv2(maps)))


class Airbench(Trunk):
    """A whitening layer and three groups of 64, 256 and 256 channels times the width.

    The stem stride is the pooling of the first group: 2 in the paper. The whitening layer has two
    filters for each of the D directions whatever the width, and belongs to the first stage.
    """

    def __init__(self, spec: TrunkSpec) -> None:
        super().__init__(spec)
        spec.stem((2, 1, 4))
        directions = 4 * spec.in_channels
        self.whitening = nn.Conv2d(spec.in_channels, 2 * directions, 2)
        self.set_directions(torch.eye(directions))
        self.whitening.weight.requires_grad_(False)
        nn.init.zeros_(self.whitening.get_parameter("bias"))
        counts = [scaled(c, spec.width) for c in (64, 256, 256)]
        for name, in_channels, channels, stride in plan_stages(self, counts):
            before = 2 * directions if name == "s1" else in_channels
            setattr(self, name, Group(before, channels, stride, spec.norm_kind))

    @torch.no_grad()
    def set_directions(self, directions: Float[Tensor, "D D"]) -> None:
        """Make each row a filter, and its negative another."""
        filters = torch.cat([directions, -directions]).view_as(self.whitening.weight)
        self.whitening.weight.copy_(filters)

    @torch.no_grad()
    def whiten(self, pictures: Shaped[Tensor, "B C H W"]) -> None:
        """Fit the first layer: its outputs for patches of such pictures have covariance 1.

        Give training pictures alone, in 0..255; some 5,000 are enough. They are normalised as the
        trunk normalises them. As in the paper the mean of patches is taken as 0, which normalised
        pictures have.
        """
        directions = 4 * self.spec.in_channels
        total = torch.zeros(directions, directions, dtype=torch.float64, device=self.std.device)
        count = 0
        for part in pictures.split(AT_ONCE):
            values = self.normalise(self.prepare(part.to(self.std.device))).float()
            # [B, D, L] to [P, D]: the order of numbers in a patch is that of a filter's.
            patches = F.unfold(values, 2).transpose(1, 2).reshape(-1, directions).double()
            total += patches.T @ patches
            count += len(patches)
        if count < directions:
            raise UserError(
                f"{count} patches cannot whiten {directions} directions; give more pictures"
            )
        variances, vectors = torch.linalg.eigh(total / count)
        # Largest variance first.
        scaled_rows = (vectors / (variances + EPS).sqrt()).T.flip(0)
        self.set_directions(scaled_rows.to(self.whitening.weight.dtype))

    def stage_modules(self, stage: str) -> list[nn.Module]:
        """The whitening layer belongs to the first stage."""
        modules: list[nn.Module] = [getattr(self, stage)]
        return [self.whitening, *modules] if stage == "s1" else modules

    def forward_stages(
        self, maps: Float[Tensor, "B C H W"], mask: Float[Tensor, "B 1 H0 W0"] | None
    ) -> dict[str, Tensor]:
        refuse_mask(self, mask)
        maps, out = F.gelu(self.whitening(maps)), {}
        for stage in self.stages:
            maps = getattr(self, stage)(maps)
            out[stage] = maps
        return out
