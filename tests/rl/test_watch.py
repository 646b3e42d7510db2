"""Watching an agent, and filming it."""

import re

import av
import numpy as np

from rl.agent import load_agent
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

    def __init__(self):
        self.pictures, self.captions = [], []

    def show(self, picture, panel, caption):
        self.pictures.append(picture)
        self.captions.append(caption)

    def held(self):
        return set()

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
