"""Pascal VOC's and Penn-Fudan's files: a file of boxes for every photo, and masks in palettes.

VOC: `Annotations/NAME.xml`, `JPEGImages/NAME.jpg`, lists of names in `ImageSets/Main/train.txt`
(`ImageSets/Segmentation` for masks) and `SegmentationObject/NAME.png`, whose pixels are the number
of the object in the order of the XML; 255 is the border that belongs to nobody. Its boxes count
pixels from 1, the last one included. What is difficult counts as a crowd does.

Penn-Fudan: `PNGImages/NAME.png` and `PedMasks/NAME_mask.png`, whose pixels are the number of the
pedestrian; boxes are those of the masks. It has no splits.
"""

import math
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from backbones.training.errors import UserError
from backbones.training.files import check_plain, read_bounded
from tasks.data.decode import LARGEST_PX, picture_size, quiet_pillow
from tasks.data.formats.boxed_photos import BoxedPhoto, BoxedSet, PhotosBelow, whole_set
from tasks.data.formats.rle import boxes_of, runs_of, string_of
from tasks.data.formats.text import read_lines
from tasks.data.missing import check_missing
from tasks.data.split_names import SPLITS, Split

LARGEST_XML = 2**22
BORDER = 255
NUMBERS = ("xmin", "ymin", "xmax", "ymax")


def read_voc(folder: Path, *, masks: bool) -> BoxedSet:
    """Return the photos of VOC's lists, or of all its XML files; UserError if they cannot be had.

    With masks only the photos that have some.
    """
    places, lists = PhotosBelow(folder), listed(folder, masks)
    named = {path.stem: path for path in sorted((folder / "Annotations").glob("*.xml"))}
    found: dict[str, tuple[BoxedPhoto, list[str]]] = {}
    missing = []
    for name, path in named.items():
        told = read_xml(path)
        near = "JPEGImages"
        place = places.find(told.filename, near) or places.find(f"{name}.jpg", near)
        if place is None:
            missing.append(told.filename)
        elif not masks or (folder / "SegmentationObject" / f"{name}.png").exists():
            found[name] = told.photo(place, masks)
    notes = check_missing(missing, len(named), folder, "boxes")
    classes = sorted({label for _, labels in found.values() for label in labels})
    numbers = {label: n for n, label in enumerate(classes, 1)}
    photos: dict[Split, list[BoxedPhoto]] = {split: [] for split in SPLITS}
    of = {name: split for split, names in lists.items() for name in names}
    for name, (photo, labels) in found.items():
        split = of.get(name) if lists else "train"
        if split:
            label = np.array([numbers[each] for each in labels], np.int64)
            photos[split].append(replace(photo, label=label))
    if left := len(found) - sum(map(len, photos.values())):
        notes.append(f"photos in no list, left out: {left:,}")
    return whole_set(classes, photos, notes)


def listed(folder: Path, masks: bool) -> dict[Split, list[str]]:
    """Return the names in the lists of splits; of masks those in `Segmentation`, if it is there."""
    place = folder / "ImageSets" / ("Segmentation" if masks else "Main")
    if not place.is_dir():
        place = folder / "ImageSets" / "Main"
    names: dict[Split, list[str]] = {}
    for split in SPLITS:
        path = place / f"{split}.txt"
        if path.exists():
            names[split] = [line.split()[0] for line in read_lines(path) if line.strip()]
    return names


