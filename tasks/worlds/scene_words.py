"""What can be said and asked of a scene: captions that are true, questions with one answer.

Letters: K things of one scene, H rows, W columns.

A relation between two things is said only where nobody would quarrel with it: "left of" means that
the centre of the box lies at least an eighth of the picture further left, and that they differ
less in height; "in front of" that a thing hides part of another. A caption says "a red circle",
which is true of any red circle; a question says "the red circle" only where there is one.

Half the answers to yes-or-no questions are yes, whatever the question: a coin is thrown first, and
the question is made to fit. Those with the answer no name a colour and a shape that both occur in
the scene, where the scene allows it, so that seeing one of the two is not enough.
"""

from collections import Counter
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np
from jaxtyping import Bool, Float32

from tasks.worlds.things import COLOURS, SHAPES, Thing

NUMBERS = ("no", "one", "two", "three", "four", "five")
OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
MARGIN = 1 / 8
"""The least distance, in parts of the picture's side, that makes a relation."""
LEAST_HIDDEN = 0.05
"""The least part of the smaller thing's area that makes one be in front of the other."""


@dataclass(frozen=True)
class Question:
    """A question about a scene and its only answer: a number in digits, yes, no, or a word."""

    question: str
    answer: str


def relation(first: np.ndarray, second: np.ndarray, margin: float) -> str | None:
    """Say where the first box stands, seen from the second; None if that is not clear."""
    x, y = ((first[:2] + first[2:]) / 2 - (second[:2] + second[2:]) / 2).tolist()
    if max(abs(x), abs(y)) < margin:
        return None
    if abs(x) > abs(y):
        return "left of" if x < 0 else "right of"
    return "above" if y < 0 else "below"


def relations(boxes: Float32[np.ndarray, "K 4"], size_px: int) -> list[tuple[int, str, int]]:
    """Return (first, relation, second) for every ordered pair whose relation is clear."""
    found = []
    for i, j in permutations(range(len(boxes)), 2):
        word = relation(boxes[i], boxes[j], MARGIN * size_px)
        if word:
            found.append((i, word, j))
    return found


def fronts(whole: Bool[np.ndarray, "K H W"]) -> list[tuple[int, str, int]]:
    """Return (front, "in front of", behind) for every pair of which one hides part of the other."""
    areas = whole.sum((1, 2))
    return [
        (front, "in front of", behind)
        for behind, front in combinations(range(len(whole)), 2)
        if (whole[behind] & whole[front]).sum() >= LEAST_HIDDEN * min(areas[behind], areas[front])
    ]


def with_article(words: str) -> str:
    """Put "a" or "an" before some words."""
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def plural(shape: str) -> str:
    return "crosses" if shape == "cross" else f"{shape}s"


def counted(noun: str, shape: str, number: int) -> str:
    """Return "a red circle" or "two red circles"; the noun ends in the shape."""
    if number == 1:
        return with_article(noun)
    return f"{NUMBERS[number]} {noun.removesuffix(shape)}{plural(shape)}"


