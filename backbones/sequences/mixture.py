"""A mixture of Gaussians in the plane with bits beside it: where a pen goes, and if it lifts.

Letters: M Gaussians of a mixture, K bits; leading dimensions are any.

Graves 2013 (https://arxiv.org/abs/1308.0850), equations 15 to 26: a network's 6 M + K numbers are
weights, means, deviations and correlations of M bivariate Gaussians, and the chances of the bits.
All of it is fp32. Deviations have a floor, since a point that repeats exactly would have an
infinite density; correlations stay below 0.95.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

LOWEST_DEVIATION, HIGHEST_CORRELATION = 0.02, 0.95


class Mixture(NamedTuple):
    """What a network says of the next point."""

    log_weight: Float[Tensor, "... M"]
    mean: Float[Tensor, "... M 2"]
    deviation: Float[Tensor, "... M 2"]
    correlation: Float[Tensor, "... M"]
    bits: Float[Tensor, "... K"]
    """Their logits."""


def num_outputs(mixtures: int, bits: int) -> int:
    """Return how many numbers a network has to give for so many Gaussians and bits."""
    return 6 * mixtures + bits


def mixture_of(outputs: Float[Tensor, "... O"], bits: int, bias: float = 0.0) -> Mixture:
    """Return the mixture that a network's numbers mean, the last of them so many bits.

    `bias` from 0 up makes what is likely likelier, in weights and deviations (equations 61, 62).
    """
    numbers = outputs[..., :-bits].float()
    weight, x, y, wide, high, turn = numbers.chunk(6, -1)
    deviation = (torch.stack([wide, high], -1).clamp(max=8.0) - bias).exp()
    return Mixture(
        (weight * (1 + bias)).log_softmax(-1),
        torch.stack([x, y], -1),
        deviation + LOWEST_DEVIATION,
        turn.tanh() * HIGHEST_CORRELATION,
        outputs[..., -bits:].float(),
    )


def nats(
    mixture: Mixture, point: Float[Tensor, "... 2"], bits: Float[Tensor, "... K"]
) -> Float[Tensor, "..."]:
    """Return what a point and its bits cost: minus the logarithm of density times chances."""
    off = (point[..., None, :] - mixture.mean) / mixture.deviation
    correlation = mixture.correlation
    rest = 1 - correlation.square()
    square = off.square().sum(-1) - 2 * correlation * off.prod(-1)
    log_density = (
        -square / (2 * rest)
        - math.log(2 * math.pi)
        - mixture.deviation.log().sum(-1)
        - 0.5 * rest.log()
    )
    place = torch.logsumexp(mixture.log_weight + log_density, -1)
    cost = F.binary_cross_entropy_with_logits(mixture.bits, bits, reduction="none")
    return cost.sum(-1) - place


def draw(
    mixture: Mixture, generator: torch.Generator
) -> tuple[Float[Tensor, "N 2"], Float[Tensor, "N K"]]:
    """Return N points and bits at random, as N mixtures say."""
    device, (count, bits) = mixture.bits.device, mixture.bits.shape
    chance = torch.rand(count, 1 + bits, generator=generator).to(device)
    normal = torch.randn(count, 2, generator=generator).to(device)
    above = mixture.log_weight.exp().cumsum(-1) > chance[:, :1]
    # The last one, should the sum be below 1 by rounding.
    above[:, -1] = True
    row, which = torch.arange(count, device=device), above.int().argmax(-1)
    mean, deviation = mixture.mean[row, which], mixture.deviation[row, which]
    turn = mixture.correlation[row, which]
    across = normal[:, 0]
    down = turn * across + (1 - turn.square()).sqrt() * normal[:, 1]
    point = mean + deviation * torch.stack([across, down], -1)
    return point, (chance[:, 1:] < mixture.bits.sigmoid()).float()
