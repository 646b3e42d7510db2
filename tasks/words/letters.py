"""Texts as one long row of letters by split: a file, a folder of files, or a world's sentences.

Letters of dimensions: B passages, C letters of context, P letters of a passage.

What is scored is cut into passages. Each is read after the letters before it, which are not scored
again, so a score says how a text goes on, whatever the passages are shared between.

What surprises: files without splits of their own are joined in the order of their names, and the
last tenth of that is val and test alike (the field's habit with one text): nothing is chosen by it.
"""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from backbones.training.errors import UserError
from tasks.data.columns import Batch
from tasks.data.find import found_folder
from tasks.data.formats.text import decoded, read_bytes
from tasks.data.samples import Samples, Streams
from tasks.data.source import Source
from tasks.data.split_names import NAMES, SPLITS, Split
from tasks.worlds import phrases

WORLD = "phrases"
PASSAGE, CONTEXT = 1_024, 512
SUFFIXES = (".txt", ".md", ".rst", ".tex", ".gz", "")
MOST_LETTERS = 10_000  # of an alphabet; Chinese writing has some 5,000 in use
OTHER = 0  # the number of all letters that training did not have
BYTES = 256
TENTH = 10


class LetterText(Source):
    """What `tasks/words/text.py` learns from; the texts are read when first wanted."""

    def __init__(self, config: Any, about: dict[str, Any] | None = None) -> None:
        super().__init__(config, about)
        self.passed_over = 0
        self.about = self.about or self.describe_data()

    def describe_data(self) -> dict[str, Any]:
        """Return the letters of the training text, the commonest first, and its digest."""
        train = self.texts["train"]
        if self.in_bytes:
            return {"letters": "", "text": digest(train)}
        letters, counts = np.unique(train, return_counts=True)
        ranked = letters[np.argsort(-counts, kind="stable")][:MOST_LETTERS]
        return {"letters": "".join(map(chr, ranked)), "text": digest(train)}

    @cached_property
    def texts(self) -> dict[Split, np.ndarray]:
        """Every split's text as code points, or as bytes; UserError if there is none, or too
        little."""
        parts = self.split_texts()
        wanted = self.config.window + 1
        for split, text in parts.items():
            if len(text) < wanted:
                raise UserError(
                    f"{self.name}: the {split} text has {len(text):,} letters; at least "
                    f"{wanted:,} are needed: give more text, or a smaller --window"
                )
        return parts

    def split_texts(self) -> dict[Split, np.ndarray]:
        """Return the texts of the world, of files named after splits, or of tenths of all files."""
        if self.config.set == WORLD and not self.config.data:
            return {split: self.of_world(split) for split in SPLITS}
        files = self.files()
        own = {split: [f for f in files if is_of(split, f)] for split in SPLITS}
        if own["train"] and (own["val"] or own["test"]):
            # Where one of val and test has no file, it is the other.
            val, test = own["val"] or own["test"], own["test"] or own["val"]
            files_of = {"train": own["train"], "val": val, "test": test}
            return {split: self.read(files_of[split]) for split in SPLITS}
        text = self.read(files)
        first = len(text) - len(text) // TENTH
        return {"train": text[:first], "val": text[first:], "test": text[first:]}

    def of_world(self, split: Split) -> np.ndarray:
        """Return the world's sentences in English, one a line."""
        lines = phrases.pairs(split, "en", "de", self.config.samples).source
        return self.numbers("\n".join([*lines, ""]))

    def files(self) -> list[Path]:
        """Return the texts of the set, sorted by name; UserError if there are none."""
        given = Path(self.config.data).expanduser()
        if self.config.data and given.is_file():
            return [given]
        folder = found_folder(self.config.set, self.config.data, f"use {WORLD}")
        there = sorted(path for path in folder.rglob("*") if path.is_file())
        shown = [path for path in there if not path.name.startswith(".")]
        files = [path for path in shown if path.suffix.lower() in SUFFIXES]
        self.passed_over = len(there) - len(files)
        if not files:
            others = ", ".join(sorted({path.suffix for path in shown})[:5])
            raise UserError(
                f"{folder} has no texts ({', '.join(filter(None, SUFFIXES))})"
                + (f", only files in {others}" if others else "; it is empty")
            )
        return files

    def read(self, files: list[Path]) -> np.ndarray:
        """Return files as one text, a line break between two; UserError for what is no text."""
        whole = [read_bytes(path) for path in files]
        if self.in_bytes:
            return np.frombuffer(b"\n".join(whole), np.uint8)
        texts = ["\n".join(decoded(data, path)) for data, path in zip(whole, files, strict=True)]
        return self.numbers("\n".join([*texts, ""]))

    def numbers(self, text: str) -> np.ndarray:
        """Return a text as code points, or as bytes where these are the letters."""
        if self.in_bytes:
            return np.frombuffer(text.encode(errors="replace"), np.uint8)
        return np.frombuffer(text.encode("utf-32-le", errors="replace"), np.uint32)

    @property
    def in_bytes(self) -> bool:
        """Whether bytes are the letters."""
        return bool(self.config.letters == "bytes")

    @property
    def beginning(self) -> int:
        """The letter that a text begins after: a line break, if training had any."""
        return int(self.encode(self.numbers("\n"))[0]) or 1

    @property
    def size(self) -> int:
        """How many letters there are, with the one that stands for all others."""
        return BYTES if self.in_bytes else 1 + len(self.about["letters"])

    @cached_property
    def table(self) -> tuple[np.ndarray, np.ndarray]:
        """The letters' code points in order, and the number of each."""
        points = np.array([ord(letter) for letter in self.about["letters"]], np.uint32)
        order = np.argsort(points)
        return points[order], order + 1

    def encode(self, text: np.ndarray) -> Int64[Tensor, "_"]:
        """Return the numbers of letters; OTHER of those that training did not have."""
        if self.in_bytes:
            return torch.from_numpy(text.astype(np.int64))
        points, number = self.table
        place = np.searchsorted(points, text).clip(max=max(0, len(points) - 1))
        return torch.from_numpy(np.where(points[place] == text, number[place], OTHER))

    def text(self, split: Split) -> str:
        """Return a split's text; UserError if it is not there."""
        if self.in_bytes:
            return self.texts[split].tobytes().decode(errors="replace")
        return self.texts[split].tobytes().decode("utf-32-le")

    def letter(self, number: int) -> bytes:
        """Return a letter in UTF-8; where bytes are the letters, that byte."""
        if self.in_bytes:
            return bytes([number])
        return self.about["letters"][number - 1].encode()  # type: ignore[no-any-return]

    def samples(self, split: Split) -> Streams:
        if split == "train" and self.about["text"] != digest(self.texts["train"]):
            raise UserError(
                f"the training text of {self.name} is not the one that this run began with; give "
                "it that again, or train anew with --init"
            )
        return Streams({"text": self.encode(self.texts[split])}, self.config.window)

    def passages(self, split: Split) -> "Passages":
        """Return a split as it is scored."""
        return Passages(self.encode(self.texts[split]))

    def notes(self) -> list[str]:
        train = self.texts["train"]
        kind = "bytes" if self.in_bytes else f"{self.size - 1:,} different letters"
        lines = [f"{len(train):,} letters to learn from, {kind}"]
        if self.passed_over:
            lines.append(f"{self.passed_over:,} files that are no text, or hidden, passed over")
        return lines

    def protocol(self, split: Split) -> dict[str, Any]:
        """Return the set, a digest of the text, and how it is read."""
        text = self.texts[split]
        unknown = int((self.encode(text) == OTHER).sum()) if not self.in_bytes else 0
        return {
            "set": self.name,
            f"{split}_text": digest(text),
            "letters": f"{len(text):,}",
            "context": CONTEXT,
            **({"unknown_letters": unknown} if unknown else {}),
        }


