"""Scores are raw sums over full games; scalars say them and where the time went."""

import numpy as np

from rl.games.contract import Step
from rl.scoring import Game, ScoreKeeper, mean_score, rollout_scalars


def step(reward, over):
    frame = np.zeros((2, 1, 1, 1), np.uint8)
    over = np.array(over)
    return Step(frame, frame, np.array(reward, np.float32), over, np.zeros(2, bool), over)


def test_scores_are_raw_sums_over_full_games_and_do_not_leak():
    keeper = ScoreKeeper(2)
    assert keeper.update(step([5, 1], [False, False])) == []
    assert keeper.update(step([7, 0], [True, False])) == [Game(0, 12.0, 2)]
    assert keeper.update(step([1, 1], [True, True])) == [Game(0, 1.0, 1), Game(1, 2.0, 3)]


def test_the_mean_score_of_no_games_is_none():
    assert mean_score([]) is None
    assert mean_score([Game(0, 1.0, 5), Game(1, 4.0, 5)]) == 2.5


def test_scalars_say_scores_and_where_the_time_went():
    seconds = {"env": 0.2, "policy": 0.1, "learn": 0.4, "wait": 0.1}
    scalars = rollout_scalars(1000, seconds, [Game(0, 3.0, 10), Game(1, 5.0, 20)])
    assert scalars["speed/env_steps_per_s"] == 2000
    assert scalars["speed/learn_s"] == 0.4
    assert scalars["rollout/score"] == 4
    assert scalars["rollout/game_length"] == 15
    assert "rollout/score" not in rollout_scalars(1000, seconds, [])
