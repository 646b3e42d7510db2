"""Test pictures, a row each: where a network looked, one look after the other, and what it saw.

    arcadia train glimpse --preset cluttered --name cluttered-1
    python docs/glimpse_sheet.py cluttered-1

Writes docs/pictures/glimpses.png.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from PIL import Image

from backbones.training.run import find_run
from tasks.predictor import load_predictor

PNG = Path(__file__).parent / "pictures" / "glimpses.png"


@dataclass(frozen=True, kw_only=True)
class Config:
    """Draw the looks at some test pictures."""

    run: tyro.conf.Positional[str] = "zoo/glimpse"
    """A run of `arcadia train glimpse`, whose set is there."""
    first: int = 0
    """The first test picture that is shown."""
    count: int = 3
    """How many are shown."""
    png: Path = PNG
    """File that is written."""


@torch.inference_mode()
def main(config: Config) -> None:
    predictor = load_predictor(find_run(config.run))
    index = torch.arange(config.first, config.first + config.count)
    batch = predictor.task.to_score("test").batch(index)
    answers = predictor.task.explain(predictor.model, {"picture": batch["picture"]})
    rows = np.concatenate([answer.medium.pixels for answer in answers])
    Image.fromarray(rows).save(config.png, optimize=True)


if __name__ == "__main__":
    main(tyro.cli(Config))
