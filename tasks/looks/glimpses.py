"""Where a network looked, one look after the other, and what it saw there.

Letters: C channels, H rows, W columns, T looks, S scales, P rows and columns of a patch.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Shaped, UInt8
from PIL import Image, ImageDraw
from torch import Tensor

from tasks.looks.sheet import TITLE_PX, fitting, font_of, plain

SIDE_PX = 168  # of a picture at least: smaller ones are enlarged by a whole number
GAP_PX = 4
NOW, BEFORE = (255, 96, 0), (0, 160, 255)


def look_pictures(
    picture: Shaped[Tensor, "C H W"],
    place: Float[Tensor, "T 2"],
    patches: Float[Tensor, "T S C P P"],
    titles: Sequence[str],
) -> UInt8[np.ndarray, "T H2 W2 3"]:
    """Return a picture for every look: the way there over the whole picture with a frame round
    each patch, a title, and below it the patches as they were seen."""
    frames = [
        look_picture(picture, place[: number + 1], patches[number], title)
        for number, title in enumerate(titles)
    ]
    return np.stack(frames)


def side_by_side(frames: UInt8[np.ndarray, "T H W 3"]) -> UInt8[np.ndarray, "H W2 3"]:
    """Return frames in one row, with gaps between them."""
    around = ((0, 0), (0, 0), (0, GAP_PX), (0, 0))
    return np.concatenate(list(np.pad(frames, around, constant_values=255)), 1)


def look_picture(
    picture: Shaped[Tensor, "C H W"],
    place: Float[Tensor, "T 2"],
    patches: Float[Tensor, "S C P P"],
    title: str,
) -> UInt8[np.ndarray, "H2 W2 3"]:
    """Return the picture of the last of some looks."""
    height, width = picture.shape[-2:]
    scale = max(1, -(-SIDE_PX // max(height, width)))
    large = enlarged(colours(picture), width * scale, height * scale)
    draw_way(large, place, [patches.shape[-1] * 2**n * scale for n in range(len(patches))])
    # The patches share the width, with a gap between two.
    side = min((large.width + GAP_PX) // len(patches) - GAP_PX, SIDE_PX // 2)
    below = large.height + TITLE_PX
    sheet = Image.new("RGB", (large.width, below + side + GAP_PX), "white")
    sheet.paste(large, (0, 0))
    font = font_of(11)
    text = fitting(plain(title, font), font, large.width - 2)
    ImageDraw.Draw(sheet).text((2, large.height), text, "black", font)
    for number, patch in enumerate(patches):
        sheet.paste(enlarged(colours(patch), side, side), (number * (side + GAP_PX), below))
    return np.asarray(sheet)


def draw_way(large: Image.Image, place: Float[Tensor, "T 2"], sides_px: Sequence[int]) -> None:
    """Draw the way over an enlarged picture, and a frame round each patch at its end."""
    draw = ImageDraw.Draw(large)
    way = [((x + 1) / 2 * large.width, (y + 1) / 2 * large.height) for x, y in place.tolist()]
    if len(way) > 1:
        draw.line(way, BEFORE, 2)
    for x, y in way[:-1]:
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), BEFORE)
    x, y = way[-1]
    for side in sides_px:
        left, top = x - side / 2, y - side / 2
        draw.rectangle((left, top, left + side - 1, top + side - 1), outline=NOW, width=2)


def enlarged(pixels: UInt8[np.ndarray, "H W 3"], width: int, height: int) -> Image.Image:
    """Return pixels as squares."""
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST)


def colours(picture: Shaped[Tensor, "C H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """Return a grey picture or one in colour as pixels in colour."""
    pixels = picture.float().round().clamp(0, 255).byte().permute(1, 2, 0).expand(-1, -1, 3)
    return np.ascontiguousarray(pixels.numpy())
