"""A person plays: keys, games and an agent's score to beat."""

import re

import pytest

from backbones.training.errors import UserError
from rl.play import Config as PlayConfig
from rl.play import action_for, find_game, keys_for
from rl.play import main as play_main
from tests.rl.shows.panels import PONG


@pytest.mark.parametrize(
    ("held", "action"),
    [
        (set(), "NOOP"),
        ({"right"}, "RIGHT"),
        ({"left", "space"}, "LEFTFIRE"),
        ({"space"}, "FIRE"),
        ({"up"}, "NOOP"),
        ({"d", "space"}, "RIGHTFIRE"),
        ({"3"}, "LEFT"),
        ({"9"}, "NOOP"),
    ],
)
def test_keys_choose_the_action_that_fits_best(held, action):
    assert PONG[action_for(held, PONG)] == action


def test_without_noop_the_first_action_is_the_idle_one():
    assert action_for(set(), ("action 0", "action 1")) == 0


def test_play_takes_a_game_or_a_run(smoke):
    env, _, agent = find_game("ALE/Breakout-v5")
    assert (env, agent) == ("ALE/Breakout-v5", None)
    env, _, agent = find_game("ppo/pong-1")
    assert env == "ALE/Pong-v5"
    assert agent is not None
    with pytest.raises(UserError, match=r"neither a run nor a game: .*did you mean"):
        find_game("ALE/Brakout-v5")


@pytest.mark.filterwarnings("ignore:no fast renderer")
def test_a_person_plays_against_an_agents_score(smoke, monkeypatch, capsys):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    status = play_main(PlayConfig(game="ppo/pong-1", window=True, speed=200.0))
    assert status == 0
    out = capsys.readouterr().out
    # Between the two, on a slow machine, lines on how it stands.
    assert re.search(r"the agent plays first \.\.\.\n(?:.*\n)*?the agent scored -?\d", out)
    assert re.search(r"you -?\d+, the agent -?\d+", out)


def test_the_keys_of_a_game_are_named():
    assert keys_for(PONG) == (
        "arrows or WASD move, space fires; p pause, n step, + - speed, q quit"
    )
    assert keys_for(("stay", "jump")).startswith("0 stay, 1 jump; p pause")
