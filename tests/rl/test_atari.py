"""Our Atari environment against Gymnasium's wrappers, its restarts, and living games again."""

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import AtariPreprocessing

from rl.atari import AtariEnvironments, atari_ids
from rl.environments import EnvOptions
from rl.screen import AtariScreen

GAMES = ("Pong Breakout Seaquest MsPacman BeamRider SpaceInvaders Qbert Enduro").split()


def make(env="ALE/Breakout-v5", num_envs=4, **kwargs):
    return AtariEnvironments(
        env, range(num_envs), **{"seed": 1, "sticky": 0.0, "threads": 2, **kwargs}
    )


@pytest.mark.parametrize("game", GAMES)
def test_frames_rewards_and_endings_equal_those_of_gymnasiums_wrappers(game):
    env = f"ALE/{game}-v5"
    ours = make(env, 1, noop_max=1)
    raw = gymnasium.make(env, frameskip=1, repeat_action_probability=0.0)
    wrapped = AtariPreprocessing(raw, noop_max=0, frame_skip=4, screen_size=84)
    wrapped.reset(seed=0)
    first = ours.reset()
    if "FIRE" in ours.action_names:
        raw.step(ours.action_names.index("FIRE"))  # one frame, as at the start of our games
    rng, scores = np.random.default_rng(3), 0
    assert first.shape == (1, 1, 84, 84)
    for _ in range(1000):
        action = int(rng.integers(len(ours.action_names)))
        step = ours.step(np.array([action]))
        obs, reward, terminated, _, _ = wrapped.step(action)
        assert step.reward[0] == reward
        assert step.over[0] == terminated
        scores += reward != 0
        if terminated:
            break
        assert np.array_equal(step.frame[0, 0], obs)
    assert scores > 0 or game == "Enduro"


@pytest.mark.parametrize("game", GAMES)
def test_the_colour_twin_shows_the_agent_the_same_pixels(game):
    env = f"ALE/{game}-v5"
    ours, twin = make(env, 1, noop_max=1), AtariScreen(env, EnvOptions(sticky=0.0, noop_max=1))
    assert np.array_equal(ours.reset()[0], twin.reset(0).frame)
    assert twin.action_names == ours.action_names
    rng = np.random.default_rng(4)
    for _ in range(600):
        action = int(rng.integers(len(ours.action_names)))
        step, glance = ours.step(np.array([action])), twin.step(action)
        assert glance.over == step.over[0]
        assert glance.reward == step.reward[0]
        if glance.over:
            break
        assert np.array_equal(step.frame[0], glance.frame)
        assert all(picture.shape == (210, 160, 3) for picture in glance.pictures)


def test_a_lost_life_ends_the_return_but_not_the_game():
    envs = make("ALE/Breakout-v5", 2)
    envs.reset()
    rng, lost, over = np.random.default_rng(0), 0, 0
    while over < 2:
        step = envs.step(rng.integers(4, size=2))
        assert (step.terminated | ~step.over).all()
        lost += int((step.terminated & ~step.over).sum())
        over += int(step.over.sum())
    assert lost >= 4 * over  # five lives a game


def test_after_a_game_the_next_frame_is_of_the_new_game_and_the_old_ones_last_is_kept():
    envs = make("ALE/Breakout-v5", 2, noop_max=1)
    first = envs.reset()
    rng = np.random.default_rng(0)
    while True:
        step = envs.step(rng.integers(4, size=2))
        if step.over.any():
            break
    n = int(np.flatnonzero(step.over)[0])
    # Without no-ops and sticky actions every game begins with the same picture.
    assert np.array_equal(step.frame[n], first[n])
    assert not np.array_equal(step.final_frame[n], first[n])
    # No dead row: the very next action already moves the new game on.
    assert not envs.step(np.array([1, 1])).over.any()
    assert envs.history.begin[n] == len(envs.history.actions) - 1


def test_the_clock_truncates_a_game_without_terminating_it():
    envs = make("ALE/Pong-v5", 2, max_frames=200)
    envs.reset()
    for _ in range(60):
        step = envs.step(np.zeros(2, np.int64))
        if step.over.any():
            break
    assert (step.truncated & ~step.terminated & step.over)[step.over].all()


def test_a_life_lost_just_when_time_is_up_still_ends_the_game():
    envs = make("ALE/Breakout-v5", 1)
    envs.reset()
    for k in range(1, 400):
        step = envs.step(np.zeros(1, np.int64) + (k % 10 == 0))
        if step.terminated[0]:
            break
    assert step.terminated[0]
    assert not step.over[0]
    limited = make("ALE/Breakout-v5", 1, max_frames=4 * k)
    limited.reset()
    steps = [limited.step(np.zeros(1, np.int64) + (i % 10 == 0)) for i in range(1, k + 2)]
    assert steps[k - 1].over[0]
    assert not any(step.over[0] for step in steps[: k - 1])
    assert not steps[k].over[0]  # the next step is the new game's first, not a dead row


def play(envs, steps, seed):
    rng = np.random.default_rng(seed)
    actions = rng.integers(len(envs.action_names), size=(steps, envs.num_envs))
    return [envs.step(action) for action in actions]


@pytest.mark.parametrize("sticky", [0.0, 0.25])
def test_games_are_lived_through_again_from_seeds_and_actions(sticky):
    envs = make("ALE/Breakout-v5", 4, sticky=sticky)
    envs.reset()
    before = play(envs, 700, seed=5)
    assert any(step.over.any() for step in before)
    state = envs.state_dict()
    expected = play(envs, 300, seed=6)

    other = make("ALE/Breakout-v5", 4, sticky=sticky)
    frame = other.load_state_dict(state)
    assert np.array_equal(frame, before[-1].frame)
    for ours, theirs in zip(play(other, 300, seed=6), expected, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert np.array_equal(a, b)


def test_an_environments_games_depend_on_its_index_not_on_its_neighbours():
    actions = np.random.default_rng(0).integers(4, size=(200, 1))
    alone, among = make("ALE/Breakout-v5", 1, sticky=0.25), make("ALE/Breakout-v5", 5, sticky=0.25)
    assert np.array_equal(alone.reset()[0], among.reset()[0])
    for action in actions:
        one, five = alone.step(action), among.step(np.repeat(action, 5))
        assert np.array_equal(one.frame[0], five.frame[0])


def test_sticky_actions_change_the_game_and_seeds_do_too():
    runs = {}
    for sticky, seed in [(0.0, 1), (0.25, 1), (0.25, 2)]:
        envs = make("ALE/Breakout-v5", 1, sticky=sticky, seed=seed, noop_max=1)
        envs.reset()
        runs[sticky, seed] = np.stack([s.frame for s in play(envs, 100, seed=7)])
    assert not np.array_equal(runs[0.0, 1], runs[0.25, 1])
    assert not np.array_equal(runs[0.25, 1], runs[0.25, 2])


def test_the_registered_games_are_offered():
    assert len(atari_ids()) >= 100
    assert atari_ids()["ALE/MsPacman-v5"] == "ms_pacman"
