"""Pictures with captions by split: photos in the field's own files, or a world's scenes.

One training sample is a picture with all its captions, so that a trunk sees it once for all of
them. Whatever is scored is a picture with all its captions as its references.

Letters: N pictures, B samples of a batch, L numbers of all captions of one, K captions, T words.
"""

import hashlib
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from backbones.training.errors import UserError
from backbones.training.progress import say
from backbones.training.run import Run, find_run
from backbones.training.session import newest_checkpoint
from tasks.data.columns import Column, Rows
from tasks.data.find import found_folder
from tasks.data.formats.captions import PhotoSet, read_photos
from tasks.data.pictures import mean_and_std
from tasks.data.samples import Batch, InMemory
from tasks.data.source import Source
from tasks.data.split_names import Split
from tasks.data.vocabulary import END, PAD, UNKNOWN
from tasks.data.words import Words, learn_words
from tasks.scores.captions import most_frequent
from tasks.words.photos import CHANNELS, decoded, of_scenes, of_split
from tasks.worlds import scenes
from tasks.worlds.chance import SEEDS

WORLD, JOB = "scenes", "caption"
WORLD_SIZES = {"train": 80_000, "val": 500, "test": 2_000}
WORLD_PX, PHOTO_PX = 64, 96
SAID_FROM = 10_000  # scenes whose captions take long enough to say so
MOST_UNKNOWN = 0.2  # of the words of captions that another run's vocabulary may not know


@dataclass(frozen=True)
class Captioned:
    """The pictures of a split with all their captions, at least one each."""

    picture: Column
    captions: tuple[tuple[str, ...], ...]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        assert len(self.picture) == len(self.captions) == len(self.names)

    def __len__(self) -> int:
        return len(self.captions)

    @cached_property
    def digest(self) -> str:
        """What tells these captions from others: 16 digits of their SHA-256."""
        text = "\n".join("\t".join(each) for each in self.captions)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def first(self, count: int) -> "Captioned":
        """Return the first pictures."""
        index = torch.arange(min(count, len(self)))
        return Captioned(self.picture.part(index), self.captions[:count], self.names[:count])


