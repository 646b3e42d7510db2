"""Pictures of one to five things before a noisy background, with all there is to know of them.

Letters: B scenes, K things of one scene, H rows, W columns.

One generator serves every task: classes, boxes, masks, captions and questions tell of the same
picture. Things are listed from back to front: a later one covers an earlier one. Two things overlap
by at most 40 % of the smaller one's area, and at least half of every thing stays visible; a thing
for which chance finds no such place is left out, so five of them are a little rarer than one.

Boxes and masks are of the visible part; boxes are x0, y0, x1, y1 in pixels, the end not included.
Scene i is a function of (seed, i) alone, and `pictures` gives the picture that `scene` gives.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from backbones.training.errors import UserError
from tasks.data.formats.rle import boxes_of
from tasks.worlds.chance import SCENE_QUESTIONS, SCENE_WORDS, SCENES, between, sample_rng
from tasks.worlds.scene_questions import Question, questions
from tasks.worlds.scene_words import captions
from tasks.worlds.things import SHAPES, Place, Thing, paint, random_place, random_thing, silhouette

MOST_THINGS = 5
LARGEST_OVERLAP = 0.4
LEAST_VISIBLE = 0.5
PLACES_TRIED = 12
DESIGN_PX = 64


@dataclass(frozen=True)
class Told:
    """What there is to say of a scene, without its picture; things from back to front."""

    objects: tuple[Thing, ...]
    boxes: Float32[np.ndarray, "K 4"]
    masks: Bool[np.ndarray, "K H W"]
    """The visible part of every thing: no pixel belongs to two."""
    whole: Bool[np.ndarray, "K H W"]
    """Every thing as if it stood alone."""
    captions: tuple[str, ...]


@dataclass(frozen=True)
class Scene(Told):
    """A picture and all there is to know of it."""

    questions: tuple[Question, ...]
    picture: UInt8[np.ndarray, "3 H W"]


@dataclass
class Layout:
    """Things that have found their places, from back to front."""

    things: list[Thing]
    places: list[Place]
    alphas: list[np.ndarray]
    whole: list[np.ndarray]
    """Masks as uint8 of 0 and 1, which OpenCV counts quickly; so are the visible ones."""
    visible: list[np.ndarray]
    areas: list[int]

    def admits(self, mask: UInt8[np.ndarray, "H W"], area: int) -> bool:
        """Say whether a thing in front of all others hides too much of any of them."""
        for whole, visible, other in zip(self.whole, self.visible, self.areas, strict=True):
            if cv2.countNonZero(whole & mask) > LARGEST_OVERLAP * min(area, other):
                return False
            if cv2.countNonZero(visible & ~mask) < LEAST_VISIBLE * other:
                return False
        return True

    def add(self, thing: Thing, place: Place, alpha: np.ndarray, mask: np.ndarray) -> None:
        """Put a thing in front of all others."""
        self.visible = [visible & ~mask for visible in self.visible]
        self.things.append(thing)
        self.places.append(place)
        self.alphas.append(alpha)
        self.whole.append(mask)
        self.visible.append(mask)
        self.areas.append(cv2.countNonZero(mask))


def lay_out(rng: np.random.Generator, size_px: int) -> Layout:
    """Choose things and find places for them."""
    layout = Layout([], [], [], [], [], [])
    for _ in range(int(rng.integers(1, MOST_THINGS + 1))):
        thing = random_thing(rng)
        for _ in range(PLACES_TRIED):
            place = random_place(rng, thing)
            alpha = silhouette(thing, place, size_px)
            mask = alpha >> 7
            if layout.admits(mask, cv2.countNonZero(mask)):
                layout.add(thing, place, alpha, mask)
                break
    return layout


def background(rng: np.random.Generator, size_px: int) -> Float32[np.ndarray, "H W 3"]:
    """Return dull colours that change over the picture, with cloudy spots and clutter in front."""
    # Four corners make the gradient, five points a side the clouds: enlarged, both are smooth.
    corners = (rng.random((2, 2, 1)) * 75 + 45 + rng.random((2, 2, 3)) * 30).astype(np.float32)
    clouds = (rng.random((5, 5, 3)) * between(rng, 10.0, 50.0)).astype(np.float32)
    canvas = cv2.resize(corners, (size_px, size_px), interpolation=cv2.INTER_LINEAR)
    cv2.accumulate(cv2.resize(clouds, (size_px, size_px), interpolation=cv2.INTER_LINEAR), canvas)
    for _ in range(int(rng.integers(2, 9))):
        x, y, x2, y2 = (rng.random(4) * size_px).astype(int).tolist()
        # Scraps are short and grey: no shape has such a colour, and none is so thin.
        grey = between(rng, 30.0, 170.0)
        end = (x + (x2 - x) // 4, y + (y2 - y) // 4)
        width = max(1, size_px // 64)
        cv2.line(canvas, (x, y), end, (grey, grey, grey * between(rng, 0.8, 1.2)), width)
    return canvas


def grain(rng: np.random.Generator, canvas: Float32[np.ndarray, "H W 3"]) -> None:
    """Add noise to every pixel, in place; bytes are a sixth of the price of normal numbers."""
    noise = np.frombuffer(rng.bytes(canvas.size), np.uint8).reshape(canvas.shape)
    strength = between(rng, 8.0, 36.0)
    cv2.scaleAdd(noise.astype(np.float32), strength / 255, canvas, canvas)
    canvas -= np.float32(strength / 2)


def draw(rng: np.random.Generator, layout: Layout, size_px: int) -> UInt8[np.ndarray, "3 H W"]:
    """Draw a scene, from the background forwards."""
    canvas = background(rng, size_px)
    for thing, place, alpha in zip(layout.things, layout.places, layout.alphas, strict=True):
        paint(rng, canvas, thing, place, alpha)
    grain(rng, canvas)
    return np.clip(canvas, 0, 255).astype(np.uint8).transpose(2, 0, 1)


def check_size(size_px: int) -> None:
    """Raise ValueError for pictures in which a small thing could not be told from a blot."""
    if size_px < 32:
        raise UserError(f"size_px = {size_px} is too small for five things; take 32 or more")


def scene(seed: int, index: int, size_px: int = DESIGN_PX) -> Scene:
    """Return one scene with its words; ValueError if the size is below 32."""
    check_size(size_px)
    rng = sample_rng(seed, SCENES, index)
    layout = lay_out(rng, size_px)
    picture = np.ascontiguousarray(draw(rng, layout, size_px))
    about = told_of(layout, seed, index)
    asked = questions(sample_rng(seed, SCENE_QUESTIONS, index), about)
    return Scene(**vars(about), questions=asked, picture=picture)


def told(seed: int, index: int, size_px: int = DESIGN_PX) -> Told:
    """Return what there is to say of the scene of that number, in half the time."""
    check_size(size_px)
    return told_of(lay_out(sample_rng(seed, SCENES, index), size_px), seed, index)


def told_of(layout: Layout, seed: int, index: int) -> Told:
    """Return a scene's facts and captions."""
    found = facts_of(layout)
    return replace(found, captions=captions(sample_rng(seed, SCENE_WORDS, index), found))


