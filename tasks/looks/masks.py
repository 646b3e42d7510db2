"""Label maps as people look at them: laid over their picture, or as colours, with a legend.

Letters: N pictures, H rows, W columns, A classes.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from tasks.data.formats.class_maps import Colour
from tasks.looks.sheet import font_of, stacked

GAP_PX, LEGEND_PX, LEAST_PX = 2, 18, 192


def colour_table(palette: Sequence[Colour]) -> UInt8[np.ndarray, "256 3"]:
    """Return the colour of every label; what has no class is black."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = np.asarray(palette, np.uint8)
    return table


def laid_over(
    picture: UInt8[np.ndarray, "H W 3"],
    label: UInt8[np.ndarray, "H W"],
    palette: Sequence[Colour],
    opacity: float,
) -> UInt8[np.ndarray, "H W 3"]:
    """Return a picture with the colours of its labels over it; 1 hides the picture."""
    colours = colour_table(palette)[label]
    mixed = cv2.addWeighted(colours, opacity, np.ascontiguousarray(picture), 1 - opacity, 0)
    return np.asarray(mixed, np.uint8)


def masks_sheet(
    pictures: UInt8[np.ndarray, "N 3 H W"],
    truths: UInt8[np.ndarray, "N H W"],
    answers: UInt8[np.ndarray, "N H W"],
    palette: Sequence[Colour],
    classes: Sequence[str],
    titles: Sequence[str] = (),
) -> UInt8[np.ndarray, "H2 W2 3"]:
    """Return a row a picture: the picture, its labels, what was answered; below them a legend."""
    table, rows = colour_table(palette), []
    scale = max(1, -(-LEAST_PX // pictures.shape[-1]))
    font = font_of(12)
    for n, (picture, truth, answer) in enumerate(zip(pictures, truths, answers, strict=True)):
        parts = [picture.transpose(1, 2, 0), table[truth], table[answer]]
        gap = np.full((picture.shape[1], GAP_PX, 3), 255, np.uint8)
        row = np.concatenate([parts[0], gap, parts[1], gap, parts[2]], 1)
        row = row.repeat(scale, 0).repeat(scale, 1)
        if titles:
            line = Image.new("RGB", (row.shape[1], LEGEND_PX), "white")
            ImageDraw.Draw(line).text((4, 2), titles[n], "black", font)
            row = np.concatenate([np.asarray(line), row])
        rows.append(np.pad(row, ((0, GAP_PX), (0, 0), (0, 0)), constant_values=255))
    return stacked([*rows, legend(palette, classes, rows[0].shape[1])])


def legend(
    palette: Sequence[Colour], classes: Sequence[str], width_px: int
) -> UInt8[np.ndarray, "H W 3"]:
    """Return the classes beside their colours, in as many lines as they need."""
    font, places, x, y = font_of(12), list[tuple[int, int]](), 2, 2
    for name in classes:
        need = 24 + int(font.getlength(name))
        if x + need > width_px and x > 2:
            x, y = 2, y + LEGEND_PX
        places.append((x, y))
        x += need
    image = Image.new("RGB", (width_px, y + LEGEND_PX), "white")
    draw = ImageDraw.Draw(image)
    for (left, top), colour, name in zip(places, palette, classes, strict=True):
        draw.rectangle((left, top + 2, left + 12, top + 13), colour, "black")
        draw.text((left + 16, top), name, "black", font)
    return np.asarray(image)


def shares_of(label: UInt8[np.ndarray, "H W"], classes: Sequence[str]) -> dict[str, float]:
    """Return the share of a picture that each class takes, the largest first, none of 0."""
    counts = np.bincount(label.reshape(-1), minlength=len(classes))[: len(classes)]
    order = np.argsort(-counts, kind="stable")
    return {
        classes[i]: round(float(counts[i] / label.size), 4) for i in order.tolist() if counts[i]
    }


def percents(confusion: Float[np.ndarray, "A A"]) -> Float[np.ndarray, "A A"]:
    """Return a confusion matrix as whole per cents of its rows."""
    rows = confusion.sum(1, keepdims=True)
    return np.rint(100 * confusion / np.maximum(rows, 1))
