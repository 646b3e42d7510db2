"""Lines as people write them read as a translator's training text; what that had stays as it is."""

import pytest

from tasks.data.natural import as_trained, readable, unescaped
from tasks.data.vocabulary import UNKNOWN, Vocabulary, learn

LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzäé .,!?-&;#0123456789▁")


@pytest.mark.parametrize(
    "blank", ["\u00a0", "\u3000", "\u2028", "\u202f", "\r", "\t", "\u2009", "\x85", "\u200b"]
)
def test_white_space_that_training_never_had_is_a_blank(blank):
    vocabulary = Vocabulary(learn(["two dogs play in the snow ."] * 9, 60))
    pieces = vocabulary.encode(["two dogs play"])
    assert vocabulary.encode([f"two dogs{blank}play"]) == pieces
    assert vocabulary.encode([f"{blank}two{blank} dogs play{blank}"]) == pieces
    assert vocabulary.unknown(f"two{blank}dogs") == []


def test_white_space_that_training_had_stays():
    vocabulary = Vocabulary(learn(["trois\u00a0! deux\u00a0!", "trois deux"] * 9, 60))
    assert vocabulary.encode(["trois\u00a0!"]) != vocabulary.encode(["trois !"])
    assert vocabulary.decode(vocabulary.encode(["trois\u00a0!"])) == ["trois\u00a0!"]


def test_letters_read_alike_in_every_form_and_unknown_ones_are_named():
    for known in ("é", "e\u0301"):
        vocabulary = Vocabulary(learn([f"caf{known} zoo fin"] * 9, 60))
        composed, apart, soft = vocabulary.encode(["café", "cafe\u0301", "ca\u00adfé"])
        assert composed == apart == soft and UNKNOWN not in composed
        assert vocabulary.encode(["ﬁn"]) == vocabulary.encode(["fin"])
        assert vocabulary.unknown("café 漢字 zoo") == ["漢字"]
    assert readable("a漢b", LETTERS) == "a漢b"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Two dogs play in the snow.", "two dogs play in the snow ."),
        ("two dogs play in the snow .", "two dogs play in the snow ."),
        ("A man\u2019s hat, isn't it?", "a man &apos;s hat , isn &apos;t it ?"),
        ("a man &apos;s hat .", "a man &apos;s hat ."),
        ("a man 's hat .", "a man &apos;s hat ."),
        (
            'A sign says \u201cNo dogs\u201d & "cats".',
            "a sign says &quot; no dogs &quot; &amp; &quot; cats &quot; .",
        ),
        ("Mr. Smith of the U.S. runs 1,000 m...", "mr. smith of the u.s. runs 1,000 m ..."),
        ("The girls' dog-sled (red)!", "the girls &apos; dog-sled ( red ) !"),
        ("A dog. It runs.", "a dog . it runs ."),
    ],
)
def test_natural_lines_become_what_moses_makes_of_them(said, expected):
    assert as_trained(said, LETTERS, True, "en") == expected
    assert as_trained(expected, LETTERS, True, "en") == expected


def test_case_and_marks_that_training_had_stay():
    letters = LETTERS | frozenset("AB'\"")
    assert as_trained('A man\'s "B".', letters, True, "en") == 'A man \'s " B " .'
    assert as_trained('A man\'s "B".', letters, False, "en") == 'A man\'s "B".'
    assert as_trained("L'homme d'Été.", LETTERS, True, "fr") == "l&apos; homme d&apos; été ."
    assert as_trained("漢字", frozenset("漢字 "), False, "zh") == "漢字"


def test_entities_become_marks_again():
    assert unescaped("a &quot; b &apos;s &amp;quot; &amp; c") == "a \" b 's &quot; & c"
