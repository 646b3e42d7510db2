"""Scenes: boxes, masks and captions say what the picture shows, read independently."""

import re
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backbones.training.errors import UserError
from tasks.worlds.scenes import Scene, pictures, scene
from tasks.worlds.things import COLOURS, SHAPES, SIZES, TEXTURES

NUMBERS = {"a": 1, "an": 1, "two": 2, "three": 3, "four": 4, "five": 5}
SIDES = ("left of", "right of", "above", "below", "in front of", "behind")


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [scene(0, i) for i in range(600)]


def centres(sample: Scene) -> np.ndarray:
    return (sample.boxes[:, :2] + sample.boxes[:, 2:]) / 2


def matches(thing, words: str) -> bool:
    """Say whether every word of a name is true of a thing; a plural is a name as well."""
    known = {thing.shape, thing.colour, thing.size, thing.texture}
    known |= {thing.shape + "s", thing.shape + "es", "object", "objects", "a", "an", "another"}
    return set(words.split()) <= known


def holds(sample: Scene, i: int, side: str, j: int) -> bool:
    """Say whether a relation is true, by the boxes and the order alone."""
    (x, y), (other_x, other_y) = centres(sample)[i], centres(sample)[j]
    if side == "in front of":
        return i > j and bool((sample.whole[i] & sample.whole[j]).any())
    if side == "behind":
        return holds(sample, j, "in front of", i)
    far = {
        "left of": other_x - x,
        "right of": x - other_x,
        "above": other_y - y,
        "below": y - other_y,
    }
    return bool(far[side] >= 8)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=5), st.integers(0, 2**40))
def test_a_scene_depends_on_seed_and_index_alone(indices, seed):
    picture, present = pictures(seed, np.array(indices))
    backwards, _ = pictures(seed, np.array(indices[::-1]))
    assert np.array_equal(picture, backwards[::-1])
    alone = scene(seed, indices[-1])
    assert np.array_equal(alone.picture, picture[-1])
    assert [name in {t.shape for t in alone.objects} for name in SHAPES] == present[-1].tolist()


def test_the_same_scene_has_the_same_words(scenes):
    again = scene(0, 7)
    assert (again.captions, again.questions) == (scenes[7].captions, scenes[7].questions)


def test_other_seeds_and_other_indices_give_other_scenes():
    made = np.concatenate([pictures(seed, np.arange(100))[0] for seed in (0, 1)])
    assert len({picture.tobytes() for picture in made}) == 200


def test_everything_occurs_and_no_look_is_rare(scenes):
    things = [thing for sample in scenes for thing in sample.objects]
    assert {len(sample.objects) for sample in scenes} == {1, 2, 3, 4, 5}
    for attribute, names in (
        ("shape", SHAPES),
        ("colour", COLOURS),
        ("size", SIZES),
        ("texture", TEXTURES),
    ):
        counts = Counter(getattr(thing, attribute) for thing in things)
        assert set(counts) == set(names)
        assert min(counts.values()) > 0.6 * len(things) / len(names)


def test_no_pixel_belongs_to_two_things_and_the_later_one_has_it(scenes):
    for sample in scenes:
        assert sample.masks.sum(0).max() == 1
        for k in range(len(sample.objects)):
            hidden = sample.whole[k + 1 :].any(0)
            assert np.array_equal(sample.masks[k], sample.whole[k] & ~hidden)


def test_boxes_enclose_the_visible_part_exactly(scenes):
    for sample in scenes:
        for mask, box in zip(sample.masks, sample.boxes.astype(int), strict=True):
            x0, y0, x1, y1 = box.tolist()
            inside = mask[y0:y1, x0:x1]
            assert inside.sum() == mask.sum()
            edges = (inside[0], inside[-1], inside[:, 0], inside[:, -1])
            assert all(edge.any() for edge in edges)


def test_overlaps_are_bounded_and_half_of_everything_is_visible(scenes):
    overlaps = 0
    for sample in scenes:
        areas = sample.whole.sum((1, 2))
        assert (sample.masks.sum((1, 2)) >= 0.5 * areas).all()
        for i, j in combinations(range(len(areas)), 2):
            shared = (sample.whole[i] & sample.whole[j]).sum()
            overlaps += shared > 0
            assert shared <= 0.4 * min(areas[i], areas[j])
    assert overlaps > len(scenes) / 2


def test_nothing_is_cut_off_by_the_border(scenes):
    whole = np.concatenate([sample.whole for sample in scenes])
    assert not whole[:, [0, -1]].any()
    assert not whole[:, :, [0, -1]].any()


def test_a_circle_has_the_area_of_a_circle(scenes):
    for sample in scenes:
        for thing, whole in zip(sample.objects, sample.whole, strict=True):
            low, high = SIZES[thing.size]
            if thing.shape == "circle":
                assert (
                    0.95 * np.pi * (64 * low) ** 2 < whole.sum() < 1.05 * np.pi * (64 * high) ** 2
                )


def test_masks_lie_where_the_colour_is(scenes):
    """The median pixel of a plain thing is nearer to its own colour than to any other."""
    names, palette = list(COLOURS), np.array(list(COLOURS.values()))
    for sample in scenes:
        for thing, mask in zip(sample.objects, sample.masks, strict=True):
            if thing.texture == "plain":
                colour = np.median(sample.picture[:, mask], axis=1)
                nearest = np.abs(palette - colour).sum(1).argmin()
                assert names[nearest] == thing.colour


def test_relations_in_captions_are_true(scenes):
    said = Counter()
    for sample in scenes:
        for caption in sample.captions:
            found = re.fullmatch(r"(.+) is (" + "|".join(SIDES) + r") (.+)\.", caption)
            if not found or caption.startswith("There"):
                continue
            first, side, second = found[1].lower(), found[2], found[3]
            said[side] += 1
            assert any(
                holds(sample, i, side, j)
                for i, one in enumerate(sample.objects)
                for j, other in enumerate(sample.objects)
                if i != j and matches(one, first) and matches(other, second)
            ), caption
    assert set(said) == set(SIDES)


def test_lists_in_captions_name_every_thing_once(scenes):
    for sample in scenes:
        for caption in sample.captions[:2]:
            words = re.sub(r"^(there (is|are) )?", "", caption.lower().rstrip("."))
            number = 0
            for part in re.split(r", | and ", words):
                count, name = part.split(" ", 1)
                assert sum(matches(t, name) for t in sample.objects) == NUMBERS[count], caption
                number += NUMBERS[count]
            assert number == len(sample.objects), caption


def test_larger_pictures_show_larger_things():
    large = scene(0, 3, size_px=128)
    assert large.picture.shape == (3, 128, 128)
    assert large.masks.shape[1:] == (128, 128)
    assert large.boxes.max() > 64


def test_what_cannot_be_drawn_is_refused_in_words():
    with pytest.raises(UserError, match="take 32 or more"):
        scene(0, 0, 16)
    with pytest.raises(UserError, match="must be 0 or more"):
        pictures(0, np.array([-1]))
