"""Games of packages on PyPI, each played as docs/games.md says; skipped where one is missing."""

import warnings

import numpy as np
import pytest

from rl.games.first_look import settle_options
from rl.games.make import make_environments
from rl.games.options import EnvOptions

PACKAGES = {
    "minatar": ("minatar:MinAtar/Breakout-v1", {"size_px": 0}, (4, 10, 10)),
    "minigrid": ("minigrid:MiniGrid-Empty-5x5-v0", {"pixels": True}, (1, 84, 84)),
    "minigrid.core": ("minigrid:MiniGrid-Empty-5x5-v0", {"colour": True}, (3, 84, 84)),
    "vizdoom": ("vizdoom.gymnasium_wrapper:VizdoomBasic-v1", {"frame_skip": 4}, (1, 84, 84)),
    "crafter": ("crafter:Env", {"old_api": True, "size_px": 64, "colour": True}, (3, 64, 64)),
    "flappy_bird_gymnasium": ("flappy_bird_gymnasium:FlappyBird-v0", {"pixels": True}, (1, 84, 84)),
    "highway_env": ("highway_env:highway-fast-v0", {"pixels": True}, (1, 84, 84)),
    "pygame": ("CartPole-v1", {"pixels": True}, (1, 84, 84)),
    "Box2D": ("CarRacing-v3", {"env_kwargs": ("continuous=False",)}, (1, 84, 84)),
}


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.filterwarnings("ignore")  # of other people's code
def test_a_package_of_games_is_played(package, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # VizDoom leaves its settings where it stands.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(package, reason=f"pip install {package.split('.')[0]}")
    env, options, shape = PACKAGES[package]
    found, lines = settle_options(env, EnvOptions(**options))
    assert lines and found.get("channels", 0) in (0, shape[0])
    envs = make_environments(env, 2, seed=1, options=EnvOptions(**{**options, **found}))
    assert envs.frame_shape == shape and envs.reset().shape == (2, *shape)
    for _ in range(3):
        step = envs.step(np.zeros(2, np.int64))
        assert step.final_frame.shape == (2, *shape) and np.isfinite(step.reward).all()
    envs.close()
