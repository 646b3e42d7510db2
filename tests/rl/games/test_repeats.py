"""Games that repeat themselves from their seeds, and what is done where they do not."""

import numpy as np

from rl.games.make import make_environments
from rl.games.options import EnvOptions
from rl.games.repeats import repeats_itself, settle_end_of_games

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
