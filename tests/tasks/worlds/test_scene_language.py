"""The language of scenes: its grammar, what is true of scenes by hand, and a second checker.

The second checker shares no code with the first: it reads words one by one, and judges by pixels'
coordinates.
"""

import random
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise, permutations

import numpy as np
import pytest

from tasks.worlds.scene_language import RELATIONS, is_right, is_true, num_claims, parses
from tasks.worlds.scene_words import plain_name, plain_relations, with_article
from tasks.worlds.scenes import Told, told
from tasks.worlds.things import COLOURS, SHAPES, SIZES, TEXTURES, Thing

SIDE = 64


@pytest.fixture(scope="module", params=[300, pytest.param(2_000, marks=pytest.mark.slow)])
def scenes(request: pytest.FixtureRequest) -> list[Told]:
    return [told(7, number) for number in range(request.param)]


def by_hand(*things: tuple[str, tuple[int, int, int, int]]) -> Told:
    """Return a scene of rectangles, from back to front: "small plain red circle", its box."""
    objects, whole = [], np.zeros((len(things), SIDE, SIDE), bool)
    for k, (words, (x0, y0, x1, y1)) in enumerate(things):
        size, texture, colour, shape = words.split()
        objects.append(Thing(shape, colour, size, texture))
        whole[k, y0:y1, x0:x1] = True
    masks = np.array([mask & ~whole[k + 1 :].any(0) for k, mask in enumerate(whole)])
    boxes = np.array([extent(mask) for mask in masks], np.float32)
    return Told(tuple(objects), boxes, masks, whole, ())


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


CIRCLE, CROSS, STAR = (
    "small plain red circle",
    "large striped orange cross",
    "medium dotted red star",
)


@pytest.fixture
def three() -> Told:
    """A red circle on the left, another below it, partly hidden by an orange cross on its right."""
    return by_hand(
        (CIRCLE, (4, 4, 14, 14)),
        ("large noisy red circle", (4, 36, 28, 60)),
        (CROSS, (20, 36, 44, 60)),
    )


@pytest.mark.parametrize(
    "sentence",
    [
        "A red circle.",
        "a red circle",
        "Two red circles and an orange cross.",
        "There are two circles and a cross.",
        "There is an orange cross, a small circle and a large circle.",
        "A small plain red circle is above a large noisy red circle.",
        "A red circle is above another red circle.",
        "A small red circle is above another circle.",
        "A large circle is below a small circle.",
        "An orange cross is in front of a large circle.",
        "A red circle is behind an orange cross.",
        "There are three objects.",
        "There are two red objects and an orange object.",
        "There are no stars.",
        "There is no blue circle.",
    ],
)
def test_what_is_so_is_true(three, sentence):
    assert parses(sentence) and is_true(three, sentence)


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("shape", "A red star."),
        ("colour", "A blue circle."),
        ("size", "A medium red circle."),
        ("texture", "A dotted circle."),
        ("one thing of several looks", "A small noisy red circle."),
        ("too many", "Three red circles and an orange cross."),
        ("too few", "There are two objects."),
        ("more items than things", "A circle, a circle, a red circle and a cross."),
        ("one thing for two items", "An orange cross and a striped cross."),
        ("none", "There are no circles."),
        ("one item of several", "Two red circles and a white cross."),
        ("the other side", "A small red circle is below a large red circle."),
        ("the other axis", "A small red circle is left of a large red circle."),
        ("itself", "An orange cross is left of another cross."),
        ("who is in front", "A large red circle is in front of an orange cross."),
        ("who is behind", "An orange cross is behind a red circle."),
        ("nothing hidden", "An orange cross is in front of a small circle."),
        ("the second of a relation", "A small red circle is above a blue circle."),
    ],
)
def test_what_is_not_so_is_false(three, kind, sentence):
    assert parses(sentence), kind
    assert not is_true(three, sentence), kind
    assert not is_right(three, sentence), kind


