"""The picture docs/pictures/handwriting.png: words that a pen writes, one seed each.

python docs/handwriting_sheet.py RUN
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from backbones.training.config import changed
from backbones.training.run import find_run
from tasks.looks.strokes import pixels
from tasks.pictures.handwriting import PenConfig
from tasks.predictor import load_predictor

WORDS = "Arcadia hello Shakespeare zebra? 2026 Breakout handwriting jumps! quick FOX".split()
PLACE = Path(__file__).parent / "pictures" / "handwriting.png"


def main() -> None:
    """Write each word by a seed of its own, five below each other in two columns."""
    run = find_run(sys.argv[1])
    lines = []
    for seed, word in enumerate(WORDS, 1):
        pen = load_predictor(run, answer=changed(PenConfig(), write_seed=seed))
        (answer,) = pen.answer(word)
        lines.append(pixels(answer.medium.strokes))
    width = max(line.shape[1] for line in lines) + 16
    padded = [
        np.pad(line, ((0, 8), (0, width - line.shape[1])), constant_values=255) for line in lines
    ]
    columns = [np.concatenate(padded[:5]), np.concatenate(padded[5:])]
    Image.fromarray(np.concatenate(columns, axis=1)).save(PLACE)


if __name__ == "__main__":
    main()
