"""Options of games that are refused."""

import pytest

from backbones.training.errors import UserError
from rl.games.options import EnvOptions
from rl.games.toys import CATCH
from tests.rl.games.making import make


def test_options_that_would_be_ignored_are_refused():
    with pytest.raises(UserError, match="--colour is not for ALE/Pong-v5"):
        make("ALE/Pong-v5", colour=True)
    with pytest.raises(UserError, match="--sticky is for Atari"):
        make(CATCH, sticky=0.25)
    with pytest.raises(UserError, match="--noop-max is for Atari"):
        make(CATCH, noop_max=3)


@pytest.mark.parametrize(
    "values", [{"sticky": 1.0}, {"sticky": -0.1}, {"noop_max": 0}, {"size_px": 3}]
)
def test_wrong_options_are_refused(values):
    with pytest.raises(ValueError, match="must"):
        EnvOptions(**values)