class VocPhoto:
    """What an XML file says of a photo."""

    def __init__(self, path: Path, root: ElementTree.Element) -> None:
        self.path = path
        self.filename = text_of(root, "filename", path)
        size = root.find("size")
        if size is None:
            raise UserError(f"{path} has no <size>")
        self.size = (int(number_of(size, "height", path)), int(number_of(size, "width", path)))
        if not 0 < self.size[0] * self.size[1] <= LARGEST_PX:
            raise UserError(f"{path} has the size {self.size[1]} x {self.size[0]}")
        self.boxes, self.labels, self.crowd = list[list[float]](), list[str](), list[bool]()
        for each in root.findall("object"):
            box = each.find("bndbox")
            if box is None:
                raise UserError(f"{path} has an <object> without <bndbox>")
            x0, y0, x1, y1 = (number_of(box, name, path) for name in NUMBERS)
            self.boxes.append([x0 - 1, y0 - 1, x1, y1])
            self.labels.append(text_of(each, "name", path))
            self.crowd.append((each.findtext("difficult") or "0").strip() == "1")

    def photo(self, place: Path, masks: bool) -> tuple[BoxedPhoto, list[str]]:
        """Return the photo with its objects and their classes' names; UserError if a mask is of
        another size."""
        texts = None
        if masks:
            numbers = read_numbers(
                self.path.parents[1] / "SegmentationObject" / f"{self.path.stem}.png", self.size
            )
            texts = tuple(string_of(runs_of(numbers == n)) for n in range(1, len(self.labels) + 1))
        boxes = np.array(self.boxes, np.float64).reshape(-1, 4)
        label = np.ones(len(boxes), np.int64)
        photo = BoxedPhoto(place, self.size, boxes, label, np.array(self.crowd, bool), texts)
        return photo, self.labels


def read_xml(path: Path) -> VocPhoto:
    """Return what an XML file says; UserError if it is none, or has not what VOC's files have."""
    try:
        data = read_bounded(path, LARGEST_XML)
        if b"<!ENTITY" in data:
            raise UserError(f"{path} defines entities of its own, as no file of VOC's does")
        root = ElementTree.fromstring(data)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None
    except (ElementTree.ParseError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} is no whole XML file ({error})") from None
    return VocPhoto(path, root)


def text_of(element: ElementTree.Element, name: str, path: Path) -> str:
    """Return the text of a child; UserError if there is none."""
    text = (element.findtext(name) or "").strip()
    if not text:
        raise UserError(f"{path} has an <{element.tag}> without <{name}>")
    return text


def number_of(element: ElementTree.Element, name: str, path: Path) -> float:
    """Return the number in a child; UserError if it is none."""
    text = text_of(element, name, path)
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not abs(number) < 1e9:
        raise UserError(f"{path} has <{name}>{text[:20]}</{name}>; expected a number of pixels")
    return number


def read_numbers(path: Path, size: tuple[int, int]) -> UInt8[np.ndarray, "H W"]:
    """Return the numbers in a picture of a palette or of grey; UserError if it is of another size
    than its photo."""
    try:
        check_plain(path)
        with quiet_pillow(), Image.open(path, formats=("PNG",)) as image:
            if image.size != size[::-1]:
                raise UserError(
                    f"{path} is of {image.width} x {image.height}, its photo of {size[1]} x "
                    f"{size[0]}"
                )
            if image.mode not in ("P", "L", "1"):
                raise UserError(f"{path} has colours; expected a palette, or grey, with numbers")
            return np.asarray(image).astype(np.uint8)
    except UserError:
        raise
    except Exception as error:
        # Pillow's readers raise almost anything on damaged bytes.
        raise UserError(f"{path} cannot be read ({str(error).splitlines()[0]})") from None


def read_penn_fudan(folder: Path) -> BoxedSet:
    """Return the photos of Penn-Fudan's folder; UserError if they cannot be had."""
    photos = []
    for path in sorted((folder / "PNGImages").glob("*.png")):
        mask = folder / "PedMasks" / f"{path.stem}_mask.png"
        size = picture_size(path)
        numbers = read_numbers(mask, size)
        each = numbers == np.arange(1, int(numbers.max(initial=0)) + 1)[:, None, None]
        each = each[each.any((1, 2))]
        boxes, count = boxes_of(each).astype(np.float64), len(each)
        texts = tuple(string_of(runs_of(found)) for found in each)
        label, crowd = np.ones(count, np.int64), np.zeros(count, bool)
        photos.append(BoxedPhoto(path, size, boxes, label, crowd, texts))
    return whole_set(["person"], {"train": photos}, [])
