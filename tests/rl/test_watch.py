"""Watching an agent, and filming it."""

import re

import av
import numpy as np
import pytest

from backbones.training.errors import UserError
from rl.agent import load_agent
from rl.games.options import EnvOptions
from rl.shows.game_env import GameEnv
from rl.shows.show import MOST_SPEED, NoShow, Pace
from rl.watch import film, play_game


def test_a_film_of_an_agent_is_a_whole_game(smoke, tmp_path):
    agent = load_agent("ppo/pong-1")
    score = film(agent, tmp_path / "game.mp4")
    with av.open(str(tmp_path / "game.mp4")) as container:
        frames = container.streams.video[0].frames
    assert frames == 2 * 100  # the smoke protocol ends games after 400 frames
    assert -10 <= score <= 0


class Recorder:
    """Keeps what it is shown."""

    def __init__(self, keys=()):
        self.keys = list(keys)  # typed after each env step, and while it waits
        self.pictures, self.captions = [], []

    def show(self, picture, panel, caption):
        self.pictures.append(picture)
        self.captions.append(caption)

    def held(self):
        return set()

    def typed(self):
        return self.keys.pop(0) if self.keys else []

    def close(self):
        pass


def watch(agent, seed):
    show = Recorder()
    return play_game(agent, show, seed=seed, limit_s=3.0), show


def test_watching_shows_two_pictures_a_step_and_repeats_by_seed(smoke):
    agent = load_agent("ppo/pong-1")
    _, show = watch(agent, 1)
    assert len(show.pictures) == 2 * 45
    assert re.fullmatch(r"score -?\d+  value [+-]\d\.\d\d", show.captions[-1])
    again = watch(agent, 1)[1]
    assert all(np.array_equal(a, b) for a, b in zip(show.pictures, again.pictures, strict=True))


def test_keys_pause_step_and_change_the_speed(smoke):
    agent, pace = load_agent("ppo/pong-1"), Pace(1e5)
    # After the first env step: pause, wait twice, one step, faster, go on.
    show = Recorder([["p"], [], ["n"], ["+", "+", "-"], ["p"]])
    play_game(agent, show, seed=1, limit_s=0.3, pace=pace)
    plain = Recorder()
    play_game(agent, plain, seed=1, limit_s=0.3)
    again = [words.endswith("paused") for words in show.captions]
    # Two pictures an env step; shown again while it waited: twice before the step, once after it.
    assert again == [False] * 2 + [True] * 2 + [True] * 2 + [True] + [False] * 6
    assert len(plain.pictures) == 2 * 5
    assert pace.speed == 2e5
    assert show.captions[-1].endswith("speed 200000")


def test_speed_stays_within_bounds():
    pace = Pace(1.0)
    pace.press("-" * 50)
    assert pace.speed == 1 / 64
    pace.press("+" * 100)
    assert pace.speed == MOST_SPEED
    film = Pace(None)
    film.press("+-p")
    assert (film.speed, film.paused) == (None, True)


def test_an_agent_gives_its_environment_and_is_a_line(smoke):
    agent = load_agent("ppo/pong-1")
    assert re.fullmatch(
        r"<ppo/pong-1: an agent for ALE/Pong-v5, 6 actions, 256 env steps.*>", str(agent)
    )
    env = agent.make_env("rgb_array")
    assert env.observation_space.shape == (4, 84, 84)
    obs, _ = env.reset(seed=3)
    assert np.array_equal(obs, env.reset(seed=3)[0])
    steps, cut = 0, False
    while not cut:
        obs, _, terminated, cut, _ = env.step(agent.act(obs))
        steps += 1
        assert not terminated
    assert steps == 100  # the smoke protocol cuts games off after 400 frames
    assert env.render().shape == (210, 160, 3)
    env.close()
    with pytest.raises(UserError, match="render_mode = 'window' must be None, 'human'"):
        agent.make_env("window")


def test_an_agent_s_environment_ends_where_the_game_does_and_passes_gymnasium_s_checks():
    from gymnasium.utils.env_checker import check_env

    env = GameEnv("Arcadia/Catch-v0", EnvOptions(), (4, 84, 84))
    check_env(env, skip_render_check=True)
    env.reset(seed=1)
    ends = [env.step(1)[2:4] for _ in range(13)]
    assert ends == [(False, False)] * 12 + [(True, False)]


def test_nothing_shown_says_how_it_stands_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr(NoShow, "LINE_EVERY_S", 0.0)
    NoShow("the agent plays first").show(np.zeros((2, 2, 3), np.uint8), None, "score 3")
    assert capsys.readouterr().out == "the agent plays first: score 3, 0 s\n"
