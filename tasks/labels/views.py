"""The views of pictures that an answer is averaged over.

Letters: B pictures, C channels, H rows, W columns.
"""

from typing import Literal

import torch.nn.functional as F
from jaxtyping import Shaped
from torch import Tensor

Views = Literal["none", "flip", "shift"]


def views(picture: Shaped[Tensor, "B C H W"], kind: Views) -> list[Shaped[Tensor, "B C H W"]]:
    """Return the pictures, and with them their mirror images or what four shifts make of them."""
    if kind == "flip":
        return [picture, picture.flip(-1)]
    if kind == "none":
        return [picture]
    padded = F.pad(picture.float(), (1, 1, 1, 1), "replicate")
    height, width = picture.shape[-2:]
    shifts = ((0, 1), (2, 1), (1, 0), (1, 2))
    return [picture, *(padded[..., y : y + height, x : x + width] for y, x in shifts)]
