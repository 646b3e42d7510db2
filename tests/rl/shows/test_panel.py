"""The panel beside a game."""

import numpy as np

from rl.shows.panel import compose
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
    assert shown.shape == (420, 720, 3)
