"""Where films with sound come from: the offline world."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Int64

from tasks.data.samples import Generated, Samples
from tasks.data.source import Source
from tasks.data.split_names import Split
from tasks.sounds.cochleagram import STEPS_HZ, cochleagram
from tasks.worlds.chance import SEEDS
from tasks.worlds.strikes import FRAMES, FRAMES_HZ, MOST_ACTIONS, StrikeFilm, strike_film

SCORED = 150  # films of the world's val and test each
STEPS = FRAMES * STEPS_HZ // FRAMES_HZ


class Films(Source):
    """Films of the world `strikes`, with cochleagrams of their sounds."""

    name = "strikes"

    def __init__(self, config: Any, about: dict[str, Any] | None = None) -> None:
        super().__init__(config, about)
        self.made: dict[str, Samples] = {}

    def samples(self, split: Split) -> Samples:
        if split not in self.made:
            count = self.config.samples if split == "train" else min(SCORED, self.config.samples)

            def make(index: Int64[np.ndarray, "B"]) -> dict[str, np.ndarray]:
                return columns([strike_film(SEEDS[split], int(one)) for one in index])

            self.made[split] = Generated(count, make)
        return self.made[split]


def columns(films: list[StrikeFilm]) -> dict[str, np.ndarray]:
    """Return the columns of films: `time_s` of every onset, -1 where there is none."""
    sound = np.stack([film.sound for film in films])
    heard = cochleagram(torch.from_numpy(sound), STEPS)
    times = np.full((len(films), MOST_ACTIONS), -1, np.float32)
    for row, film in zip(times, films, strict=True):
        row[: len(film.times_s)] = film.times_s
    return {
        "frames": np.stack([film.frames for film in films]),
        "heard": heard.numpy().astype(np.float16),
        "time_s": times,
        "material": np.array([film.material for film in films]),
    }
