"""Stacks and scores: against slow obvious versions, and never a trace of the game before."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rl.games.contract import Step, game_seed
from rl.games.stacks import STACK, stack
from rl.scoring import Game, ScoreKeeper, mean_score


def slow_stack(frames, age, t, n):
    """One picture at a time."""
    rows = []
    for k in range(STACK):
        steps_old = STACK - 1 - k
        frame = frames[t + k, n]
        rows.append(frame if age[t, n] >= steps_old else torch.zeros_like(frame))
    return torch.cat(rows)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1, 3]))
def test_stack_agrees_with_one_picture_at_a_time(seed, channels):
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randint(
        1, 256, (9 + STACK, 3, channels, 4, 5), generator=generator, dtype=torch.uint8
    )
    age = torch.randint(0, 6, (10, 3), generator=generator)
    t = torch.randint(0, 10, (20,), generator=generator)
    n = torch.randint(0, 3, (20,), generator=generator)
    obs = stack(frames, age, t, n)
    assert obs.shape == (20, STACK * channels, 4, 5)
    for row, (i, j) in zip(obs, zip(t.tolist(), n.tolist(), strict=True), strict=True):
        assert torch.equal(row, slow_stack(frames, age, i, j))


def test_a_new_game_shows_nothing_of_the_old_one():
    frames = torch.full((STACK, 1, 1, 2, 2), 7, dtype=torch.uint8)
    zero = torch.zeros(1, dtype=torch.int64)
    obs = stack(frames, torch.zeros(1, 1, dtype=torch.int64), zero, zero)
    assert obs[0, :3].sum() == 0
    assert (obs[0, 3] == 7).all()


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


def test_game_seeds_differ_by_run_environment_and_episode():
    seeds = {
        game_seed(run, env, episode) for run in range(4) for env in range(4) for episode in range(4)
    }
    assert len(seeds) == 64
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert game_seed(1, 2, 3) == game_seed(1, 2, 3)
