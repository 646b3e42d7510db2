"""Draw samples of the procedural worlds: `python docs/contact_sheet.py [--png FILE] [--seed N]`.

Above: digits. Below: scenes, and some of them enlarged with boxes, captions and questions. The
sheet shows every sample twice as large as it is, the enlarged ones four times.
"""

import argparse
import textwrap
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from tasks.worlds.digits import CLASSES, digits
from tasks.worlds.scenes import Scene, pictures, scene
from tasks.worlds.things import COLOURS

WIDTH, BORDER, GAP = 1160, 20, 12
EXPLAINED_HEIGHT = 308
PAPER, INK, FAINT = (250, 250, 248), (30, 30, 34), (110, 110, 116)
PNG = Path(__file__).parent / "pictures" / "worlds.png"


def digit_rows(seed: int, rows: int) -> Image.Image:
    """Return rows that hold every digit twice."""
    picture, label = digits(seed, np.arange(100 * rows))
    of_class = [picture[label == int(name), 0] for name in CLASSES]
    lines = [
        np.concatenate([cell for cells in of_class for cell in cells[2 * row : 2 * row + 2]], 1)
        for row in range(rows)
    ]
    image = Image.fromarray(np.concatenate(lines))
    return image.resize((image.width * 2, image.height * 2), Image.Resampling.NEAREST)


def scene_rows(seed: int, rows: int, columns: int) -> Image.Image:
    """Return a grid of scenes, twice their size."""
    picture, _ = pictures(seed, np.arange(rows * columns))
    side = picture.shape[-1] * 2
    image = Image.new("RGB", (columns * (side + GAP) - GAP, rows * (side + GAP) - GAP), PAPER)
    for i, values in enumerate(picture):
        cell = Image.fromarray(values.transpose(1, 2, 0)).resize((side, side), 0)
        image.paste(cell, (i % columns * (side + GAP), i // columns * (side + GAP)))
    return image


def explained(sample: Scene, width: int) -> Image.Image:
    """Return one scene, enlarged, with its boxes and words."""
    side = sample.picture.shape[-1] * 4
    image = Image.new("RGB", (width, EXPLAINED_HEIGHT), PAPER)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    big = Image.fromarray(sample.picture.transpose(1, 2, 0)).resize((side, side), 0)
    image.paste(big, (0, 0))
    for thing, box in zip(sample.objects, sample.boxes * 4, strict=True):
        x0, y0, x1, y1 = box.tolist()
        pen.rectangle((x0, y0, x1 - 1, y1 - 1), outline=COLOURS[thing.colour], width=2)
    lines = [(line, INK) for line in sample.captions]
    lines += [(f"{asked.question}  {asked.answer}", FAINT) for asked in sample.questions]
    y = 0.0
    for line, colour in lines:
        for part in textwrap.wrap(line, (width - side - 16) // 6):
            pen.text((side + 12, y), part, colour, font)
            y += 16
        y += 3
    return image


def sheet(seed: int) -> Image.Image:
    """Return the whole sheet."""
    parts = [digit_rows(seed, rows=4), scene_rows(seed, rows=3, columns=8)]
    half = (WIDTH - 2 * BORDER) // 2
    rich = [s for s in (scene(seed, i) for i in range(100, 200)) if len(s.objects) == 4][:4]
    for pair in (rich[:2], rich[2:]):
        row = Image.new("RGB", (2 * half, EXPLAINED_HEIGHT), PAPER)
        for i, sample in enumerate(pair):
            row.paste(explained(sample, half - GAP), (i * (half + GAP), 0))
        parts.append(row)
    height = sum(part.height + BORDER for part in parts) + BORDER
    image = Image.new("RGB", (WIDTH, height), PAPER)
    y = BORDER
    for part in parts:
        image.paste(part, (BORDER, y))
        y += part.height + BORDER
    return image


def main() -> None:
    """Read the arguments, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--png", type=Path, default=PNG, help="draw into this file")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other samples")
    args = parser.parse_args()
    # Noise does not compress: the two lowest bits, which nobody sees, are half of the file.
    ImageOps.posterize(sheet(args.seed), 6).save(args.png, optimize=True)
    print(f"{args.png}: {args.png.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
