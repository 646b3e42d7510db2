"""What real sounds a film's sound is put together from.

Letters: E examples, W steps of an example, F bands, N points in time of an example.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from backbones.training.errors import UserError
from tasks.sounds.cochleagram import RATE_HZ, STEP, STEPS_HZ, cochleagram
from tasks.sounds.films import STEPS, Clip

EXAMPLE = 36  # steps: 0.4 s
FADE = 80  # points over which an example ends: 5 ms


@dataclass(frozen=True)
class Examples:
    """Real sounds from a hit on, and what is heard of them."""

    windows: Float[Tensor, "E W F"]
    sounds: Float[Tensor, "E N"]


def examples_of(clips: Sequence[Clip]) -> Examples:
    """Return the sounds of all hits in clips, each up to the next one; UserError without any."""
    pieces, before = [], round(0.5 * STEP)
    for clip in clips:
        ends = [*clip.times_s[1:], STEPS / STEPS_HZ]
        for begin, end in zip(clip.times_s, ends, strict=True):
            first = max(0, int(begin * RATE_HZ) - before)
            last = min(int(end * RATE_HZ) - before, first + EXAMPLE * STEP)
            piece = np.zeros(EXAMPLE * STEP, np.float32)
            piece[: max(0, last - first)] = clip.sound[first : max(first, last)]
            fade = np.linspace(1, 0, FADE, dtype=np.float32)
            if last - first > FADE:
                piece[last - first - FADE : last - first] *= fade
                pieces.append(piece)
    if not pieces:
        raise UserError("no training film has a hit; --synthesis example needs some")
    sounds = torch.from_numpy(np.stack(pieces))
    return Examples(cochleagram(sounds, EXAMPLE), sounds)