class CaptionedPictures(Source):
    """What `tasks/words/caption.py` learns from; a split is read, or made, when first wanted."""

    def __init__(self, config: Any, about: dict[str, Any] | None = None) -> None:
        super().__init__(config, about)
        self.offline = config.set == WORLD and not config.data
        self.read: dict[Split, Captioned] = {}
        self.splits: dict[Split, InMemory] = {}
        self.log_lines: dict[str, None] = {}
        self.origin = None if about else self.find_origin()
        self.about = self.about or self.describe_data()

    def find_origin(self) -> Run | None:
        """Return the run whose vocabulary this one takes; None without `init`, or for a backbone
        alone."""
        init = self.config.trunk.init
        if not init or ":" in init or init.endswith(".safetensors"):
            return None
        run = find_run(init)
        return run if run.job == JOB else None

    def describe_data(self) -> dict[str, Any]:
        """Return the words of the training captions, and what the training pictures are like."""
        self.about = {"side_px": self.config.size_px or (WORLD_PX if self.offline else PHOTO_PX)}
        train = self.captioned("train")
        captions = [caption for each in train.captions for caption in each]
        if self.origin is None:
            words = learn_words(captions, self.config.least)
        else:
            words = newest_checkpoint(self.origin).info["about"]["words"]
            self.check_known(Words(words), captions)
        mean, std = [96.0] * CHANNELS, [64.0] * CHANNELS
        if not self.offline:
            mean, std = mean_and_std(train.picture, CHANNELS * self.about["side_px"] ** 2)
        about = {"words": words, "channels": CHANNELS, "captions": train.digest}
        about["most_frequent"] = most_frequent(train.captions)
        return {**self.about, **about, "mean": mean, "std": std}

    def check_known(self, vocabulary: Words, captions: list[str]) -> None:
        """UserError if another run's vocabulary does not know these captions."""
        numbers = [number for row in vocabulary.encode(captions) for number in row]
        share, init = numbers.count(UNKNOWN) / max(1, len(numbers)), self.config.trunk.init
        if share > MOST_UNKNOWN:
            raise UserError(
                f"--init {init}: its vocabulary does not know {share:.0%} of the words of these "
                f"captions; take its trunk alone, with --init {init}:cnn"
            )

    @cached_property
    def vocabulary(self) -> Words:
        """The words of the run."""
        return Words(self.about["words"])

    @property
    def folder(self) -> Path:
        """Where the set lies; UserError if it is nowhere."""
        return found_folder(self.config.set, self.config.data, f"use {WORLD}")

    @cached_property
    def photos(self) -> PhotoSet:
        """All photos of a set on the disk, not yet decoded."""
        return read_photos(self.folder)

    def captioned(self, split: Split) -> Captioned:
        """Return the pictures of a split with all their captions; UserError if there are none."""
        if split not in self.read:
            few = self.config.samples if split == "train" else 0
            if self.offline:
                self.read[split] = self.made(split, few or WORLD_SIZES[split])
            else:
                found = self.on_disk(split)
                self.read[split] = found.first(few) if 0 < few < len(found) else found
        return self.read[split]

    def remembered(self, most: int) -> Captioned:
        """Return so many of the first training pictures, or all; scenes are told no more of."""
        if not self.offline or "train" in self.read:
            return self.captioned("train").first(most)
        return self.made("train", min(self.config.samples or WORLD_SIZES["train"], most))

    def made(self, split: Split, count: int) -> Captioned:
        """Return the first scenes of a split of the world; captions are written at once, pictures
        when needed."""
        if count >= SAID_FROM:
            said = f"writing the captions of {count:,} scenes, which takes half a millisecond each"
            say(said, sys.stderr)
        side_px, seed = self.about["side_px"], SEEDS[split]
        numbers = range(count)
        captions = tuple(scenes.told(seed, number, side_px).captions for number in numbers)
        names = tuple(f"scene {number}" for number in numbers)
        return Captioned(of_scenes(seed, count, side_px), captions, names)

    def on_disk(self, split: Split) -> Captioned:
        """Return a split of photos, decoded if there is room; UserError if it has none."""
        missing = f"{self.folder} has no {split} photos with captions"
        validates = bool(self.config.fit.eval_every)
        photos, said = of_split(self.photos.splits, split, missing, validates=validates)
        side_px, memory_gb = self.about["side_px"], self.config.memory_gb
        column, kept, more = decoded(
            photos, split, self.folder, side_px=side_px, memory_gb=memory_gb
        )
        self.log_lines |= dict.fromkeys([*said, *more])
        captions, names = (tuple(p.captions for p in kept), tuple(p.name for p in kept))
        return Captioned(column, captions, names)

    def samples(self, split: Split) -> InMemory:
        if split not in self.splits:
            found = self.captioned(split)
            self.splits[split] = self.taught(found) if split == "train" else whole(found)
        return self.splits[split]

    def scored(self, split: Split) -> InMemory:
        """Return the pictures of a split, each with all its captions, as they are scored."""
        return whole(self.captioned(split)) if split == "train" else self.samples(split)

    def taught(self, found: Captioned) -> InMemory:
        """Return every training picture with its captions that are not too long, each with its
        end, one behind the other in one row."""
        if self.about["captions"] != found.digest:
            raise UserError(
                f"the training captions of {self.name} are not those that this run began with; "
                "give it those again, or train anew with --init"
            )
        longest, rows, left = self.config.longest, list[list[int]](), 0
        for captions in found.captions:
            encoded = self.vocabulary.encode(captions)
            kept = [[*row, END] for row in encoded if 0 < len(row) < longest]
            left += len(encoded) - len(kept)
            rows.append([number for row in kept for number in row])
        there = [n for n, row in enumerate(rows) if row]
        if not there:
            raise UserError(
                f"all training captions have more than {longest - 1} words; give a larger --longest"
            )
        if left:
            said = f"train: {left:,} captions of more than {longest - 1} words left out"
            self.log_lines[said] = None
        picture = found.picture
        if len(there) < len(rows):
            picture = picture.part(torch.tensor(there))
        taught = Rows.of([rows[n] for n in there])
        return InMemory({"picture": picture, "caption": taught}, easy=self.easy(taught))

    def easy(self, captions: Rows) -> Int64[Tensor, "_"] | None:
        """Return the pictures of which the least is said, with which the first epoch begins; None
        if none are wanted."""
        share = self.config.easy
        if not share:
            return None
        return captions.lengths.argsort(stable=True)[: max(1, round(share * len(captions)))]

    def captions(self, split: Split) -> tuple[tuple[str, ...], ...]:
        """Return all captions of every picture of a split, by the picture's number."""
        return self.captioned(split).captions

    def names(self, split: Split) -> tuple[str, ...]:
        """Return the photos' names, or "scene 12", by the picture's number."""
        return self.captioned(split).names

    def told(self, split: Split, number: int) -> scenes.Told:
        """Return what there is to say of a scene of the world, by which captions are judged."""
        assert self.offline, "of photos nobody knows all"
        return scenes.told(SEEDS[split], number, self.about["side_px"])

    def notes(self) -> list[str]:
        where = f", of {self.origin.name}" if self.origin else ""
        photos = [] if self.offline or "photos" not in vars(self) else self.photos.notes
        return [*photos, *self.log_lines, f"a vocabulary of {len(self.vocabulary):,} words{where}"]

    def protocol(self, split: Split) -> dict[str, Any]:
        """Return the set, how many pictures a split has, and a digest of their captions."""
        found = self.captioned(split)
        return {"set": self.name, "pictures": len(found), f"{split}_captions": found.digest}


def whole(found: Captioned) -> InMemory:
    """Return every picture with its number and all its captions, as UTF-8, one a line."""
    texts = [list("\n".join(captions).encode()) for captions in found.captions]
    number = torch.arange(len(found))
    return InMemory({"picture": found.picture, "number": number, "reference": Rows.of(texts)})


def references_of(batch: Batch) -> list[list[str]]:
    """Return all captions of every picture of a batch to be scored."""
    rows: Tensor = batch["reference"]
    pairs = zip(rows.tolist(), batch["reference_length"].tolist(), strict=True)
    return [bytes(row[:length]).decode().split("\n") for row, length in pairs]


def one_by_one(rows: Int64[Tensor, "B L"]) -> Int64[Tensor, "B K T"]:
    """Return the captions that stand one behind the other in training samples, each in a row of its
    own; where a picture has fewer than others, rows of padding."""
    inside, last = rows != PAD, (rows == END).long()
    of_sample = last.cumsum(1) - last
    count = int(of_sample[inside].max()) + 1
    number = (torch.arange(len(rows), device=rows.device)[:, None] * count + of_sample)[inside]
    length = torch.bincount(number, minlength=len(rows) * count)
    place = torch.arange(len(number), device=rows.device) - (length.cumsum(0) - length)[number]
    target = rows.new_full((len(length), int(length.max())), PAD)
    target[number, place] = rows[inside]
    return target.view(len(rows), count, -1)
