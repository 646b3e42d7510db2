"""The language of scenes: its grammar, and what has to hold for a sentence to be true.

    sentence  list | "there" ("is" | "are") list | "there" ("is" | "are") "no" noun
              | name relation name
    list      item | item {"," item} "and" item
    item      name | ("two" | "three" | "four" | "five") noun, in the plural
    name      ("a" | "an") noun
    noun      [size] [texture] [colour] (shape | "object")
    relation  "is" ("left of" | "right of" | "above" | "below" | "in front of" | "behind")

"There is" and "there are" go by the first item; "another" may stand before the second name of a
relation that the first thing bears too. The first letter may be large, and a full stop may end it.

What the words mean is settled where nobody would quarrel with a sentence that is called true:

- "a red circle" is any red circle: there may be more of them. "two red circles" are exactly two.
- The items of a list, and the two names of a relation, are different things of the scene.
- Left of, right of, above and below: the two boxes do not overlap along that axis, and their
  centres lie at least 1.5 times as far apart along it as across it, so that nothing near a diagonal
  counts. Both hold for the boxes of what is visible and of the whole things alike.
- In front of: what is visible of the one covers at least a twentieth of the smaller thing's area
  of the other. Behind is the reverse.

What is in doubt is false: a sentence is true where every claim is plain. That true sentences say
something is for `is_right`: they name two things by their shapes, or all there are. It follows
Xie et al. 2019 (https://arxiv.org/abs/1912.08960), who score captions of made scenes by grammar,
truth and diversity.

Letters: K things of one scene, H rows, W columns.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32

from tasks.data.formats.rle import boxes_of
from tasks.worlds.things import COLOURS, SHAPES, SIZES, TEXTURES, Thing

NUMBERS = ("no", "one", "two", "three", "four", "five")
OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
SIDES = tuple(OPPOSITE)
RELATIONS = (*SIDES, "in front of", "behind")
LEAST_RATIO = 1.5
"""How much further apart along its axis than across it a relation's two centres are."""
LEAST_HIDDEN = 0.05
"""The least part of the smaller thing's area that makes one be in front of the other."""


@runtime_checkable
class Facts(Protocol):
    """What a sentence is judged by: things from back to front, and which pixels are theirs."""

    @property
    def objects(self) -> tuple[Thing, ...]:
        """The things in words."""

    @property
    def boxes(self) -> Float32[np.ndarray, "K 4"]:
        """x0, y0, x1, y1 of the visible part of every thing in pixels, the end not included."""

    @property
    def masks(self) -> Bool[np.ndarray, "K H W"]:
        """The visible part of every thing."""

    @property
    def whole(self) -> Bool[np.ndarray, "K H W"]:
        """Every thing as if it stood alone."""


@dataclass(frozen=True)
class Described:
    """A thing as far as it is described; "" for what is left open."""

    size: str
    texture: str
    colour: str
    shape: str

    def fits(self, thing: Thing) -> bool:
        """Say whether everything that is said of a thing is so."""
        said = (self.size, self.texture, self.colour, self.shape)
        have = (thing.size, thing.texture, thing.colour, thing.shape)
        return all(word in ("", own) for word, own in zip(said, have, strict=True))

    @property
    def num_claims(self) -> int:
        """How many of size, texture, colour and shape are named."""
        return sum(map(bool, (self.size, self.texture, self.colour, self.shape)))


@dataclass(frozen=True)
class Statement:
    """A sentence as it was understood: so many of each noun; two of them with a relation."""

    items: tuple[tuple[int, Described], ...]
    relation: str = ""

    @property
    def num_claims(self) -> int:
        """Every size, texture, colour, shape, number but "a", and relation is one."""
        counted = sum(number != 1 for number, _ in self.items)
        return counted + bool(self.relation) + sum(noun.num_claims for _, noun in self.items)

    @property
    def num_named(self) -> int:
        """How many things it names by their shapes."""
        return sum(number for number, noun in self.items if noun.shape)


def plural(shape: str) -> str:
    """Return the name of several things of a shape."""
    return "crosses" if shape == "cross" else f"{shape}s"


NOUNS = {name: "" if name == "object" else name for name in (*SHAPES, "object")}
PLURALS = {plural(name): shape for name, shape in NOUNS.items()}


def one_of(words: Sequence[str]) -> str:
    return f"({'|'.join(words)})"


ITEM = re.compile(
    f"(a|an|another|no|{'|'.join(NUMBERS[2:])}) (?:{one_of(list(SIZES))} )?"
    f"(?:{one_of(TEXTURES)} )?(?:{one_of(list(COLOURS))} )?{one_of([*NOUNS, *PLURALS])}"
)
RELATED = re.compile(f"(.+) is {one_of(RELATIONS)} (.+)")


def item_of(words: str) -> tuple[str, Described] | None:
    """Return the first word of an item and its noun; None if it is no item, or "a circles"."""
    found = ITEM.fullmatch(words)
    if not found:
        return None
    first, size, texture, colour, last = (part or "" for part in found.groups())
    several = last in PLURALS
    if first != "no" and several != (first in NUMBERS):
        return None
    if first in ("a", "an") and (first == "an") != (words.split()[1][0] in "aeiou"):
        return None
    return first, Described(size, texture, colour, PLURALS[last] if several else NOUNS[last])


