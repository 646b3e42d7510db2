"""Pictures on a larger ground as files in MNIST's layout, so that other networks can learn them.

    python -m tasks.worlds.clutter_files FOLDER --set mnist --ground-px 60 --clutter 4
    arcadia train classify --data FOLDER

The test pictures are those that `arcadia train glimpse` scores with the same flags. Each training
picture lies at one place, whereas there it lies elsewhere in every epoch.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro

from backbones.training.errors import UserError
from backbones.training.files import make_empty_folder, write_atomically
from backbones.training.progress import say
from tasks.data.split_names import Split
from tasks.labels import glimpse
from tasks.labels.placed import Placed

# Names in the layout, and the splits that are in a file: what validates is held out of training.
FILES: dict[str, tuple[Split, ...]] = {"train": ("train", "val"), "t10k": ("test",)}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Write pictures on a ground as IDX files."""

    folder: tyro.conf.Positional[Path]
    """A new folder, or an empty one."""
    set: str = "mnist"
    """mnist, ... (a folder of $ARCADIA_DATA), or the offline world digits."""
    data: str = ""
    """Folder of the set."""
    samples: int = 0
    """Take so many training pictures only; 0: all. Of a world: how many there are."""
    ground_px: int = 60
    """Side of the black ground."""
    clutter: int = 0
    """Pieces of 8 x 8 pixels of other training pictures that lie on it too."""


def write_files(config: Config) -> None:
    """Write both files; UserError if the folder holds something, or the set is in colour."""
    source = Placed(
        glimpse.Config(
            set=config.set,
            data=config.data,
            samples=config.samples,
            ground_px=config.ground_px,
            clutter=config.clutter,
        )
    )
    if source.about["channels"] != 1:
        raise UserError(f"--set {config.set} is in colour, and IDX files are grey")
    make_empty_folder(config.folder)
    for name, splits in FILES.items():
        parts = [source.to_score(split) for split in splits]
        batches = [
            part.batch(index) for part in parts for index in torch.arange(len(part)).split(1_000)
        ]
        for kind, what, axes in (("images", "picture", 3), ("labels", "label", 1)):
            values = torch.cat([batch[what] for batch in batches]).to(torch.uint8).numpy()
            values = values[:, 0] if axes == 3 else values
            head = np.array([0x800 + axes, *values.shape], ">i4").tobytes()
            path = config.folder / f"{name}-{kind}-idx{axes}-ubyte"
            write_atomically(path, head + values.tobytes())


def main(words: Sequence[str]) -> int:
    """Write pictures as asked for."""
    config = tyro.cli(Config, args=words, config=(tyro.conf.OmitArgPrefixes,))
    try:
        write_files(config)
    except UserError as error:
        say(f"clutter_files: {error}", sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
