"""Run lengths of masks against COCO's own code, and what is no run length."""

import numpy as np
import pytest
from faster_coco_eval import mask as coco_mask
from hypothesis import given, settings
from hypothesis import strategies as st

from backbones.training.errors import UserError
from tasks.data.formats.rle import given_runs, mask_of, runs_in, runs_of, string_of


def test_runs_go_down_the_columns_and_begin_with_what_is_outside():
    mask = np.array([[0, 1, 1], [0, 0, 1]], bool)
    assert runs_of(mask).tolist() == [2, 1, 1, 2]
    assert runs_of(~mask).tolist() == [0, 2, 1, 1, 2]
    assert (mask_of(np.array([2, 1, 1, 2]), 2, 3) == mask).all()


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_strings_are_those_of_coco_and_come_back(height, width, seed, share):
    mask = np.random.default_rng(seed).random((height, width)) < share
    theirs = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    theirs = theirs.decode() if isinstance(theirs, bytes) else theirs
    assert string_of(runs_of(mask)) == theirs
    assert (mask_of(runs_in(theirs), height, width) == mask).all()


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ("\x7f", "stands in its run lengths"),
        ("P", "end in the middle of a number"),
        ("oooooooo0", "stands in its run lengths"),
        ([1, -2], "below 0"),
        ([1, 2.5], "neither whole numbers nor a text"),
        (None, "neither whole numbers nor a text"),
        ([2**40], "too large"),
    ],
)
def test_what_is_no_run_length_is_one_line(counts, words):
    with pytest.raises(UserError, match=words):
        given_runs(counts)


def test_runs_of_another_size_are_refused():
    with pytest.raises(UserError, match=r"5 pixels together; 3 x 2 would be 6"):
        mask_of(np.array([2, 3]), 2, 3)