def listed(parts: list[str]) -> str:
    """Return "a, b and c"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]


def plain_name(thing: Thing) -> str:
    return f"{thing.colour} {thing.shape}"


def full_name(thing: Thing) -> str:
    return f"{thing.size} {thing.texture} {thing.colour} {thing.shape}"


def sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def captions(
    rng: np.random.Generator,
    objects: tuple[Thing, ...],
    boxes: Float32[np.ndarray, "K 4"],
    whole: Bool[np.ndarray, "K H W"],
) -> tuple[str, ...]:
    """Return three to five sentences: all things, their shapes, their looks, and where they stand.

    Things are named from left to right, so that one picture has one such list.
    """
    order = np.argsort(boxes[:, 0] + boxes[:, 2], kind="stable").tolist()
    colours = Counter((plain_name(objects[i]), objects[i].shape) for i in order)
    shapes = Counter(objects[i].shape for i in order)
    facts = [
        listed([counted(name, shape, n) for (name, shape), n in colours.items()]),
        "there "
        + ("is " if len(objects) == 1 or shapes[objects[order[0]].shape] == 1 else "are ")
        + listed([counted(shape, shape, n) for shape, n in shapes.items()]),
    ]
    beside = relations(boxes, whole.shape[1])
    for found, name in ((beside, plain_name), (fronts(whole), plain_name), (beside, full_name)):
        if found:
            i, word, j = found[rng.integers(len(found))]
            first, second = name(objects[i]), name(objects[j])
            other = f"another {second}" if first == second else with_article(second)
            facts.append(f"{with_article(first)} is {word} {other}")
    if not beside:
        facts.append(listed([with_article(full_name(objects[i])) for i in order]))
    return tuple(sentence(words) for words in facts)


def counting(rng: np.random.Generator, objects: tuple[Thing, ...]) -> list[Question]:
    """Ask for the number of all things, of one shape and of one colour.

    Half the shapes and colours asked for occur in the scene for certain, so that not most of the
    answers are 0.
    """
    asked = [Question("How many objects are there?", str(len(objects)))]
    shape, colour = objects[rng.integers(len(objects))].shape, str(rng.choice(list(COLOURS)))
    if rng.random() < 0.5:
        shape, colour = str(rng.choice(SHAPES)), objects[rng.integers(len(objects))].colour
    number = sum(thing.shape == shape for thing in objects)
    asked.append(Question(f"How many {plural(shape)} are there?", str(number)))
    number = sum(thing.colour == colour for thing in objects)
    asked.append(Question(f"How many {colour} objects are there?", str(number)))
    return asked


def presence(rng: np.random.Generator, objects: tuple[Thing, ...]) -> Question:
    """Ask whether something of one colour and shape is there."""
    names = sorted({plain_name(thing) for thing in objects})
    answer = "yes" if rng.random() < 0.5 else "no"
    if answer == "no":
        colours, shapes = ({t.colour for t in objects}, {t.shape for t in objects})
        mixed = {f"{colour} {shape}" for colour in colours for shape in shapes} - set(names)
        near = {f"{colour} {shape}" for colour in colours for shape in SHAPES}
        near |= {f"{colour} {shape}" for colour in COLOURS for shape in shapes}
        names = sorted(mixed or near - set(names))
    return Question(f"Is there {with_article(names[rng.integers(len(names))])}?", answer)


def looks(rng: np.random.Generator, objects: tuple[Thing, ...]) -> list[Question]:
    """Ask for the colour of a shape and for the shape of a colour that occur once."""
    shapes, colours = Counter(t.shape for t in objects), Counter(t.colour for t in objects)
    asked = []
    single = [thing for thing in objects if shapes[thing.shape] == 1]
    if single:
        thing = single[rng.integers(len(single))]
        asked.append(Question(f"What colour is the {thing.shape}?", thing.colour))
    single = [thing for thing in objects if colours[thing.colour] == 1]
    if single:
        thing = single[rng.integers(len(single))]
        asked.append(Question(f"What shape is the {thing.colour} object?", thing.shape))
    return asked


def standing(
    rng: np.random.Generator,
    objects: tuple[Thing, ...],
    boxes: Float32[np.ndarray, "K 4"],
    size_px: int,
) -> list[Question]:
    """Ask whether one thing stands on one side of another, where both names belong to one thing."""
    names = [plain_name(thing) for thing in objects]
    number = Counter(names)
    found = [
        (i, word, j)
        for i, word, j in relations(boxes, size_px)
        if number[names[i]] == number[names[j]] == 1
    ]
    if not found:
        return []
    i, word, j = found[rng.integers(len(found))]
    answer = "yes" if rng.random() < 0.5 else "no"
    asked = word if answer == "yes" else OPPOSITE[word]
    return [Question(f"Is the {names[i]} {asked} the {names[j]}?", answer)]


def questions(
    rng: np.random.Generator,
    objects: tuple[Thing, ...],
    boxes: Float32[np.ndarray, "K 4"],
    size_px: int,
) -> tuple[Question, ...]:
    """Return four to seven questions about one scene."""
    return (
        *counting(rng, objects),
        presence(rng, objects),
        *looks(rng, objects),
        *standing(rng, objects, boxes, size_px),
    )