def facts_of(layout: Layout) -> Told:
    """Return a scene's facts, without a word."""
    masks, whole = np.stack(layout.visible) > 0, np.stack(layout.whole) > 0
    return Told(tuple(layout.things), boxes_of(masks), masks, whole, ())


def facts(seed: int, index: int, size_px: int = DESIGN_PX) -> Told:
    """Return what `told` does, without a word."""
    check_size(size_px)
    return facts_of(lay_out(sample_rng(seed, SCENES, index), size_px))


def asked(seed: int, index: int, size_px: int = DESIGN_PX) -> tuple[Question, ...]:
    """Return the questions about the scene of that number."""
    return questions(sample_rng(seed, SCENE_QUESTIONS, index), facts(seed, index, size_px))


def pictures(
    seed: int, index: Int64[np.ndarray, "B"], size_px: int = DESIGN_PX
) -> tuple[UInt8[np.ndarray, "B 3 H W"], Bool[np.ndarray, "B 6"]]:
    """Return the pictures of some scenes and which of the six shapes each of them shows."""
    check_size(size_px)
    picture = np.empty((len(index), 3, size_px, size_px), np.uint8)
    present = np.zeros((len(index), len(SHAPES)), bool)
    for row, i in enumerate(index.tolist()):
        rng = sample_rng(seed, SCENES, i)
        layout = lay_out(rng, size_px)
        picture[row] = draw(rng, layout, size_px)
        for thing in layout.things:
            present[row, SHAPES.index(thing.shape)] = True
    return picture, present


def objects(
    seed: int, index: int, size_px: int = DESIGN_PX
) -> tuple[UInt8[np.ndarray, "3 H W"], Bool[np.ndarray, "K H W"], list[int]]:
    """Return the picture of one scene, the visible part of every thing, and the number of its
    shape: what `scene` returns, without its words."""
    check_size(size_px)
    rng = sample_rng(seed, SCENES, index)
    layout = lay_out(rng, size_px)
    shapes = [SHAPES.index(thing.shape) for thing in layout.things]
    return draw(rng, layout, size_px), np.stack(layout.visible) > 0, shapes
