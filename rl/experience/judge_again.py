"""Judging a rollout once more, with the weights that are about to learn from it.

Letters: T env steps, N environments. A rollout that was played one update behind has values and
log probabilities of the weights of then. One pass without gradients gives those of now: the
proximal policy of Hilton et al. 2021, https://arxiv.org/abs/2110.00641.
"""

import torch
from jaxtyping import Float32, Shaped
from torch import Tensor

from rl.experience.rollout import Rollout
from rl.networks.body import Body

CHUNK = 256  # observations at a time


@torch.no_grad()
def judge_again(
    network: Body, rollout: Rollout, prepared: Shaped[Tensor, "TN KC H W"]
) -> dict[str, Float32[Tensor, "T N"]]:
    """Return what a rollout notes ("log_prob", "value", "next_value") as it would be noted now.

    Its observations are `prepared`. A network with a memory takes them whole, from the memory that
    they were played with. The value of the last frame of a game that its time limit cut off stays
    the one that was noted.
    """
    shape, memory, chunk = rollout.action.shape, None, CHUNK
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
    next_value = torch.where(cut, rollout.noted["next_value"], following)
    return {"log_prob": log_prob, "value": value, "next_value": next_value}
