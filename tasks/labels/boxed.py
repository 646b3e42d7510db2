"""Pictures with boxes by split: photos in the field's own files, or the scenes of the world.

A sample is a picture in a square of `side_px`, scaled to fit and grey below or to the right of it,
with all its objects: `box` in pixels of the square, `label` (1 to the number of classes; 0 behind
the last object), `crowd`, `scale` (pixels of the square to one of the picture), `size` (rows and
columns of the picture as it is), `number`, and with masks `mask`, a bit a pixel of the square, or
where a photo is scored `mask_text`, run lengths of the picture as it is, one object a line.

What surprises: a scene's object that is visible in several pieces is one object with one box round
all of its pieces and one mask of all of them, as in COCO.

Letters: B samples, K objects of one, L objects of the sample that has most, P bytes of a mask.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from backbones.training.device.memory import room_bytes
from backbones.training.errors import UserError
from tasks.data.columns import Column, Rows
from tasks.data.decode import picture_size, whole_planes
from tasks.data.find import found_folder
from tasks.data.formats.boxed_photos import ONE_IN_VAL, BoxedPhoto, BoxedSet
from tasks.data.formats.boxed_sets import read_boxed
from tasks.data.formats.folders import read_files, said_of
from tasks.data.formats.rle import boxes_of
from tasks.data.pictures import mean_and_std
from tasks.data.samples import Generated, InMemory, Samples
from tasks.data.source import Source
from tasks.data.split_names import Split
from tasks.labels.bits import MaskBits, packed, packed_bytes
from tasks.labels.proposals import read_proposals
from tasks.worlds import scenes
from tasks.worlds.chance import SEEDS

WORLD = "scenes"
WORLD_SIZES = {"train": 24_000, "val": 500, "test": 2_000}
WORLD_PX, PHOTO_PX, CHANNELS = 96, 256, 3
TOLD_FROM = 500  # training pictures from which the commonest class is known


class Boxed(Source):
    """What `tasks/labels/detect.py` learns from; a split is read, or made, when first wanted."""

    def __init__(self, config: Any, about: dict[str, Any] | None = None) -> None:
        super().__init__(config, about)
        self.offline = config.set == WORLD and not config.data
        self.splits: dict[tuple[Split, bool], Samples] = {}
        self.log_lines: dict[str, None] = {}
        self.found: BoxedSet | None = None
        self.about = self.about or self.describe_data()

    def describe_data(self) -> dict[str, Any]:
        """Return the classes, and what the training pictures are like."""
        side = self.config.size_px or (WORLD_PX if self.offline else PHOTO_PX)
        self.about = {"side_px": side, "channels": CHANNELS}
        if self.offline:
            classes = list(scenes.SHAPES)
            numbers = list(range(1, len(classes) + 1))
            mean, std = [96.0] * CHANNELS, [64.0] * CHANNELS
        else:
            found = self.photos
            classes = list(found.classes)
            numbers = list(found.numbers) or list(range(1, len(classes) + 1))
            self.about |= {"classes": classes}
            train = self.samples("train")
            assert isinstance(train, InMemory)
            mean, std = mean_and_std(train.columns["picture"], CHANNELS * side**2)
        about = {**self.about, "classes": classes, "numbers": numbers, "mean": mean, "std": std}
        self.about = about
        return {**about, "typical": self.typical()}

    def typical(self) -> list[float]:
        """Return the commonest class of the first training pictures and the median box of its
        objects, in shares of the square."""
        samples = self.samples("train")
        batch = samples.batch(torch.arange(min(TOLD_FROM, len(samples))))
        there = (batch["label"] > 0) & ~batch["crowd"]
        if not there.any():
            raise UserError("no training picture has an object; give some that have")
        label = batch["label"][there].mode().values
        boxes = batch["box"][there & (batch["label"] == label)]
        return [float(label), *(boxes.median(0).values / self.about["side_px"]).tolist()]

    @property
    def folder(self) -> Path:
        """Where the set lies; UserError if it is nowhere."""
        return found_folder(self.config.set, self.config.data, f"use {WORLD}")

    @property
    def photos(self) -> BoxedSet:
        """All photos of a set on the disk, not yet decoded; UserError if another run's classes
        are not these."""
        if self.found is None:
            self.found = read_boxed(self.folder, masks=self.config.masks)
            known = tuple(self.about.get("classes", self.found.classes))
            if known != self.found.classes:
                raise UserError(
                    f"{self.folder} has the classes {', '.join(self.found.classes[:5])}, ..., but "
                    f"those of the model are {', '.join(known[:5])}, ...; give it the set that it "
                    "was trained on"
                )
        return self.found

    def samples(self, split: Split) -> Samples:
        return self.of(split, scored=False)

    def of(self, split: Split, *, scored: bool) -> Samples:
        """Return the samples of a split to learn from, or as they are scored."""
        if self.offline:
            scored = False
        if (split, scored) not in self.splits:
            made = self.world(split) if self.offline else self.on_disk(split, scored)
            self.splits[split, scored] = made
        return self.splits[split, scored]

    def world(self, split: Split) -> Samples:
        """Return a split of the world."""
        side, masks = self.about["side_px"], self.config.masks
        count = self.config.samples if split == "train" else 0

        def make(index: Int64[np.ndarray, "B"]) -> dict[str, np.ndarray]:
            return world_columns(split, index, side, masks)

        return Generated(count or WORLD_SIZES[split], make)

    def split_of(self, split: Split) -> Sequence[BoxedPhoto]:
        """Return the photos of a split; where none validate, every sixteenth training photo does.

        UserError if there are none.
        """
        splits = self.photos.splits
        photos = list(splits[split])
        if split != "test" and not splits["val"] and self.config.fit.eval_every:
            train = sorted(splits["train"], key=lambda photo: photo.path.name)
            held = train[::ONE_IN_VAL] if len(train) > 1 else []
            chosen = {id(photo) for photo in held}
            photos = held if split == "val" else [p for p in train if id(p) not in chosen]
            self.log_lines[f"{len(held):,} of the training photos validate"] = None
        if not photos:
            raise UserError(f"{self.folder} has no {split} photos; give some, or --eval-every 0")
        return photos[: self.config.samples or None] if split == "train" else photos

    def file_of(self, split: Split) -> Split:
        """Return the split whose file of proposals a split's photos are in: where some of the
        training photos validate, that of train; where val is the test, that of val."""
        splits = self.photos.splits
        held = split == "val" and not splits["val"]
        return "train" if held else self.photos.files.get(split, split)

    def on_disk(self, split: Split, scored: bool) -> Samples:
        """Return a split of photos, decoded if there is room."""
        photos = self.split_of(split)
        check_sizes(photos)
        column, skipped, note = read_files(
            [photo.path for photo in photos],
            f"the {split} photos of {self.folder}",
            size_px=self.about["side_px"],
            channels=CHANNELS,
            most_bytes=room_bytes(self.config.memory_gb),
            fit=whole_planes,
        )
        self.log_lines |= dict.fromkeys(said_of(split, skipped, note))
        kept = [photo for n, photo in enumerate(photos) if n not in skipped]
        side = self.about["side_px"]
        columns = {"picture": column, **photo_columns(kept, side, scored=scored)}
        if self.config.proposals == "file":
            most = self.config.num_proposals
            found = read_proposals(self.folder, self.file_of(split), kept, most)
            scale = [side / max(photo.size) for photo in kept]
            boxes = [(b * s).astype(np.float32) for b, s in zip(found, scale, strict=True)]
            columns["proposal"] = rows_of(boxes, np.float32, 4)
        return InMemory(columns)

    def notes(self) -> list[str]:
        read = self.found.notes if self.found else ()
        return [*read, *self.log_lines]

    def protocol(self, split: Split) -> dict[str, Any]:
        """Return the set, how many pictures a split has, and how large they are looked at."""
        count, side = len(self.of(split, scored=True)), self.about["side_px"]
        return {"set": self.name, "pictures": count, "size_px": side}


def world_columns(
    split: Split, index: Int64[np.ndarray, "B"], side_px: int, masks: bool
) -> dict[str, np.ndarray]:
    """Return the columns of scenes by number."""
    count, most = len(index), scenes.MOST_THINGS
    columns: dict[str, np.ndarray] = {
        "picture": np.empty((count, CHANNELS, side_px, side_px), np.uint8),
        "box": np.zeros((count, most, 4), np.float32),
        "label": np.zeros((count, most), np.int64),
        "crowd": np.zeros((count, most), bool),
        "scale": np.ones(count, np.float32),
        "size": np.full((count, 2), side_px),
        "number": index,
    }
    if masks:
        columns["mask"] = np.zeros((count, most, packed_bytes(side_px)), np.uint8)
    for row, number in enumerate(index.tolist()):
        picture, mask, shapes = scenes.objects(SEEDS[split], number, side_px)
        columns["picture"][row] = picture
        columns["box"][row, : len(mask)] = boxes_of(mask)
        columns["label"][row, : len(mask)] = np.array(shapes) + 1
        if masks:
            columns["mask"][row, : len(mask)] = packed(mask)
    return columns


def check_sizes(photos: Sequence[BoxedPhoto]) -> None:
    """UserError for a photo of another size than its boxes are of."""
    for photo in photos:
        try:
            height, width = picture_size(photo.path)
        except UserError:
            continue  # `read_files` says it, and stops where too many cannot be read
        if (height, width) != photo.size:
            raise UserError(
                f"{photo.path} is of {width} x {height} pixels, its boxes of {photo.size[1]} x "
                f"{photo.size[0]}; give the photo that they were made of"
            )


def photo_columns(
    photos: Sequence[BoxedPhoto], side_px: int, *, scored: bool
) -> dict[str, Column | Tensor]:
    """Return all columns of photos but the pictures."""
    scale = [side_px / max(photo.size) for photo in photos]
    boxes = [(p.boxes * s).astype(np.float32) for p, s in zip(photos, scale, strict=True)]
    columns: dict[str, Column | Tensor] = {
        "box": rows_of(boxes, np.float32, 4),
        "label": Rows.of([photo.label for photo in photos], np.int64),
        "crowd": Rows.of([photo.crowd for photo in photos], bool),
        "scale": torch.tensor(scale),
        "size": torch.tensor([photo.size for photo in photos]),
        "number": torch.arange(len(photos)),
    }
    if photos and photos[0].masks is not None:
        texts = ["\n".join(photo.masks or ()) for photo in photos]
        if scored:
            columns["mask_text"] = Rows.of([list(text.encode()) for text in texts], np.uint8)
        else:
            columns["mask"] = MaskBits(tuple(photos), side_px)
    return columns


def rows_of(rows: Sequence[np.ndarray], dtype: Any, width: int) -> Rows:
    """Return rows of several numbers each; of no object at all, too."""
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
    flat = np.concatenate([np.empty((0, width), dtype), *rows])
    return Rows(torch.from_numpy(flat), lengths)
