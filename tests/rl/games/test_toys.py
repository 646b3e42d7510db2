"""Catch: what it shows, and play that is known to be best. Corridor: what its actions are worth."""

import numpy as np

from rl.games.toys import Catch, Corridor


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


def test_the_values_of_corridor_are_those_of_value_iteration():
    game, gamma = Corridor(), 0.9
    q_value = np.zeros((game.rooms, 2))
    for _ in range(50):
        for room in range(1, game.rooms - 1):
            for action in (0, 1):
                game.reset(seed=0)
                game.room = room
                _, reward, over, _, _ = game.step(action)
                after = 0.0 if over else q_value[game.room].max()
                q_value[room, action] = reward + gamma * after
    assert np.allclose(q_value[1:-1], Corridor.q_values(gamma))
    # Who looks far ahead goes to the larger reward.
    assert Corridor.q_values(0.9).argmax(1).tolist() == [1, 1, 1, 1]
    assert Corridor.q_values(0.4).argmax(1).tolist() == [0, 0, 1, 1]
