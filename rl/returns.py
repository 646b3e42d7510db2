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

from backbones.training.distributed import ALONE, World


def gae(
    reward: Float32[Tensor, "T N"],
    value: Float32[Tensor, "T N"],
    next_value: Float32[Tensor, "T N"],
    terminated: Bool[Tensor, "T N"],
    done: Bool[Tensor, "T N"],
    *,
    gamma: float,
    gae_lambda: float,
) -> Float32[Tensor, "T N"]:
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


def refuse_single(rollout_size: int) -> None:
    """Raise ValueError if a rollout is one env step, over which nothing can be normalised."""
    if rollout_size == 1:
        raise ValueError(
            "num_envs * num_steps = 1: a rollout of one env step cannot be normalised over; "
            "use 2 or more of either"
        )


def normalise(
    groups: list[Float32[Tensor, "_"]], world: World = ALONE
) -> list[Float32[Tensor, "_"]]:
    """Return groups of values, each with mean 0 and standard deviation 1 over all processes.

    One message for all groups: sums, in float64, of what each process has. A group of one value in
    all has no deviation: the result is not a number.
    """
    means, variances = moments(groups, world).unbind()
    scaled = zip(groups, means, variances, strict=True)
    return [(v - mean) / (variance.sqrt() + 1e-8) for v, mean, variance in scaled]


def moments(groups: list[Float32[Tensor, "_"]], world: World) -> Float32[Tensor, "2 groups"]:
    """Return mean and (unbiased) variance of groups of values over all processes."""
    wide = [values.double() for values in groups]
    rows = [torch.stack([v.new_full((), len(v)), v.sum(), v.square().sum()]) for v in wide]
    count, total, squares = world.sum_(torch.stack(rows)).unbind(1)
    mean = total / count
    variance = (squares - count * mean.square()) / (count - 1)
    return torch.stack([mean, variance.clamp(min=0)]).float()


def explained_variance(
    value: Float32[Tensor, "*shape"], returns: Float32[Tensor, "*shape"], world: World = ALONE
) -> float:
    """Return 1 - Var(returns - value) / Var(returns): 1 is perfect, 0 no better than the mean."""
    groups = [(returns - value).flatten(), returns.flatten()]
    left, variance = moments(groups, world)[1].tolist()
    return 1 - left / variance if variance > 0 else math.nan
