"""What a run writes for people: TensorBoard events, and the same scalars in metrics.jsonl.

Tags are `group/name`. Steps are the job's unit of progress (env steps, samples), never mere calls.
Animated pictures are GIFs encoded here and stored as image summaries, which TensorBoard plays: its
own route for videos needs moviepy.
"""

import io
import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from backbones.training.files import write_atomically


class Board:
    """Writes the scalars, pictures and histograms of one run."""

    def __init__(self, folder: Path, resumed_at: int | None = None) -> None:
        """Open a run's folder; what was logged after progress `resumed_at` is taken back."""
        self.metrics = folder / "metrics.jsonl"
        if resumed_at is not None and self.metrics.exists():
            lines = self.metrics.read_text().splitlines(keepends=True)
            kept = [line for line in lines if is_before(line, resumed_at)]
            write_atomically(self.metrics, "".join(kept))
        purge = None if resumed_at is None else resumed_at + 1
        self.writer = SummaryWriter(str(folder), purge_step=purge)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write scalars at one step; those that are not finite go to neither place."""
        finite = {k: float(v) for k, v in values.items() if math.isfinite(v)}
        for tag, value in finite.items():
            self.writer.add_scalar(tag, value, step)
        line = {"step": step, "time": round(time.time(), 3), **finite}
        with self.metrics.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def histogram(self, step: int, tag: str, values: Tensor) -> None:
        """Write the distribution of some values."""
        self.writer.add_histogram(tag, values, step)

    def animation(
        self, step: int, tag: str,
        frames: UInt8[np.ndarray, "T H W"] | UInt8[np.ndarray, "T H W 3"], fps: float,
    ) -> None:  # fmt: skip
        """Write an animated picture of grey or colour frames."""
        image = Summary.Image(
            height=frames.shape[1], width=frames.shape[2], colorspace=1 if frames.ndim == 3 else 3,
            encoded_image_string=gif(frames, fps),
        )  # fmt: skip
        summary = Summary(value=[Summary.Value(tag=tag, image=image)])
        self.writer._get_file_writer().add_summary(summary, step)

    def hparams(self, config: Mapping[str, Any], scores: Mapping[str, float]) -> None:
        """Write the flat config beside the final scores, for TensorBoard's table of runs."""
        simple = {k: v for k, v in config.items() if isinstance(v, bool | int | float | str)}
        for summary in hparams(simple, dict(scores)):
            self.writer._get_file_writer().add_summary(summary)

    def close(self) -> None:
        """Write what is still in memory."""
        self.writer.close()


def is_before(line: str, step: int) -> bool:
    """Say whether a line of metrics.jsonl is whole and not from after `step`."""
    try:
        return int(json.loads(line)["step"]) <= step
    except (ValueError, KeyError, TypeError):
        return False  # The half line that a killed process left.


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's metrics.jsonl; a half-written last one is left out."""
    path = folder / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
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
