"""What can be said of a scene: captions that are true.

The captions are sentences of `tasks/worlds/scene_language.py`, which says what makes them true. A
relation is only written where it holds with some distance from what would be in doubt: a hidden
part twice as large as need be, a gap between two boxes, a direction nearer to the axis. A caption
says "a red circle", which is true of any red circle. Questions: `tasks/worlds/scene_questions.py`.
"""

from bisect import bisect_right
from collections import Counter

import numpy as np

from tasks.worlds.scene_language import LEAST_HIDDEN, NUMBERS, SIDES, Facts, plural, relations
from tasks.worlds.things import Thing

NUM_CAPTIONS = 5
Relation = tuple[int, str, int]
# What a name says besides the shape, and how often. One sentence names all its things alike, so
# that two names that differ never mean the same thing.
DETAILS = (
    ("colour",),
    ("size", "colour"),
    ("texture", "colour"),
    ("size", "texture", "colour"),
    ("size",),
    (),
)
UP_TO = (0.5, 0.7, 0.82, 0.88, 0.94, 1.0)  # the shares of these, added up
# A list of LONG things or more says one thing of each.
LONG, BRIEF = 3, (("colour",), ("colour",), ("size",), ("texture",), ())


def plain_relations(facts: Facts) -> list[Relation]:
    """Return (first, relation, second) for what holds with some distance from any doubt."""
    gap_px = facts.whole.shape[1] / 64
    return relations(facts, gap_px=gap_px, ratio=2.0, hidden=2 * LEAST_HIDDEN)


def with_article(words: str) -> str:
    """Put "a" or "an" before some words."""
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def counted(noun: str, shape: str, number: int) -> str:
    """Return "a red circle" or "two red circles"; the noun ends in the shape."""
    if number == 1:
        return with_article(noun)
    return f"{NUMBERS[number]} {noun.removesuffix(shape)}{plural(shape)}"


def listed(parts: list[str]) -> str:
    """Return "a, b and c"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]


def named(thing: Thing, detail: tuple[str, ...]) -> str:
    """Return a thing's name with some of its looks, such as "small red circle"."""
    return " ".join([*(getattr(thing, each) for each in detail), thing.shape])


def plain_name(thing: Thing) -> str:
    return f"{thing.colour} {thing.shape}"


def sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def chosen_from(rng: np.random.Generator, count: int) -> int:
    """Choose a number below `count`; a third of the time of `rng.integers`."""
    return int(rng.random() * count)


def some_detail(rng: np.random.Generator) -> tuple[str, ...]:
    """Choose what names are to say, colours most often."""
    return DETAILS[bisect_right(UP_TO, rng.random())]


def list_of(things: list[Thing], detail: tuple[str, ...], opened: bool) -> str:
    """Return a list of things in order, those of one name together; `opened` by "there is"."""
    names = Counter((named(thing, detail), thing.shape) for thing in things)
    parts = [counted(name, shape, number) for (name, shape), number in names.items()]
    verb = "is" if next(iter(names.values())) == 1 else "are"
    return f"there {verb} {listed(parts)}" if opened else listed(parts)


def pair(rng: np.random.Generator, things: list[Thing]) -> str:
    """Return a list of two of the things, or of all where these two are not all of one name."""
    detail, opened = some_detail(rng), bool(rng.random() < 0.5)
    first, other = chosen_from(rng, len(things)), chosen_from(rng, max(1, len(things) - 1))
    # The first is passed over, and of one thing alone it is the other, too.
    places = {first, (other + (other >= first)) % len(things)}
    chosen = [things[k] for k in sorted(places)]
    names = [named(thing, detail) for thing in things]
    if len({named(thing, detail) for thing in chosen}) == 1 < len(chosen):
        # "Two circles" would be false of three.
        chosen = chosen if names.count(named(chosen[0], detail)) == 2 else things
    return list_of(chosen, detail, opened)


def related(rng: np.random.Generator, things: tuple[Thing, ...], found: list[Relation]) -> str:
    """Return a sentence with one of some relations."""
    i, word, j = found[chosen_from(rng, len(found))]
    detail = some_detail(rng)
    first, second = named(things[i], detail), named(things[j], detail)
    other = f"another {second}" if first == second else with_article(second)
    return f"{with_article(first)} is {word} {other}"


def captions(rng: np.random.Generator, facts: Facts) -> tuple[str, ...]:
    """Return NUM_CAPTIONS different sentences: two of all things, then of two of them, or of the
    only one: where they stand if that is plain, and a pair.

    Things are listed from left to right, so that one picture has one such list.
    """
    order = np.argsort(facts.boxes[:, 0] + facts.boxes[:, 2], kind="stable").tolist()
    things = [facts.objects[k] for k in order]
    few = len(things) < LONG
    other = some_detail(rng) if few else BRIEF[chosen_from(rng, len(BRIEF))]
    lines = dict.fromkeys([list_of(things, ("colour",), False), list_of(things, other, True)])
    found = plain_relations(facts)
    sides = [each for each in found if each[1] in SIDES]
    hiding = [each for each in found if each[1] not in SIDES]
    for some in (sides or hiding, hiding or sides):
        if some:
            lines[related(rng, facts.objects, some)] = None
    while len(lines) < NUM_CAPTIONS:
        lines[pair(rng, things)] = None
    return tuple(sentence(words) for words in lines)
