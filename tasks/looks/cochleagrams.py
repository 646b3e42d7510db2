"""Pictures of what is heard: cochleagrams of real and of predicted sounds, one above the other, and
the frames in which something begins to sound.

Letters: B films, S steps of sound, F bands, T frames, H rows, W columns, K onsets.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw
from torch import Tensor

from tasks.looks.sheet import contact_sheet, font_of

STEP_PX, BAND_PX, GAP_PX, TITLE_PX = 3, 2, 4, 16
FULL = 0.6  # the envelope that is white: compressed, an amplitude of 0.18
RED, GREEN = (220, 60, 40), (30, 150, 60)


def cochleagrams_picture(
    real: Float[Tensor, "B S F"],
    predicted: Float[Tensor, "B S F"],
    true_steps: Sequence[Sequence[int]],
    found_steps: Sequence[Sequence[int]],
) -> UInt8[np.ndarray, "H W 3"]:
    """Return a row a film: the real cochleagram with what is true marked in green below, and the
    predicted with what was found in red; low bands lie at the bottom, time goes to the right."""
    count, steps, bands = real.shape
    width, height = steps * STEP_PX, bands * BAND_PX
    row = height + GAP_PX + TITLE_PX
    image = Image.new("RGB", (2 * width + GAP_PX, count * row), "white")
    draw, font = ImageDraw.Draw(image), font_of(11)
    marks = (("real", real, true_steps, GREEN), ("predicted", predicted, found_steps, RED))
    for side, (title, heard, onsets, colour) in enumerate(marks):
        left = side * (width + GAP_PX)
        for film in range(count):
            top = film * row + TITLE_PX
            draw.text((left + 2, top - TITLE_PX + 1), title, "black", font)
            image.paste(Image.fromarray(greys(heard[film])), (left, top))
            for step in onsets[film]:
                x = left + int((step + 0.5) * STEP_PX)
                draw.line((x, top + height - 8, x, top + height + GAP_PX - 1), colour, 2)
    return np.asarray(image)


def greys(heard: Float[Tensor, "S F"]) -> UInt8[np.ndarray, "H W"]:
    """Return a cochleagram as a picture."""
    level = (heard.float() / FULL).clamp(0, 1) * 255
    picture = level.T.flip(0).round().to(torch.uint8).numpy()
    return np.kron(picture, np.ones((BAND_PX, STEP_PX), np.uint8))


def frames_at(
    frames: UInt8[Tensor, "T H W 3"], numbers: Sequence[int]
) -> UInt8[np.ndarray, "H2 W2 3"]:
    """Return the frames of these numbers, each between the one before and the one after it."""
    last = len(frames) - 1
    around = [min(max(number + away, 0), last) for number in numbers for away in (-1, 0, 1)]
    pictures = frames[torch.tensor(around)].permute(0, 3, 1, 2)
    return contact_sheet(pictures, [f"frame {number}" for number in around], 3, 128)
