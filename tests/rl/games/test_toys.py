"""Catch: what it shows, and play that is known to be best."""

import numpy as np

from rl.games.toys import Catch


def test_catch_is_caught_by_one_who_knows_how():
    game = Catch()
    for seed in range(20):
        game.reset(seed=seed)
        total, done = 0.0, False
        while not done:
            action = int(np.sign(game.ball[1] - game.paddle)) + 1
            _, reward, done, _, _ = game.step(action)
            total += reward
        assert total == 1.0


def test_catch_shows_one_ball_and_one_paddle():
    game = Catch()
    obs, _ = game.reset(seed=0)
    assert obs.shape == (84, 84)
    assert (obs == 255).sum() == 36
    assert (obs == 128).sum() == 3 * 36
    assert game.render().shape == (84, 84, 3)
