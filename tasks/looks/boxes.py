"""Boxes, names and masks drawn onto pictures; truth beside answers; curves of precision.

Letters: N pictures, H rows, W columns, R points of recall, T thresholds of IoU.
"""

import colorsys
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from backbones.training.log import Board
from tasks.data.formats.rle import mask_of, runs_in
from tasks.looks.sheet import fitting, font_of, plain
from tasks.scores.detection import Seen, overlaps

SHOWN_PX = 256  # the shorter side of what is drawn on: smaller pictures are enlarged
TINT = 0.45  # of a mask's colour
GAP_PX, TITLE_PX, COLUMNS = 4, 16, 4
CURVE_PX, MARGIN_PX = 320, 40
GOLDEN = 0.61803398875  # of a circle of hues: neighbours differ as much as can be
Pixels = UInt8[np.ndarray, "_ _ 3"]


def colour_of(number: int) -> tuple[int, int, int]:
    """Return a class's colour."""
    red, green, blue = colorsys.hsv_to_rgb(number * GOLDEN % 1, 0.85, 1.0)
    return int(255 * red), int(255 * green), int(255 * blue)


def with_objects(
    pixels: UInt8[np.ndarray, "H W 3"], seen: Seen, classes: Sequence[str], *, sure: bool
) -> Pixels:
    """Return a picture with what was seen in it, the likeliest in front: masks, boxes and names,
    and how sure that is if it was found and is not the truth. Small pictures are enlarged by a
    whole number."""
    height, width = pixels.shape[:2]
    scale = max(1, -(-SHOWN_PX // min(height, width)))
    drawn = pixels.copy()
    order = np.argsort(seen.score, kind="stable").tolist()
    for n in order if seen.masks is not None else []:
        assert seen.masks is not None
        inside = mask_of(runs_in(seen.masks[n]), height, width)
        tint = np.array(colour_of(int(seen.label[n])))
        drawn[inside] = (drawn[inside] * (1 - TINT) + tint * TINT).astype(np.uint8)
    image = Image.fromarray(drawn)
    image = image.resize((width * scale, height * scale), Image.Resampling.NEAREST)
    draw, font = ImageDraw.Draw(image), font_of(12)
    for n in order:
        x0, y0, x1, y1 = (seen.boxes[n] * scale).tolist()
        colour = colour_of(int(seen.label[n]))
        draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=colour, width=2)
        name = plain(classes[int(seen.label[n]) - 1], font)
        text = f"{name} {seen.score[n]:.0%}" if sure else name
        left, top = min(x0, image.width - font.getlength(text) - 4), max(0, y0 - 15)
        draw.rectangle((left, top, left + font.getlength(text) + 4, top + 15), fill=colour)
        draw.text((left + 2, top), text, "black", font)
    return np.asarray(image)


def beside(
    pictures: Sequence[UInt8[np.ndarray, "H W 3"]],
    truth: Sequence[Seen],
    answers: Sequence[Seen],
    classes: Sequence[str],
    titles: Sequence[str],
    columns: int = COLUMNS,
) -> Pixels:
    """Return every picture with what is there on the left, and what was found on the right."""
    pairs = []
    for pixels, there, found in zip(pictures, truth, answers, strict=True):
        left = with_objects(pixels, there, classes, sure=False)
        gap = np.full((len(left), GAP_PX, 3), 255, np.uint8)
        right = with_objects(pixels, found, classes, sure=True)
        pairs.append(np.concatenate([left, gap, right], 1))
    columns = min(columns, len(pairs))
    tall, wide = (max(pair.shape[n] for pair in pairs) for n in (0, 1))
    rows, font = -(-len(pairs) // columns), font_of(12)
    step_x, step_y = wide + 2 * GAP_PX, tall + TITLE_PX + GAP_PX
    sheet = Image.new("RGB", (columns * step_x, rows * step_y), "white")
    draw = ImageDraw.Draw(sheet)
    for n, (pair, title) in enumerate(zip(pairs, titles, strict=True)):
        x, y = n % columns * step_x, n // columns * step_y
        sheet.paste(Image.fromarray(pair), (x, y + TITLE_PX))
        draw.text((x + 2, y), fitting(title, font, wide - 4), "black", font)
    return np.asarray(sheet)


def shown_part(found: Seen, threshold: float) -> Seen:
    """Return what was found and is likely enough to be shown."""
    kept = np.flatnonzero(found.score >= threshold)
    masks = None if found.masks is None else tuple(found.masks[n] for n in kept.tolist())
    return Seen(
        found.boxes[kept], found.label[kept], found.score[kept], found.size, masks, found.shown
    )


def in_square(seen: Seen, side_px: int) -> Seen:
    """Return what is in a picture as it lies in the square that the picture is fitted into, its
    masks only where the picture is that square."""
    if seen.size == (side_px, side_px):
        return seen
    boxes = seen.boxes * (side_px / max(seen.size))
    return Seen(boxes, seen.label, seen.score, (side_px, side_px))


def mistakes(there: Seen, found: Seen) -> tuple[int, int]:
    """Return how many objects were missed, and how much was found that is not there: an answer is
    right with the same class and an IoU of a half, once an object."""
    single, left = there.score == 0, set[int](range(len(there.label)))
    wrong = 0
    for n in np.argsort(-found.score, kind="stable").tolist():
        same = [m for m in left if there.label[m] == found.label[n]]
        overlap = overlaps(found.boxes[n], there.boxes[same]) if same else np.zeros(1)
        if overlap.max() < 0.5:
            wrong += 1
        elif single[best := same[int(overlap.argmax())]]:
            left.remove(best)
    return sum(bool(single[m]) for m in left), wrong


def curve_picture(
    precision: Float[np.ndarray, "T R"], titles: Sequence[str]
) -> UInt8[np.ndarray, "H W 3"]:
    """Return curves of precision over recall, each from 0 to 1, with the area under each."""
    size = CURVE_PX + 2 * MARGIN_PX
    image = Image.new("RGB", (size, size), "white")
    draw, font = ImageDraw.Draw(image), font_of(12)
    for tenth in range(0, 11, 2):
        place = MARGIN_PX + CURVE_PX * tenth / 10
        draw.line((place, MARGIN_PX, place, size - MARGIN_PX), (225, 225, 225))
        draw.line((MARGIN_PX, place, size - MARGIN_PX, place), (225, 225, 225))
        draw.text((place - 8, size - MARGIN_PX + 4), f"{tenth / 10:.1f}", "black", font)
        draw.text((10, size - place - 7), f"{tenth / 10:.1f}", "black", font)
    draw.text((MARGIN_PX, 4), "precision over recall", "black", font)
    for n, (row, title) in enumerate(zip(precision, titles, strict=True)):
        colour = colour_of(n + 1)
        points = [
            (MARGIN_PX + CURVE_PX * x, size - MARGIN_PX - CURVE_PX * y)
            for x, y in zip(np.linspace(0, 1, len(row)).tolist(), row.tolist(), strict=True)
        ]
        draw.line(points, colour, 3)
        text = f"{title}: {row.mean():.3f}"
        draw.text((MARGIN_PX + 8, size - MARGIN_PX - 20 - 16 * n), text, colour, font)
    return np.asarray(image)


def show_detections(
    board: Board,
    progress: int,
    pictures: Sequence[UInt8[np.ndarray, "H W 3"]],
    truth: Sequence[Seen],
    answers: Sequence[Seen],
    classes: Sequence[str],
) -> None:
    """Write the first pictures with truth and answer, and those with the most mistakes."""
    counted = [mistakes(*each) for each in zip(truth, answers, strict=True)]
    titles = [f"{missed} missed, {wrong} wrong" for missed, wrong in counted]
    order = sorted(range(len(counted)), key=lambda n: -sum(counted[n]))
    for name, chosen in (("detections", range(min(8, len(counted)))), ("worst", order[:12])):
        sheet = beside(
            [pictures[n] for n in chosen],
            [truth[n] for n in chosen],
            [answers[n] for n in chosen],
            classes,
            [titles[n] for n in chosen],
        )
        board.picture(progress, f"val/{name}", sheet)
