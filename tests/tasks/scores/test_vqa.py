"""VQA accuracy: golden cases of the official rule, and a slow version that leaves each one out."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.scores.vqa import accuracy, attention_sums, plain_form, vqa_scores, worth


@pytest.mark.parametrize(
    ("answer", "answers", "expected"),
    [
        ("yes", ["yes"] * 8 + ["no"] * 2, 1.0),
        ("no", ["yes"] * 8 + ["no"] * 2, 0.6),
        ("red", ["red"] + ["blue"] * 9, 0.3),
        ("red", ["red"] * 3 + ["blue"] * 7, 0.9),
        ("red", ["red"] * 4 + ["blue"] * 6, 1.0),
        ("green", ["red"] * 4 + ["blue"] * 6, 0.0),
        # Where people disagree, both sides are compared in a plain form.
        ("2", ["two", "Two.", "the 2", "2", "3", "3", "3", "3", "3", "3"], 1.0),
        ("a dog", ["dog"] * 9 + ["cat"], 1.0),
        # Where all agree, both are compared as they stand.
        ("2", ["two"] * 10, 0.0),
        ("two", ["two"] * 10, 1.0),
        # One answer is right or wrong.
        ("cube", ["cube"], 1.0),
        ("sphere", ["cube"], 0.0),
    ],
)
def test_the_official_rule(answer, answers, expected):
    assert accuracy(answer, answers) == pytest.approx(expected)


@given(
    st.lists(st.sampled_from(["yes", "no", "2", "two", "a dog", "dog!"]), min_size=2, max_size=12),
    st.sampled_from(["yes", "no", "2", "dog"]),
)
def test_it_agrees_with_leaving_each_person_out_in_turn(answers, answer):
    given = answers if len(set(answers)) == 1 else [plain_form(each) for each in answers]
    rounds = [given[:k] + given[k + 1 :] for k in range(len(given))]
    slow = sum(min(1.0, others.count(answer) / 3) for others in rounds) / len(rounds)
    assert accuracy(answer, answers) == pytest.approx(slow)


@pytest.mark.parametrize(
    ("answer", "plain"),
    [
        ("The Two dogs", "2 dogs"),
        ("none", "0"),
        ("t-shirt", "t shirt"),
        ("red, blue", "red blue"),
        ("1,000", "1000"),
        ("4.5", "4.5"),
        ("yes.", "yes"),
        ("dont know", "don't know"),
        ("couldnt've", "couldn't've"),
        ("well", "well"),
        ("its", "its"),
        ("", ""),
    ],
)
def test_the_plain_form_of_answers(answer, plain):
    assert plain_form(answer) == plain and plain_form(plain) == plain


def test_what_answers_are_worth_is_their_accuracy():
    answers = ["yes"] * 6 + ["Yes!", "no", "no", "maybe"]
    assert worth(answers) == pytest.approx({"yes": 1.0, "no": 0.6, "maybe": 0.3})
    assert all(accuracy(each, answers) == pytest.approx(v) for each, v in worth(answers).items())
    assert worth(["The cube"]) == {"cube": 1.0}


def test_attention_is_held_against_the_thing_that_decides():
    masks = np.zeros((2, 4, 4), bool)
    masks[0, :2, :2] = True
    masks[1, 3, 3] = True
    # Four regions of 2 x 2 pixels: the first thing fills one, the second a quarter of another.
    even, first, last = [0.25] * 4, [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]
    weights = torch.tensor([[even, even], [even, first], [even, last], [even] * 2, [even] * 2])
    found = attention_sums(masks, [0, 0, 1, -1], weights)
    share = 0.25 + 0.25 + 1 / 16
    assert found.tolist() == pytest.approx([3, share, share, 0.25 + 1 + 0.25])


def test_scores_are_of_all_questions_and_of_every_kind_that_was_asked():
    answers = torch.tensor([[10.0, 0, 30], [5, 0, 30], [2, 0, 0], [1, 0, 3]])
    sums = {"answers": answers, "looked": torch.zeros(4)}
    found = vqa_scores(sums, ["yes/no", "number", "other"])
    assert found == pytest.approx(
        {
            "accuracy": 87.5,
            "question_only": 5.0,
            "picture_only": 10.0,
            "accuracy_yes_no": 50.0,
            "question_only_yes_no": 20.0,
            "accuracy_other": 100.0,
            "question_only_other": 0.0,
        }
    )
