"""Sound from a cochleagram: envelopes imposed on noise, or the most similar example.

Letters: N points in time of a sound, T steps, F bands, E examples, W steps of an example.
"""

from functools import cache
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from backbones.training.progress import Told, untold
from tasks.sounds.cochleagram import BANDS, POWER, RATE_HZ, STEP, STEPS_HZ, responses

PERIOD = 2**16
"""Points after which the noise repeats, without a seam: it is filtered in a circle."""
CHUNK = 900  # steps at once: what a film's length does not change


@cache
def noise_bands() -> Float32[np.ndarray, "F _"]:
    """Return noise in every band, each with the effective value 1; not the same for two of them:
    where they overlap they would add up to more than they are."""
    white = np.random.default_rng(0).standard_normal((BANDS, PERIOD)).astype(np.float32)
    spectrum = torch.fft.rfft(torch.from_numpy(white))  # in half the time of numpy's
    gains = torch.from_numpy(responses(np.fft.rfftfreq(PERIOD, 1 / RATE_HZ)))
    bands = torch.fft.irfft(spectrum * gains, PERIOD).numpy()
    return np.asarray(bands / np.sqrt((bands**2).mean(1, keepdims=True)))


def from_noise(heard: Float[Tensor, "T F"], told: Told = untold) -> Float32[np.ndarray, "N"]:
    """Return noise with the envelopes of a cochleagram, as in Owens et al. 2016.

    An envelope is the average over a step; between the middles of steps it is a line.
    """
    # The analytic signal has twice the power of the sound.
    envelope = (heard.clamp_min(0) ** (1 / POWER)).numpy() / np.sqrt(2)
    steps, noise = len(envelope), noise_bands()
    out = np.zeros(steps * STEP, np.float32)
    middles = (np.arange(steps) + 0.5) * STEP
    for first in range(0, steps, CHUNK):
        told("s made", first / STEPS_HZ, steps / STEPS_HZ)
        at = np.arange(first * STEP, min(first + CHUNK, steps) * STEP)
        near = slice(max(0, first - 1), first + CHUNK + 1)
        for band in range(BANDS):
            line = np.interp(at + 0.5, middles[near], envelope[near, band])
            out[at] += line.astype(np.float32) * noise[band, at % PERIOD]
    return out


def from_examples(
    heard: Float[Tensor, "T F"],
    onsets: Int64[Tensor, "K"],
    windows: Float[Tensor, "E W F"],
    sounds: Float[Tensor, "E _"],
) -> Float32[np.ndarray, "N"]:
    """Return the sounds of the examples that come nearest to what is heard from every onset on, as
    loud as it is heard; silence before the first."""
    length, size = windows.shape[1], sounds.shape[1]
    out = torch.zeros(len(heard) * STEP + size)
    for onset, end in pairwise([*onsets.tolist(), len(heard)]):
        asked = heard[onset : onset + min(length, end - onset)]
        beside = windows[:, : len(asked)]
        scale = asked.norm() / beside.norm(dim=(1, 2)).clamp_min(1e-6)
        away = (beside * scale[:, None, None] - asked).norm(dim=(1, 2))
        best = int(away.argmin())
        louder = float(scale[best]) ** (1 / POWER)
        out[onset * STEP : onset * STEP + size] += sounds[best] * min(louder, 4.0)
    return out[: len(heard) * STEP].numpy()