def parsed(sentence: str) -> Statement | None:
    """Return what a sentence says; None if the grammar does not have it."""
    words = sentence.removesuffix(".")
    words = words[:1].lower() + words[1:]
    if found := RELATED.fullmatch(words):
        return related(*found.groups())
    opening, verb, rest = words.partition(" is " if words.startswith("there is ") else " are ")
    opened = bool(verb) and opening == "there"
    items = [item_of(part) for part in re.split(r", | and ", rest if opened else words)]
    counted = [item for item in items if item is not None]
    firsts = [first for first, _ in counted]
    if len(counted) < len(items) or "another" in firsts or not is_list(words, len(items)):
        return None
    several = firsts[0] in NUMBERS
    if "no" in firsts:
        if not opened or len(items) > 1:
            return None
        # "There is no circle" and "there are no circles".
        several = rest.split()[-1] in PLURALS
    if opened and several != (verb == " are "):
        return None
    return Statement(tuple((number_of(first), noun) for first, noun in counted))


def is_list(words: str, length: int) -> bool:
    """Say whether commas stand between all but the last two items, and "and" between those."""
    last = words.rpartition(" and ")[2]
    return words.count(" and ") == (length > 1) and (length == 1 or ", " not in last)


def number_of(word: str) -> int:
    return NUMBERS.index(word) if word in NUMBERS else 1


def related(first: str, relation: str, second: str) -> Statement | None:
    """Return what "first is relation second" says; None if it is not in the grammar."""
    ours, theirs = item_of(first), item_of(second)
    if not ours or not theirs or ours[0] not in ("a", "an"):
        return None
    if theirs[0] == "another":
        # The first is one of those, too.
        if not Described.fits(theirs[1], Thing(**vars(ours[1]))):
            return None
    elif theirs[0] not in ("a", "an"):
        return None
    return Statement(((1, ours[1]), (1, theirs[1])), relation)


def side(first: Sequence[float], second: Sequence[float], gap_px: float, ratio: float) -> str:
    """Return on which side of the second box the first one lies; "" where that is not plain."""
    x = first[0] + first[2] - second[0] - second[2]
    y = first[1] + first[3] - second[1] - second[3]
    if abs(x) >= ratio * abs(y):
        if max(first[0] - second[2], second[0] - first[2]) >= gap_px:
            return "left of" if x < 0 else "right of"
    elif abs(y) >= ratio * abs(x) and max(first[1] - second[3], second[1] - first[3]) >= gap_px:
        return "above" if y < 0 else "below"
    return ""


def relations(
    facts: Facts, *, gap_px: float = 0.0, ratio: float = LEAST_RATIO, hidden: float = LEAST_HIDDEN
) -> list[tuple[int, str, int]]:
    """Return (first, relation, second) for every ordered pair and relation that holds plainly.

    A writer who wants some distance from what is in doubt asks for more than the least.
    """
    count = len(facts.objects)
    visible, whole = facts.boxes.tolist(), boxes_of(facts.whole).tolist()
    pixels = [each.reshape(count, -1).astype(np.float32) for each in (facts.masks, facts.whole)]
    covered = (pixels[0] @ pixels[1].T).tolist()
    areas = pixels[1].sum(1).tolist()
    found = []
    for i, j in permutations(range(count), 2):
        word = side(visible[i], visible[j], gap_px, ratio)
        if word and word == side(whole[i], whole[j], gap_px, ratio):
            found.append((i, word, j))
        if i > j and covered[i][j] >= max(1, hidden * min(areas[i], areas[j])):
            found += [(i, "in front of", j), (j, "behind", i)]
    return found


def different_things(items: Sequence[Described], objects: Sequence[Thing]) -> bool:
    """Say whether every noun can have a thing of its own that it fits."""
    if not items:
        return True
    first, *rest = items
    return any(
        first.fits(thing) and different_things(rest, [*objects[:k], *objects[k + 1 :]])
        for k, thing in enumerate(objects)
    )


def holds(facts: Facts, statement: Statement) -> bool:
    """Say whether everything that a statement claims is so."""
    objects = facts.objects
    if statement.relation:
        (_, ours), (_, theirs) = statement.items
        return any(
            word == statement.relation and ours.fits(objects[i]) and theirs.fits(objects[j])
            for i, word, j in relations(facts)
        )
    for number, noun in statement.items:
        if number != 1 and sum(map(noun.fits, objects)) != number:
            return False
    nouns = [noun for number, noun in statement.items for _ in range(number)]
    return len(nouns) <= len(objects) and different_things(nouns, objects)


def parses(sentence: str) -> bool:
    """Say whether a sentence is grammatical, true or not."""
    return parsed(sentence) is not None


def is_true(facts: Facts, sentence: str) -> bool:
    """Say whether every claim of a sentence holds in a scene; what does not parse is not true."""
    statement = parsed(sentence)
    return statement is not None and holds(facts, statement)


def is_right(facts: Facts, sentence: str) -> bool:
    """Say whether a sentence is true and names two things by their shapes, or all there are."""
    statement = parsed(sentence)
    if statement is None or statement.num_named < min(2, len(facts.objects)):
        return False
    return holds(facts, statement)


def num_claims(sentence: str) -> int:
    """Return how many things a sentence claims, 0 if it does not parse."""
    statement = parsed(sentence)
    return statement.num_claims if statement else 0
