"""Environments by name: Gymnasium's behind the contract, the user's own, and what is refused."""

from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from backbones.training.errors import UserError
from rl.games.contract import game_seed
from rl.games.gym import GymnasiumEnvironments, preprocess
from rl.games.make import make_environments, nearest
from rl.games.options import EnvOptions
from rl.games.repeats import repeats_itself, settle_end_of_games
from rl.games.toys import CATCH, Catch

PLAIN = EnvOptions()


@pytest.fixture
def own_module(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return "my_game:Flash-v0"


def make(env, num_envs=2, **options):
    return make_environments(env, num_envs, seed=1, options=EnvOptions(**options))


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


def test_users_games_are_lived_through_again(own_module):
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


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("ALE/Pnog-v5", "ALE/Pong-v5"),
        ("Pong", "ALE/Pong-v5"),
        ("BreakoutNoFrameskip-v4", "ALE/Breakout-v5"),
        ("Catsh-v0", CATCH),
    ],
)
def test_an_unknown_environment_suggests_the_nearest(given, meant):
    with pytest.raises(UserError, match=f"did you mean {meant}"):
        make(given)


def test_nothing_is_suggested_where_nothing_is_near():
    assert nearest("zzzzqqqq", ["ALE/Pong-v5"]) == ""
    with pytest.raises(UserError, match="unknown environment"):
        make("nosuchmodule:Game-v0")


class Shows(gymnasium.Env):
    """Shows whatever space it is given."""

    def __init__(self, space, actions=None):
        self.observation_space = space
        self.action_space = actions or Discrete(2)


@pytest.mark.parametrize(
    ("space", "actions", "reason"),
    [
        (Box(-1, 1, (4,), np.float32), None, "AddRenderObservation"),
        (Box(0, 1, (84, 84), np.float32), None, "expected uint8"),
        (Box(0, 255, (3, 84, 84), np.uint8), None, r"expected uint8 \[H, W\]"),
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


def test_a_vector_environment_of_gymnasiums_is_refused():
    with pytest.raises(UserError, match="not pictures; agents here see pixels"):
        make("CartPole-v1")


def test_options_that_would_be_ignored_are_refused():
    with pytest.raises(UserError, match="--colour is not for ALE/Pong-v5"):
        make("ALE/Pong-v5", colour=True)
    with pytest.raises(UserError, match="--sticky is for Atari"):
        make(CATCH, sticky=0.25)
    with pytest.raises(UserError, match="--noop-max is for Atari"):
        make(CATCH, noop_max=3)


@pytest.mark.parametrize(
    "values", [{"sticky": 1.0}, {"sticky": -0.1}, {"noop_max": 0}, {"size_px": 10}]
)
def test_wrong_options_are_refused(values):
    with pytest.raises(ValueError, match="must"):
        EnvOptions(**values)


def test_v5_ids_are_sticky_unless_told_otherwise():
    assert make("ALE/Pong-v5").protocol.sticky == 0.25
    assert make("ALE/Pong-v5", sticky=0.0).protocol.sticky == 0.0
    assert isinstance(make(CATCH), GymnasiumEnvironments)


UNRULY = "tests.rl.games.unruly_game:Unruly-v0"


def test_games_that_repeat_themselves_are_told_from_those_that_do_not():
    assert repeats_itself("Arcadia/Catch-v0", EnvOptions(), seed=1)
    assert not repeats_itself(UNRULY, EnvOptions(), seed=1)
    assert settle_end_of_games("Arcadia/Catch-v0", EnvOptions(), 100) == (0, [])
    every, lines = settle_end_of_games(UNRULY, EnvOptions(), 100)
    assert every == 1100
    assert "all games end every 1,100 env steps" in lines[0]


def test_where_all_games_end_each_is_cut_off_with_its_own_last_picture():
    envs = make_environments(UNRULY, 2, seed=1, options=EnvOptions(), end_games_every=5)
    first = envs.reset()
    for t in range(1, 11):
        step = envs.step(np.zeros(2, np.int64))
        assert step.truncated.all() == step.over.all() == (t % 5 == 0)
        assert not step.terminated.any()
    # Made anew, an environment knows nothing of the games before: only the seeds differ.
    again = make_environments(UNRULY, 2, seed=1, options=EnvOptions(), end_games_every=5)
    assert np.array_equal(again.load_state_dict(envs.state_dict()), step.frame)
    assert first.shape == step.frame.shape
