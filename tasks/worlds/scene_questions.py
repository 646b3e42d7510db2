"""What can be asked of a scene: questions with one answer, which the question alone does not give.

    count     How many objects are there?                       1 to 5
              How many circles / red objects / small objects / striped objects are there?
                                                                0 to 3, of colours 0 to 2
    presence  Is there a red circle / a small star / ...?       yes, no
    colour    What colour is the circle / the small object ...?  red, ...
    shape, size, texture                                        likewise
    relation  Is the red circle left of the blue square?        yes, no
    more      Are there more circles than stars?                yes, no
    larger    Is the red circle larger than the blue square?    yes, no

"The red circle" is only said where there is one. Every answer is about as likely as any other that
its question can have, so who does not look at the picture is right by chance (Goyal et al. 2017,
https://arxiv.org/abs/1612.00837, section 3). Of yes and no a coin is thrown first, and the question
made to fit: those with the answer no name two looks that both occur in the scene, where the scene
allows it, so that seeing one of them is not enough. A number is asked for the more rarely the more
often it is the answer.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from tasks.worlds.scene_language import OPPOSITE, Facts, plural
from tasks.worlds.scene_words import chosen_from, plain_name, plain_relations, with_article
from tasks.worlds.things import COLOURS, SHAPES, SIZES, TEXTURES, Thing

KINDS = ("count", "presence", "colour", "shape", "size", "texture", "relation", "more", "larger")
VALUES: dict[str, Sequence[str]] = {
    "size": tuple(SIZES),
    "texture": TEXTURES,
    "colour": tuple(COLOURS),
    "shape": SHAPES,
}
LOOKS = tuple(VALUES)  # in the order in which a name says them
ORDER = {size: place for place, size in enumerate(SIZES)}
OTHER_WAY = {**OPPOSITE, "in front of": "behind", "behind": "in front of"}
# Of so many in a hundred scenes it is true, measured on 20,000: that there are 1 to 5 things, and
# that a look occurs 0, 1, ... times.
NUMBER = (20.0, 19.7, 20.8, 22.0, 17.5)
OFTEN = {
    "size": (34.7, 39.3, 19.3, 5.8),
    "texture": (46.0, 37.4, 13.5, 2.9),
    "colour": (68.4, 26.4, 4.6),
    "shape": (60.0, 31.7, 7.3, 1.0),
}


@dataclass(frozen=True)
class Question:
    """A question about a scene and its only answer: a number in digits, yes, no, or a word."""

    question: str
    answer: str
    kind: str
    """One of KINDS."""
    thing: int = -1
    """The thing that alone decides the answer; -1 if several do."""


def named_by(looks: dict[str, str]) -> str:
    """Return the name that some looks make, such as "small red circle" or "striped object"."""
    words = [looks[look] for look in LOOKS if look in looks]
    return " ".join(words if "shape" in looks else [*words, "object"])


def kept(rng: np.random.Generator, often: float, rarest: float) -> bool:
    """Keep what occurs `often` as often as the rarest."""
    return bool(rng.random() * often < rarest)


def counting(rng: np.random.Generator, objects: tuple[Thing, ...]) -> list[Question]:
    """Ask for the number of all things, and of those with one look."""
    asked = []
    if kept(rng, NUMBER[len(objects) - 1], min(NUMBER)):
        asked.append(Question("How many objects are there?", str(len(objects)), "count"))
    for look, often in OFTEN.items():
        number = Counter(getattr(thing, look) for thing in objects)
        for value in VALUES[look]:
            found = number[value]
            if found < len(often) and kept(rng, often[found], min(often)):
                noun = plural(value) if look == "shape" else f"{value} objects"
                asked.append(Question(f"How many {noun} are there?", str(found), "count"))
    return asked


def presence(rng: np.random.Generator, objects: tuple[Thing, ...]) -> Question:
    """Ask whether something with two looks is there."""
    pairs = list(combinations(LOOKS, 2))
    first, second = pairs[chosen_from(rng, len(pairs))]
    found = {(getattr(thing, first), getattr(thing, second)) for thing in objects}
    answer = "yes" if rng.random() < 0.5 else "no"
    chosen = found
    if answer == "no":
        ones, others = {one for one, _ in found}, {other for _, other in found}
        near = {*product(ones, VALUES[second]), *product(VALUES[first], others)}
        chosen = (set(product(ones, others)) or near) - found or near - found
    one, other = sorted(chosen)[chosen_from(rng, len(chosen))]
    name = named_by({first: one, second: other})
    return Question(f"Is there {with_article(name)}?", answer, "presence")


def looks(rng: np.random.Generator, objects: tuple[Thing, ...]) -> list[Question]:
    """Ask for every look of a thing that others of its looks tell from all others: one of them, or
    two where none does."""
    asked = []
    for look in LOOKS:
        others = [other for other in LOOKS if other != look]
        for count in (1, 2):
            names = [
                [named_by({each: getattr(thing, each) for each in some}) for thing in objects]
                for some in combinations(others, count)
            ]
            single = [
                (n, row[n]) for row in names for n in range(len(objects)) if row.count(row[n]) == 1
            ]
            if single:
                break
        if not single:
            continue
        n, name = single[chosen_from(rng, len(single))]
        asked.append(Question(f"What {look} is the {name}?", getattr(objects[n], look), look, n))
    return asked


def standing(rng: np.random.Generator, facts: Facts, names: list[str]) -> list[Question]:
    """Ask whether one thing stands on one side of another, or before it, where both names belong to
    one thing."""
    found = [
        (names[i], word, names[j])
        for i, word, j in plain_relations(facts)
        if names.count(names[i]) == names.count(names[j]) == 1
    ]
    if not found:
        return []
    first, word, second = found[chosen_from(rng, len(found))]
    answer = "yes" if rng.random() < 0.5 else "no"
    said = word if answer == "yes" else OTHER_WAY[word]
    return [Question(f"Is the {first} {said} the {second}?", answer, "relation")]


def more(rng: np.random.Generator, objects: tuple[Thing, ...]) -> list[Question]:
    """Ask of which of two shapes, or of two colours, there are more."""
    look = ("shape", "colour")[chosen_from(rng, 2)]
    number = Counter(getattr(thing, look) for thing in objects)
    pairs = [(a, b) for a, b in product(VALUES[look], repeat=2) if number[a] > number[b]]
    many, few = pairs[chosen_from(rng, len(pairs))]
    answer = "yes" if rng.random() < 0.5 else "no"
    first, second = (many, few) if answer == "yes" else (few, many)
    if look == "shape":
        first, second = plural(first), plural(second)
    else:
        first, second = f"{first} objects", f"{second} ones"
    return [Question(f"Are there more {first} than {second}?", answer, "more")]


def larger(
    rng: np.random.Generator, objects: tuple[Thing, ...], names: list[str]
) -> list[Question]:
    """Ask which of two things of different size is larger, where both names belong to one thing."""
    single = [n for n, name in enumerate(names) if names.count(name) == 1]
    pairs = [
        (names[i], names[j])
        for i, j in product(single, repeat=2)
        if ORDER[objects[i].size] > ORDER[objects[j].size]
    ]
    if not pairs:
        return []
    large, small = pairs[chosen_from(rng, len(pairs))]
    answer = "yes" if rng.random() < 0.5 else "no"
    first, second = (large, small) if answer == "yes" else (small, large)
    return [Question(f"Is the {first} larger than the {second}?", answer, "larger")]


def questions(rng: np.random.Generator, facts: Facts) -> tuple[Question, ...]:
    """Return the questions about one scene, no two of them the same."""
    objects = facts.objects
    names = [plain_name(thing) for thing in objects]
    return (
        *counting(rng, objects),
        presence(rng, objects),
        *looks(rng, objects),
        *standing(rng, facts, names),
        *more(rng, objects),
        *larger(rng, objects, names),
    )
