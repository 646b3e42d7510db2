"""Pictures with a label for every pixel by split: of a set on disk, or of the offline world.

Letters: N pictures, A classes, H rows, W columns.

A network sees every picture in one size, squeezed if its sides are in another proportion. Scores
are those of the labels as they are in the file: answers are enlarged to them, never the reverse.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from backbones.training.device.memory import room_bytes
from backbones.training.errors import UserError
from backbones.training.streams import plain
from tasks.data.columns import Batch, Rows
from tasks.data.find import found_folder
from tasks.data.formats.class_maps import CAMVID, VOID
from tasks.data.formats.masks import MaskFiles, read_masks, read_pair, splits_of_masks
from tasks.data.samples import Generated, InMemory, OnDisk, Samples
from tasks.data.source import Source
from tasks.data.split_names import Split
from tasks.scores.masks import median_frequency
from tasks.worlds.chance import SEEDS
from tasks.worlds.roads import HEIGHT_PX, WIDTH_PX, roads

WORLDS = ("roads",)
WORLD_SIZES = {"val": 300, "test": 1_000}
TRAIN_SIZE = 12_000
KEPT_BYTES = 2**31  # of the world's pictures: one is drawn more slowly than it is learnt from
COUNTED, COUNTED_AT_ONCE = 400, 50  # pictures of the world whose pixels are counted
ONE_IN = 5  # pictures are held out where there is no val split
READERS = 4


class Masked(Source):
    """What `tasks/labels/segment.py` learns from; a split is read, or made, when first wanted."""

    def __init__(self, config: Any, about: dict[str, Any] | None = None) -> None:
        super().__init__(config, about)
        self.offline = config.set in WORLDS and not config.data
        self.fresh = not self.about
        self.files: dict[Split, MaskFiles] = {}
        self.with_truth: dict[Split, WithTruth] = {}
        self.made: dict[str, Samples] = {}
        self.log_lines: list[str] = []
        if not self.about:
            self.about = {
                "height_px": config.height_px or HEIGHT_PX,
                "width_px": config.width_px or WIDTH_PX,
            }
            self.about |= self.describe_data()
        self.size = int(self.about["height_px"]), int(self.about["width_px"])

    def describe_data(self) -> dict[str, Any]:
        """Return the classes, their colours and weights, and what the training pictures are like:
        of a set from all its files, so that a damaged one is found before anything is learnt."""
        self.size = int(self.about["height_px"]), int(self.about["width_px"])
        class_map = CAMVID if self.offline else self.files_of("train").class_map
        samples, pixels = self.samples("train"), []
        count = min(COUNTED, len(samples)) if self.offline else len(samples)
        total, squares = torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
        for index in torch.arange(count).split(COUNTED_AT_ONCE):
            batch = samples.batch(index)
            pixels.append(pixels_of(batch["label"], len(class_map.classes)))
            values = batch["picture"].double()
            total += values.sum((0, 2, 3))
            squares += values.square().sum((0, 2, 3))
        counts = torch.cat(pixels)
        self.check_void(counts)
        mean = total / (count * self.size[0] * self.size[1])
        spread = squares / (count * self.size[0] * self.size[1]) - mean.square()
        return {
            "classes": class_map.classes,
            "palette": class_map.palette,
            "mean": mean.tolist(),
            "std": spread.clamp(min=1.0).sqrt().tolist(),
            "weights": [round(value, 4) for value in median_frequency(counts).tolist()],
        }

    def check_void(self, pixels: Int64[Tensor, "N A"]) -> None:
        """Note pictures in which no pixel has a class; UserError if there are no others."""
        empty = (pixels.sum(1) == 0).nonzero()[:, 0].tolist()
        if len(empty) == len(pixels):
            raise UserError(f"{self.name}: all training labels are void, no pixel has a class")
        if empty and not self.offline:
            pairs = self.files_of("train").pairs
            names = ", ".join(plain(pairs[i][1].name) for i in empty[:5])
            self.log_lines.append(
                f"train: {len(empty):,} label pictures are void everywhere ({names}) and teach "
                "nothing"
            )

    @property
    def folder(self) -> Path:
        """Where the set lies; UserError if it is nowhere."""
        return found_folder(self.config.set, self.config.data, f"use {WORLDS[0]}")

    def file_of(self, split: Split) -> Split:
        """Return the split of the files that a split is taken from."""
        there = splits_of_masks(self.folder)
        tested: Split = "test" if "test" in there or "val" not in there else "val"
        if split == "val":
            return "val" if "val" in there and tested == "test" else "train"
        return tested if split == "test" else "train"

    def files_of(self, split: Split) -> MaskFiles:
        """Return a split's files: val is held out of train where there is none of its own."""
        if split not in self.files:
            taken = self.file_of(split)
            found = read_masks(self.folder, taken)
            self.log_lines += [note for note in found.notes if note not in self.log_lines]
            known = self.about.get("classes")
            if known is not None and tuple(known) != found.class_map.classes:
                raise UserError(
                    f"{self.folder} has the classes of {found.class_map.name}, and the model was "
                    f"trained on {len(known)} others; give it a set with the same"
                )
            if self.file_of("val") == "train" and taken == "train":
                held = set(found.pairs[::ONE_IN] if len(found) >= ONE_IN else ())
                pairs = tuple(p for p in found.pairs if (p in held) == (split == "val"))
                if not pairs:
                    raise UserError(
                        f"{self.folder} has {len(found)} training pictures, too few to hold some "
                        f"out to validate on; give {ONE_IN} or more, or --eval-every 0"
                    )
                found = MaskFiles(pairs, found.class_map, found.notes)
            self.files[split] = found
        return self.files[split]

    def samples(self, split: Split) -> Samples:
        """Return the samples of a split in the network's size; UserError if there are none."""
        if split not in self.made:
            self.made[split] = self.world(split) if self.offline else self.on_disk(split)
        return self.made[split]

    def scored(self, split: Split) -> Samples:
        """Return the samples of a split with the labels of the files in their own sizes; UserError
        before a training if one of them is damaged, or all of them are void."""
        if self.offline:
            return self.samples(split)
        if split not in self.with_truth:
            found = WithTruth(self.files_of(split), self.size)
            if self.fresh and not found.any_class():
                raise UserError(f"{self.name}: all labels of {split} are void, there is no score")
            self.with_truth[split] = found
        return self.with_truth[split]

    def world(self, split: Split) -> Samples:
        """Return a split of the road world."""
        few, height, width = self.config.samples, *self.size
        count = few or TRAIN_SIZE if split == "train" else WORLD_SIZES[split]

        def make(index: Int64[np.ndarray, "B"]) -> dict[str, np.ndarray]:
            picture, label = roads(SEEDS[split], index, height, width)
            return {"picture": picture, "label": label}

        return Generated(count, make, KEPT_BYTES)

    def on_disk(self, split: Split) -> Samples:
        """Return a split of a set, in memory if there is room for it."""
        files, size = self.files_of(split), self.size
        if split == "train" and self.config.samples:
            pairs = files.pairs[: self.config.samples]
            files = MaskFiles(pairs, files.class_map, files.notes)

        def read(number: int) -> dict[str, np.ndarray]:
            picture, label = read_pair(files.pairs[number], files.class_map)
            return {"picture": squeezed(picture, size), "label": squeezed_labels(label, size)}

        reader = OnDisk(len(files), read, READERS)
        if 4 * len(files) * size[0] * size[1] > room_bytes(self.config.memory_gb):
            self.log_lines.append(f"{split}: {len(files):,} pictures stay on the disk")
            return reader
        return InMemory(reader.batch(torch.arange(len(files))))

    def notes(self) -> list[str]:
        return self.log_lines

    def protocol(self, split: Split) -> dict[str, Any]:
        """Return set, pictures, and in which size they were answered and scored."""
        shown = {"set": self.name, "pictures": len(self.samples(split))}
        if not self.offline and self.file_of(split) != split:
            taken = self.file_of(split)
            shown["from"] = "held out of train" if taken == "train" else f"the split {taken}"
        height, width = self.size
        return {**shown, "answered_at": f"{width} x {height}", "scored_at": "the labels' size"}


