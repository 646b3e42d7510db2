"""The panel beside a game."""

import numpy as np

from rl.shows.panel import TEXT, compose, fitted, font, likeliest, with_footer
from tests.rl.shows.panels import panel


def test_a_picture_shows_the_game_and_changes_with_the_panel():
    picture = np.zeros((210, 160, 3), np.uint8)
    picture[:, :, 0] = 200
    shown = compose(picture, panel())
    assert shown.shape == (420, 780, 3)
    assert (shown[:420, :480, 0] == 200).all()
    likely = compose(picture, panel(probabilities=[0.0, 0.0, 1.0, 0.0, 0.0, 0.0]))
    assert not np.array_equal(shown[:, 480:], likely[:, 480:])
    assert not np.array_equal(shown, compose(picture, panel(score=4.0)))


def test_a_game_of_many_actions_fits_the_panel():
    names = tuple(f"UPRIGHTFIRE{i}" for i in range(18))
    shown = compose(
        np.zeros((84, 84, 3), np.uint8), panel(action_names=names, probabilities=[1 / 18] * 18)
    )
    assert shown.shape == (420, 860, 3)  # two columns


def test_a_game_of_more_actions_than_fit_shows_the_likeliest_and_the_chosen_one():
    probabilities = [0.001] * 100
    probabilities[40], probabilities[70] = 0.5, 0.4
    many = panel(action_names=[f"a{i}" for i in range(100)], probabilities=probabilities, action=99)
    assert likeliest(many, 3) == [40, 70, 99]
    assert likeliest(many, 100) == list(range(100))
    shown = compose(np.zeros((84, 84, 3), np.uint8), many)
    assert not np.array_equal(shown[396:], compose(np.zeros((84, 84, 3), np.uint8), None)[396:])


def test_the_last_scores_stand_beside_with_the_mean_of_all():
    assert panel().last_games == ""
    scores = [1.0, 2.0, 3.0, 4.0, 5.0, 6.5]
    assert panel(scores=scores).last_games == "last games 2 3 4 5 6.5, mean 3.6 of 6"


def test_a_name_is_cut_where_it_does_not_fit_and_a_footer_is_added_below():
    assert fitted("UPRIGHTFIRE", 1000, 12) == "UPRIGHTFIRE"
    assert "UPRIGHTFIRE".startswith(fitted("UPRIGHTFIRE", 40, 12))
    assert font(12).getlength(fitted("UPRIGHTFIRE", 40, 12)) <= 40
    picture = np.full((20, 100, 3), 7, np.uint8)
    below = with_footer(picture, ["score 1", "q quit"])
    assert below.shape == (62, 100, 3)
    assert np.array_equal(below[:20], picture)
    assert (below[20:] == TEXT).all(-1).any()
