"""Lines of handwriting, or drawings, by split, as what a network reads: files, or a world's pens.

A writer (`tasks/pictures/handwriting.py`) and a reader (`tasks/words/read_handwriting.py`) learn
from the same. Letters and the unit of length are those of the training lines, and kept with a run.
Drawings are lines without text: they have no letters.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from backbones.training.checks.limits import require_at_most
from backbones.training.config import require_not_negative, require_positive
from backbones.training.errors import UserError
from tasks.data.columns import Batch, Rows
from tasks.data.find import found_folder
from tasks.data.formats.handwriting import read_handwriting
from tasks.data.samples import InMemory
from tasks.data.source import Source
from tasks.data.split_names import Split
from tasks.data.strokes import Line, letter_spacing, offsets, way_of
from tasks.worlds import pens

WORLD = "pens"
MOST_POINTS = 2**16


@dataclass(frozen=True, kw_only=True)
class LinesConfig:
    """Which lines of handwriting are learnt from: what configs of a writer and a reader share."""

    set: str = WORLD
    """A folder of $ARCADIA_DATA, such as cursive_handwriting, or the offline world pens."""
    data: str = ""
    """IAM-OnDB's folder, JSON (or a zip of it) of lines with their points, or .npz of drawings."""
    samples: int = 0
    """Learn from so many lines only; 0: all. Of the world: how many there are."""
    points: int = 14
    """Points of a letter, of drawings of a stroke, on average: the unit of length follows."""
    longest: int = 1_000
    """Points of a line; longer ones are not learnt from."""

    def __post_init__(self) -> None:
        require_positive(self, "points", "longest")
        require_not_negative(self, "samples")
        require_at_most(self, points=MOST_POINTS, longest=MOST_POINTS, samples=2**31 - 1)


class Handwriting(Source):
    """Lines and their texts; a split is read when first wanted."""

    def __init__(self, config: Any, about: dict[str, Any] | None = None) -> None:
        super().__init__(config, about)
        self.read: dict[Split, list[Line]] = {}
        self.made: dict[Split, InMemory] = {}
        self.left_out: dict[Split, int] = {}
        self.about = self.about or self.describe_data()

    def describe_data(self) -> dict[str, Any]:
        """Return the letters of the training lines, and their unit: so much of a pen's way that a
        letter has `points` of them on average; and how long the longest text is. Drawings have no
        letters, and a stroke has so many points."""
        train = self.lines("train")
        letters = "".join(sorted({letter for line in train for letter in line.text}))
        spacing = letter_spacing(train, self.config.points)
        if spacing == 0:
            raise UserError(f"{self.name}: all strokes are dots; there is no way of a pen to learn")
        return {
            "letters": letters,
            "spacing": spacing,
            "longest": max(len(line.text) for line in train),
        }

    def lines(self, split: Split) -> list[Line]:
        """Return a split's lines, read once; UserError if there are none."""
        if split not in self.read:
            self.read[split] = self.found(split)
        return self.read[split]

    def found(self, split: Split) -> list[Line]:
        """Return the lines of the world, or of the files of a set."""
        if self.config.set == WORLD and not self.config.data:
            return pens.lines(split, self.config.samples)
        place = Path(self.config.data).expanduser()
        if not (self.config.data and place.is_file()):
            place = found_folder(self.config.set, self.config.data, f"use {WORLD}")
        lines = read_handwriting(place, split)
        return lines[: self.config.samples or None] if split == "train" else lines

    @property
    def letters(self) -> str:
        """The alphabet; a letter's number is its place, from 1."""
        return str(self.about["letters"])

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of every letter."""
        return {letter: number for number, letter in enumerate(self.letters, 1)}

    @property
    def size(self) -> int:
        """How many letters there are, with 0."""
        return 1 + len(self.letters)

    def encode(self, text: str) -> list[int]:
        """Return the numbers of a text's letters, without those that training never had."""
        return [self.numbers[letter] for letter in text if letter in self.numbers]

    def texts(self, batch: Batch) -> list[str]:
        """Return the texts of a batch's lines."""
        rows = zip(batch["text"].tolist(), batch["text_length"].tolist(), strict=True)
        return [self.decode(row[:length]) for row, length in rows]

    def decode(self, numbers: Sequence[int]) -> str:
        """Return the text of some letters' numbers."""
        return "".join(self.letters[number - 1] for number in numbers)

    def can_move(self, line: Line) -> bool:
        """Say whether a line has a bounded number of points in the run's unit: one stroke that is
        a million times as long as others would take all memory."""
        return len(line.strokes) + way_of(line) / self.about["spacing"] < MOST_POINTS

    def moves(self, line: Line) -> Float32[np.ndarray, "T 3"]:
        """Return a line as offsets in the run's unit; UserError if it is far too long."""
        if not self.can_move(line):
            raise UserError(f"is too long: over {MOST_POINTS:,} points in the unit of this run")
        return offsets(line.strokes, self.about["spacing"])

    def moves_of(self, split: Split) -> Float32[np.ndarray, "all 3"]:
        """Return all moves of a split, one behind the other."""
        return np.concatenate(
            [self.moves(line) for line in self.lines(split) if self.can_move(line)]
        )

    def samples(self, split: Split) -> InMemory:
        """Return a split, made once; lines of more than `longest` points are not learnt from, and
        lines with letters that training never had not scored."""
        if split not in self.made:
            self.made[split] = self.in_moves(split)
        return self.made[split]

    def in_moves(self, split: Split) -> InMemory:
        """Return a split as moves and letters; UserError if nothing of it can be taken."""
        lines = self.lines(split)
        known = set(self.letters)
        kept = [line for line in lines if set(line.text) <= known and self.can_move(line)]
        rows = [(self.moves(line), self.encode(line.text)) for line in kept]
        if split == "train":
            rows = [row for row in rows if len(row[0]) <= self.config.longest]
        self.left_out[split] = len(lines) - len(rows)
        if not rows:
            raise UserError(
                f"no {split} line has at most longest = {self.config.longest:,} points and letters "
                "of the training lines alone"
            )
        moves = Rows.of([row[0] for row in rows], np.float32)
        return InMemory({"moves": moves, "text": Rows.of([row[1] for row in rows])}, ("moves",))

    def notes(self) -> list[str]:
        lines = self.lines("train")
        letters = sum(len(line.text) for line in lines)
        unit, points = f"unit {self.about['spacing']:.4g}", f"about {self.config.points} points"
        said = [
            f"{len(lines):,} lines of {letters / len(lines):.1f} letters, {len(self.letters)} "
            f"different ones; {unit}, {points} a letter"
        ]
        if not self.letters:
            strokes = sum(len(line.strokes) for line in lines) / len(lines)
            said = [
                f"{len(lines):,} drawings of {strokes:.1f} strokes, without text; {unit}, {points} "
                "a stroke"
            ]
        for split, count in self.left_out.items():
            if count:
                said.append(f"{split}: {count:,} lines too long, or with other letters, left out")
        return said

    def protocol(self, split: Split) -> dict[str, Any]:
        """Return the set, a digest of the texts, or of drawings' moves, and the unit."""
        what, unit = "texts", f"{self.about['spacing']:.6g}"
        content = "\n".join(line.text for line in self.lines(split)).encode(errors="replace")
        if not self.letters:
            strokes = (stroke for line in self.lines(split) for stroke in line.strokes)
            what, content = "drawings", b"".join(stroke.tobytes() for stroke in strokes)
        digest = hashlib.sha256(content).hexdigest()[:16]
        return {"set": self.name, f"{split}_{what}": digest, "unit": unit}
