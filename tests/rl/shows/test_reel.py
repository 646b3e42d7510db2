"""What play writes to TensorBoard: scalars, and a recent game as a picture."""

import io

import numpy as np
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from backbones.training.log import Board
from rl.experience.collector import Collector
from rl.games.make import make_environments
from rl.games.options import EnvOptions
from rl.networks.judgement import Choice
from rl.scoring import Game, rollout_scalars
from rl.shows.reel import ZOOM, Reel


class Still:
    notes = ()

    def choose(self, obs, memory, begins, uniform):
        return Choice(torch.zeros(len(obs), dtype=torch.int64), {})


def test_the_picture_is_the_latest_whole_game_of_the_first_environment(tmp_path):
    envs = make_environments("Arcadia/Catch-v0", 2, seed=1, options=EnvOptions())
    collector = Collector(envs, 20, 1, torch.device("cpu"))
    collector.reset()
    board = Board(tmp_path)
    reel = Reel(board, every_s=0.0)
    rollout = collector.collect(Still())
    reel.add(rollout, 40)
    image = EventAccumulator(str(tmp_path)).Reload().Images("rollout/game")[0]
    picture = Image.open(io.BytesIO(image.encoded_image_string))
    assert picture.n_frames == 13
    picture.seek(5)
    shown = np.asarray(picture.convert("L"))[::ZOOM, ::ZOOM]
    assert np.array_equal(shown, rollout.frames[3 + 5, 0, 0].numpy())


def test_scalars_say_scores_and_where_the_time_went():
    seconds = {"env": 0.2, "policy": 0.1, "learn": 0.4, "wait": 0.1}
    scalars = rollout_scalars(1000, seconds, [Game(0, 3.0, 10), Game(1, 5.0, 20)])
    assert scalars["speed/env_steps_per_s"] == 2000
    assert scalars["speed/learn_s"] == 0.4
    assert scalars["rollout/score"] == 4
    assert scalars["rollout/game_length"] == 15
    assert "rollout/score" not in rollout_scalars(1000, seconds, [])
