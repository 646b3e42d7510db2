"""What a model answers: a text for people, values for programs, and perhaps a picture or a sound.

Letters: H rows, W columns, N points in time.
"""

import io
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from backbones.media import film_bytes, read_frames, wav_bytes
from backbones.training.files import sync

Kind = Literal["line", "picture", "sound", "film", "strokes"]


class Medium(ABC):
    """What is written to a file of its own."""

    suffix: ClassVar[str]

    @abstractmethod
    def encoded(self) -> bytes:
        """Return the file's content."""


@dataclass(frozen=True)
class Picture(Medium):
    """A picture, written as PNG."""

    pixels: UInt8[np.ndarray, "H W"] | UInt8[np.ndarray, "H W 3"]
    suffix: ClassVar[str] = ".png"

    def encoded(self) -> bytes:
        out = io.BytesIO()
        Image.fromarray(self.pixels).save(out, "PNG")
        return out.getvalue()


@dataclass(frozen=True)
class Sound(Medium):
    """A sound of one channel between -1 and 1, written as WAV of 16 bits; louder is cut off."""

    amplitude: Float32[np.ndarray, "N"]
    rate_hz: int
    suffix: ClassVar[str] = ".wav"

    def encoded(self) -> bytes:
        return wav_bytes(self.amplitude, self.rate_hz)


@dataclass(frozen=True)
class Film(Medium):
    """A film with a sound of one channel in place of its own, written as mp4."""

    film: Path | bytes
    amplitude: Float32[np.ndarray, "N"]
    rate_hz: int
    suffix: ClassVar[str] = ".mp4"

    def encoded(self) -> bytes:
        return film_bytes(read_frames(self.film), self.amplitude, self.rate_hz)


SUFFIXES: dict[Kind, str] = {"picture": Picture.suffix, "sound": Sound.suffix, "film": Film.suffix}


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


def write_new(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all; FileExistsError if it was there before."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.writing")
    try:
        with temporary.open("xb") as file:
            file.write(content)
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
