"""Drawings on another ground than training had: turned round and stretched, or said to be faint.

Letters: C channels, H rows, W columns. Values are 0..255. Only for grey pictures on a plain ground.
"""

from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

# A border whose middle half lies so close together is a plain ground.
PLAIN = 16
# Strokes nearer to their ground than this cannot be told from noise.
FAINTEST = 24
# From its ground a picture may differ by so much and be left as it is.
NEAR = 32


def trained_ground(about: dict[str, Any]) -> int | None:
    """Return the ground of a run's training pictures: black or white; None if it is neither."""
    mean, spread = about["mean"][0], about["std"][0]
    if about["channels"] != 1:
        return None
    # Strokes take a small part of a drawing: the mean lies by its ground, and the spread is large.
    if mean < 64 and spread > mean:
        return 0
    return 255 if mean > 191 and spread > 255 - mean else None


def on_ground(picture: UInt8[Tensor, "1 H W"], wanted: int) -> tuple[UInt8[Tensor, "1 H W"], str]:
    """Return a drawing on the ground that is wanted, and what is to be said of it."""
    values = picture[0].float()
    border = torch.cat([values[0], values[-1], values[1:-1, 0], values[1:-1, -1]])
    low, ground, high = border.quantile(torch.tensor([0.25, 0.5, 0.75])).tolist()
    if high - low > PLAIN:
        return picture, ""
    away = values - ground
    furthest = away.flatten()[away.abs().argmax()].item()
    if abs(furthest) < FAINTEST:
        return picture, "nearly one shade of grey: nothing can be told from its ground"
    rises = (furthest > 0) == (wanted == 0)
    if abs(ground - wanted) <= NEAR and rises and abs(furthest) > 128:
        return picture, ""
    share = (away / furthest).clamp(0, 1) * 255
    turned = share if wanted == 0 else 255 - share
    how = "" if rises else "dark and light turned round: "
    return turned.round().to(torch.uint8)[None], f"{how}read as drawn on the training's ground"
