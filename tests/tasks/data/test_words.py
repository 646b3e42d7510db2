"""Words of captions: what is a word, what is written of words, and the vocabulary of a run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbones.training.errors import UserError
from tasks.data.vocabulary import BEGIN, END, PAD, UNKNOWN
from tasks.data.words import Words, learn_words, words_of, written


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("A dog runs .", "a dog runs"),
        ("A dog, a cat , and 2.5 birds!", "a dog , a cat , and 2.5 birds"),
        ("The man 's dog does n't", "the man's dog doesn't"),
        ("The man\u2019s tri-colored \u201cdog\u201d", "the man's tri-colored dog"),
        (", , a dog ,", "a dog"),
        ("e\u0301te\u0301 \u00c9T\u00c9", "\u00e9t\u00e9 \u00e9t\u00e9"),
        ("...", ""),
        ("", ""),
    ],
)
def test_a_caption_is_cut_into_words(caption, words):
    assert words_of(caption) == words.split()


def test_words_are_written_as_a_sentence():
    assert written(["a", "dog", ",", "two", "cats"]) == "A dog, two cats."
    assert written([]) == ""


@given(st.lists(st.sampled_from(["a", "dog", ",", "man's", "2.5", "tri-colored"]), max_size=8))
def test_what_is_written_is_cut_into_the_same_words_again(words):
    words = words_of(" ".join(words))
    assert words_of(written(words)) == words


def test_words_are_learnt_by_how_often_they_occur():
    captions = ["a dog and a dog", "A cat", "a dog, a bird"]
    assert learn_words(captions, 1) == ["a", "dog", ",", "and", "bird", "cat"]
    assert learn_words(captions, 2) == ["a", "dog"]
    with pytest.raises(UserError, match="no word of the captions occurs 9 times; give more"):
        learn_words(captions, 9)


def test_numbers_of_words_are_decoded_up_to_their_end():
    words = Words(["a", "dog", ","])
    assert len(words) == 7
    assert words.encode(["A dog, a bird.", ""]) == [[4, 5, 6, 4, UNKNOWN], []]
    assert words.decode([[BEGIN, 4, 5, END, 4, PAD], [4, UNKNOWN, PAD, PAD], [END]]) == [
        "A dog.",
        "A <unknown>.",
        "",
    ]
    assert words.shown([4, 5, 6, 4, END]) == ["a", "dog", ",", "a"]


@pytest.mark.parametrize("damaged", [["a", "a"], ["a", ""], ["a", 3], ["<end>"]])
def test_a_damaged_vocabulary_is_refused(damaged):
    with pytest.raises(UserError, match="vocabulary is damaged"):
        Words(damaged)
