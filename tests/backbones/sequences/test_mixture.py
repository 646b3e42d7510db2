"""The mixture of Gaussians: against torch's own, its integral, what is drawn from it, its edges."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, MultivariateNormal
from torch.testing import assert_close

from backbones.sequences.mixture import draw, mixture_of, nats, num_outputs


def some(count=1, mixtures=3, bias=0.0):
    generator = torch.Generator().manual_seed(1)
    return mixture_of(torch.randn(count, num_outputs(mixtures, 1), generator=generator), 1, bias)


def test_a_point_costs_what_torch_s_gaussians_say():
    mixture, point = some(), torch.tensor([[0.3, -0.7]])
    total = 0.0
    for m in range(3):
        wide, high = mixture.deviation[0, m].double()
        turn = mixture.correlation[0, m].double() * wide * high
        covariance = torch.stack([torch.stack([wide**2, turn]), torch.stack([turn, high**2])])
        one = MultivariateNormal(mixture.mean[0, m].double(), covariance)
        total += (mixture.log_weight[0, m].double() + one.log_prob(point[0].double())).exp()
    for bit in (0.0, 1.0):
        bits = torch.tensor([[bit]])
        wanted = -total.log() - Bernoulli(logits=mixture.bits).log_prob(bits)[0]
        assert_close(nats(mixture, point, bits).double(), wanted.double())


def test_the_density_is_one_over_the_plane():
    mixture, step = some(), 0.1
    axis = torch.arange(-40, 40, step)
    points = torch.cartesian_prod(axis, axis)
    wide = type(mixture)(*(part.expand(len(points), *part.shape[1:]) for part in mixture))
    both = sum(
        (-nats(wide, points, torch.full((len(points), 1), bit))).exp().sum() for bit in (0.0, 1.0)
    )
    assert float(both) * step**2 == pytest.approx(1.0, abs=2e-3)


def test_what_is_drawn_has_the_mixture_s_mean_and_bits():
    count = 40_000
    mixture = some()
    wide = type(mixture)(*(part.expand(count, *part.shape[1:]) for part in mixture))
    points, bits = draw(wide, torch.Generator().manual_seed(1))
    mean = (mixture.log_weight.exp()[..., None] * mixture.mean).sum(1)[0]
    assert_close(points.mean(0), mean, atol=0.05, rtol=0)
    assert bits.mean().item() == pytest.approx(mixture.bits.sigmoid().item(), abs=0.01)


def test_a_bias_makes_the_likely_likelier_and_narrower():
    plain, neat = some(), some(bias=2.0)
    assert (neat.deviation < plain.deviation).all()
    assert neat.log_weight.max() > plain.log_weight.max()


def test_extreme_numbers_stay_finite_with_their_gradients():
    numbers = torch.tensor([[1e4, -1e4] * 10], requires_grad=True)
    cost = nats(mixture_of(numbers, 2), torch.tensor([[0.0, 0.0]]), torch.zeros(1, 2))
    cost.sum().backward()
    assert math.isfinite(cost.item()) and numbers.grad.isfinite().all()