@pytest.mark.parametrize(
    "sentence",
    [
        "",
        ".",
        "A",
        "red circle",
        "A red",
        "A circle red.",
        "A red small circle.",
        "A red red circle.",
        "A orange cross.",
        "An red circle.",
        "A circles.",
        "Two circle.",
        "Two crosss.",
        "One circle.",
        "Six circles.",
        "Another circle.",
        "A circle, a cross.",
        "A circle and a cross and a star.",
        "A circle and a cross, a star.",
        "A circle, and a cross.",
        "There are a circle.",
        "There is two circles.",
        "There is three circles and a cross.",
        "There.",
        "There is.",
        "No circle.",
        "There are no circle.",
        "There is no circles.",
        "There is no circle and a cross.",
        "There is a circle and no cross.",
        "A circle is a cross.",
        "A circle is left a cross.",
        "Two circles are left of a cross.",
        "Two circles is left of a cross.",
        "A circle is left of two crosses.",
        "A circle is left of another cross.",
        "A circle is left of another red circle.",
        "A circle is left of a cross is above a star.",
        "There is a circle is left of a cross.",
        "A circle  and a cross.",
        "A circle..",
        "A dog runs.",
        "A circle\n",
    ],
)
def test_what_the_grammar_has_not_is_not_true(three, sentence):
    assert not parses(sentence) and num_claims(sentence) == 0
    assert not is_true(three, sentence) and not is_right(three, sentence)


def test_boxes_that_overlap_along_an_axis_have_no_side_along_it():
    scene = by_hand((CIRCLE, (4, 20, 24, 30)), (STAR, (23, 32, 43, 42)))
    assert not any(
        is_true(scene, f"A circle is {side} a star.") for side in ("left of", "right of")
    )
    apart = by_hand((CIRCLE, (4, 20, 24, 30)), (STAR, (24, 22, 44, 32)))
    assert is_true(apart, "A circle is left of a star.")
    assert is_true(apart, "A star is right of a circle.")
    assert not is_true(apart, "A star is left of a circle.")


def test_near_a_diagonal_is_no_side():
    def beside(dx: int, dy: int) -> list[str]:
        scene = by_hand((CIRCLE, (0, 0, 10, 10)), (STAR, (dx, dy, dx + 10, dy + 10)))
        sides = ("left of", "right of", "above", "below")
        return [side for side in sides if is_true(scene, f"A circle is {side} a star.")]

    assert beside(30, 30) == beside(30, 21) == beside(21, 30) == []
    assert beside(30, 20) == ["left of"] and beside(20, 30) == ["above"]


def test_a_side_must_hold_for_visible_and_whole_boxes_alike():
    # Of the wide circle the star's side is hidden by a cross: only what is visible is left of it.
    scene = by_hand((CIRCLE, (0, 20, 40, 30)), (CROSS, (20, 10, 44, 40)), (STAR, (36, 22, 50, 28)))
    assert extent(scene.masks[0])[2] == 20
    assert not is_true(scene, "A circle is left of a star.")


def test_in_front_takes_a_twentieth_of_the_smaller_thing_that_is_seen_to_be_hidden():
    def hides(columns: int) -> bool:
        scene = by_hand((CROSS, (0, 0, 40, 40)), (CIRCLE, (40 - columns, 10, 60 - columns, 30)))
        assert is_true(scene, "A circle is in front of a cross.") == is_true(
            scene, "A cross is behind a circle."
        )
        return is_true(scene, "A circle is in front of a cross.")

    assert not hides(0) and hides(1)
    # A third thing over the place where they meet: nobody can see which of the two is in front.
    scene = by_hand((CROSS, (0, 0, 20, 20)), (CIRCLE, (18, 0, 38, 20)), (STAR, (16, 0, 22, 20)))
    assert not is_true(scene, "A circle is in front of a cross.")
    assert is_true(scene, "A star is in front of a cross.")


def test_right_takes_two_things_or_all_there_are(three):
    alone = by_hand((CIRCLE, (4, 4, 14, 14)))
    assert is_right(alone, "A circle.") and is_right(alone, "There is a red circle.")
    assert not is_right(three, "A red circle.") and is_true(three, "A red circle.")
    assert is_right(three, "Two circles.") and is_right(three, "A circle and a cross.")
    assert not is_right(three, "There are three objects.")
    assert not is_right(alone, "There are no stars.")


