"""Play as an mp4 file.

Pictures are [rows, columns, 3] uint8 in the game's own size.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np

from backbones.media import H264_OPTIONS
from backbones.training.checks.limits import shortened
from backbones.training.errors import UserError
from backbones.training.files import SteadyFile
from rl.games.screen import enlarge
from rl.shows.panel import Panel, compose


class Film:
    """An mp4 file (H.264, plays everywhere). An existing file is kept unless forced."""

    def __init__(self, path: Path, fps: float, force: bool = False) -> None:
        if os.path.exists(path) and not force:
            raise UserError(f"{path} exists; choose another name or add --force")
        if os.path.isdir(path):
            raise UserError(f"{path} is a folder; choose another name")
        if path.suffix != ".mp4":
            raise UserError(f"{path} must end in .mp4")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".part.mp4").touch()
        except OSError as error:
            raise UserError(f"{shortened(str(path))} cannot be written: {error.strerror}") from None
        import av

        self.path = path
        self.part = path.with_suffix(".part.mp4")
        self.av = av
        self.file = SteadyFile(self.part.open("w+b", buffering=0))
        self.container = av.open(self.file, "w", format="mp4")
        rate = Fraction(fps).limit_denominator(1000)
        self.stream = self.container.add_stream("libx264", rate=rate)
        self.stream.pix_fmt = "yuv420p"
        self.stream.options = H264_OPTIONS
        self.started = False

    def show(self, picture: np.ndarray, panel: Panel | None, caption: str) -> None:
        picture = compose(picture, panel)
        picture = picture[: len(picture) // 2 * 2, : picture.shape[1] // 2 * 2]
        if not self.started:
            self.stream.height, self.stream.width = picture.shape[:2]
            self.started = True
        size = (self.stream.width, self.stream.height)
        if picture.shape[1::-1] != size:  # A film has one size, a game's drawing may have several.
            picture = enlarge(picture, size)
        frame = self.av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        with self.filming():
            self.container.mux(self.stream.encode(frame))
            self.file.check()

    @contextmanager
    def filming(self) -> Iterator[None]:
        """Turn what a disk or the encoder refuses into a UserError that names the film."""
        try:
            yield
        except (OSError, self.av.FFmpegError) as error:
            raise UserError(
                f"{self.path} cannot be written ({error.strerror}); film into another place"
            ) from None

    def held(self) -> set[str]:
        return set()

    def typed(self) -> list[str]:
        return []

    def close(self) -> None:
        """Finish the film; UserError, and nothing is left, if the disk does not take it."""
        try:
            with self.filming():
                if self.started:
                    self.container.mux(self.stream.encode())
                self.container.close()
                self.file.close()
                if self.started:
                    self.part.rename(self.path)
        finally:
            self.part.unlink(missing_ok=True)
