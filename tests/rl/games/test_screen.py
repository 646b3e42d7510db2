"""The size in which people see a game."""

import numpy as np

from rl.games.screen import best_size


def test_sizes_people_see():
    assert best_size(np.zeros((210, 160, 3))) == (480, 420)
    assert best_size(np.zeros((84, 84, 3))) == (420, 420)
    assert best_size(np.zeros((600, 800, 3))) == (800, 600)
