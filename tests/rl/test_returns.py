"""gae against sums done by hand, a naive loop, and its behaviour at every kind of ending."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from rl.returns import explained_variance, gae, normalise


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None]


NO = torch.zeros(3, 1, dtype=torch.bool)


def naive(reward, value, next_value, terminated, done, gamma, lam):
    """The definition, one environment and one step at a time: sum of (gamma lambda)^k td_error."""
    steps, envs = reward.shape
    advantage = torch.zeros(steps, envs)
    for n in range(envs):
        for t in range(steps):
            weight = 1.0
            for k in range(t, steps):
                future = 0.0 if terminated[k, n] else gamma * next_value[k, n]
                advantage[t, n] += weight * (reward[k, n] + future - value[k, n])
                weight *= gamma * lam
                if done[k, n]:
                    break
    return advantage


def test_matches_the_sum_done_by_hand():
    value, next_value = column(0.5, 0.5, 0.5), column(0.5, 0.5, 4)
    advantage = gae(column(1, 0, 2), value, next_value, NO, NO, gamma=0.5, gae_lambda=0.5)
    assert_close(advantage, column(0.75 + 0.25 * (-0.25) + 0.0625 * 3.5, -0.25 + 0.25 * 3.5, 3.5))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 1), st.floats(0, 1))
def test_agrees_with_a_naive_loop_with_lives_ends_and_time_limits(seed, gamma, lam):
    generator = torch.Generator().manual_seed(seed)
    reward, value, next_value = torch.randn(3, 12, 4, generator=generator)
    terminated = torch.rand(12, 4, generator=generator) < 0.2  # a life or a game was lost
    truncated = torch.rand(12, 4, generator=generator) < 0.1  # the clock ran out
    done = terminated | truncated
    ours = gae(reward, value, next_value, terminated, done, gamma=gamma, gae_lambda=lam)
    expected = naive(reward, value, next_value, terminated, done, gamma, lam)
    assert_close(ours, expected, atol=1e-4, rtol=1e-4)


def test_a_time_limit_bootstraps_and_an_ending_does_not():
    one = torch.ones(1, 1, dtype=torch.bool)
    args = (column(0.0), column(0.0), column(2.0))
    at_time_limit = gae(*args, ~one, one, gamma=1.0, gae_lambda=0.9)
    at_ending = gae(*args, one, one, gamma=1.0, gae_lambda=0.9)
    assert at_time_limit.item() == 2
    assert at_ending.item() == 0


def test_nothing_leaks_from_the_next_game_into_the_last():
    done = torch.tensor([[False], [True], [False]])
    args = (torch.zeros(3, 1), torch.zeros(3, 1), done, done)
    quiet = gae(column(0, 1, 0), *args, gamma=0.99, gae_lambda=0.95)
    loud = gae(column(0, 1, 100), *args, gamma=0.99, gae_lambda=0.95)
    assert_close(quiet[:2], loud[:2])


def test_the_value_of_an_endless_game_is_a_fixed_point():
    gamma = 0.9
    value = torch.full((50, 1), 1 / (1 - gamma))
    no = torch.zeros(50, 1, dtype=torch.bool)
    advantage = gae(torch.ones(50, 1), value, value, no, no, gamma=gamma, gae_lambda=0.95)
    assert_close(advantage, torch.zeros(50, 1), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("gamma", "lam"), [(1.1, 0.5), (-0.1, 0.5), (0.5, 1.5)])
def test_factors_outside_zero_to_one_are_refused(gamma, lam):
    with pytest.raises(ValueError, match="must lie in"):
        gae(column(0.0), column(0.0), column(0.0), NO[:1], NO[:1], gamma=gamma, gae_lambda=lam)


def test_normalised_values_have_mean_zero_and_deviation_one():
    values = normalise([torch.tensor([1.0, 2, 3, 10])])[0]
    assert values.mean().abs() < 1e-6
    assert abs(values.std() - 1) < 1e-6


def test_explained_variance_of_perfect_useless_and_constant():
    returns = torch.tensor([[1.0], [2.0], [4.0]])
    assert explained_variance(returns, returns) == 1
    assert abs(explained_variance(torch.zeros(3, 1), returns)) < 1e-6
    assert math.isnan(explained_variance(returns, torch.ones(3, 1)))
