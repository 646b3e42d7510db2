"""Road scenes in the classes, colours and layout of CamVid: what a driver sees of a street.

Letters: B scenes, H rows, W columns.

A scene is a function of (seed, index) and its size alone. Its camera, light and weather are drawn
first, then the sky, the ground, and everything else from far to near, so that what is near hides
what is behind. Labels are the numbers of `CAMVID`'s classes; VOID is what CamVid leaves without
one: the bonnet of one's own car, bins and the like, about three pixels in a hundred.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Float32, Int64, UInt8

from backbones.training.errors import UserError
from tasks.data.formats.class_maps import VOID
from tasks.worlds.chance import ROADS, between, sample_rng
from tasks.worlds.road_canvas import (
    BUILDING,
    ENLARGED,
    FURTHEST_M,
    PAVEMENT,
    ROAD,
    SKY,
    TREE,
    Camera,
    Canvas,
    Colour,
    Light,
    Real,
)
from tasks.worlds.road_things import (
    BRICKS,
    LEAVES,
    car,
    chosen,
    cyclist,
    fence,
    hedge,
    house,
    person,
    pole,
    sign,
    times,
    tree,
)

HEIGHT_PX, WIDTH_PX = 96, 128
LEAST_PX = 32
MARK_M = 0.16  # width of a lane mark
Thing = tuple[Real, Callable[[], None]]  # how far away, and what draws it


@dataclass(frozen=True)
class Street:
    """Where the edges of the road and the fronts beside it are, in metres from the camera."""

    left: Real
    right: Real
    pavements: tuple[Real, Real]
    """Widths, left and right."""

    @property
    def fronts(self) -> tuple[Real, Real]:
        """Where houses stand, left and right."""
        return self.left - self.pavements[0], self.right + self.pavements[1]


def road(
    seed: int, index: int, height_px: int = HEIGHT_PX, width_px: int = WIDTH_PX
) -> tuple[UInt8[np.ndarray, "3 H W"], UInt8[np.ndarray, "H W"]]:
    """Return one scene, its picture and its labels; UserError if it is below 32 pixels a side."""
    if min(height_px, width_px) < LEAST_PX:
        raise UserError(
            f"{height_px} x {width_px} pixels are too few for a road; take {LEAST_PX} or more"
        )
    rng = sample_rng(seed, ROADS, index)
    camera = any_camera(rng, height_px * ENLARGED, width_px * ENLARGED)
    light = any_light(rng)
    canvas = Canvas(height_px, width_px, camera, light)
    street = any_street(rng)
    sky(rng, canvas)
    ground(rng, canvas, street)
    things = [*side(rng, canvas, street, -1), *side(rng, canvas, street, 1)]
    things += traffic(rng, canvas, street)
    for _, draw in sorted(things, key=lambda thing: -thing[0]):
        draw()
    if rng.random() < 0.25:
        bonnet(rng, canvas)
    noise = grain(rng, canvas)
    return canvas.finished(noise, between(rng, 0.85, 1.25))


def grain(rng: np.random.Generator, canvas: Canvas) -> Float32[np.ndarray, "H W 1"]:
    """Return the camera's noise everywhere, and blots on all but the sky: walls, leaves and roads
    are never of one colour."""
    height, width = (length // ENLARGED for length in canvas.label.shape)
    fine = np.frombuffer(rng.bytes(height * width), np.uint8).reshape(height, width)
    shape = height // 3, width // 3
    coarse = np.frombuffer(rng.bytes(shape[0] * shape[1]), np.uint8).reshape(shape)
    blots = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    solid = canvas.label[::ENLARGED, ::ENLARGED] != SKY
    lit = min(1.0, canvas.light.gain + 0.1)
    fine_noise = (fine.astype(np.float32) - 127.5) * np.float32(between(rng, 0.02, 0.1) * lit)
    blot = (blots.astype(np.float32) - 127.5) * np.float32(between(rng, 0.03, 0.18) * lit)
    return np.asarray(fine_noise + blot * solid)[..., None]


def roads(
    seed: int, index: Int64[np.ndarray, "B"], height_px: int = HEIGHT_PX, width_px: int = WIDTH_PX
) -> tuple[UInt8[np.ndarray, "B 3 H W"], UInt8[np.ndarray, "B H W"]]:
    """Return the pictures and the labels of some scenes."""
    picture = np.empty((len(index), 3, height_px, width_px), np.uint8)
    label = np.empty((len(index), height_px, width_px), np.uint8)
    for row, number in enumerate(index.tolist()):
        picture[row], label[row] = road(seed, number, height_px, width_px)
    return picture, label


def any_camera(rng: np.random.Generator, height_px: int, width_px: int) -> Camera:
    """Choose how the car stands and what it looks through."""
    return Camera(
        height_m=between(rng, 1.2, 1.6),
        focal_px=width_px * between(rng, 0.75, 1.05),
        middle_px=width_px * between(rng, 0.35, 0.65),
        horizon_px=height_px * between(rng, 0.42, 0.56),
        bend=between(rng, -0.12, 0.12) if rng.random() < 0.5 else 0.0,
    )


def any_light(rng: np.random.Generator) -> Light:
    """Choose an hour and a weather: bright, overcast, dusk or fog."""
    weather = rng.random()
    if weather < 0.45:
        sun = float(rng.choice([-1.0, 1.0])) * between(rng, 0.3, 1.0)
        return Light(between(rng, 0.8, 1.2), (1.05, 1.0, 0.93), (205, 215, 228), 260.0, sun)
    if weather < 0.75:
        return Light(between(rng, 0.65, 1.0), (0.97, 1.0, 1.03), (205, 208, 212), 200.0, 0.0)
    if weather < 0.9:
        return Light(between(rng, 0.25, 0.5), (0.95, 1.0, 1.05), (95, 102, 112), 220.0, 0.0)
    haze = between(rng, 150.0, 205.0)
    sight = between(rng, 45.0, 90.0)
    return Light(between(rng, 0.7, 0.9), (1.0, 1.0, 1.0), (haze, haze, haze + 4), sight, 0.0)


def any_street(rng: np.random.Generator) -> Street:
    """Choose a road of one to four lanes; the car drives on the left, as in Cambridge."""
    lane = between(rng, 2.8, 3.8)
    beyond = int(rng.integers(1, 3)) * lane
    mine = lane * (1 if rng.random() < 0.7 else 2)
    place = lane / 2 * between(rng, 0.7, 1.3)
    pavements = between(rng, 1.4, 4.0), between(rng, 1.4, 4.0)
    return Street(-(mine - place) if mine > lane else -place, place + beyond, pavements)


def sky(rng: np.random.Generator, canvas: Canvas) -> None:
    """Draw the sky, perhaps with clouds, and what stands at the horizon."""
    light, camera = canvas.light, canvas.camera
    rows, columns = canvas.label.shape
    down = min(rows, round(camera.horizon_px) + 2)
    low = np.array(light.haze, np.float32) * min(1.2, light.gain + 0.35)
    high = np.array((150, 180, 220), np.float32) * min(1.1, light.gain + 0.25)
    high = high if light.sun else low * between(rng, 0.8, 1.0)
    fade = np.linspace(0, 1, down, dtype=np.float32)[:, None, None]
    above = np.broadcast_to(high + (low - high) * fade, (down, columns, 3))
    if rng.random() < 0.5:
        cells = rng.standard_normal((4, 7)).astype(np.float32)
        clouds = cv2.resize(cells, (columns, down), interpolation=cv2.INTER_CUBIC)[..., None]
        above = above + clouds * np.float32(between(rng, 6.0, 28.0))
    canvas.picture[:down] = above.clip(0, 255)
    x = 0.0
    while x < columns:
        width = columns * between(rng, 0.04, 0.16)
        green = rng.random() < 0.5
        colour = light.shade(chosen(rng, LEAVES if green else BRICKS), 70.0)
        top = camera.horizon_px - rows * between(rng, 0.01, 0.1)
        foot = camera.horizon_px + rows * 0.02
        corners = [(x, foot), (x + width, foot), (x + width, top), (x, top)]
        canvas.fill(corners, colour, TREE if green else BUILDING)
        x += width


def ground(rng: np.random.Generator, canvas: Canvas, street: Street) -> None:
    """Draw road, pavements and what is beyond them; marks, patches and shadows on the road."""
    light, camera = canvas.light, canvas.camera
    stone = chosen(rng, ((150, 145, 140), (125, 120, 118), (165, 150, 135)))
    asphalt = chosen(rng, ((95, 95, 98), (115, 112, 110), (75, 76, 80)))
    rows, columns = canvas.label.shape
    ahead = camera.horizon_px + 1
    canvas.fill(
        [(0, ahead), (columns, ahead), (columns, rows), (0, rows)], light.shade(stone, 15), PAVEMENT
    )
    strip(canvas, street.left, street.right, asphalt, ROAD)
    kerb = times(stone, 1.25)
    for x, out in ((street.left, -0.18), (street.right, 0.18)):
        strip(canvas, min(x, x + out), max(x, x + out), kerb, PAVEMENT)
    patches(rng, canvas, street, asphalt)
    marks(rng, canvas, street)


def strip(canvas: Canvas, left: Real, right: Real, colour: Colour, kind: int) -> None:
    """Draw a strip of the ground from here to the horizon, in pieces, since it may bend and haze
    takes its far end."""
    edges = (1.2, 2, 3, 5, 8, 12, 18, 27, 40, 60, 85, FURTHEST_M)
    for near, far in pairwise(edges):
        piece = [(left, 0.0, near), (right, 0.0, near), (right, 0.0, far), (left, 0.0, far)]
        canvas.surface(piece, colour, kind)


def patches(rng: np.random.Generator, canvas: Canvas, street: Street, asphalt: Colour) -> None:
    """Draw mended places, and the shadows of houses on a sunny day: all of them are road."""
    for _ in range(int(rng.integers(0, 5))):
        near, shade = between(rng, 2.0, 30.0), between(rng, 0.75, 1.2)
        x = between(rng, street.left, street.right - 0.5)
        far, end = near + between(rng, 1.0, 8.0), min(x + between(rng, 0.5, 2.5), street.right)
        patch = [(x, 0.0, near), (end, 0.0, near), (end, 0.0, far), (x, 0.0, far)]
        canvas.surface(patch, times(asphalt, shade), None)
    if canvas.light.sun and rng.random() < 0.6:
        away = street.left if canvas.light.sun < 0 else street.right
        reach = away - np.sign(away) * between(rng, 1, 0.8 * (street.right - street.left))
        near = between(rng, 1.2, 12.0)
        far = near + between(rng, 5.0, 40.0)
        shadow = [(away, 0.0, near), (reach, 0.0, near), (reach, 0.0, far), (away, 0.0, far)]
        canvas.surface(shadow, times(asphalt, 0.5), None)


def marks(rng: np.random.Generator, canvas: Canvas, street: Street) -> None:
    """Draw lane marks, perhaps lines at the edges and a crossing."""
    white = chosen(rng, ((225, 225, 220), (200, 200, 195)))
    yellow = chosen(rng, ((215, 185, 70),))
    lanes = max(2, round((street.right - street.left) / 3.3))
    dash, gap = between(rng, 1.5, 4.0), between(rng, 2.0, 6.0)
    for lane in range(1, lanes):
        x = street.left + (street.right - street.left) * lane / lanes
        z = between(rng, 1.2, 1.2 + dash)
        while z < 60:
            mark(canvas, x, z, z + dash, white)
            z += dash + gap
    for x, inward in ((street.left, 0.3), (street.right, -0.3)):
        if rng.random() < 0.4:
            for number in range(6):
                mark(canvas, x + inward, 1.2 + 8 * number, 9.2 + 8 * number, yellow)
    if rng.random() < 0.2:
        near = between(rng, 3.0, 20.0)
        x = street.left + 0.3
        while x < street.right - 0.5:
            end = [(x + 0.5, 0.0, near + 2.5), (x, 0.0, near + 2.5)]
            canvas.surface([(x, 0.0, near), (x + 0.5, 0.0, near), *end], white, None)
            x += 1.0


def mark(canvas: Canvas, x: Real, near: Real, far: Real, colour: Colour) -> None:
    """Draw a mark along the road; it is road too."""
    half = MARK_M / 2
    corners = [(x - half, 0.0, near), (x + half, 0.0, near), (x + half, 0.0, far)]
    canvas.surface([*corners, (x - half, 0.0, far)], colour, None)


def side(rng: np.random.Generator, canvas: Canvas, street: Street, which: int) -> list[Thing]:
    """Return what stands on the left (-1) or the right (1) of a road."""
    front, edge = (street.fronts[0], street.left) if which < 0 else (street.fronts[1], street.right)
    green, things, z = rng.random() < 0.45, list[Thing](), between(rng, -4.0, 6.0)
    while z < 90:
        length = between(rng, 6.0, 16.0)
        near, far = max(z, NEAR_FRONT_M), z + length
        if far > near + 1:
            kind = rng.random()
            if kind < (0.25 if green else 0.8):
                height = between(rng, 4.0, 14.0)
                things.append((far, drawn(house, rng, canvas, front, near, far, height)))
            elif kind < 0.92:
                things += garden(rng, canvas, front, near, far)
        z += length
    things += beside(rng, canvas, front, edge)
    return things


NEAR_FRONT_M = 2.5


def garden(
    rng: np.random.Generator, canvas: Canvas, front: Real, near: Real, far: Real
) -> list[Thing]:
    """Return what stands where there is no house: trees, and a hedge or a fence before them."""
    out = np.sign(front)
    things: list[Thing] = [
        (
            far + 1 + number,
            drawn(
                tree,
                rng,
                canvas,
                front + out * between(rng, 1.0, 6.0),
                between(rng, near, far) + 1,
                between(rng, 4.0, 11.0),
            ),
        )
        for number in range(int(rng.integers(1, 4)))
    ]
    kind = rng.random()
    if kind < 0.45:
        things.append((far, drawn(fence, rng, canvas, front, near, far)))
    elif kind < 0.9:
        things.append((far, drawn(hedge, rng, canvas, front, near, far)))
    return things


def beside(rng: np.random.Generator, canvas: Canvas, front: Real, edge: Real) -> list[Thing]:
    """Return what stands on a pavement: poles, trees, railings, signs on fronts, people, bins."""
    things, out = list[Thing](), float(np.sign(front))
    kerb, inside = edge + out * 0.4, (edge + front) / 2
    z = between(rng, 3.0, 14.0)
    while z < 55:
        things.append((z, drawn(pole, rng, canvas, kerb, z)))
        z += between(rng, 9.0, 25.0)
    for _ in range(int(rng.integers(0, 3)) if rng.random() < 0.4 else 0):
        z = between(rng, 8.0, 40.0)
        things.append((z, drawn(tree, rng, canvas, kerb + out * 0.5, z, between(rng, 4.0, 9.0))))
    if rng.random() < 0.25:
        z = between(rng, 2.5, 15.0)
        far = z + between(rng, 4.0, 14.0)
        things.append((far, drawn(fence, rng, canvas, kerb + out * 0.2, z, far)))
    for _ in range(int(rng.integers(0, 2))):
        z = between(rng, 5.0, 25.0)
        place = front - out * 0.3
        things.append((z, drawn(sign, rng, canvas, place, between(rng, 2.6, 4.0), z)))
    for _ in range(int(rng.integers(0, 5)) if rng.random() < 0.7 else 0):
        z = between(rng, 4.0, 28.0)
        place = inside + between(rng, -0.4, 0.4) * abs(front - edge)
        things.append((z, drawn(person, rng, canvas, place, z)))
    if rng.random() < 0.5:
        z = between(rng, 4.0, 20.0)
        things.append((z, drawn(bin_, rng, canvas, kerb + out * 0.3, z)))
    return things


def traffic(rng: np.random.Generator, canvas: Canvas, street: Street) -> list[Thing]:
    """Return what is on the road: cars ahead, oncoming and parked, cyclists, who crosses."""
    things = list[Thing]()
    width = street.right - street.left
    for _ in range(int(rng.integers(0, 3))):
        z = between(rng, 6.0, 45.0)
        x = between(rng, -0.6, 0.6)
        things.append((z, drawn(car, rng, canvas, x, z, oncoming=False)))
    for _ in range(int(rng.integers(0, 3))):
        z = between(rng, 6.0, 45.0)
        x = street.right - between(rng, 0.3, 0.45) * width
        things.append((z, drawn(car, rng, canvas, x, z, oncoming=True)))
    for edge, inward in ((street.left, 1.0), (street.right, -1.0)):
        if rng.random() < 0.35:
            z = between(rng, 3.0, 12.0)
            for _ in range(int(rng.integers(1, 5))):
                ahead = inward > 0
                things.append(
                    (z, drawn(car, rng, canvas, edge + inward * 0.7, z, oncoming=not ahead))
                )
                z += between(rng, 5.5, 8.0)
    for _ in range(int(rng.integers(1, 3)) if rng.random() < 0.45 else 0):
        z = between(rng, 4.0, 20.0)
        x = between(rng, street.left + 0.3, street.right - 0.5)
        things.append((z, drawn(cyclist, rng, canvas, x, z)))
    if rng.random() < 0.2:
        z = between(rng, 5.0, 20.0)
        x = between(rng, street.left, street.right)
        things.append((z, drawn(person, rng, canvas, x, z)))
    return things


def drawn(draw: Callable[..., None], *given: object, **named: object) -> Callable[[], None]:
    """Return what draws a thing when its turn comes."""
    return lambda: draw(*given, **named)


def bin_(rng: np.random.Generator, canvas: Canvas, x: Real, z: Real) -> None:
    """Draw something that has no class: a bin, a box, a bollard."""
    wide, tall = between(rng, 0.2, 0.5), between(rng, 0.7, 1.3)
    corners = [(x - wide, 0.0, z), (x + wide, 0.0, z), (x + wide, tall, z), (x - wide, tall, z)]
    canvas.surface(corners, chosen(rng, ((50, 50, 50), (60, 90, 60), (180, 175, 165))), VOID)


def bonnet(rng: np.random.Generator, canvas: Canvas) -> None:
    """Draw the bonnet of one's own car."""
    rows, columns = canvas.label.shape
    middle, dark = columns * between(rng, 0.3, 0.7), between(rng, 8.0, 45.0)
    radii = columns * between(rng, 0.5, 0.8), rows * between(rng, 0.03, 0.1)
    canvas.ellipse((middle, rows), radii, (dark, dark, dark * 1.1), VOID)
