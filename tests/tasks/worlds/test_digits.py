"""Digits: functions of (seed, index) alone, written in several ways, not trivial, not hopeless."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backbones.training.errors import UserError
from tasks.worlds.digits import CLASSES, WRITINGS, digits, writings

ROOT = Path(__file__).parents[3]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=6), st.integers(0, 2**40))
def test_a_digit_depends_on_seed_and_index_alone(indices, seed):
    picture, label = digits(seed, np.array(indices))
    backwards, label_backwards = digits(seed, np.array(indices[::-1]))
    assert np.array_equal(picture, backwards[::-1])
    assert np.array_equal(label, label_backwards[::-1])
    alone, label_alone = digits(seed, np.array(indices[-1:]))
    assert np.array_equal(alone[0], picture[-1])
    assert label_alone[0] == label[-1]


def test_another_process_writes_the_same_digits():
    program = (
        "import hashlib, numpy as np; from tasks.worlds.digits import digits;"
        "print(hashlib.sha256(digits(3, np.arange(20))[0].tobytes()).hexdigest())"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    ours = hashlib.sha256(digits(3, np.arange(20))[0].tobytes()).hexdigest()
    assert run.stdout.strip() == ours, run.stderr


def test_other_seeds_and_other_indices_give_other_digits():
    index = np.arange(200)
    pictures = np.concatenate([digits(0, index)[0], digits(1, index)[0]])
    assert len({picture.tobytes() for picture in pictures}) == 400


def test_labels_are_uniform_over_the_classes():
    counts = np.bincount(digits(0, np.arange(4000))[1], minlength=10)
    # Chi-squared with 9 degrees of freedom stays below 27.9 in 999 of 1,000 cases.
    assert ((counts - 400) ** 2 / 400).sum() < 27.9


@pytest.mark.parametrize("size_px", [16, 28, 64])
def test_a_digit_is_white_on_black_and_touches_no_border(size_px):
    picture, label = digits(5, np.arange(300), size_px)
    assert picture.shape == (300, 1, size_px, size_px)
    assert set(label.tolist()) == set(range(10))
    ink = picture[:, 0] > 100
    assert 0.03 < ink.mean() < 0.3
    assert ink.any((1, 2)).all()
    border = np.concatenate([ink[:, [0, -1]].reshape(300, -1), ink[:, :, [0, -1]].reshape(300, -1)])
    assert not border.any()


def test_every_class_is_written_in_several_ways():
    assert len(WRITINGS) == len(CLASSES) == 10
    assert min(len(ways) for ways in WRITINGS) >= 2


def test_curves_pass_through_their_control_points():
    for ways in writings():
        for writing in ways:
            distance = np.abs((writing.curve @ writing.control)[:, None] - writing.control).sum(2)
            assert distance.min(0).max() < 1e-9
            # Every point of a curve is a mean of control points, so a moved digit moves as one.
            assert np.allclose(writing.curve.sum(1), 1)


def test_the_nearest_mean_picture_names_most_digits_but_not_all():
    picture, label = digits(0, np.arange(3000))
    picture = picture.reshape(3000, -1).astype(np.float32)
    means = np.stack([picture[:2000][label[:2000] == k].mean(0) for k in range(10)])
    distance = ((picture[2000:, None] - means) ** 2).sum(2)
    right = (distance.argmin(1) == label[2000:]).mean()
    assert 0.55 < right < 0.9


def test_what_cannot_be_drawn_is_refused_in_words():
    with pytest.raises(UserError, match="take 16 or more"):
        digits(0, np.arange(1), 8)
    with pytest.raises(UserError, match="must be 0 or more"):
        digits(-1, np.arange(1))