def test_claims_are_counted():
    assert num_claims("A circle.") == 1
    assert num_claims("Two small red circles and a cross.") == 5
    assert num_claims("A red circle is left of a plain blue cross.") == 6
    assert num_claims("There are no objects.") == 1


# A second checker.


@dataclass
class Reader:
    """Takes words from the left; `take` fails where none of those wanted stands there."""

    words: list[str]

    def take(self, *wanted: str) -> str:
        if not self.words or self.words[0] not in wanted:
            raise ValueError
        return self.words.pop(0)

    def may(self, *wanted: str) -> str:
        return self.words.pop(0) if self.words and self.words[0] in wanted else ""

    def name(self, several: bool) -> dict[str, str]:
        kinds = {"size": SIZES, "texture": TEXTURES, "colour": COLOURS}
        look = {kind: self.may(*names) for kind, names in kinds.items()}
        ends = {f"{s}{'es' if s == 'cross' else 's'}" if several else s: s for s in SHAPES}
        return {**look, "shape": ends[self.take(*ends)]}


COUNTS = {"a": 1, "an": 1, "another": 1, "two": 2, "three": 3, "four": 4, "five": 5}


def second_opinion(scene: Told, sentence: str) -> bool:
    """Say whether a sentence is true; ValueError if it is none, or has "object" or "no" in it."""
    reader = Reader(sentence.lower().rstrip(".").replace(",", " ,").split())
    if reader.may("there"):
        reader.take("is", "are")
    items = []
    while True:
        count = COUNTS[reader.take(*COUNTS)]
        items.append((count, reader.name(count > 1)))
        if not reader.may(",", "and"):
            break
    ways = [
        {
            k
            for k, thing in enumerate(scene.objects)
            if all(look in ("", getattr(thing, kind)) for kind, look in name.items())
        }
        for _, name in items
    ]
    if reader.may("is"):
        relation = " ".join(reader.words[: -len(str_words(reader.words))])
        reader.words = str_words(reader.words)
        reader.take("a", "an", "another")
        other = reader.name(False)
        seconds = {
            k
            for k, thing in enumerate(scene.objects)
            if all(look in ("", getattr(thing, kind)) for kind, look in other.items())
        }
        return any(i != j and stands(scene, i, relation, j) for i in ways[0] for j in seconds)
    assert not reader.words
    if any(count > 1 and len(way) != count for (count, _), way in zip(items, ways, strict=True)):
        return False
    slots = [way for (count, _), way in zip(items, ways, strict=True) for _ in range(count)]
    return any(
        all(k in slot for k, slot in zip(order, slots, strict=True))
        for order in permutations(range(len(scene.objects)), len(slots))
    )


def str_words(words: list[str]) -> list[str]:
    """Return what begins with the last article."""
    return words[max(k for k, word in enumerate(words) if word in ("a", "an", "another")) :]


def stands(scene: Told, i: int, relation: str, j: int) -> bool:
    """Judge a relation by the coordinates of pixels."""
    if relation == "behind":
        return stands(scene, j, "in front of", i)
    if relation == "in front of":
        smaller = min(int(scene.whole[k].sum()) for k in (i, j))
        seen = sum(bool(b) for b in (scene.masks[i] & scene.whole[j]).ravel()) if i > j else 0
        return seen > 0 and 20 * seen >= smaller
    if relation in ("right of", "below"):
        return stands(scene, j, {"right of": "left of", "below": "above"}[relation], i)
    axis = {"left of": 1, "above": 0}[relation]
    for masks in (scene.masks, scene.whole):
        ours, theirs = np.argwhere(masks[i]), np.argwhere(masks[j])
        if ours[:, axis].max() >= theirs[:, axis].min():
            return False
        middle = [(points.min(0) + points.max(0)) / 2 for points in (ours, theirs)]
        along, across = np.abs(middle[1] - middle[0])[[axis, 1 - axis]]
        if 2 * along < 3 * across:
            return False
    return True


