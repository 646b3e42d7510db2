"""Pictures of captions: what was said beside what people say, and where the writer looked.

Letters: N pictures, C channels, H rows, W columns, T words, R rows and K columns of regions.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped, UInt8
from PIL import Image, ImageDraw
from torch import Tensor

from tasks.looks.sheet import GAP_PX, contact_sheet, fitting, font_of, plain

PICTURE_PX, TEXT_PX, LINE_PX = 128, 560, 17
COLUMNS = 6  # of words
DARKEST = 0.2  # how much of a picture is left where nobody looked


def captions_picture(
    pictures: Shaped[Tensor, "N C H W"],
    captions: Sequence[str],
    references: Sequence[Sequence[str]],
    marks: Sequence[str] | None = None,
) -> UInt8[np.ndarray, "H2 W2 3"]:
    """Return a row a picture: beside it its caption, then in grey what people say of it.

    `marks` are the colours of the captions, where they are judged.
    """
    scale = enlarged(pictures)
    sheet = contact_sheet(pictures, [""] * len(pictures), 1, scale)
    step = len(sheet) // len(pictures)
    image = Image.new("RGB", (scale + TEXT_PX, len(sheet)), "white")
    image.paste(Image.fromarray(sheet), (0, 0))
    draw, large, small = ImageDraw.Draw(image), font_of(14), font_of(12)
    fits = scale // LINE_PX - 1
    for n, (caption, texts) in enumerate(zip(captions, references, strict=True)):
        x, y = scale + 8, n * step
        colour = marks[n] if marks else "black"
        draw.text((x, y), fitting(plain(caption, large), large, TEXT_PX - 12), colour, large)
        for row, text in enumerate(texts[:fits], 1):
            line = fitting(plain(text, small), small, TEXT_PX - 12)
            draw.text((x, y + 4 + row * LINE_PX), line, "grey", small)
    return np.asarray(image)


def attention_picture(
    picture: Shaped[Tensor, "C H W"], words: Sequence[str], weights: Float[Tensor, "T R K"]
) -> UInt8[np.ndarray, "H2 W2 3"]:
    """Return the picture, then once for each word, bright where the writer looked for it.

    The brightest place of each word is as bright as the picture is.
    """
    looked = F.interpolate(weights[:, None], picture.shape[-2:], mode="bilinear")
    share = looked / looked.amax((2, 3), keepdim=True).clamp(min=1e-9)
    shown = picture.float() * (DARKEST + (1 - DARKEST) * share)
    pictures = torch.cat([picture[None].float().expand(1, *shown.shape[1:]), shown])
    columns = min(COLUMNS, len(pictures))
    return contact_sheet(pictures, ["", *words], columns, enlarged(pictures))


def enlarged(pictures: Shaped[Tensor, "N C H W"]) -> int:
    """Return the side of the smallest whole enlargement that people can see well."""
    side = max(pictures.shape[-2:])
    return side * -(-(PICTURE_PX - GAP_PX) // side)
