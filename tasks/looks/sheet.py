"""Pictures of results: contact sheets with titles, confusion matrices, alignments; uint8 arrays."""

import contextlib
import unicodedata
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

TITLE_PX = 14
GAP_PX = 2
CELL_PX = 22
ALIGNED_PX = 28  # of a cell of an alignment: TensorBoard shrinks pictures
FONTS = ("DejaVuSans.ttf", "Arial Unicode.ttf", "Arial.ttf")


def font_of(size_px: int) -> ImageFont.FreeTypeFont:
    """Return a font of this system with letters of many languages, or Pillow's own, which has
    English ones only."""
    for name in FONTS:
        with contextlib.suppress(OSError):
            return ImageFont.truetype(name, size_px)
    own = ImageFont.load_default(size_px)
    assert isinstance(own, ImageFont.FreeTypeFont), "Pillow's wheels have FreeType"
    return own


def plain(text: str, font: ImageFont.FreeTypeFont) -> str:
    """Return a text without the accents that Pillow's own font would draw as boxes."""
    if font.getname()[0] != "Aileron":
        return text
    letters = unicodedata.normalize("NFKD", text)
    return "".join(c for c in letters if not unicodedata.combining(c))


def contact_sheet(
    pictures: Shaped[Tensor, "N C H W"], titles: Sequence[str], columns: int = 6, side_px: int = 84
) -> UInt8[np.ndarray, "H2 W2 3"]:
    """Return pictures in rows, each in a square of a side, with a title below.

    Small ones are enlarged by a whole number, so that every pixel is as large as the others.
    """
    largest = max(pictures.shape[-2:])
    scale = max(1, side_px // largest)
    rows, font, step = -(-len(pictures) // columns), font_of(11), side_px + GAP_PX
    sheet = Image.new("RGB", (columns * step, rows * (step + TITLE_PX)), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (picture, title) in enumerate(zip(pictures, titles, strict=True)):
        pixels = picture.to(torch.uint8).expand(3, -1, -1).permute(1, 2, 0).numpy()
        image = Image.fromarray(pixels)
        if largest <= side_px:
            size = (image.width * scale, image.height * scale)
            image = image.resize(size, Image.Resampling.NEAREST)
        else:
            image.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
        x, y = i % columns * step, i // columns * (step + TITLE_PX)
        sheet.paste(image, (x, y))
        draw.text((x + 2, y + side_px), fitting(title, font, side_px - 2), "black", font)
    return np.asarray(sheet)


def stacked(pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> UInt8[np.ndarray, "H2 W2 3"]:
    """Return pictures one below the other, on white where they are narrower than the widest."""
    widest = max(picture.shape[1] for picture in pictures)
    rooms = [((0, 0), (0, widest - picture.shape[1]), (0, 0)) for picture in pictures]
    parts = zip(pictures, rooms, strict=True)
    return np.concatenate([np.pad(part, room, constant_values=255) for part, room in parts])


def fitting(text: str, font: ImageFont.FreeTypeFont, most_px: int) -> str:
    """Return a text, or as much of its beginning as fits a width, with dots behind."""
    if font.getlength(text) <= most_px:
        return text
    while text and font.getlength(f"{text}...") > most_px:
        text = text[:-1]
    return f"{text}..."


def written_up(text: str, size: tuple[int, int], font: ImageFont.FreeTypeFont) -> Image.Image:
    """Return a text that reads upward, for the head of a narrow column; `size` is as it lies."""
    label = Image.new("RGB", size, "white")
    ImageDraw.Draw(label).text((4, 4), text, "black", font)
    return label.rotate(90, expand=True)


def confusion_picture(
    confusion: Float[Tensor, "A A"], classes: Sequence[str]
) -> UInt8[np.ndarray, "H W 3"]:
    """Return a confusion matrix: rows are the truth, columns the answers, mistakes in red.

    Shades are shares of a row; the counts of mistakes are written.
    """
    font = font_of(12)
    names = [fitting(plain(name, font), font, 140) for name in classes]
    left = 12 + int(max(map(font.getlength, names)))
    cell = max(CELL_PX, 6 + int(font.getlength(str(int(confusion.max())))))
    image = Image.new("RGB", (left + cell * len(names) + 4,) * 2, "white")
    draw = ImageDraw.Draw(image)
    share = confusion / confusion.sum(1, keepdim=True).clamp(min=1)
    for row, name in enumerate(names):
        y = left + cell * row
        draw.text((4, y + 4), name, "black", font)
        image.paste(written_up(name, (left, cell - 2), font), (y, 0))
        for column in range(len(names)):
            x, value = left + cell * column, float(share[row, column])
            strength = 1 - (value if row == column else min(1.0, 10 * value))
            fade = int(255 * strength)
            colour = (fade, fade, 255) if row == column else (255, fade, fade)
            draw.rectangle((x, y, x + cell - 1, y + cell - 1), colour)
            count = int(confusion[row, column])
            if row != column and count:
                draw.text((x + 3, y + 4), str(count), "black", font)
    return np.asarray(image)


def alignment_picture(
    source: Sequence[str], target: Sequence[str], weights: Float[Tensor, "T S"]
) -> UInt8[np.ndarray, "H W 3"]:
    """Return where a writer looked: a row for each piece written, dark where it looked most."""
    font = font_of(16)
    # Few fonts have a sign for where a word begins.
    source, target = (
        [plain(piece.replace("▁", "_"), font) for piece in each] for each in (source, target)
    )
    left, top = (
        8 + int(max(font.getlength(piece) for piece in pieces)) for pieces in (target, source)
    )
    size = (left + ALIGNED_PX * len(source) + 4, top + ALIGNED_PX * len(target) + 4)
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    for column, piece in enumerate(source):
        image.paste(written_up(piece, (top, ALIGNED_PX), font), (left + ALIGNED_PX * column, 0))
    for row, piece in enumerate(target):
        y = top + ALIGNED_PX * row
        draw.text((4, y + 4), piece, "black", font)
        for column in range(len(source)):
            x, fade = left + ALIGNED_PX * column, 255 - int(255 * float(weights[row, column]))
            draw.rectangle((x, y, x + ALIGNED_PX - 2, y + ALIGNED_PX - 2), (fade, fade, 255))
    return np.asarray(image)
