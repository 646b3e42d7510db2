"""From a trunk's maps back to a map of the picture's size: the decoders of FCN and of SegNet.

Letters: B pictures, C channels, H rows, W columns, A classes.

`Fcn` is Long et al. 2015 (https://arxiv.org/abs/1411.4038): a 1 x 1 convolution scores the classes
on each of several stages, and the scores are enlarged and added, from coarse to fine. `SegNet` is
Badrinarayanan et al. 2017 (https://arxiv.org/abs/1511.00561): the trunk's stages mirrored; a value
goes back to the place where its largest was found when the map was pooled.

What surprises: `SegNet` finds these places by pooling a stage's map once more. In a trunk that
pools (vgg11, vgg16) they are the places that its own pooling took; one that strides has none of its
own. Sizes need not be multiples of anything: maps are enlarged to the size of the finer one.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from backbones.norm import conv_norm, rectified


class Fcn(nn.Module):
    """1 x 1 scores of several stages, summed."""

    def __init__(self, channels: Sequence[int], classes: int) -> None:
        """`channels` of the stages that are scored, from fine to coarse."""
        super().__init__()
        layers = [nn.Conv2d(count, classes, 1) for count in channels]
        self.scores = nn.ModuleList(layers)
        for layer in layers:
            # Classes begin alike: the coarse score is not drowned by the random fine ones.
            nn.init.normal_(layer.weight, std=0.01)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, maps: Sequence[Tensor], size: tuple[int, int]) -> Float[Tensor, "B A H W"]:
        """Return the scores of every pixel, from maps that go from fine to coarse."""
        total: Tensor | None = None
        for layer, values in zip(reversed(self.scores), reversed(maps), strict=True):
            own = layer(values).float()
            total = own if total is None else own + enlarged(total, own.shape[-2:])
        assert total is not None
        return enlarged(total, size)


class SegNet(nn.Module):
    """The stages of a trunk mirrored, with the places that its pooling took."""

    def __init__(
        self, channels: Sequence[int], depths: Sequence[int], classes: int, kind: str
    ) -> None:
        """`channels` and numbers of convolutions of the trunk's stages, from fine to coarse, and
        the kind of normalisation."""
        super().__init__()
        stages = []
        targets = [channels[0], *channels[:-1]]
        for count, target, depth in zip(channels, targets, depths, strict=True):
            sizes = [*[count] * depth, target]
            pairs = pairwise(sizes)
            stages.append([conv_norm(first, second, 3, kind=kind) for first, second in pairs])
        self.stages = nn.ModuleList(map(nn.ModuleList, stages))
        self.score = nn.Conv2d(channels[0], classes, 1)

    def forward(self, maps: Sequence[Tensor], size: tuple[int, int]) -> Float[Tensor, "B A H W"]:
        """Return the scores of every pixel, from the maps of all stages."""
        values = maps[-1]
        for number in range(len(maps) - 1, -1, -1):
            values = rectified(self.stages[number].children(), values)
            if number:
                values = unpooled(values, maps[number - 1])
        return enlarged(self.score(values).float(), size)


def unpooled(
    values: Float[Tensor, "B C H W"], finer: Float[Tensor, "B C H2 W2"]
) -> Float[Tensor, "B C H2 W2"]:
    """Return values at the places where 2 x 2 pooling of a finer map finds its largest, zeros
    elsewhere."""
    rows, columns = finer.shape[-2:]
    # A trunk that strides rounds an odd size up, one that pools rounds it down.
    up = (values.shape[-2], values.shape[-1]) != (rows // 2, columns // 2)
    _, place = F.max_pool2d(finer, 2, 2, ceil_mode=up, return_indices=True)
    return F.max_unpool2d(values, place, [2, 2], [2, 2], output_size=[rows, columns])


def enlarged(
    values: Float[Tensor, "B A H W"], size: tuple[int, int] | torch.Size
) -> Float[Tensor, "B A H2 W2"]:
    """Return values at another size, bilinear between their middles."""
    if tuple(values.shape[-2:]) == tuple(size):
        return values
    return F.interpolate(values, tuple(size), mode="bilinear", align_corners=False)


def halves(sizes: Sequence[tuple[int, int]]) -> bool:
    """Say whether each map is half as large as the one before, rounded up or down: what `SegNet`
    needs of a trunk."""
    floor = all((r, c) == (rows // 2, columns // 2) for (rows, columns), (r, c) in pairwise(sizes))
    ceiling = all(
        (r, c) == (-(-rows // 2), -(-columns // 2)) for (rows, columns), (r, c) in pairwise(sizes)
    )
    return floor or ceiling
