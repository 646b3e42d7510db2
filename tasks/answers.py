"""What a model answers: a text for people, values for programs, and perhaps a picture or a sound.

Letters: T frames, H rows, W columns, N points in time.
"""

import contextlib
import io
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from backbones.media import wav_bytes
from backbones.soundtrack import Redraw, write_redrawn, write_with_sound
from backbones.training.files import SteadyFile, sync
from backbones.training.log import gif
from backbones.training.progress import Told, untold
from tasks.data.strokes import Stroke
from tasks.looks import strokes

Kind = Literal["line", "picture", "sound", "film", "strokes"]


class Medium(ABC):
    """What is written to a file of its own."""

    suffix: str
    """How the name of its file ends."""

    def fitted(self, suffix: str) -> "Medium":
        """Return it as a file with this ending would hold it, one of its kind's `SUFFIXES`."""
        return self

    @abstractmethod
    def encoded(self) -> bytes:
        """Return the file's content."""

    def write(self, file: SteadyFile, told: Told = untold) -> None:
        """Write the file's content, told on the way how far that is if it takes long."""
        file.write(self.encoded())


@dataclass(frozen=True)
class Picture(Medium):
    """A picture, written as PNG."""

    pixels: UInt8[np.ndarray, "H W"] | UInt8[np.ndarray, "H W 3"]
    suffix: str = ".png"

    def encoded(self) -> bytes:
        out = io.BytesIO()
        Image.fromarray(self.pixels).save(out, "PNG")
        return out.getvalue()


@dataclass(frozen=True)
class Animation(Medium):
    """A moving picture without sound, written as GIF."""

    frames: UInt8[np.ndarray, "T H W 3"]
    fps: float
    suffix: str = ".gif"

    def encoded(self) -> bytes:
        return gif(self.frames, self.fps)


@dataclass(frozen=True)
class Sound(Medium):
    """A sound of one channel between -1 and 1, written as WAV of 16 bits; louder is cut off."""

    amplitude: Float32[np.ndarray, "N"]
    rate_hz: int
    suffix: str = ".wav"

    def encoded(self) -> bytes:
        return wav_bytes(self.amplitude, self.rate_hz)


class Streamed(Medium):
    """What is written piece by piece; a subclass says how."""

    def encoded(self) -> bytes:
        out = io.BytesIO()
        self.write(SteadyFile(out))
        return out.getvalue()

    @abstractmethod
    def write(self, file: SteadyFile, told: Told = untold) -> None: ...


@dataclass(frozen=True)
class Film(Streamed):
    """A film with a sound of one channel in place of its own, written as mp4."""

    film: Path | bytes
    amplitude: Float32[np.ndarray, "N"]
    rate_hz: int
    suffix: str = ".mp4"

    def write(self, file: SteadyFile, told: Told = untold) -> None:
        write_with_sound(file, self.film, self.amplitude, self.rate_hz, told)


@dataclass(frozen=True)
class Redrawn(Streamed):
    """A film with its pictures drawn anew and its own sound, written as mp4: what a task that draws
    on pictures makes of a film."""

    film: Path | bytes
    redraw: Redraw
    suffix: str = Film.suffix

    def write(self, file: SteadyFile, told: Told = untold) -> None:
        write_redrawn(file, self.film, self.redraw, told)


@dataclass(frozen=True)
class Strokes(Medium):
    """What a pen drew, written as SVG, as PNG, or as a GIF that draws it."""

    strokes: list[Stroke]
    suffix: str = ".svg"

    def fitted(self, suffix: str) -> "Strokes":
        return replace(self, suffix=suffix)

    def encoded(self) -> bytes:
        if self.suffix == ".gif":
            return strokes.animation(self.strokes)
        if self.suffix == ".png":
            return Picture(strokes.pixels(self.strokes)).encoded()
        return strokes.svg(self.strokes)


SUFFIXES: dict[Kind, tuple[str, ...]] = {
    "picture": (Picture.suffix,),
    "sound": (Sound.suffix,),
    "film": (Film.suffix,),
    "strokes": (".svg", ".png", ".gif"),
}
"""How a file's name may end, by what is in it; in a folder it is the first."""


@dataclass(frozen=True)
class Answer:
    """One answer."""

    text: str
    """A line for people."""
    values: dict[str, Any] = field(default_factory=dict)
    """Plain values for programs."""
    medium: Medium | None = None
    """What is seen or heard."""

    def to_dict(self) -> dict[str, Any]:
        """Return text and values as what JSON can hold."""
        return {"text": self.text, **self.values}


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[SteadyFile]:
    """Open a file for the body to write that is there whole or not at all; FileExistsError if it
    was there before, OSError if the disk does not take it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.writing")
    try:
        with temporary.open("x+b", buffering=0) as raw:
            file = SteadyFile(raw)
            yield file
        file.check()
        sync(temporary)
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:  # A file system without hard links, such as exFAT.
            if path.exists():
                raise FileExistsError(path) from None
            temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)
