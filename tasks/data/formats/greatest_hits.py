"""Films of things that are struck, in the layout of the Greatest Hits
(Owens et al. 2016, https://andrewowens.com/vis/).

A film is `NAME_denoised.mp4` (or `NAME.mp4`), `NAME_denoised.wav` and `NAME_times.txt`, whose rows
are "seconds material action reaction", where what nobody labelled is None. They lie in `vis-data`,
in `vis-data-256` or in the folder itself; `train.txt` and `test.txt` beside them name the films of
each split. The last sixteenth of the training films by name validates, unless there is a `val.txt`.

Letters: N points in time of a sound.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from backbones.media import Frame, film_bytes
from backbones.training.errors import UserError
from backbones.training.streams import plain
from tasks.answers import Sound
from tasks.data.formats.text import read_lines
from tasks.data.split_names import SPLITS, Split

ONE_IN_VAL = 16
PLACES = ("vis-data-256", "vis-data", ".")
ENDINGS = ("_denoised", "")


@dataclass(frozen=True)
class Hit:
    """When something is touched, and what; None where nobody labelled it."""

    time_s: float
    material: str | None
    action: str | None
    reaction: str | None


@dataclass(frozen=True)
class HitFilm:
    """The files of a film."""

    name: str
    film: Path
    sound: Path
    hits: tuple[Hit, ...]


def read_times(path: Path) -> tuple[Hit, ...]:
    """Return the rows of a `times` file in the order of time; UserError names a row that is none.

    A row without a time is left out.
    """
    hits = []
    for number, line in enumerate(read_lines(path), 1):
        words = line.split()
        if not words or words[0] == "None":
            continue
        time_s = number_of(words[0])
        if time_s is None or len(words) > 4:
            raise UserError(
                f"{path}, line {number}: {plain(line)[:60]!r}; expected "
                '"seconds material action reaction", with None for what is not known'
            )
        labels = [None if word == "None" else word for word in words[1:]]
        hits.append(Hit(time_s, *labels, *[None] * (3 - len(labels))))
    return tuple(sorted(hits, key=lambda hit: hit.time_s))


def number_of(word: str) -> float | None:
    """Return a time that is finite and not negative; None of anything else."""
    try:
        value = float(word)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def read_films(folder: Path) -> dict[Split, list[HitFilm]]:
    """Return the films of a folder by split, sorted by name; UserError if one is not whole."""
    named = {split: names_in(folder, split) for split in SPLITS}
    if not named["train"] and not named["test"]:
        raise UserError(
            f"{folder} has no train.txt or test.txt with names of films; expected the layout of "
            "the Greatest Hits: vis-data/NAME_denoised.mp4, .wav and NAME_times.txt beside them"
        )
    if not named["val"] and len(named["train"]) > 1:
        held = max(1, len(named["train"]) // ONE_IN_VAL)
        named["train"], named["val"] = named["train"][:-held], named["train"][-held:]
    of: dict[str, Split] = {}
    for split, names in named.items():
        for name in names:
            if of.setdefault(name, split) != split:
                raise UserError(f"{folder}: {plain(name)} is in {of[name]}.txt and in {split}.txt")
    return {split: [find_film(folder, name) for name in names] for split, names in named.items()}


def names_in(folder: Path, split: Split) -> list[str]:
    """Return the names in a list of a split, sorted, each once; none if there is no such list."""
    path = folder / f"{split}.txt"
    lines = {line.strip() for line in read_lines(path)} if path.exists() else set()
    for line in lines:
        if Path(line).name != line and line:
            raise UserError(f"{path}: {plain(line)!r} is no name of a film, such as 2015-02-16")
    return sorted(lines - {""})


def find_film(folder: Path, name: str) -> HitFilm:
    """Return the files of a film; UserError names the one that is missing."""
    for place in PLACES:
        for ending in ENDINGS:
            film = folder / place / f"{name}{ending}.mp4"
            if not film.exists():
                continue
            sound, times = film.with_suffix(".wav"), folder / place / f"{name}_times.txt"
            for path in (sound, times):
                if not path.exists():
                    raise UserError(f"{path} is missing; {film.name} needs it")
            return HitFilm(name, film, sound, read_times(times))
    raise UserError(f"{folder / PLACES[1] / name}_denoised.mp4 is missing; a list names it")


def write_film(
    folder: Path,
    name: str,
    frames: Iterator[Frame],
    sound: Float32[np.ndarray, "N"],
    rate_hz: int,
    hits: Iterable[Hit],
) -> None:
    """Write a film, its sound and its times."""
    place = folder / PLACES[1]
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{name}_denoised.mp4").write_bytes(film_bytes(frames))
    (place / f"{name}_denoised.wav").write_bytes(Sound(sound, rate_hz).encoded())
    rows = [f"{hit.time_s:.6f} {hit.material} {hit.action} {hit.reaction}\n" for hit in hits]
    (place / f"{name}_times.txt").write_text("".join(rows))


def write_list(folder: Path, split: Split, names: Sequence[str]) -> None:
    """Write which films are of a split."""
    (folder / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
