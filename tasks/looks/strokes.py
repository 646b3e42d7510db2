"""Handwriting as pictures: SVG, pixels, and an animation that draws it.

Letters: n points of a stroke, T of a line, U letters of its text.

Strokes are joined by quadratic curves through the middles between points, so that points that lie
apart do not show as corners.
"""

import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from tasks.data.strokes import Stroke

HEIGHT_PX, MARGIN = 96, 0.15  # of a line; of its height, on every side
FRAMES_PER_S, POINTS_A_FRAME = 20, 3
OVERSAMPLED = 3
BETWEEN = 6  # places of a curve between two points
MOST_WIDTH_PX = 8_000
LETTER_PX, POINT_PX = 16, 4  # of a picture of where a window lay
LAST_S = 2  # how long an animation shows the whole line


def smooth(stroke: Stroke) -> Stroke:
    """Return a stroke by places along its curves: from middle to middle between its points."""
    if len(stroke) < 3:
        return stroke
    middle = (stroke[1:] + stroke[:-1]) / 2
    begin, end = middle[:-1, None], middle[1:, None]
    at = np.linspace(0, 1, BETWEEN, endpoint=False)[None, :, None]
    curves = (1 - at) ** 2 * begin + 2 * at * (1 - at) * stroke[1:-1, None] + at**2 * end
    return np.concatenate([stroke[:1], curves.reshape(-1, 2), middle[-1:], stroke[-1:]])


def placed(strokes: Sequence[Stroke], height_px: int) -> tuple[list[Stroke], int, int]:
    """Return strokes in pixels of a picture with a margin, and the picture's width and height."""
    points = np.concatenate([*strokes])
    low, high = points.min(0), points.max(0)
    side = max(float(high[1] - low[1]), 1e-3 * float(high[0] - low[0]), 1e-9)
    scale = height_px / (side * (1 + 2 * MARGIN))
    scale = min(scale, MOST_WIDTH_PX / max(1e-9, float(high[0] - low[0]) + 2 * MARGIN * side))
    width, height = np.ceil((high - low + 2 * MARGIN * side) * scale).astype(int).clip(1).tolist()
    return [(stroke - low + MARGIN * side) * scale for stroke in strokes], width, height


def svg(strokes: Sequence[Stroke]) -> bytes:
    """Return strokes as an SVG of curves."""
    lines, width, height = placed(strokes, HEIGHT_PX)
    paths = []
    for line in lines:
        begin, *rest = [f"{x:.1f} {y:.1f}" for x, y in line]
        end = rest[-1] if rest else begin
        middles = [f"{x:.1f} {y:.1f}" for x, y in (line[1:] + line[:-1]) / 2]
        curves = " ".join(f"Q{point} {to}" for point, to in zip(rest, middles[1:], strict=False))
        first = f"L{middles[0]} " if middles else ""
        paths.append(f'<path d="M{begin} {first}{curves} L{end}"/>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}"><rect width="100%" height="100%" fill="white"/><g fill="none" '
        'stroke="black" stroke-width="2" stroke-linecap="round" stroke-linejoin="round">'
        + "".join(paths)
        + "</g></svg>\n"
    ).encode()


def pixels(strokes: Sequence[Stroke], height_px: int = HEIGHT_PX) -> UInt8[np.ndarray, "H W"]:
    """Return strokes as a grey picture, black on white."""
    lines, width, height = placed(strokes, height_px)
    return inked([smooth(line) for line in lines], width, height)


def inked(lines: Sequence[Stroke], width: int, height: int) -> UInt8[np.ndarray, "H W"]:
    """Return lines in pixels, drawn larger and made smaller so that edges are soft."""
    times = OVERSAMPLED
    image = Image.new("L", (width * times, height * times), 255)
    draw = ImageDraw.Draw(image)
    for line in lines:
        places = [(float(x) * times, float(y) * times) for x, y in line]
        if len(places) > 1:
            draw.line(places, fill=0, width=2 * times, joint="curve")
        x, y = places[0]
        draw.ellipse([x - times, y - times, x + times, y + times], fill=0)
    return np.asarray(image.resize((width, height), Image.Resampling.BOX))


def animation(strokes: Sequence[Stroke]) -> bytes:
    """Return a GIF that draws strokes as a pen would."""
    lines, width, height = placed(strokes, HEIGHT_PX)
    total, frames = sum(map(len, lines)), list[Image.Image]()
    for count in [*range(1, total, POINTS_A_FRAME), total]:
        shown, left = [], count
        for line in lines:
            if left > 0:
                shown.append(smooth(line[:left]))
            left -= len(line)
        frames.append(Image.fromarray(inked(shown, width, height)))
    out, pause = io.BytesIO(), 1000 // FRAMES_PER_S
    durations = [pause] * (len(frames) - 1) + [LAST_S * 1000]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return out.getvalue()


def looked(weights: Float[np.ndarray, "T U"]) -> UInt8[np.ndarray, "H W"]:
    """Return where a window on a text lay while it was written: a row a letter, a column a point,
    black where it lay most."""
    shades = 255 * (1 - weights / np.maximum(weights.max(), 1e-9))
    return shades.T.round().astype(np.uint8).repeat(LETTER_PX, 0).repeat(POINT_PX, 1)


def drawn(lines: Sequence[Sequence[Stroke]]) -> UInt8[np.ndarray, "H W"]:
    """Return several lines below each other as one grey picture."""
    rows = [pixels(strokes, 64) for strokes in lines]
    width = max(row.shape[1] for row in rows)
    return np.concatenate(
        [np.pad(row, ((0, 8), (0, width - row.shape[1])), constant_values=255) for row in rows]
    )
