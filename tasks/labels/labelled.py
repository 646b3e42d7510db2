"""Labelled pictures by split: of a set on disk, or of an offline world.

Class folders and their like come in the order of their classes. Whatever takes a part of them (so
many to learn from, to look at, to show) takes it by one fixed shuffle, the same for every seed, so
that runs are compared on the same pictures.

Class folders larger than there is room for stay on the disk, and a picture is decoded whenever a
batch asks for it. Which of the two it was changes nothing in what is learnt.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64, Shaped
from torch import Tensor

from backbones.training.checks.limits import require_at_most
from backbones.training.config import require_not_negative, require_positive
from backbones.training.device.memory import room_bytes
from backbones.training.errors import UserError
from backbones.training.streams import plain
from tasks.data.columns import Lookup
from tasks.data.find import folder_of, found_folder, read_set, splits_of
from tasks.data.ground import on_ground, trained_ground
from tasks.data.pictures import PictureFiles, Pictures, mean_and_std
from tasks.data.samples import Batch, Generated, InMemory, Samples
from tasks.data.source import Source
from tasks.data.split_names import Split
from tasks.worlds import digits, scenes
from tasks.worlds.chance import SEEDS

MOST_PX, MOST_SAMPLES = 4_096, 2**31 - 1
WORLDS = ("digits", "scenes")
WORLD_SIZES = {"val": 1_000, "test": 5_000}
# Of so many pictures, where there is no val split, one is held out.
ONE_IN = 5


@dataclass(frozen=True, kw_only=True)
class LabelledConfig:
    """Which labelled pictures are learnt from: what configs of tasks on them share."""

    set: str = "digits"
    """mnist, cifar10, ... (a folder of $ARCADIA_DATA), or an offline world: digits, and of
    `classify` scenes."""
    data: str = ""
    """Folder of the set: IDX, CIFAR-10's files, class folders or tars of them."""
    size_px: int = 0
    """Side of the pictures; 0: that of the set, 32 for class folders."""
    grey: bool = False
    """Read class folders as grey pictures."""
    memory_gb: float = 0.0
    """Class folders whose pictures would take more gigabytes than this stay on the disk and are
    decoded for every batch; 0: half of the free memory."""
    samples: int = 0
    """Learn from so many training pictures only; 0: all. Of a world: how many there are."""
    held_out: int = 5_000
    """Training pictures kept back to validate on, where the set has no split for it."""

    def __post_init__(self) -> None:
        require_positive(self, "held_out")
        require_not_negative(self, "size_px", "memory_gb", "samples")
        require_at_most(self, size_px=MOST_PX, samples=MOST_SAMPLES, held_out=MOST_SAMPLES)


def shuffled(count: int) -> Int64[Tensor, "N"]:
    """Return the numbers below `count` in an order that is always the same."""
    return torch.from_numpy(np.random.default_rng(0).permutation(count))


def part_of(pictures: Pictures | PictureFiles, index: Int64[Tensor, "N"]) -> InMemory:
    """Return some of the pictures and their labels, without a copy of the pictures."""
    return InMemory({"picture": Lookup(pictures.column, index), "label": pictures.label[index]})


