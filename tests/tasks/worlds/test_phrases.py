"""The world of phrases: a function of (seed, index), right in three languages, splits apart."""

import pytest

from backbones.training.errors import UserError
from tasks.worlds.phrases import (
    ADJECTIVES,
    OBJECTS,
    SUBJECTS,
    noun_phrase,
    number_de,
    number_en,
    number_fr,
    pairs,
    phrase,
)


@pytest.mark.parametrize(
    ("n", "en", "de", "fr"),
    [
        (0, "zero", "null", "zéro"),
        (17, "seventeen", "siebzehn", "dix-sept"),
        (21, "twenty-one", "einundzwanzig", "vingt et un"),
        (71, "seventy-one", "einundsiebzig", "soixante et onze"),
        (80, "eighty", "achtzig", "quatre-vingts"),
        (81, "eighty-one", "einundachtzig", "quatre-vingt-un"),
        (99, "ninety-nine", "neunundneunzig", "quatre-vingt-dix-neuf"),
        (101, "one hundred and one", "einhunderteins", "cent un"),
        (300, "three hundred", "dreihundert", "trois cents"),
        (1080, "one thousand and eighty", "eintausendachtzig", "mille quatre-vingts"),
        (
            2316,
            "two thousand three hundred and sixteen",
            "zweitausenddreihundertsechzehn",
            "deux mille trois cent seize",
        ),
    ],
)
def test_numbers_in_words(n, en, de, fr):
    assert (number_en(n), number_de(n), number_fr(n)) == (en, de, fr)


@pytest.mark.parametrize("say", [number_en, number_de, number_fr])
def test_no_two_numbers_are_said_alike(say):
    assert len({say(n) for n in range(10_000)}) == 10_000


def test_articles_and_adjectives_agree():
    nouns = {noun.en: noun for noun in (*SUBJECTS, *OBJECTS)}
    red, big = ADJECTIVES[0], ADJECTIVES[2]
    assert noun_phrase(nouns["apple"], "a", None, "accusative") == (
        "an apple",
        "einen Apfel",
        "une pomme",
    )
    assert noun_phrase(nouns["clock"], "the", None, "nominative")[2] == "l'horloge"
    assert noun_phrase(nouns["clock"], "the", big, "accusative") == (
        "the big clock",
        "die große Uhr",
        "la grande horloge",
    )
    assert noun_phrase(nouns["house"], "a", red, "accusative") == (
        "a red house",
        "ein rotes Haus",
        "une maison rouge",
    )
    assert noun_phrase(nouns["table"], "the", red, "accusative")[1] == "den roten Tisch"


def test_a_phrase_is_a_function_of_seed_and_index():
    made = [phrase(1, n, "train") for n in range(50)]
    assert [phrase(1, n, "train") for n in reversed(range(50))] == made[::-1]
    assert made != [phrase(2, n, "train") for n in range(50)]
    assert len(set(made)) > 45


def test_no_phrase_of_one_split_is_in_another():
    train, test = pairs("train", "en", "de", 5_000), pairs("test", "en", "de")
    assert not set(train.source) & set(test.source)
    assert len(train) == 5_000 and len(test) == 2_000


def test_one_english_phrase_has_one_translation():
    for language in ("de", "fr"):
        made = pairs("train", "en", language, 5_000)
        assert len(set(zip(made.source, made.target, strict=True))) == len(set(made.source))


def test_another_language_is_refused():
    with pytest.raises(UserError, match="speaks en, de, fr, not es"):
        pairs("train", "en", "es")
