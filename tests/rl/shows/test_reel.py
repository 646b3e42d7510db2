"""What play shows in TensorBoard: a recent game as a picture."""

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
from rl.shows.reel import ZOOM, Reel


class Still:
    notes = ()

    def begin_rollout(self, rollout):
        pass

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
    # Once: nothing is written again before another game has ended.
    reel.write(60)
    assert len(EventAccumulator(str(tmp_path)).Reload().Images("rollout/game")) == 1
    reel.add(collector.collect(Still()), 80)
    assert len(EventAccumulator(str(tmp_path)).Reload().Images("rollout/game")) == 2