def changed(sentence: str, random_: random.Random) -> str:
    """Return a sentence with one word exchanged by another of its kind."""
    kinds = [*map(list, (SHAPES, COLOURS, SIZES, TEXTURES)), ["two", "three"]]
    kinds += [["left", "right"], ["above", "below", "behind"]]
    words = sentence.rstrip(".").split()
    places = [(n, kind) for n, w in enumerate(words) for kind in kinds if w.strip(",") in kind]
    if not places:
        return sentence
    place, kind = random_.choice(places)
    old = words[place].strip(",")
    new = random_.choice([word for word in kind if word != old])
    words[place] = words[place].replace(old, new)
    if place and words[place - 1].lower() in ("a", "an"):
        article = "an" if new[0] in "aeiou" else "a"
        words[place - 1] = article if place > 1 else article.capitalize()
    return " ".join(words) + "."


def test_what_the_world_writes_is_right_and_a_second_checker_agrees(scenes):
    for scene in scenes:
        assert len(set(scene.captions)) == 5
        for sentence in scene.captions:
            assert is_right(scene, sentence), (sentence, scene.objects)
            assert second_opinion(scene, sentence), (sentence, scene.objects)


@pytest.mark.parametrize("size_px", [32, 100])
def test_what_the_world_writes_is_right_at_any_size(size_px):
    for number in range(60):
        scene = told(7, number, size_px)
        assert all(is_right(scene, sentence) for sentence in scene.captions)


def test_a_second_checker_agrees_on_sentences_with_a_word_exchanged(scenes):
    random_, verdicts = random.Random(0), Counter[bool]()
    for scene in scenes:
        for sentence in scene.captions:
            other = changed(sentence, random_)
            if not parses(other):
                continue  # "another" of what the first is not
            assert is_true(scene, other) == second_opinion(scene, other), (other, scene.objects)
            verdicts[is_true(scene, other)] += 1
    assert verdicts[False] > 3 * len(scenes) and verdicts[True] > len(scenes) / 50


def test_a_second_checker_agrees_on_the_captions_of_other_scenes(scenes):
    verdicts = Counter(
        (is_true(scene, sentence), second_opinion(scene, sentence))
        for scene, other in pairwise(scenes)
        for sentence in other.captions
    )
    assert set(verdicts) == {(True, True), (False, False)}


def test_a_second_checker_agrees_on_any_relation_of_any_two_things(scenes):
    random_, verdicts = random.Random(1), Counter[bool]()
    for scene in (scene for scene in scenes if len(scene.objects) > 1):
        first, second = random_.sample(scene.objects, 2)
        for relation in RELATIONS:
            ours, theirs = (with_article(plain_name(thing)) for thing in (first, second))
            sentence = f"{ours.capitalize()} is {relation} {theirs}."
            verdict = is_true(scene, sentence)
            assert verdict == second_opinion(scene, sentence), (sentence, scene.objects)
            verdicts[verdict] += 1
    assert 0.08 < verdicts[True] / verdicts.total() < 0.2


def test_relations_are_written_with_some_distance_from_what_is_in_doubt(scenes):
    """Moved by a pixel, no thing makes a written relation false."""
    for scene in scenes[:300]:
        for i, word, j in plain_relations(scene):
            if word in ("in front of", "behind"):
                continue
            for axis, step in ((1, 1), (1, -1), (2, 1), (2, -1)):
                masks, whole = scene.masks.copy(), scene.whole.copy()
                masks[i] = np.roll(masks[i], step, axis - 1)
                whole[i] = np.roll(whole[i], step, axis - 1)
                moved = Told(scene.objects, scene.boxes, masks, whole, ())
                assert stands(moved, i, word, j)


def test_captions_are_varied(scenes):
    captions = [sentence for scene in scenes[:1_000] for sentence in scene.captions]
    assert len(set(captions)) > 0.8 * len(captions)
    relations = Counter(
        word
        for sentence in captions
        for word in ("left of", "right of", "above", "below", "in front of", "behind")
        if word in sentence
    )
    assert len(relations) == 6 and min(relations.values()) > 0.02 * len(captions)
