"""Gymnasium environments behind the contract, people's own among them."""

from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from backbones.training.errors import UserError
from rl.games.contract import game_seed
from rl.games.gym import preprocess
from rl.games.options import EnvOptions
from rl.games.toys import CATCH, Catch
from tests.rl.games.making import make


@pytest.fixture
def own_module(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return "my_game:Flash-v0"


def test_gymnasium_environments_give_what_the_environment_gives():
    envs = make(CATCH, 2)
    frame = envs.reset()
    games = [Catch(), Catch()]
    episodes = [0, 0]
    expected = [g.reset(seed=game_seed(1, n, 0))[0] for n, g in enumerate(games)]
    rng = np.random.default_rng(0)
    for _ in range(60):
        assert np.array_equal(frame[:, 0], np.stack(expected))
        action = rng.integers(3, size=2)
        step = envs.step(action)
        frame = step.frame
        for n, game in enumerate(games):
            expected[n], reward, done, _, _ = game.step(int(action[n]))
            assert (step.reward[n], step.over[n], step.terminated[n]) == (reward, done, done)
            assert np.array_equal(step.final_frame[n, 0], expected[n])
            if done:
                episodes[n] += 1
                expected[n] = game.reset(seed=game_seed(1, n, episodes[n]))[0]
    assert envs.protocol.frame_skip == 1
    assert envs.action_names == ("LEFT", "NOOP", "RIGHT")


def test_a_users_own_game_in_colour_is_turned_grey_and_shrunk(own_module):
    envs = make(own_module)
    frame = envs.reset()
    assert frame.shape == (2, 1, 84, 84)
    assert set(np.unique(frame)) <= {30, 255}
    over = [envs.step(np.zeros(2, np.int64)) for _ in range(10)][-1]
    assert over.over.all()
    assert over.truncated.all()
    assert not over.terminated.any()
    assert envs.protocol.max_frames == 10


def test_colour_size_and_frame_skip_are_there_for_those_who_ask(own_module):
    envs = make(own_module, colour=True, size_px=48, frame_skip=5)
    assert envs.reset().shape == (2, 3, 48, 48)
    rewards = [envs.step(np.ones(2, np.int64)) for _ in range(2)]
    assert rewards[1].over.all()  # ten frames are two env steps
    assert rewards[0].reward.max() > 1


def test_users_games_are_replayed(own_module):
    envs = make(own_module)
    envs.reset()
    for i in range(17):
        last = envs.step(np.array([i % 2, 0]))
    other = make(own_module)
    assert np.array_equal(other.load_state_dict(envs.state_dict()), last.frame)
    again, expected = other.step(np.array([1, 1])), envs.step(np.array([1, 1]))
    assert np.array_equal(again.reward, expected.reward)
    assert np.array_equal(again.frame, expected.frame)


@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 1), (40, 60, 3)])
@pytest.mark.parametrize("colour", [False, True])
def test_every_kind_of_picture_becomes_a_frame(shape, colour):
    frame = preprocess(EnvOptions(colour=colour))(np.full(shape, 77, np.uint8))
    assert frame.shape == (3 if colour else 1, 84, 84)
    assert (frame == 77).all()


class Shows(gymnasium.Env):
    """Shows whatever space it is given."""

    def __init__(self, space, actions=None):
        self.observation_space = space
        self.action_space = actions or Discrete(2)


@pytest.mark.parametrize(
    ("space", "actions", "reason"),
    [
        (Box(-1, 1, (4,), np.float32), None, "numbers, not pictures.* It draws nothing either"),
        (Box(-np.inf, 1, (84, 84), np.float32), None, "numbers without bounds"),
        (Box(7, 7, (84, 84), np.float32), None, "whose numbers are all 7"),
        (Box(0, 255, (0, 84), np.uint8), None, "pictures without points"),
        (Discrete(5), None, "not pictures"),
        (Box(0, 255, (84, 84), np.uint8), Box(-1, 1, (2,)), "choose one of n actions"),
    ],
)
def test_what_agents_cannot_play_is_refused_with_the_reason(space, actions, reason):
    gymnasium.register("Shows-v0", entry_point=lambda: Shows(space, actions))
    try:
        with pytest.raises(UserError, match=reason):
            make("Shows-v0")
    finally:
        gymnasium.registry.pop("Shows-v0")


def test_numbers_that_draw_are_refused_with_what_to_do():
    with pytest.raises(UserError, match=r"numbers, not pictures; .* --pixels learns from what it"):
        make("CartPole-v1")
