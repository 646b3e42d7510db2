"""Games for tests."""

from rl.games.make import make_environments
from rl.games.options import EnvOptions


def make(env, num_envs=2, **options):
    return make_environments(env, num_envs, seed=1, options=EnvOptions(**options))
