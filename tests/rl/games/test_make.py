"""Environments by name."""

import pytest

from backbones.training.errors import UserError
from rl.games.gym import GymnasiumEnvironments
from rl.games.make import nearest
from rl.games.toys import CATCH
from tests.rl.games.making import make


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


def test_v5_ids_are_sticky_unless_told_otherwise():
    assert make("ALE/Pong-v5").protocol.sticky == 0.25
    assert make("ALE/Pong-v5", sticky=0.0).protocol.sticky == 0.0
    assert isinstance(make(CATCH), GymnasiumEnvironments)
