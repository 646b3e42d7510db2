"""Choosing actions while games are played: a frozen copy of the weights, and a policy on it.

Letters: N games, A actions, K = 4 frames in a stack, C channels.
"""

import copy
from typing import TypeVar

import torch
from jaxtyping import Bool, Float32, Int64, UInt8
from torch import Tensor

from backbones.lstm import State
from rl.networks.body import Body
from rl.networks.judgement import Choice

B = TypeVar("B", bound=Body)


class SamplingPolicy:
    """Samples actions from a network's logits; notes their log probabilities and the values."""

    notes = ("log_prob", "value")

    def __init__(self, network: Body) -> None:
        self.network = network

    def begin_rollout(self, rollout: int) -> None:
        """Nothing depends on how far the run is."""

    def choose(
        self,
        obs: UInt8[Tensor, "N KC H W"],
        memory: State | None,
        begins: Bool[Tensor, "N"],
        uniform: Float32[Tensor, "N"],
    ) -> Choice:
        """Sample one action a game; see `Policy.choose`."""
        judged = self.network.step(obs, memory, begins)
        action, log_prob = sample(judged.logits, uniform)
        return Choice(action, {"log_prob": log_prob, "value": judged.value}, judged.memory)


def sample(
    logits: Float32[Tensor, "N A"], uniform: Float32[Tensor, "N"]
) -> tuple[Int64[Tensor, "N"], Float32[Tensor, "N"]]:
    """Return actions drawn by inverting the distribution function, and their log probabilities."""
    log_probs = logits.log_softmax(-1)
    below = log_probs.exp().cumsum(-1) <= uniform[:, None]
    # Rounding can leave the last sum below 1.
    action = below.sum(-1).clamp_(max=logits.shape[-1] - 1)
    return action, log_probs.gather(1, action[:, None])[:, 0]


def acting_copy(network: B, dtype: torch.dtype) -> B:
    """Return a frozen copy to choose actions with: trunk and hidden layer in `dtype`, the rest in
    fp32.

    Casting once per rollout instead of once per env step is what makes it worth having.
    """
    acting = copy.deepcopy(network).requires_grad_(False).eval()
    acting.cnn.to(dtype)
    acting.hidden.to(dtype)
    # Buffers stay exact: 1 / 255 rounded to bf16 would be applied twice.
    acting.cnn.mean, acting.cnn.std = network.cnn.mean.clone(), network.cnn.std.clone()
    return acting


@torch.no_grad()
def copy_weights_(acting: Body, network: Body) -> None:
    """Copy the weights of a network into its acting copy."""
    sources = dict(network.named_parameters())
    for name, parameter in acting.named_parameters():
        parameter.copy_(sources[name])
