"""AlexNet and VGG behind the trunk contract of `backbones/trunk.py`.

Letters as there. `alexnet` is the one-tower network of Krizhevsky 2014,
https://arxiv.org/abs/1404.5997, without its local response normalisation (VGG found that it brings
nothing, and no published weights have it); `vgg11` and `vgg16` are configurations A and D of
Simonyan and Zisserman 2014, https://arxiv.org/abs/1409.1556. None of them normalises by default;
`norm` puts a layer after every convolution.

What surprises: a pooling opens the stage after it, so a stage ends with the last convolution of its
size (conv5_3 of VGG, at stride 16), as detectors use them. The pooling after the last stage and the
layers of 4,096 units belong to the head.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from backbones.norm import conv_norm, he_normal_, rectified
from backbones.trunk import Trunk, TrunkSpec, refuse_mask, scaled

VGG = {
    "vgg11": ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    "vgg16": ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)),
}
ALEXNET = ((64,), (192,), (384, 256, 256))


class Stacks(Trunk):
    """Stages of convolutions with ReLU, and max pooling with the stage stride between them."""

    always_centres = True
    pool_kernel = 2

    def build(self, counts: Sequence[Sequence[int]], kernels: Sequence[int], stem: int) -> None:
        """Make the stages: their channels at width 1, the kernel of each, the stem's stride."""
        spec, previous, total = self.spec, self.spec.in_channels, stem * self.spec.pool
        for i, (stack, kernel) in enumerate(zip(counts, kernels, strict=True), start=1):
            layers, stride = nn.ModuleList(), stem if i == 1 else 1
            for count in (scaled(c, spec.width) for c in stack):
                # The 11x11 of AlexNet alone is padded by less than its half.
                padding = 2 if kernel == 11 else None
                layers.append(
                    conv_norm(previous, count, kernel, stride, kind=spec.norm_kind, padding=padding)
                )
                previous, stride = count, 1
            setattr(self, f"s{i}", layers)
            total *= 1 if i == 1 else spec.stage_stride
            self.channels[f"s{i}"], self.strides[f"s{i}"] = previous, total
        he_normal_(self)

    def forward_stages(
        self, maps: Float[Tensor, "B C H W"], mask: Float[Tensor, "B 1 H0 W0"] | None
    ) -> dict[str, Tensor]:
        refuse_mask(self, mask)
        out: dict[str, Tensor] = {}
        stride = self.spec.stage_stride
        for stage in self.stages:
            if out and stride > 1:
                maps = F.max_pool2d(maps, max(self.pool_kernel, stride), stride)
            maps = rectified(getattr(self, stage), maps)
            out[stage] = maps
        return out


class AlexNet(Stacks):
    """Three stages of one, one and three convolutions, with overlapping pooling.

    A stem stride of 4 is the 11x11 convolution of the paper; 2 and 1 are a 5x5 and a 3x3 one, for
    small pictures.
    """

    pool_kernel = 3

    def __init__(self, spec: TrunkSpec) -> None:
        super().__init__(spec)
        stem = spec.stem((4, 2, 1))
        self.build(ALEXNET, ({4: 11, 2: 5, 1: 3}[stem], 5, 3), stem)


class Vgg(Stacks):
    """Five stages of 3x3 convolutions.

    A stem stride of 1 is the paper's; with 2 or 4 the first convolution strides.
    """

    def __init__(self, spec: TrunkSpec) -> None:
        super().__init__(spec)
        self.build(VGG[spec.name], (3,) * 5, spec.stem((1, 2, 4)))
