"""What stands and moves beside a road: houses, trees, poles, signs, fences, cars, people, cyclists.

Each is drawn at a place of the scene (x, z in metres; see `tasks/worlds/road_canvas.py`), in the
class that CamVid's labels give it: windows belong to their house, a lorry is a car, a rider and the
bicycle are one, traffic lights are signs, hedges and grass are trees.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from tasks.worlds.chance import between
from tasks.worlds.road_canvas import (
    BICYCLIST,
    BUILDING,
    CAR,
    FENCE,
    NEAREST_M,
    PEDESTRIAN,
    POLE,
    SIGN,
    TREE,
    Canvas,
    Colour,
    Real,
)

BRICKS = ((150, 95, 75), (175, 150, 120), (120, 100, 90), (205, 200, 190), (95, 85, 85))
LEAVES = ((70, 95, 50), (95, 110, 60), (60, 75, 50), (120, 110, 90), (105, 95, 80))
PAINTS = (
    (30, 32, 38),
    (190, 190, 195),
    (120, 125, 130),
    (150, 30, 30),
    (40, 60, 120),
    (225, 225, 225),
    (40, 85, 60),
)
CLOTHES = ((35, 35, 45), (60, 60, 70), (130, 40, 40), (50, 70, 120), (170, 165, 150), (90, 80, 60))
SIGNS = ((200, 40, 40), (40, 70, 170), (235, 235, 230), (230, 190, 40), (30, 110, 60))
POLES = ((70, 72, 75), (120, 122, 125), (165, 168, 165), (45, 55, 50))
FENCES = ((60, 60, 62), (140, 120, 95), (170, 165, 155), (95, 65, 50), (60, 80, 60))


def chosen(
    rng: np.random.Generator, colours: Sequence[tuple[int, int, int]], spread: float = 14.0
) -> Colour:
    """Return one of some colours, a little changed."""
    base = colours[int(rng.integers(len(colours)))]
    red, green, blue = (value + between(rng, -spread, spread) for value in base)
    return red, green, blue


def times(colour: Colour, factor: Real) -> Colour:
    """Return a colour that is lighter or darker."""
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def house(
    rng: np.random.Generator, canvas: Canvas, x: Real, near: Real, far: Real, height: Real
) -> None:
    """Draw the front of a house along the road, from `near` to `far`, and the end that is seen."""
    colour, side = chosen(rng, BRICKS, 22.0), 1.0 if x < 0 else -1.0
    depth = x - side * between(rng, 5.0, 10.0)
    end = [(x, 0.0, near), (depth, 0.0, near), (depth, height, near), (x, height, near)]
    canvas.surface(end, times(colour, 0.75), BUILDING)
    front = [(x, 0.0, near), (x, 0.0, far), (x, height, far), (x, height, near)]
    canvas.surface(front, colour, BUILDING, side)
    if rng.random() < 0.5:
        roof, top = chosen(rng, ((80, 70, 75), (110, 75, 65))), height + between(rng, 1.0, 2.5)
        back = x - side * 2.5
        slope = [(x, height, near), (x, height, far), (back, top, far), (back, top, near)]
        canvas.surface(slope, roof, BUILDING)
    windows(rng, canvas, x, near, far, height, side)


def windows(
    rng: np.random.Generator,
    canvas: Canvas,
    x: Real,
    near: Real,
    far: Real,
    height: Real,
    side: Real,
) -> None:
    """Draw rows of windows on a front, and perhaps a shop below."""
    pane, storey = chosen(rng, ((50, 55, 65), (85, 95, 110), (40, 40, 45))), between(rng, 2.8, 3.6)
    begin = max(near, NEAREST_M * 2)
    if rng.random() < 0.45:
        shop = chosen(rng, (*SIGNS, *PAINTS), 30.0)
        band = [(x, 2.7, begin), (x, 2.7, far), (x, 3.3, far), (x, 3.3, begin)]
        canvas.surface(band, shop, BUILDING, side)
        glass = [(x, 0.6, begin), (x, 0.6, far), (x, 2.5, far), (x, 2.5, begin)]
        canvas.surface(glass, pane, BUILDING, side)
    if canvas.camera.size_px(storey, near) < 8:
        return
    pitch, wide = between(rng, 2.0, 3.4), between(rng, 0.9, 1.5)
    for floor in range(1, min(6, int(height / storey))):
        low = floor * storey + 0.8
        high = min(low + storey * 0.5, height - 0.3)
        for number in range(min(8, int((far - begin) / pitch))):
            z = begin + number * pitch + 0.5
            frame = [(x, low, z), (x, low, z + wide), (x, high, z + wide), (x, high, z)]
            canvas.surface(frame, pane, None, side)


def tree(rng: np.random.Generator, canvas: Canvas, x: Real, z: Real, height: Real) -> None:
    """Draw a tree in leaf, or a bare one through which one sees what is behind it."""
    camera, light = canvas.camera, canvas.light
    foot, top = camera.seen(x, 0, z), camera.seen(x, height, z)
    bark = light.shade(chosen(rng, ((75, 65, 55), (55, 48, 42))), z)
    canvas.line(foot, (top[0], (foot[1] + top[1]) / 2), camera.size_px(0.35, z), bark, TREE)
    radius = camera.size_px(height * between(rng, 0.25, 0.38), z)
    middle = top[0], top[1] + radius
    colour = chosen(rng, LEAVES)
    if rng.random() < 0.25:
        branches(rng, canvas, middle, radius, bark)
        return
    for _ in range(int(rng.integers(6, 11))):
        angle, away = between(rng, 0.0, 2 * np.pi), between(rng, 0.0, 0.75) * radius
        place = middle[0] + away * np.cos(angle), middle[1] + away * np.sin(angle) * 1.1
        size = radius * between(rng, 0.35, 0.65)
        shade = between(rng, 0.65, 1.2)
        leaf = light.shade(times(colour, shade), z)
        canvas.ellipse(place, (size, size), leaf, TREE)


def branches(
    rng: np.random.Generator, canvas: Canvas, middle: tuple[Real, Real], radius: Real, bark: Colour
) -> None:
    """Draw a bare crown: all of it is tree, as it is labelled, though the sky shines through."""
    angles = np.sort(rng.random(9)) * 2 * np.pi
    reach = radius * (0.75 + 0.35 * rng.random(9))
    outline = np.stack([middle[0] + reach * np.cos(angles), middle[1] + reach * np.sin(angles)], 1)
    corners = np.rint(outline).astype(np.int32)
    cv2.fillPoly(canvas.label, [corners], (TREE,))
    foot = middle[0], middle[1] + radius
    for x, y in outline:
        canvas.line(foot, (x, y), 1, bark, None)
        between_them = (foot[0] + 2 * middle[0]) / 3, (foot[1] + 2 * middle[1]) / 3
        canvas.line(between_them, ((x + middle[0]) / 2, y), 1, bark, None)


def hedge(rng: np.random.Generator, canvas: Canvas, x: Real, near: Real, far: Real) -> None:
    """Draw a hedge along the road."""
    colour, height = chosen(rng, LEAVES), between(rng, 0.8, 2.2)
    count = 6
    for number in reversed(range(count)):
        begin = near + (far - near) * number / count
        end = near + (far - near) * (number + 1) / count
        top = height * between(rng, 0.8, 1.2)
        shade = between(rng, 0.75, 1.15)
        wall = [(x, 0.0, begin), (x, 0.0, end), (x, top, end), (x, top, begin)]
        canvas.surface(wall, times(colour, shade), TREE)


def fence(rng: np.random.Generator, canvas: Canvas, x: Real, near: Real, far: Real) -> None:
    """Draw a fence or a low wall along the road."""
    colour, height = chosen(rng, FENCES), between(rng, 0.9, 1.8)
    side = 1.0 if x < 0 else -1.0
    wall = [(x, 0.0, near), (x, 0.0, far), (x, height, far), (x, height, near)]
    canvas.surface(wall, colour, FENCE, side)
    if rng.random() < 0.3:
        return
    gap = chosen(rng, ((120, 115, 105), (90, 95, 80), (150, 145, 135)))
    z, step = near, (far - near) / 14
    while z < far - step / 2:
        hole = [(x, 0.15, z), (x, 0.15, z + step * 0.55)]
        hole += [(x, height * 0.85, z + step * 0.55), (x, height * 0.85, z)]
        canvas.surface(hole, gap, None, side)
        z += step


def pole(rng: np.random.Generator, canvas: Canvas, x: Real, z: Real) -> None:
    """Draw a lamp post, a post with a sign, or a traffic light."""
    camera = canvas.camera
    kind = int(rng.integers(4))
    height = between(rng, 6.0, 9.5) if kind < 2 else between(rng, 2.6, 4.0)
    colour = canvas.light.shade(chosen(rng, POLES), z)
    foot, top = camera.seen(x, 0, z), camera.seen(x, height, z)
    width = camera.size_px(between(rng, 0.12, 0.22), z)
    canvas.line(foot, top, width, colour, POLE)
    inward = -1.0 if x > 0 else 1.0
    if kind == 0:
        arm = camera.seen(x + inward * 1.6, height + 0.2, z)
        canvas.line(top, arm, width * 0.7, colour, POLE)
    if kind == 1 and rng.random() < 0.5:
        sign(rng, canvas, x, between(rng, 2.3, 3.2), z)
    if kind == 2:
        sign(rng, canvas, x, height - 0.2, z)
    if kind == 3:
        traffic_light(rng, canvas, x, height - 0.5, z)


def sign(rng: np.random.Generator, canvas: Canvas, x: Real, y: Real, z: Real) -> None:
    """Draw a round, square or triangular sign."""
    column, row = canvas.camera.seen(x, y, z)
    half = canvas.camera.size_px(between(rng, 0.35, 0.6), z)
    colour = canvas.light.shade(chosen(rng, SIGNS), z)
    inner = canvas.light.shade(chosen(rng, ((235, 235, 230), (40, 60, 150), (60, 60, 60))), z)
    shape = int(rng.integers(3))
    if shape == 0:
        canvas.ellipse((column, row), (half, half), colour, SIGN)
        canvas.ellipse((column, row), (half * 0.6, half * 0.6), inner, None)
        return
    top, tall = (0.0 if shape == 1 else half), half * between(rng, 0.8, 1.6)
    for size, paint, kind in ((1.0, colour, SIGN), (0.6, inner, None)):
        corners = [
            (column - half * size, row + tall * size),
            (column + half * size, row + tall * size),
            (column + (half - top) * size, row - tall * size),
            (column - (half - top) * size, row - tall * size),
        ]
        canvas.fill(corners, paint, kind)


def traffic_light(rng: np.random.Generator, canvas: Canvas, x: Real, y: Real, z: Real) -> None:
    """Draw a traffic light."""
    column, row = canvas.camera.seen(x, y, z)
    half, tall = canvas.camera.size_px(0.25, z), canvas.camera.size_px(0.6, z)
    box = [(-half, -tall), (half, -tall), (half, tall), (-half, tall)]
    canvas.fill([(column + dx, row + dy) for dx, dy in box], (25, 27, 28), SIGN)
    place, colour = ((-0.6, (230, 40, 30)), (0.0, (240, 180, 40)), (0.6, (40, 220, 120)))[
        int(rng.integers(3))
    ]
    canvas.ellipse((column, row + place * tall), (half * 0.7, half * 0.7), colour, None)


def car(rng: np.random.Generator, canvas: Canvas, x: Real, z: Real, *, oncoming: bool) -> None:
    """Draw a car, a van or a bus."""
    size = rng.random()
    wide, tall, long = (2.4, 3.1, 9.0) if size > 0.95 else (1.9, 2.1, 4.8)
    if size < 0.85:
        wide, tall, long = between(rng, 1.6, 1.85), between(rng, 1.35, 1.6), between(rng, 3.6, 4.5)
    paint = chosen(rng, PAINTS)
    left, right, back = x - wide / 2, x + wide / 2, z + long
    shadow = [(left - 0.15, 0.0, z - 0.2), (right + 0.15, 0.0, z - 0.2)]
    canvas.surface([*shadow, (right, 0.0, back), (left, 0.0, back)], (35, 35, 38), None)
    belt = tall * (0.58 if size < 0.85 else 0.5)
    box(canvas, (left, right), (0.25, belt), (z, back), paint)
    inset, begin = (0.22, 0.35 if oncoming is False else 1.1) if size < 0.85 else (0.03, 0.05)
    dark = chosen(rng, ((45, 50, 58), (70, 78, 88)), 8.0)
    box(canvas, (left + inset, right - inset), (belt, tall), (z + begin, back - 0.6), dark)
    roof = [(left + inset, tall, z + begin), (right - inset, tall, z + begin)]
    roof += [(right - inset, tall * 0.94, z + begin), (left + inset, tall * 0.94, z + begin)]
    canvas.surface(roof, paint, CAR)
    for side in (left + 0.05, right - 0.35):
        tyre = [(side, 0.0, z), (side + 0.3, 0.0, z), (side + 0.3, 0.35, z), (side, 0.35, z)]
        canvas.surface(tyre, (22, 22, 24), CAR)
        lamp = (245, 240, 210) if oncoming else (190, 25, 25)
        low, high = belt * 0.65, belt * 0.9
        glow = [(side, low, z), (side + 0.3, low, z), (side + 0.3, high, z), (side, high, z)]
        canvas.surface(glow, lamp, CAR)


def box(
    canvas: Canvas,
    across: tuple[Real, Real],
    up: tuple[Real, Real],
    along: tuple[Real, Real],
    colour: Colour,
) -> None:
    """Draw a box of a car: its outline, darker, and the end that faces the camera."""
    corners = [canvas.camera.seen(x, y, z) for x in across for y in up for z in along]
    hull = cv2.convexHull(np.asarray(corners, np.float32))[:, 0]
    shaded = canvas.light.shade(times(colour, 0.8), along[0])
    canvas.fill([(float(x), float(y)) for x, y in hull], shaded, CAR)
    (left, right), (low, high), (near, _) = across, up, along
    end = [(left, low, near), (right, low, near), (right, high, near), (left, high, near)]
    canvas.surface(end, colour, CAR)


def person(
    rng: np.random.Generator,
    canvas: Canvas,
    x: Real,
    z: Real,
    kind: int = PEDESTRIAN,
    lift_m: Real = 0.0,
) -> None:
    """Draw somebody who walks, or sits on a bicycle that is `lift_m` high."""
    camera, light = canvas.camera, canvas.light
    tall = between(rng, 1.5, 1.85) + lift_m
    coat, legs = (light.shade(chosen(rng, CLOTHES), z) for _ in range(2))
    skin = light.shade(chosen(rng, ((205, 165, 140), (120, 85, 65), (60, 45, 35))), z)
    thick = camera.size_px(0.16, z)
    hip = camera.seen(x, 0.8 + lift_m * 0.7, z)
    for stride in (-1, 1):
        foot = camera.seen(x + stride * between(rng, 0.05, 0.22), lift_m * 0.6, z)
        canvas.line(hip, foot, thick, legs, kind)
    chest = camera.seen(x, tall - 0.55, z)
    canvas.ellipse(chest, (camera.size_px(0.25, z), camera.size_px(0.36, z)), coat, kind)
    canvas.line(chest, hip, camera.size_px(0.34, z), coat, kind)
    head = camera.seen(x, tall - 0.12, z)
    canvas.ellipse(head, (camera.size_px(0.11, z), camera.size_px(0.14, z)), skin, kind)


def cyclist(rng: np.random.Generator, canvas: Canvas, x: Real, z: Real) -> None:
    """Draw somebody on a bicycle, seen from behind or a little from the side."""
    camera, light = canvas.camera, canvas.light
    turn, radius = between(rng, 0.15, 0.75), camera.size_px(0.34, z)
    metal = light.shade(chosen(rng, ((40, 40, 45), (150, 40, 40), (60, 90, 150))), z)
    thick = max(2, round(camera.size_px(0.07, z)))
    for wheel in (-1, 1):
        middle = camera.seen(x + wheel * turn, 0.34, z)
        canvas.ellipse(middle, (max(2.0, radius * turn), radius), metal, BICYCLIST, thick)
    low, high = camera.seen(x - turn, 0.34, z), camera.seen(x + turn, 0.34, z)
    saddle = camera.seen(x, 0.9, z)
    for end in (low, high):
        canvas.line(end, saddle, thick, metal, BICYCLIST)
    person(rng, canvas, x, z, BICYCLIST, 0.3)
