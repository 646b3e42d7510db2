"""Questions about scenes with what a run answers, and where it looked.

    python docs/question_sheet.py zoo/vqa-scenes

Writes docs/pictures/questions.png: test scenes, beside each one of its questions with the run's
answer, green where it is right and red where it is not; below them, of the first scenes, where
each look went.
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
from tasks.worlds.scenes import scene

PNG = Path(__file__).parent / "pictures" / "questions.png"


@dataclass(frozen=True, kw_only=True)
class Config:
    """Ask about scenes and draw what was answered."""

    run: tyro.conf.Positional[str] = "zoo/vqa-scenes"
    """A run of `arcadia train vqa`."""
    first: int = 0
    """The first test scene that is shown."""
    count: int = 6
    """How many are shown, each with one of its questions."""
    explained: int = 3
    """Of how many of these the looks are shown."""
    png: Path = PNG
    """File that is written."""


def main(config: Config) -> None:
    predictor = load_predictor(find_run(config.run))
    shown = [scene(SEEDS["test"], config.first + n) for n in range(config.count)]
    # Another kind of question of each: the last ones come after those of numbers.
    asked = [each.questions[-1 - n % 6] for n, each in enumerate(shown)]
    pairs = [(each.picture, one.question) for each, one in zip(shown, asked, strict=True)]
    said = [answer.text for answer in predictor.answer(pairs)]
    right = [text == one.answer for text, one in zip(said, asked, strict=True)]
    sheet = captions_picture(
        torch.from_numpy(np.stack([each.picture for each in shown])),
        [f"{one.question} {text}" for one, text in zip(asked, said, strict=True)],
        [[f"right: {one.answer}"] for one in asked],
        ["darkgreen" if each else "firebrick" for each in right],
    )
    looks = [sheet]
    for seen in predictor.explain(pairs[: config.explained]):
        assert isinstance(seen.medium, Picture)
        looks.append(seen.medium.pixels)
    Image.fromarray(stacked(looks)).save(config.png, optimize=True)


if __name__ == "__main__":
    main(tyro.cli(Config))
