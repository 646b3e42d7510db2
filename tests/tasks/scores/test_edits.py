"""Character errors: by hand, and symmetric."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbones.training.distributed import ALONE
from tasks.scores.edits import edit_scores, edit_sums, edits
from tasks.scores.sums import add


@pytest.mark.parametrize(
    ("said", "meant", "wrong"),
    [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("ab", "ba", 2), ("abc", "abc", 0)],
)
def test_letters_put_in_left_out_and_exchanged_are_counted(said, meant, wrong):
    assert edits(said, meant) == wrong


@given(st.text("ab", max_size=8), st.text("ab", max_size=8), st.text("ab", max_size=8))
def test_it_is_a_distance(one, two, three):
    assert edits(one, two) == edits(two, one)
    assert edits(one, three) <= edits(one, two) + edits(two, three)


def test_scores_are_of_all_letters_together():
    sums = add([edit_sums(["a", "xy"], ["a", "ab"]), edit_sums(["cdef"], ["cdef"])], ALONE)
    assert edit_scores(sums) == pytest.approx({"cer": 200 / 7, "right": 200 / 3})