class WithTruth(Samples):
    """Pictures in the network's size, with the labels of their files: `truth` has a row of bytes a
    picture, of which the first ones are its labels, as many as `shape`, [B, 2], says."""

    def __init__(self, files: MaskFiles, size: tuple[int, int]) -> None:
        self.files, self.size = files, size
        self.pool = ThreadPoolExecutor(READERS, "reader")

    def __len__(self) -> int:
        return len(self.files)

    def any_class(self) -> bool:
        """Read every file once; say whether any pixel has a class."""

        def has_class(pair: tuple[Path, Path]) -> bool:
            return bool((read_pair(pair, self.files.class_map)[1] != VOID).any())

        return any(list(self.pool.map(has_class, self.files.pairs)))

    def batch(self, index: Int64[Tensor, "B"]) -> Batch:
        pairs = [self.files.pairs[number] for number in index.tolist()]
        read = list(self.pool.map(lambda pair: read_pair(pair, self.files.class_map), pairs))
        truths = Rows.of([label.reshape(-1) for _, label in read], np.uint8)
        shapes = [label.shape for _, label in read]
        pictures = [squeezed(picture, self.size) for picture, _ in read]
        return {
            "picture": torch.from_numpy(np.stack(pictures)),
            **truths.batch("truth", torch.arange(len(read))),
            "shape": torch.tensor(shapes).view(-1, 2),
        }


def squeezed(
    picture: UInt8[np.ndarray, "H W 3"], size: tuple[int, int]
) -> UInt8[np.ndarray, "3 H2 W2"]:
    """Return a picture with so many rows and columns, averaged where it becomes smaller."""
    rows, columns = size
    if picture.shape[:2] != size:
        smaller = picture.shape[0] >= rows and picture.shape[1] >= columns
        how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        picture = np.asarray(cv2.resize(picture, (columns, rows), interpolation=how), np.uint8)
    return np.ascontiguousarray(picture.transpose(2, 0, 1))


def squeezed_labels(
    label: UInt8[np.ndarray, "H W"], size: tuple[int, int]
) -> UInt8[np.ndarray, "H2 W2"]:
    """Return labels with so many rows and columns: each that of the nearest pixel."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.int64)
        for new, old in zip(size, label.shape, strict=True)
    )
    return label[rows[:, None], columns]


def pixels_of(label: UInt8[Tensor, "N H W"], classes: int) -> Int64[Tensor, "N A"]:
    """Return how many pixels of each class every picture has."""
    counts = [torch.bincount(one.flatten().long(), minlength=VOID + 1) for one in label]
    return torch.stack(counts)[:, :classes]
