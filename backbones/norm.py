"""Normalisation layers of image trunks, and the convolutions that they follow.

Letters: B pictures, C channels, H rows, W columns. The kinds are `none`, `group` (Wu and He 2018,
https://arxiv.org/abs/1803.08494), `batch` (Ioffe and Szegedy 2015,
https://arxiv.org/abs/1502.03167) and `layer` (Ba et al. 2016, https://arxiv.org/abs/1607.06450;
over channels, rows and columns, that is one group of all channels). `NORMS` in
`backbones/trunk.py` says which trunk has which.

What surprises: a convolution before a normalisation has no bias, because the layer would subtract
it again. Batch statistics differ between processes and mix frames of different policies, so do not
use them in reinforcement learning.
"""

import math
from collections.abc import Iterable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def make_norm(kind: str, channels: int, *, eps: float = 1e-5, momentum: float = 0.1) -> nn.Module:
    """Return a normalisation layer; `none` gives the identity.

    Momentum is torch's: the share of the new batch in the running statistics, of BatchNorm alone.
    """
    if kind == "none":
        return nn.Identity()
    if kind == "batch":
        return nn.BatchNorm2d(channels, eps=eps, momentum=momentum)
    if kind == "layer":
        return nn.GroupNorm(1, channels, eps=eps)
    # Groups of 16 channels where they divide, as in the paper; else the largest divisor below.
    return nn.GroupNorm(channels // math.gcd(channels, 16), channels, eps=eps)


def conv_norm(
    in_channels: int,
    channels: int,
    kernel: int,
    stride: int = 1,
    *,
    kind: str,
    padding: int | None = None,
    eps: float = 1e-5,
) -> nn.Module:
    """Return a convolution (with a bias), or a convolution and its normalisation (without one).

    The padding keeps the size unless it is given.
    """
    padding = kernel // 2 if padding is None else padding
    bare = kind == "none"
    conv = nn.Conv2d(in_channels, channels, kernel, stride, padding=padding, bias=bare)
    return conv if bare else nn.Sequential(conv, make_norm(kind, channels, eps=eps))


def rectified(
    layers: Iterable[nn.Module], maps: Float[Tensor, "B C H W"]
) -> Float[Tensor, "B C2 H2 W2"]:
    """Return maps after layers with a ReLU after each."""
    for layer in layers:
        maps = F.relu(layer(maps))
    return maps


def he_normal_(module: nn.Module) -> None:
    """Initialise every convolution so that gradients keep their size through its ReLU.

    Equation 14 of He et al. 2015, https://arxiv.org/abs/1502.01852.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
