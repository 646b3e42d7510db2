"""Judging a rollout once more, with the weights that are about to learn from it.

Letters: T env steps, N environments. A rollout that was played one update behind has values and
log probabilities of the weights of then. One pass without gradients gives those of now: the
proximal policy of Hilton et al. 2021, https://arxiv.org/abs/2110.00641.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float32, Shaped
from torch import Tensor

from rl.experience.rollout import Rollout
from rl.networks.body import Body


class Judged(NamedTuple):
    """What a network of now makes of a rollout."""

    log_prob: Float32[Tensor, "T N"]  # of the actions that were taken
    value: Float32[Tensor, "T N"]
    next_value: Float32[Tensor, "T N"]  # as a rollout notes it


@torch.no_grad()
def judge_again(
    network: Body, rollout: Rollout, prepared: Shaped[Tensor, "TN KC H W"], chunk: int
) -> Judged:
    """Judge a rollout whose observations are `prepared`, `chunk` at a time.

    A network with a memory takes it whole, from the memory that it was played with. So does the
    last frame of a game that its time limit cut off: its value stays the one that was noted.
    """
    shape, memory = rollout.action.shape, None
    if rollout.hidden is not None and rollout.cell is not None:
        memory, chunk = (rollout.hidden, rollout.cell), len(prepared)
    begins = rollout.age == 0
    parts = [network.judge(part, begins[:-1], memory) for part in prepared.split(chunk)]
    log_probs = torch.cat([part.logits for part in parts]).log_softmax(-1)
    log_prob = log_probs.gather(1, rollout.action.flatten()[:, None]).view(shape)
    value = torch.cat([part.value for part in parts]).view(shape)
    last = network.step(rollout.last_obs(), parts[-1].memory, begins[-1]).value
    following = torch.cat([value[1:], last[None]])
    cut = rollout.done & ~rollout.terminated
    return Judged(log_prob, value, torch.where(cut, rollout.noted["next_value"], following))
