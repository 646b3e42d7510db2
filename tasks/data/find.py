"""Which data a name means, and what lies in a folder: the one way in for tasks on pictures.

`folder_of` says where a set is: the folder that was given, else `$ARCADIA_DATA/<set>`, else None,
and the task makes its offline world. `read_set` looks at the files there and reads them: IDX,
CIFAR-10 in either form, class folders, tars. Sets of one fixed size are scaled and converted to
what the model takes by the same steps as picture files.
"""

import math
import os
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from backbones.training.errors import UserError
from tasks.data.decode import check_shape, planes
from tasks.data.formats.cifar import batches, read_cifar10
from tasks.data.formats.entries import folder_of as split_folder
from tasks.data.formats.entries import tars_of
from tasks.data.formats.folders import read_classes
from tasks.data.formats.idx import files_of, read_mnist
from tasks.data.pictures import PictureFiles, Pictures
from tasks.data.split_names import SPLITS, Split

OWN_PX = 32  # of class folders
KNOWN = (
    "train-images-idx3-ubyte[.gz] (MNIST and its like), data_batch_1[.bin] (CIFAR-10), "
    "train/CLASS/NAME.jpg, train.tar[.gz|.xz] or train-000.tar"
)


def folder_of(name: str, given: str = "") -> Path | None:
    """Return the folder of a set; None if there is none. UserError if `given` is no folder."""
    if given:
        folder = Path(given).expanduser()
        if not folder.is_dir():
            raise UserError(f"{given} is not a folder; --data takes the folder of a set")
        return folder
    home = os.environ.get("ARCADIA_DATA", "")
    folder = Path(home).expanduser() / name
    return folder if home and folder.is_dir() else None


def found_folder(name: str, given: str, *others: str) -> Path:
    """Return the folder of a set; UserError if there is none, with what else can be done."""
    folder = folder_of(name, given)
    if folder is None:
        remedies = ", ".join(["give --data DIR", *others[:-1]]) + f", or {others[-1]}"
        raise UserError(f"--set {name}: no such folder in $ARCADIA_DATA; {remedies}")
    return folder


def splits_of(folder: Path) -> tuple[Split, ...]:
    """Return the splits that lie in a folder; UserError, with what was looked for, if none do."""
    if sets := files_of(folder):
        files = {split for files in sets.values() for split, _ in files}
    elif batches(folder, "train"):
        files = {split for split in ("train", "test") if has_batches(folder, split)}
    elif folder.is_dir():
        files = {s for s in SPLITS if split_folder(folder, s) or tars_of(folder, s)}
    else:
        raise UserError(f"{folder} is not a folder; expected the folder of a set")
    if not files:
        inside = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
        raise UserError(f"{folder} holds {inside}; expected {KNOWN}")
    return tuple(split for split in SPLITS if split in files)


def has_batches(folder: Path, split: str) -> bool:
    """Say whether a folder has any of a split's batches of CIFAR-10."""
    found = batches(folder, split)
    return found is not None and any(path.is_file() for path in found[0])


def fitted(
    picture: UInt8[Tensor, "N C H W"], size_px: int, channels: int
) -> UInt8[Tensor, "N D S S"]:
    """Return pictures with `size_px` rows and columns and so many channels, D."""
    num, old_channels, *size = picture.shape
    if (old_channels, size) == (channels, [size_px, size_px]):
        return picture
    if size == [size_px, size_px] and old_channels == 1:
        return picture.expand(-1, channels, -1, -1).contiguous()
    new = torch.empty(num, channels, size_px, size_px, dtype=torch.uint8)
    for n, pixels in enumerate(picture.permute(0, 2, 3, 1).numpy()):
        pixels = pixels[..., 0] if old_channels == 1 else pixels
        image = Image.fromarray(np.ascontiguousarray(pixels))
        new[n] = torch.from_numpy(planes(image, size_px, channels))
    return new


def read_set(
    folder: Path,
    split: Split,
    *,
    size_px: int = 0,
    channels: int = 0,
    classes: tuple[str, ...] | None = None,
    most_bytes: float = math.inf,
) -> Pictures | PictureFiles:
    """Return a split of whatever set lies in a folder; UserError if none can be had.

    Size or channels 0 means the set's own; class folders have none, and become 32 x 32 in colour.
    `classes` are those of the train split: another split must have the same. Class folders that
    would take more than `most_bytes` stay on the disk.
    """
    check_shape(size_px or OWN_PX, channels or 3)
    splits = splits_of(folder)
    if split not in splits:
        raise UserError(f"{folder} has no {split} split; it has {' and '.join(splits)}")
    if not files_of(folder) and not batches(folder, "train"):
        size_px, channels = size_px or OWN_PX, channels or 3
        return read_classes(
            folder,
            split,
            size_px=size_px,
            channels=channels,
            classes=classes,
            most_bytes=most_bytes,
        )
    assert split != "val", "neither format has one"
    pictures = read_mnist(folder, split) if files_of(folder) else read_cifar10(folder, split)
    if classes is not None and classes != pictures.classes:
        raise UserError(
            f"{folder} has the classes {', '.join(pictures.classes)}, but those of the model are "
            f"{', '.join(classes)}; give it the set that it was trained on"
        )
    own = pictures.picture.shape
    picture = fitted(pictures.picture, size_px or min(own[-2:]), channels or own[1])
    return Pictures(picture, pictures.label, pictures.classes)
