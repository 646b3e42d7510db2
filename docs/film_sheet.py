"""Silent films with the sound that a run gives them, and what is heard of it.

    python docs/film_sheet.py zoo/sound

Writes docs/pictures/sound.mp4, a film of the world strikes that training never had, and
docs/pictures/sound.png: of three such films the frames before and after each stroke, and below them
the real sound and the one that was given, as cochleagrams. Green marks are where something was
struck, red ones where something is heard.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from jaxtyping import UInt8
from PIL import Image

from backbones.media import Frame, film_bytes, read_sound
from backbones.training.run import find_run
from tasks.looks.cochleagrams import cochleagrams_picture
from tasks.looks.sheet import contact_sheet, stacked
from tasks.predictor import Predictor, load_predictor
from tasks.sounds.cochleagram import STEPS_HZ, cochleagram
from tasks.sounds.onsets import onsets
from tasks.worlds.chance import SEEDS
from tasks.worlds.strikes import FRAMES_HZ, RATE_HZ, StrikeFilm, strike_film

PICTURES = Path(__file__).parent / "pictures"
LARGER, FRAMES = 5, 8


@dataclass(frozen=True, kw_only=True)
class Config:
    """Give sound to films of the world and draw what is heard."""

    run: tyro.conf.Positional[str] = "zoo/sound"
    """A run of `arcadia train sound`."""
    films: tuple[int, ...] = (2, 7, 11)
    """Numbers of test films; the first is written as mp4."""
    to: Path = PICTURES
    """Folder of what is written."""


def silent(film: StrikeFilm) -> bytes:
    """Return a film's pictures, enlarged, as an mp4 without sound."""
    shown = (
        Frame(n / FRAMES_HZ, (n + 1) / FRAMES_HZ, pixels.repeat(LARGER, 0).repeat(LARGER, 1))
        for n, pixels in enumerate(film.frames)
    )
    return film_bytes(shown)


def row(predictor: Predictor, film: StrikeFilm) -> tuple[UInt8[np.ndarray, "H W 3"], bytes]:
    """Return a film's row of the sheet, and the film with its new sound."""
    (answer,) = predictor.answer([silent(film)])
    assert answer.medium is not None
    voiced = answer.medium.encoded()
    seconds = len(film.frames) / FRAMES_HZ
    steps = round(seconds * STEPS_HZ)
    sounds = [film.sound, read_sound(voiced, RATE_HZ)]
    sounds = [np.pad(one, (0, RATE_HZ * 4))[: round(seconds * RATE_HZ)] for one in sounds]
    real, given = (cochleagram(torch.from_numpy(one)[None], steps) for one in sounds)
    struck = [[int(time * STEPS_HZ) for time in film.times_s]]
    heard = [onsets(given[0]).tolist()]
    around = [int(time * FRAMES_HZ) + away for time in film.times_s for away in (0, 1)][:FRAMES]
    pictures = torch.from_numpy(film.frames[around]).permute(0, 3, 1, 2)
    above = contact_sheet(pictures, [f"frame {n}" for n in around], FRAMES, 128)
    below = cochleagrams_picture(real, given, struck, heard)
    return stacked([above, below]), voiced


def main(config: Config) -> None:
    predictor = load_predictor(find_run(config.run))
    rows = [row(predictor, strike_film(SEEDS["test"], number)) for number in config.films]
    sheet = stacked([one for one, _ in rows])
    Image.fromarray(sheet).save(config.to / "sound.png", optimize=True)
    (config.to / "sound.mp4").write_bytes(rows[0][1])


if __name__ == "__main__":
    main(tyro.cli(Config))
