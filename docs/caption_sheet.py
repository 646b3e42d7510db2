"""Scenes with what a captioner says of them, and where it looked.

    python docs/caption_sheet.py zoo/caption-scenes

Writes docs/pictures/captions.png: test scenes, beside each the caption of the run, green where it
is right and red where it is not, and below it what the scene's own captions say; then one of them
once more, word by word, bright where the writer looked.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from PIL import Image

from backbones.training.run import find_run
from tasks.answers import Picture
from tasks.looks.captions import captions_picture
from tasks.looks.sheet import stacked
from tasks.predictor import load_predictor
from tasks.worlds.chance import SEEDS
from tasks.worlds.scene_language import is_right
from tasks.worlds.scenes import scene

PNG = Path(__file__).parent / "pictures" / "captions.png"


@dataclass(frozen=True, kw_only=True)
class Config:
    """Caption scenes and draw what was said."""

    run: tyro.conf.Positional[str] = "zoo/caption-scenes"
    """A run of `arcadia train caption`."""
    first: int = 0
    """The first test scene that is shown."""
    count: int = 6
    """How many are shown."""
    explained: int = 2
    """Which of these is shown word by word."""
    png: Path = PNG
    """File that is written."""


def main(config: Config) -> None:
    predictor = load_predictor(find_run(config.run))
    shown = [scene(SEEDS["test"], config.first + n) for n in range(config.count)]
    pictures = [each.picture for each in shown]
    said = [answer.text for answer in predictor.answer(pictures)]
    right = [is_right(each, text) for each, text in zip(shown, said, strict=True)]
    sheet = captions_picture(
        torch.from_numpy(np.stack(pictures)),
        said,
        [each.captions for each in shown],
        ["darkgreen" if each else "firebrick" for each in right],
    )
    (seen,) = predictor.explain([pictures[config.explained]])
    assert isinstance(seen.medium, Picture)
    Image.fromarray(stacked([sheet, seen.medium.pixels])).save(config.png, optimize=True)


if __name__ == "__main__":
    main(tyro.cli(Config))
