"""Photos with boxes, whoever wrote them down: what the readers of COCO, VOC, Penn-Fudan and YOLO
give, and how wrong boxes, missing photos and missing splits are dealt with.

Letters: K objects of a photo, H rows, W columns.

Boxes are x0, y0, x1, y1 in pixels, the end not included. A box whose corners are swapped is put
right, one that reaches outside is cut off, one of no area (or none inside) is left out, and of more
than 1,000 objects of a photo the 1,000 largest stay; each is counted and said in one line. A set
without a test split is tested on val, one without either on the last ninth of its photos by name.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Bool, Float64, Int64

from backbones.training.errors import UserError
from backbones.training.streams import plain
from tasks.data.formats.entries import is_hidden, is_picture
from tasks.data.missing import some
from tasks.data.split_names import NAMES, SPLITS, Split

MOST_OBJECTS = 1_000
ONE_IN_TEST, ONE_IN_VAL = 9, 16


@dataclass(frozen=True)
class BoxedPhoto:
    """A photo and what is in it."""

    path: Path
    size: tuple[int, int]
    """Rows and columns, as whoever wrote the boxes saw it."""
    boxes: Float64[np.ndarray, "K 4"]
    label: Int64[np.ndarray, "K"]
    """1 to the number of classes."""
    crowd: Bool[np.ndarray, "K"]
    """Several in one box, or too difficult: neither learnt from nor scored."""
    masks: tuple[str, ...] | None = None
    """Strings of run lengths, if the set has masks."""

    def of(self, kept: Int64[np.ndarray, "_"] | Bool[np.ndarray, "K"]) -> "BoxedPhoto":
        """Return the photo with some of its objects."""
        masks = self.masks
        if masks is not None:
            masks = tuple(np.array(masks, object)[kept].tolist())
        return replace(
            self,
            boxes=self.boxes[kept],
            label=self.label[kept],
            crowd=self.crowd[kept],
            masks=masks,
        )


@dataclass(frozen=True)
class BoxedSet:
    """All photos of a set by split."""

    classes: tuple[str, ...]
    splits: Mapping[Split, Sequence[BoxedPhoto]]
    notes: tuple[str, ...]
    numbers: tuple[int, ...] = ()
    """What the set calls its classes, such as COCO's ids; empty: 1, 2, 3, ..."""
    files: Mapping[Split, Split] = field(default_factory=dict)
    """The split that the test's photos are called in the files, where that is another."""


def whole_set(
    classes: Sequence[str],
    photos: Mapping[Split, Sequence[BoxedPhoto]],
    notes: Iterable[str],
    numbers: Sequence[int] = (),
) -> BoxedSet:
    """Return a set with every split and only boxes that can be; UserError without any photo."""
    counts: Counter[str] = Counter()
    splits: dict[Split, list[BoxedPhoto]] = {
        split: [put_right(photo, counts) for photo in photos.get(split, ())] for split in SPLITS
    }
    files: dict[Split, Split] = {}
    log_lines = [*notes, *(f"{what}: {count:,}" for what, count in sorted(counts.items()))]
    if not splits["train"]:
        raise UserError("the set has no photos to learn from")
    if not splits["test"] and splits["val"]:
        splits["test"], splits["val"] = splits["val"], []
        files["test"] = "val"
        log_lines.append("there is no test split: val is the test")
    elif not splits["test"]:
        every = sorted(splits["train"], key=lambda photo: photo.path.name)
        count = max(1, len(every) // ONE_IN_TEST)
        splits["train"], splits["test"] = every[:-count], every[-count:]
        files["test"] = "train"
        log_lines.append(f"no lists of splits: the last {count:,} photos by name are the test")
    if not splits["train"]:
        raise UserError("the set has one photo; give two at least, to learn from one and test")
    return BoxedSet(tuple(classes), splits, tuple(log_lines), tuple(numbers), files)


def put_right(photo: BoxedPhoto, counts: Counter[str]) -> BoxedPhoto:
    """Return a photo with only boxes that can be, and count what was changed."""
    boxes, (height, width) = photo.boxes, photo.size
    ordered = np.concatenate(
        [np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])], 1
    )
    counts["boxes with corners swapped, put right"] += int((ordered != boxes).any(1).sum())
    cut = ordered.clip(0, [width, height, width, height])
    # Half a pixel beyond the edge is rounding, not a mistake.
    beyond = (abs(cut - ordered) > 0.5).any(1)
    kept = (cut[:, 2:] - cut[:, :2] > 0).all(1)
    counts["boxes that reached outside, cut off"] += int((beyond & kept).sum())
    counts["boxes of no area inside their photo, left out"] += int((~kept).sum())
    found = replace(photo, boxes=cut).of(kept)
    if (more := len(found.label) - MOST_OBJECTS) > 0:
        counts[f"objects beyond the {MOST_OBJECTS:,} largest of a photo, left out"] += more
        area = (found.boxes[:, 2:] - found.boxes[:, :2]).prod(1)
        found = found.of(np.sort(np.argsort(-area, kind="stable")[:MOST_OBJECTS]))
    for name in [name for name, count in counts.items() if not count]:
        del counts[name]
    return found


class PhotosBelow:
    """The picture files below a folder, found by the names that annotations give them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.of_name: dict[str, list[Path]] = {}
        for path in sorted(folder.rglob("*")):
            name = PurePosixPath(path.relative_to(folder).as_posix())
            if is_picture(PurePosixPath(name.name)) and not is_hidden(name) and path.is_file():
                self.of_name.setdefault(name.name, []).append(path)

    def find(self, name: str, near: str = "") -> Path | None:
        """Return the photo of that name; of several the one whose folders the name tells, or one
        below a folder called `near`. UserError if that leaves more than one."""
        wanted = PurePosixPath(name.replace("\\", "/"))
        found = self.of_name.get(wanted.name, [])
        folders = [part for part in wanted.parts[:-1] if part not in ("/", ".", "..")]
        for tail in (folders, [near] if near else []):
            if len(found) > 1 and tail:
                inside = [p for p in found if set(tail) <= set(p.relative_to(self.folder).parts)]
                found = inside or found
        if len(found) > 1:
            raise UserError(
                f"{self.folder} holds {plain(wanted.name)} more than once "
                f"({some(str(p.relative_to(self.folder)) for p in found)}); leave one of them"
            )
        return found[0] if found else None


def split_called(name: str) -> Split | None:
    """Return the split that a name such as train2017 means; None if it means none."""
    letters = "".join(c for c in name.lower() if c.isalpha())
    for split in SPLITS:
        if letters in NAMES[split]:
            return split
    return None
