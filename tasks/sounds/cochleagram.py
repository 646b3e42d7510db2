"""What an ear hears, coarsely: the envelopes of bands that are evenly spaced on the ERB scale.

Letters: N points in time of a sound, T steps, F bands.

The bands are half cosines on the ERB scale whose squares add up to 1 (McDermott and Simoncelli
2011, https://doi.org/10.1016/j.neuron.2011.06.032), with a low and a high one at the ends. They are
applied to the spectrum, without a phase: an envelope has its peak where the sound has it. Envelopes
are averages over a step, raised to the power 0.3 as in Owens et al. 2016
(https://arxiv.org/abs/1512.08512).
"""

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

RATE_HZ, STEPS_HZ = 16_200, 90
BANDS = 42  # 40 and one at either end
LOW_HZ, HIGH_HZ = 60.0, 7_500.0
POWER = 0.3
STEP = RATE_HZ // STEPS_HZ
"""Points of the sound in a step."""
MARGIN = 10 * STEP  # points of its mirror image at either end: what is cut off clicks less


def erb_of(hz: Float[np.ndarray, "*N"]) -> Float[np.ndarray, "*N"]:
    """Return places on the ERB scale (Glasberg and Moore 1990)."""
    return np.asarray(9.265 * np.log1p(hz / (24.7 * 9.265)))


def hz_of(erb: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    """Return frequencies of places on the ERB scale."""
    return np.asarray(24.7 * 9.265 * np.expm1(erb / 9.265))


def places() -> Float[np.ndarray, "F"]:
    """Return the middles of all bands on the ERB scale."""
    low, high = erb_of(np.array([LOW_HZ, HIGH_HZ]))
    return np.linspace(low, high, BANDS)


CENTRES_HZ = hz_of(places())


def responses(frequency_hz: Float[np.ndarray, "N"]) -> Float32[np.ndarray, "F N"]:
    """Return the gain of every band at some frequencies: half a cosine that reaches to the middles
    of its neighbours; the first stays 1 below its middle, the last above."""
    middle = places()
    place = erb_of(np.abs(frequency_hz)).clip(middle[0], middle[-1])
    away = np.abs(place[None] - middle[:, None]) / (middle[1] - middle[0])
    return np.cos(away.clip(0, 1) * np.pi / 2).astype(np.float32)


@lru_cache(2)  # most sounds of a run have one length, and the gains took longer than the rest
def gains_of(size: int) -> Float32[Tensor, "F _"]:
    """Return the gain of every band at the frequencies of a transform of so many points."""
    return torch.from_numpy(responses(np.fft.fftfreq(size, 1 / RATE_HZ)))


def cochleagram(sound: Float[Tensor, "B N"], steps: int) -> Float[Tensor, "B T F"]:
    """Return the compressed envelopes of so many steps; a shorter sound is silent at its end."""
    short = steps * STEP - sound.shape[1]
    sound = torch.nn.functional.pad(sound, (0, short))
    margin = min(MARGIN, steps * STEP - 1)
    sound = torch.nn.functional.pad(sound[:, None], (margin, margin), mode="reflect")[:, 0]
    size = sound.shape[1]
    spectrum = torch.fft.fft(sound)
    # The analytic signal: its magnitude is the envelope, without a delay.
    half = size // 2
    spectrum[:, 1:half] *= 2
    spectrum[:, half + 1 :] = 0
    out = sound.new_empty(len(sound), steps, BANDS)
    for band, gain in enumerate(gains_of(size)):  # one by one: all at once are 42 times the memory
        envelope = torch.fft.ifft(spectrum * gain).abs()[:, margin : size - margin]
        out[:, :, band] = envelope.view(len(sound), steps, STEP).square().mean(2).sqrt()
    return out**POWER


def centroid_erb(heard: Float[Tensor, "*B T F"]) -> Float[Tensor, "*B"]:
    """Return the middle of a stretch of sound on the ERB scale, bands weighed by their amplitude:
    the spectral centroid."""
    weight = (heard.clamp_min(0) ** (1 / POWER)).sum(-2)
    place = torch.from_numpy(places()).to(weight)
    return (weight * place).sum(-1) / weight.sum(-1).clamp_min(1e-9)