class Passages(Samples):
    """A text as it is scored: passages of PASSAGE letters, each with CONTEXT letters before it.

    Before the text's beginning, and behind its end, stands letter 0; `scored` says how many letters
    of a passage are the text's.
    """

    def __init__(self, text: Int64[Tensor, "_"]) -> None:
        # The first letter is read and not scored.
        self.count = max(0, len(text) - 1)
        behind = -self.count % PASSAGE
        self.text = torch.cat([text.new_zeros(CONTEXT), text, text.new_zeros(behind)])

    def __len__(self) -> int:
        return -(-self.count // PASSAGE)

    def batch(self, index: Int64[Tensor, "B"]) -> Batch:
        place = index[:, None] * PASSAGE + torch.arange(CONTEXT + PASSAGE + 1)
        scored = (self.count - index * PASSAGE).clamp(max=PASSAGE)
        return {"text": self.text[place], "scored": scored, "begins": index == 0}


def is_of(split: Split, path: Path) -> bool:
    """Say whether a file is named after a split: train.txt, ptb.valid.txt."""
    words = path.name.lower().replace("_", ".").split(".")
    return any(name in words for name in NAMES[split])


def digest(text: np.ndarray) -> str:
    """Return what tells a text from others: 16 digits of its SHA-256."""
    return hashlib.sha256(text.tobytes()).hexdigest()[:16]
