"""When something begins to sound, read off a cochleagram, and how that agrees with the truth.

Letters: T steps, F bands, K onsets.
"""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from tasks.sounds.cochleagram import STEPS_HZ

APART_S = 0.12
"""Of onsets that are nearer to each other only the strongest counts."""
REACH = 2  # steps over which a sound has to grow
THRESHOLD = 0.035  # growth of the compressed envelopes, an average over the bands


def onsets(heard: Float[Tensor, "T F"], threshold: float = THRESHOLD) -> Int64[Tensor, "K"]:
    """Return the steps in which something begins: where the envelopes grow most."""
    # What sounds already when a film begins, began before.
    before = torch.cat([heard[:1].expand(REACH, -1), heard[:-REACH]])[: len(heard)]
    growth = (heard - before).clamp_min(0).mean(1)
    growth[-REACH:] = 0  # a tone that is cut off clicks
    found = list[int]()
    apart = round(APART_S * STEPS_HZ)
    for step in growth.argsort(descending=True).tolist():
        if growth[step] < threshold:
            break
        if all(abs(step - other) >= apart for other in found):
            found.append(step)
    return torch.tensor(sorted(found), dtype=torch.int64)


def matched(
    found_s: Float[Tensor, "K"], true_s: Float[Tensor, "L"], within_s: float
) -> Bool[Tensor, "L"]:
    """Return which of the true onsets were found, each by another one, the earliest first."""
    left, hit = found_s.tolist(), []
    for true in true_s.tolist():
        near = [one for one in left if abs(one - true) <= within_s]
        if near:
            left.remove(near[0])
        hit.append(bool(near))
    return torch.tensor(hit, dtype=torch.bool)
