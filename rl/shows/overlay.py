"""What an agent's choice hangs on, laid over a game's picture.

Letters: H, W of the map, rows and columns of the picture.
"""

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

GLOW = np.array((255, 70, 40), np.float32)
MOST, LEVELS = 0.75, 6  # how much of the picture the glow hides, and in how many steps


def overlaid(
    picture: UInt8[np.ndarray, "rows columns 3"], heat: Float32[np.ndarray, "H W"]
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Return a picture under a glow where `heat`, 0 to 1, is large.

    The glow has a few levels: pictures are sent without loss, and smooth ones would be large.
    """
    rows, columns, _ = picture.shape
    fitted = cv2.resize(heat, (columns, rows), interpolation=cv2.INTER_LINEAR)
    share = np.floor(fitted * LEVELS)[:, :, None] * (MOST / LEVELS)
    return np.round(picture * (1 - share) + GLOW * share).astype(np.uint8)