class Labelled(Source):
    """What `tasks/labels/classify.py` learns from; a split is read, or made, when first wanted."""

    def __init__(self, config: Any, about: dict[str, Any] | None = None) -> None:
        super().__init__(config, about)
        self.offline = config.set in WORLDS and not config.data
        self.many = self.offline and config.set == "scenes"  # several labels a picture
        self.read: dict[str, Pictures | PictureFiles] = {}
        self.splits: dict[str, Samples] = {}
        self.about = self.about or self.describe_data()

    def describe_data(self) -> dict[str, Any]:
        """Return the classes, and what the training pictures are like."""
        if self.offline:
            channels, side = (3, 64) if self.many else (1, 28)
            return {
                "classes": scenes.SHAPES if self.many else digits.CLASSES,
                "channels": channels,
                "side_px": self.config.size_px or side,
                "mean": [96.0] * channels,
                "std": [64.0] * channels,
            }
        pictures = self.pictures("train")
        one = pictures.column.batch("picture", torch.zeros(1, dtype=torch.long))["picture"]
        mean, std = mean_and_std(pictures.column, one.nbytes)
        return {
            "classes": pictures.classes,
            "channels": one.shape[1],
            "side_px": one.shape[-1],
            "mean": mean,
            "std": std,
        }

    @property
    def folder(self) -> Path:
        """Where the set lies; UserError if it is nowhere."""
        name, given = self.config.set, self.config.data
        if folder := folder_of(name, given):
            return folder
        from tasks.data.download import SETS

        fetched = [f"fetch it with `arcadia data {name}`"] if name in SETS else []
        return found_folder(name, given, *fetched, f"use {' or '.join(WORLDS)}")

    def pictures(self, split: Split) -> Pictures | PictureFiles:
        """Return a split from disk, read once; UserError if there is none."""
        if split not in self.read:
            config, about = self.config, self.about
            classes = tuple(about["classes"]) if about else None
            self.read[split] = read_set(
                self.folder,
                split,
                size_px=about.get("side_px", config.size_px),
                channels=about.get("channels", int(config.grey)),
                classes=classes,
                most_bytes=room_bytes(config.memory_gb),
            )
        return self.read[split]

    def samples(self, split: Split) -> Samples:
        """Return the samples of a split; UserError if there are none."""
        if split not in self.splits:
            self.splits[split] = self.made(split) if self.offline else self.on_disk(split)
        return self.splits[split]

    def file_of(self, split: Split) -> Split:
        """Return the split of the files that a split is taken from."""
        there = splits_of(self.folder)
        # Where there is one split beside train, as in ImageNet's folders, it is the test.
        tested: Split = "test" if "test" in there or "val" not in there else "val"
        if split == "val":
            return "val" if "val" in there and tested == "test" else "train"
        return tested if split == "test" else "train"

    def has_own_val(self) -> bool:
        """Say whether nothing is held out of the training pictures."""
        return self.file_of("val") == "val"

    def on_disk(self, split: Split) -> InMemory:
        """Return a split of a set that was read, in part where the config says so."""
        source = self.file_of(split)
        pictures = self.pictures(source)
        order = torch.arange(len(pictures))
        few = self.config.samples if split == "train" else 0
        if source != "train" or self.has_own_val():
            return part_of(pictures, shuffled(len(order))[:few] if 0 < few < len(order) else order)
        order = shuffled(len(pictures))
        held = min(self.config.held_out, len(order) // ONE_IN)
        if split == "train":
            kept = order[: len(order) - held]
            return part_of(pictures, kept[:few] if few else kept)
        if not held:
            raise UserError(
                f"{self.folder} has {len(order)} training pictures, too few to hold some of them "
                f"out to validate on; give {ONE_IN} or more, a val split, or --eval-every 0"
            )
        return part_of(pictures, order[len(order) - held :])

    def made(self, split: Split) -> Samples:
        """Return a split of an offline world."""
        side_px = self.about["side_px"]
        count = self.config.samples or 50_000 if split == "train" else WORLD_SIZES[split]

        def make(index: Int64[np.ndarray, "B"]) -> dict[str, np.ndarray]:
            make_pictures = scenes.pictures if self.many else digits.digits
            picture, label = make_pictures(SEEDS[split], index, side_px)
            return {"picture": picture, "label": label}

        return Generated(count, make)

    def some(self, split: Split, count: int) -> Batch:
        """Return so many samples of a split, or all; of every class, however they are sorted."""
        samples = self.samples(split)
        # What is held out, or left of that, is shuffled already; so is a world.
        sorted_ = not self.offline and (self.file_of(split) != "train" or self.has_own_val())
        order = shuffled(len(samples)) if sorted_ else torch.arange(len(samples))
        return samples.batch(order[:count])

    def on_ground(self, picture: Shaped[Tensor, "C H W"]) -> tuple[Shaped[Tensor, "C H W"], str]:
        """Return a picture with its strokes and ground as training had them, and what to say."""
        drawn = self.offline and not self.many
        wanted = 0 if drawn else trained_ground(self.about)
        return (picture, "") if wanted is None else on_ground(picture, wanted)

    def labels(self, split: Split) -> Int64[Tensor, "N"] | Bool[Tensor, "N A"]:
        """Return the labels of a split."""
        samples = self.samples(split)
        if isinstance(samples, InMemory):
            return samples.columns["label"].batch("label", samples.in_order())["label"]
        # Not all pictures of a large world at once.
        parts = torch.arange(len(samples)).split(1_000)
        return torch.cat([samples.batch(part)["label"] for part in parts])

    def protocol(self, split: Split) -> dict[str, Any]:
        """Return set and folder, and of which files a split is where they have another name."""
        folder = folder_of(self.config.set, self.config.data)
        where = {"set": self.name, "data": folder.name if folder else "made here"}
        taken = split if self.offline else self.file_of(split)
        if taken == split:
            return where
        return {
            **where,
            "pictures": "held out of train" if taken == "train" else f"of the split {taken}",
        }

    def notes(self) -> list[str]:
        """Return what is to be said of the pictures read so far, such as what was left out."""
        log_lines = []
        for split, pictures in self.read.items():
            if isinstance(pictures, PictureFiles):
                log_lines.append(
                    f"{split}: {len(pictures):,} pictures stay on the disk and are decoded for "
                    f"every batch; in memory they would take {pictures.size_bytes / 1e9:,.3g} GB "
                    "(--memory-gb)"
                )
            if pictures.skipped:
                names = "; ".join(pictures.skipped[:10])
                log_lines.append(f"{split}: {len(pictures.skipped)} pictures left out ({names})")
            if pictures.passed:
                names = ", ".join(map(plain, pictures.passed[:5]))
                more = ", ..." if len(pictures.passed) > 5 else ""
                number = len(pictures.passed)
                log_lines.append(
                    f"{split}: {number:,} files passed over, no pictures ({names}{more})"
                )
        if not self.offline and self.file_of("test") == "val":
            held = len(self.samples("val")) if self.config.fit.eval_every else 0
            instead = f"; {held:,} pictures held out of train validate" if held else ""
            log_lines.append(f"there is no test split: val is the test, scored at the end{instead}")
        return log_lines
