"""Road scenes and real frames with what a segmenter says of them.

    python docs/road_sheet.py zoo/segment-roads                               # test scenes
    python docs/road_sheet.py RUN --frames test/A.png test/B.png --data DIR   # CamVid's pictures

Writes docs/pictures/roads.png: pictures, their labels, and the answers of the run.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from PIL import Image

from backbones.training.run import find_run
from tasks.data.formats.class_maps import CAMVID
from tasks.data.formats.masks import read_pair
from tasks.labels.masked import squeezed, squeezed_labels
from tasks.labels.segment import labels_of
from tasks.looks.masks import masks_sheet
from tasks.looks.sheet import stacked
from tasks.predictor import load_predictor
from tasks.worlds.chance import SEEDS
from tasks.worlds.roads import road

PNG = Path(__file__).parent / "pictures" / "roads.png"


@dataclass(frozen=True, kw_only=True)
class Config:
    """Draw what a run says of road scenes, or of frames of CamVid."""

    run: tyro.conf.Positional[str] = "zoo/segment-roads"
    """A run of `arcadia train segment` on CamVid's classes."""
    first: int = 0
    """The first test scene that is shown."""
    count: int = 4
    """How many are shown."""
    data: str = ""
    """CamVid's folder, for `frames`."""
    frames: tuple[str, ...] = ()
    """Frames of it below the scenes, such as test/0001TP_008550.png."""
    png: Path = PNG
    """File that is written."""


def main(config: Config) -> None:
    predictor = load_predictor(find_run(config.run))
    task, model = predictor.task, predictor.model
    size = task.source.size  # type: ignore[attr-defined]
    pairs = [road(SEEDS["test"], config.first + n, *size) for n in range(config.count)]
    for name in config.frames:
        path = Path(config.data) / name
        labels = path.parent.with_name(f"{path.parent.name}annot") / path.name
        picture, label = read_pair((path, labels), CAMVID)
        pairs.append((squeezed(picture, size), squeezed_labels(label, size)))
    pictures, truths = (np.stack(each) for each in zip(*pairs, strict=True))
    with torch.inference_mode():
        answers = labels_of(task.predict(model, {"picture": torch.from_numpy(pictures)}), size)
    sheet = masks_sheet(pictures, truths, answers.numpy(), CAMVID.palette, CAMVID.classes)
    Image.fromarray(stacked([sheet])).save(config.png, optimize=True)


if __name__ == "__main__":
    main(tyro.cli(Config))
