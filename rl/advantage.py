"""Advantages of a rollout, and how well its values fit.

Letters: T env steps, N environments. Rewards are what the algorithm sees (clipped for Atari); gamma
is per env step. `gae` is equation 16 of Schulman et al. 2016, https://arxiv.org/abs/1506.02438.
`terminated` does not bootstrap; a time limit (`done` without `terminated`) does, from `next_value`,
which must then be the value of the last picture of the old game and not of the first one of the
new.
"""

import math

import torch
from jaxtyping import Bool, Float32
from torch import Tensor


def gae(
    reward: Float32[Tensor, "T N"], value: Float32[Tensor, "T N"],
    next_value: Float32[Tensor, "T N"], terminated: Bool[Tensor, "T N"], done: Bool[Tensor, "T N"],
    *, gamma: float, gae_lambda: float,
) -> Float32[Tensor, "T N"]:  # fmt: skip
    """Return the generalised advantage of every step; ValueError if a factor is outside [0, 1]."""
    if not (0 <= gamma <= 1 and 0 <= gae_lambda <= 1):
        raise ValueError(f"gamma = {gamma} and gae_lambda = {gae_lambda} must lie in [0, 1]")
    td_error = reward + gamma * next_value * ~terminated - value
    carry = gamma * gae_lambda * ~done
    advantage = torch.empty_like(td_error)
    running = torch.zeros_like(td_error[0])
    for t in reversed(range(len(td_error))):
        running = td_error[t] + carry[t] * running
        advantage[t] = running
    return advantage


def normalise(values: Float32[Tensor, "B"]) -> Float32[Tensor, "B"]:
    """Return values with mean 0 and standard deviation 1."""
    return (values - values.mean()) / (values.std() + 1e-8)


def explained_variance(value: Float32[Tensor, "T N"], returns: Float32[Tensor, "T N"]) -> float:
    """Return 1 - Var(returns - value) / Var(returns): 1 is perfect, 0 no better than the mean."""
    variance = returns.var()
    return float(1 - (returns - value).var() / variance) if variance > 0 else math.nan
