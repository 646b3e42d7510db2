"""Where films with sound come from: a folder in the layout of the Greatest Hits, or the offline
world.

Letters: B clips, K onsets, T frames, N points in time of a sound.

Films are learnt from in clips of 2 s: 30 frames of 64 x 64 and the sound to them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8

from backbones.media import Frame, at_rate, read_frames, read_sound
from backbones.training.errors import UserError
from tasks.data.formats.greatest_hits import HitFilm, read_films
from tasks.data.samples import Generated, Samples
from tasks.data.source import Source
from tasks.data.split_names import Split
from tasks.sounds.cochleagram import RATE_HZ, STEPS_HZ, cochleagram
from tasks.worlds.chance import SEEDS
from tasks.worlds.strikes import FRAMES, FRAMES_HZ, MATERIALS, SIZE_PX, strike_film

MOST_KEPT = 2**31  # bytes of the world's films: one is made more slowly than learnt from
SCORED = 150  # films of the world's val and test each
STEPS = FRAMES * STEPS_HZ // FRAMES_HZ
CLIP_S = FRAMES / FRAMES_HZ
MOST_ONSETS = 24  # of a clip
SHORTER_S = 0.5  # that a sound may be than its film, and the other way round


@dataclass(frozen=True)
class Clip:
    """Two seconds of a film."""

    frames: UInt8[np.ndarray, "T H W 3"]
    sound: Float32[np.ndarray, "N"]
    times_s: list[float]
    materials: list[int]
    """Of every onset; -1 where nobody knows."""


class Films(Source):
    """Clips with the cochleagrams of their sounds."""

    def __init__(self, config: Any, about: dict[str, Any] | None = None) -> None:
        super().__init__(config, about)
        self.made: dict[str, Samples] = {}
        self.films: dict[Split, list[HitFilm]] = {}
        if "materials" not in self.about:
            names = [material.name for material in MATERIALS]
            self.about = {"materials": materials_of(self.read()["train"]) if config.data else names}
        self.materials: list[str] = self.about["materials"]

    @property
    def name(self) -> str:
        return super().name if self.config.data else "strikes"

    def read(self) -> dict[Split, list[HitFilm]]:
        """Return the films of the folder."""
        folder = Path(self.config.data).expanduser()
        if not folder.is_dir():
            raise UserError(f"{self.config.data} is not a folder; --data takes the folder of a set")
        self.films = self.films or read_films(folder)
        return self.films

    def samples(self, split: Split) -> Samples:
        if split not in self.made:
            self.made[split] = self.clips(split) if self.config.data else self.world(split)
        return self.made[split]

    def world(self, split: Split) -> Samples:
        """Return films of the world `strikes`."""
        count = self.config.samples if split == "train" else min(SCORED, self.config.samples)

        def make(index: Int64[np.ndarray, "B"]) -> dict[str, np.ndarray]:
            return columns([struck(split, int(one)) for one in index])

        return Generated(count, make, MOST_KEPT)

    def remembered(self, most: int) -> list[Clip]:
        """Return so many clips of training, the first ones."""
        if not self.config.data:
            return [struck("train", number) for number in range(min(most, self.config.samples))]
        found = list[Clip]()
        for film in self.read()["train"]:
            found += read_clips(film, self.materials)
            if len(found) >= most:
                break
        return found[:most]

    def clips(self, split: Split) -> Samples:
        """Return the clips of a folder's films, as many as begin in them; UserError for none."""
        films = self.read()[split]
        places = [(film, n) for film in films for n in range(clips_in(film))]
        if split == "train":
            places = places[: self.config.samples]
        if not places:
            raise UserError(f"{self.config.data} has no films for {split}; see its {split}.txt")

        def make(index: Int64[np.ndarray, "B"]) -> dict[str, np.ndarray]:
            asked = [places[int(one)] for one in index]
            whole = {film: read_clips(film, self.materials) for film in {film for film, _ in asked}}
            return columns([whole[film][n] for film, n in asked])

        return Generated(len(places), make)


def struck(split: Split, number: int) -> Clip:
    """Return a film of the world."""
    film = strike_film(SEEDS[split], number)
    return Clip(film.frames, film.sound, film.times_s, [film.material] * len(film.times_s))


def materials_of(films: Sequence[HitFilm]) -> list[str]:
    """Return the names of all materials that are labelled; one that no hit has, if none is."""
    named = {hit.material for film in films for hit in film.hits if hit.material}
    return sorted(named) or ["unlabelled"]


def clips_in(film: HitFilm) -> int:
    """Return how many clips a film is cut into: up to its last hit, and one at least."""
    last = max((hit.time_s for hit in film.hits), default=0.0)
    return int(last / CLIP_S) + 1


def read_clips(film: HitFilm, materials: Sequence[str]) -> list[Clip]:
    """Return a film's clips, grey and silent behind its end; UserError if its sound does not fit
    it."""
    try:
        frames = np.stack(list(small(film.film)))
        sound = read_sound(film.sound, RATE_HZ)
    except UserError as error:
        raise UserError(f"{film.film}: {error}") from None
    apart = len(sound) / RATE_HZ - len(frames) / FRAMES_HZ
    if abs(apart) > SHORTER_S:
        raise UserError(
            f"{film.sound} is {abs(apart):.1f} s {'longer' if apart > 0 else 'shorter'} than its "
            "film; they must be of one take"
        )
    clips = []
    for number in range(clips_in(film)):
        begin, piece = number * CLIP_S, frames[number * FRAMES : (number + 1) * FRAMES]
        if not len(piece):
            raise UserError(f"{film.film} ends before the last time in {film.name}_times.txt")
        hits = [hit for hit in film.hits if begin <= hit.time_s < begin + CLIP_S]
        heard = sound[number * STEPS * RATE_HZ // STEPS_HZ :][: STEPS * RATE_HZ // STEPS_HZ]
        padded = np.zeros(STEPS * RATE_HZ // STEPS_HZ, np.float32)
        padded[: len(heard)] = heard
        still = np.repeat(piece[-1:], FRAMES - len(piece), 0)
        known = [materials.index(h.material) if h.material in materials else -1 for h in hits]
        clips.append(
            Clip(np.concatenate([piece, still]), padded, [h.time_s - begin for h in hits], known)
        )
    return clips


def small(film: Path | bytes) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Yield a film as the network sees it: 15 frames a second, squeezed to 64 x 64."""
    size = SIZE_PX, SIZE_PX
    shrunk = (
        Frame(begin, end, cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
        for begin, end, pixels in read_frames(film)
    )
    yield from at_rate(shrunk, float(FRAMES_HZ))


def columns(clips: Sequence[Clip]) -> dict[str, np.ndarray]:
    """Return the columns of clips: `time_s` and `material` of every onset, -1 for none."""
    sound = np.stack([clip.sound for clip in clips])
    # One by one: in a transform of several a film's last bits would depend on its neighbours.
    heard = torch.cat([cochleagram(one[None], STEPS) for one in torch.from_numpy(sound)])
    times = np.full((len(clips), MOST_ONSETS), -1, np.float32)
    materials = np.full((len(clips), MOST_ONSETS), -1, np.int64)
    for row, kind, clip in zip(times, materials, clips, strict=True):
        count = min(MOST_ONSETS, len(clip.times_s))
        row[:count], kind[:count] = clip.times_s[:count], clip.materials[:count]
    return {
        "frames": np.stack([clip.frames for clip in clips]),
        "heard": heard.numpy().astype(np.float16),
        "time_s": times,
        "material": materials,
    }
