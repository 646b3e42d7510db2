"""Numbers over games and seeds: by hand, and as scipy has them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from suites.statistics import estimates, interquartile_mean, mean_of, median_of, resampled

games = st.lists(
    st.lists(st.floats(-5, 50, allow_nan=False), min_size=1, max_size=6), min_size=1, max_size=8
)


def test_the_numbers_by_hand():
    scores = [[0.0, 2.0], [10.0], [3.0, 3.0, 3.0]]
    assert mean_of(scores) == pytest.approx((1 + 10 + 3) / 3)
    assert median_of(scores) == 3.0
    # Of 0 2 3 3 3 10 the lowest and the highest go.
    assert interquartile_mean(scores) == pytest.approx((2 + 3 + 3 + 3) / 4)


@given(games)
def test_the_interquartile_mean_is_that_of_scipy(scores):
    assert interquartile_mean(scores) == pytest.approx(
        stats.trim_mean(np.concatenate(scores), 0.25), abs=1e-9
    )


@given(games)
def test_a_game_is_resampled_from_its_own_seeds(scores):
    drawn = resampled(scores, np.random.default_rng(0))
    assert [len(game) for game in drawn] == [len(game) for game in scores]
    for game, own in zip(drawn, scores, strict=True):
        assert set(game.tolist()) <= set(own)


def test_the_interval_of_one_game_is_that_of_scipys_bootstrap():
    scores = np.random.default_rng(1).normal(1.0, 0.3, 12)
    theirs = stats.bootstrap(
        (scores,), np.mean, method="percentile", n_resamples=9_999, rng=np.random.default_rng(2)
    ).confidence_interval
    ours = estimates([scores], resamples=9_999)["mean"]
    assert ours.value == pytest.approx(scores.mean())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.01)


def test_one_seed_a_game_leaves_no_interval():
    for found in estimates([[1.0], [3.0], [8.0]]).values():
        assert found.low == found.value == found.high
