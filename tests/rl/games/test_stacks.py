"""Stacks against one picture at a time, and never a trace of the game before."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rl.games.stacks import STACK, FrameStack, stack


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


def test_a_running_stack_forgets_the_game_before():
    frames = [np.full((2, 1, 84, 84), i + 1, np.uint8) for i in range(6)]
    stacks = FrameStack(frames[0])
    assert stacks.obs()[:, :, 0, 0].tolist() == [[0, 0, 0, 1]] * 2
    stacks.push(frames[1], np.array([False, False]))
    stacks.push(frames[2], np.array([False, True]))
    assert stacks.obs()[:, :, 0, 0].tolist() == [[0, 1, 2, 3], [0, 0, 0, 3]]
