"""Scenes with what is there on the left of each pair, and what a detector found on the right.

    python docs/detection_sheet.py zoo/detect-scenes

Writes docs/pictures/detections.png.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from PIL import Image

from backbones.training.run import find_run
from tasks.labels.boxed import world_columns
from tasks.labels.finding import truth_of
from tasks.looks.boxes import beside, mistakes, shown_part
from tasks.predictor import load_predictor

PNG = Path(__file__).parent / "pictures" / "detections.png"


@dataclass(frozen=True, kw_only=True)
class Config:
    """Draw what a detector finds in scenes."""

    run: tyro.conf.Positional[str] = "zoo/detect-scenes"
    """A run of `arcadia train detect --masks` on scenes."""
    first: int = 0
    """The first test scene that is shown."""
    count: int = 6
    """How many are shown."""
    png: Path = PNG
    """File that is written."""


@torch.inference_mode()
def main(config: Config) -> None:
    predictor = load_predictor(find_run(config.run))
    task, numbers = predictor.task, np.arange(config.first, config.first + config.count)
    columns = world_columns("test", numbers, task.side_px, True)
    batch = {name: torch.from_numpy(column) for name, column in columns.items()}
    threshold = task.config.answer.threshold
    found = [shown_part(seen, threshold) for seen in task.predict(predictor.model, batch)]
    truth = truth_of(batch, task.side_px)
    counted = [mistakes(*pair) for pair in zip(truth, found, strict=True)]
    titles = [f"{missed} missed, {wrong} wrong" for missed, wrong in counted]
    pixels = list(batch["picture"].permute(0, 2, 3, 1).contiguous().numpy())
    sheet = Image.fromarray(beside(pixels, truth, found, task.classes, titles, columns=3))
    sheet.save(config.png, optimize=True)


if __name__ == "__main__":
    main(tyro.cli(Config))
