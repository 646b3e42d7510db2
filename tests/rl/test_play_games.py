"""Playing a game by its id that shows numbers, or takes arguments."""

import pytest

from backbones.training.errors import UserError
from rl.games.options import EnvOptions
from rl.play import Config, find_game
from tests.rl.games.other_games import Halves


def test_an_id_is_played_as_asked_and_a_run_as_it_was_trained(smoke):
    env = f"{Halves.__module__}:Steered"
    config = Config(game=env, pixels=True, env_kwargs=("continuous=False",))
    assert find_game(env, "", config.asked)[1] == config.asked
    with pytest.raises(UserError, match="knows how its game is made"):
        find_game(str(smoke), "", EnvOptions(pixels=True))
    with pytest.raises(UserError, match="NAME=VALUE"):
        Config(game=env, env_kwargs=("continuous",))
