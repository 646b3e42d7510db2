"""Questions about scenes: each has the answer that the objects give, and none gives it away."""

import re
from collections import Counter, defaultdict

import numpy as np
import pytest

from tasks.worlds.scene_language import OPPOSITE, is_true
from tasks.worlds.scene_questions import KINDS, VALUES
from tasks.worlds.scene_words import with_article
from tasks.worlds.scenes import asked, facts, scene
from tasks.worlds.things import SIZES

SEED, MANY = 11, 3_000
PLURALS = {"crosses": "cross", **{f"{shape}s": shape for shape in VALUES["shape"]}}


@pytest.fixture(scope="module")
def scenes():
    return [scene(SEED, i) for i in range(500)]


@pytest.fixture(scope="module")
def many():
    return [one for i in range(MANY) for one in asked(SEED, i)]


def matching(sample, name):
    """The things of which every word of a name is true, "object" of all; a plural is a name."""
    words = [PLURALS.get(word, word) for word in name.split()]
    wanted = [word for word in words if word not in ("object", "objects", "ones", "a", "an")]
    return [thing for thing in sample.objects if set(wanted) <= set(vars(thing).values())]


def only(sample, name):
    (thing,) = matching(sample, name)
    return thing


def answer_to(sample, question):
    """Answer a question from the objects alone; fails where it has not one answer."""
    text = question.rstrip("?")
    if found := re.fullmatch(r"How many (.+) are there", text):
        return str(len(matching(sample, found[1])))
    if found := re.fullmatch(r"Is there (.+)", text):
        return "yes" if matching(sample, found[1]) else "no"
    if found := re.fullmatch(r"What (colour|shape|size|texture) is the (.+)", text):
        return getattr(only(sample, found[2]), found[1])
    if found := re.fullmatch(r"Are there more (.+) than (.+)", text):
        more, less = (len(matching(sample, found[k])) for k in (1, 2))
        assert more != less
        return "yes" if more > less else "no"
    if found := re.fullmatch(r"Is the (.+) larger than the (.+)", text):
        one, other = (list(SIZES).index(only(sample, found[k]).size) for k in (1, 2))
        assert one != other
        return "yes" if one > other else "no"
    relations = "|".join([*OPPOSITE, "in front of", "behind"])
    found = re.fullmatch(rf"Is the (.+) ({relations}) the (.+)", text)
    first, second = only(sample, found[1]), only(sample, found[3])
    assert first is not second
    opposite = {**OPPOSITE, "in front of": "behind", "behind": "in front of"}[found[2]]
    names = with_article(found[1]).capitalize(), with_article(found[3])
    yes, no = (is_true(sample, f"{names[0]} is {r} {names[1]}.") for r in (found[2], opposite))
    assert yes != no
    return "yes" if yes else "no"


def test_every_question_has_the_answer_that_the_objects_give(scenes):
    for sample in scenes:
        assert len({one.question for one in sample.questions}) == len(sample.questions) >= 5
        for one in sample.questions:
            assert answer_to(sample, one.question) == one.answer, (one, sample.objects)


def test_a_question_that_one_thing_decides_says_which(scenes):
    single = [(s, one) for s in scenes for one in s.questions if one.thing >= 0]
    assert {one.kind for _, one in single} == set(VALUES)
    for sample, one in single:
        name = one.question.split(" is the ")[1].rstrip("?")
        assert sample.objects[one.thing] is only(sample, name)
    others = {one.kind for s in scenes for one in s.questions if one.thing < 0}
    assert others == set(KINDS) - set(VALUES)


def test_questions_are_those_of_the_scene_and_masks_too(scenes):
    questions, masks = asked(SEED, 7), facts(SEED, 7).masks
    assert questions == scenes[7].questions and np.array_equal(masks, scenes[7].masks)
    assert asked(SEED + 1, 7) != questions


def chance_of(one):
    """How often one would be right who knows a question and draws one of its answers."""
    if one.kind in VALUES:
        return 1 / len(VALUES[one.kind])
    if one.kind != "count":
        return 1 / 2
    noun = re.fullmatch(r"How many (.+) are there\?", one.question)[1]
    if noun == "objects":
        return 1 / 5
    return 1 / 3 if noun.split()[0] in VALUES["colour"] else 1 / 4


@pytest.mark.parametrize("kind", KINDS)
def test_who_knows_the_questions_alone_is_right_by_chance(many, kind):
    # The usual answer to each question of one half, held against the other half.
    mine = [one for one in many if one.kind == kind]
    learnt, held = mine[::2], mine[1::2]
    by_text, by_kind = defaultdict(Counter), Counter(one.answer for one in learnt)
    for one in learnt:
        by_text[one.question][one.answer] += 1
    guesses = [(by_text.get(one.question) or by_kind).most_common(1)[0][0] for one in held]
    right = np.mean([guess == one.answer for guess, one in zip(guesses, held, strict=True)])
    chance = np.mean([chance_of(one) for one in held])
    # Three points, and two standard deviations of a sample of this size.
    assert right < chance + 0.03 + 2 * (chance * (1 - chance) / len(held)) ** 0.5


def test_all_answers_that_a_question_can_have_are_about_equally_common(many):
    counts = defaultdict(Counter)
    for one in many:
        group = one.kind
        if one.kind == "count":
            group = f"count {chance_of(one):.2f}"
        counts[group][one.answer] += 1
    assert set(counts) == {*KINDS, "count 0.20", "count 0.25", "count 0.33"} - {"count"}
    for group, answers in counts.items():
        shares = np.array(list(answers.values())) / answers.total()
        assert shares.max() < 1.15 * shares.mean() and shares.min() > 0.85 * shares.mean(), group


def test_a_thing_that_is_not_there_has_looks_that_are(scenes):
    both, total = 0, 0
    for sample in scenes:
        for one in sample.questions:
            if one.kind == "presence" and one.answer == "no":
                words = [w for w in one.question.rstrip("?").split()[3:] if w != "object"]
                total += 1
                both += all(matching(sample, word) for word in words)
    assert total > 100 and both > 0.6 * total


@pytest.mark.parametrize("wrong", [dict(size_px=16), dict(seed=-1), dict(index=-1)])
def test_scenes_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match=r"take 32 or more|must be 0 or more"):
        asked(**{"seed": 0, "index": 0, **wrong})
