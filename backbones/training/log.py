"""A run's metrics: TensorBoard events, and the same scalars in metrics.jsonl.

Tags are `group/name`. Steps are the job's unit of progress (env steps, samples), never mere calls.
Animated pictures are GIFs encoded here and stored as image summaries, which TensorBoard plays: its
own route for videos needs moviepy. Events are framed by TensorBoard's own record writer but
appended by ours: its thread ends at the first full disk, and waits for a clock that was set back.
"""

import io
import json
import math
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image
from torch import Tensor

from backbones.media import wav_bytes
from backbones.training.errors import UserError
from backbones.training.files import Appender, read_bounded, write_atomically
from backbones.training.streams import plain

LARGEST_METRICS = 2**30  # three million lines


@contextmanager
def for_people(what: str, warn: Callable[[str], None]) -> Iterator[None]:
    """Context for drawing pictures and videos: any error in it becomes a warning.

    A game, a font or a disk that fails must not end a training or lose its score.
    """
    try:
        yield
    except Exception as error:
        reason = error if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        warn(f"{what} could not be made ({reason})")


class Board:
    """Writes the scalars, pictures and histograms of one run."""

    def __init__(self, folder: Path, resumed_at: int | None = None) -> None:
        """Open a run's folder; whatever was logged after progress `resumed_at` is removed."""
        self.folder = folder
        metrics = folder / "metrics.jsonl"
        if resumed_at is not None and metrics.exists():
            lines = read_text(metrics).splitlines(keepends=True)
            kept = [line for line in lines if is_before(line, resumed_at)]
            if kept != lines:
                write_atomically(metrics, "".join(kept))
        self.metrics = Appender(metrics)
        self.events = Appender(folder / event_file_name(folder))
        self.event(file_version="brain.Event:2")
        if resumed_at is not None:
            self.event(step=resumed_at + 1, session_log={"status": "START"})

    @property
    def trouble(self) -> OSError | None:
        """The error that keeps lines waiting in memory, if any."""
        return self.metrics.trouble or self.events.trouble

    def flush(self) -> None:
        """Try again to write the lines that wait in memory."""
        self.metrics.write(b"")
        self.events.write(b"")

    def event(self, **content: Any) -> None:
        """Append one TensorBoard event."""
        # Imported here, as below: what only asks a model does not wait for it.
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        record = io.BytesIO()
        RecordWriter(record).write(Event(wall_time=time.time(), **content).SerializeToString())
        self.events.write(record.getvalue())

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write scalars at one step; values that are not finite are left out."""
        finite = {k: float(v) for k, v in values.items() if math.isfinite(v)}
        line = {"step": step, "time": round(time.time(), 3), **finite}
        self.metrics.write(f"{json.dumps(line)}\n".encode())
        tagged = [{"tag": tag, "simple_value": value} for tag, value in finite.items()]
        self.event(step=step, summary={"value": tagged})

    def histogram(self, step: int, tag: str, values: Tensor) -> None:
        """Write the distribution of some values."""
        from torch.utils.tensorboard import summary

        self.event(step=step, summary=summary.histogram(tag, values, "auto"))

    def animation(
        self,
        step: int,
        tag: str,
        frames: UInt8[np.ndarray, "T H W"] | UInt8[np.ndarray, "T H W 3"],
        fps: float,
    ) -> None:
        """Write an animated picture of grey or colour frames."""
        self.image(step, tag, frames[0], gif(frames, fps))

    def picture(
        self, step: int, tag: str, image: UInt8[np.ndarray, "H W"] | UInt8[np.ndarray, "H W 3"]
    ) -> None:
        """Write one still picture."""
        out = io.BytesIO()
        Image.fromarray(image).save(out, "PNG")
        self.image(step, tag, image, out.getvalue())

    def image(
        self,
        step: int,
        tag: str,
        first: UInt8[np.ndarray, "H W"] | UInt8[np.ndarray, "H W 3"],
        encoded: bytes,
    ) -> None:
        """Write an image file of the size and colours of its first frame."""
        image = {
            "height": first.shape[0],
            "width": first.shape[1],
            "colorspace": 1 if first.ndim == 2 else 3,
            "encoded_image_string": encoded,
        }
        self.event(step=step, summary={"value": [{"tag": tag, "image": image}]})

    def sound(self, step: int, tag: str, amplitude: Float32[np.ndarray, "N"], rate_hz: int) -> None:
        """Write a sound of one channel between -1 and 1; louder is cut off."""
        audio = {
            "sample_rate": rate_hz,
            "num_channels": 1,
            "length_frames": len(amplitude),
            "encoded_audio_string": wav_bytes(amplitude, rate_hz),
            "content_type": "audio/wav",
        }
        self.event(step=step, summary={"value": [{"tag": tag, "audio": audio}]})

    def text(self, step: int, tag: str, markdown: str) -> None:
        """Write a text."""
        from torch.utils.tensorboard import summary

        lines = "\n".join(map(plain, markdown.split("\n")))
        self.event(step=step, summary=summary.text(tag, lines))

    def hparams(
        self, config: Mapping[str, Any], scores: Mapping[str, float], *, begun: bool = False
    ) -> None:
        """Write the flat config beside the final scores, for TensorBoard's table of runs.

        With `begun` the run has only begun: the table has its settings and waits for the scores.
        """
        from torch.utils.tensorboard import summary

        simple = {
            k: plain(v) if isinstance(v, str) else v
            for k, v in config.items()
            if isinstance(v, bool | int | float | str)
        }
        parts = summary.hparams(simple, dict(scores))
        for part in parts[:-1] if begun else parts:
            self.event(summary=part)


def event_file_name(folder: Path) -> str:
    """Return a name that sorts after every event file in the folder, even if the clock went back.

    TensorBoard reads the files of a run in the order of their names and never goes back.
    """
    stamps = [int(path.name.split(".")[3]) for path in folder.glob("events.out.tfevents.*.*")]
    stamp = max([int(time.time()), *(old + 1 for old in stamps)])
    return f"events.out.tfevents.{stamp:010d}.{socket.gethostname()}.{os.getpid()}"


def is_before(line: str, step: int) -> bool:
    """Return whether a line of metrics.jsonl is complete and not from after `step`."""
    try:
        return int(json.loads(line)["step"]) <= step
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return False  # The half line that a killed process left.


def read_text(metrics: Path) -> str:
    """Return a metrics.jsonl; UserError if it is no plain file, or larger than any run makes it."""
    return read_bounded(metrics, LARGEST_METRICS).decode(errors="replace")


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's metrics.jsonl; a half-written last one is left out."""
    path = folder / "metrics.jsonl"
    try:
        lines = read_text(path).splitlines()
    except (OSError, UserError):  # Not written yet, or no file.
        lines = []
    return [json.loads(line) for line in lines if is_before(line, 2**62)]


def gif(frames: Sequence[np.ndarray] | np.ndarray, fps: float) -> bytes:
    """Return an endless animated GIF of uint8 frames, [H, W] or [H, W, 3] each."""
    images = [Image.fromarray(frame) for frame in frames]
    out = io.BytesIO()
    # GIF counts in hundredths of a second, and viewers slow anything under two of them down.
    duration_ms = max(20, round(100 / fps) * 10)
    images[0].save(
        out, "GIF", save_all=True, append_images=images[1:], duration=duration_ms, loop=0
    )
    return out.getvalue()
