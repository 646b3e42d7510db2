"""Pictures with questions by split: photos in the field's own files, or a world's scenes.

One training sample is a picture with all its questions, so that a trunk sees it once for all of
them; whatever is scored is so, too.

Letters: N pictures, B samples of a batch, K questions of one, T words, A answers worth anything.
"""

import hashlib
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64

from backbones.training.errors import UserError
from backbones.training.progress import say
from tasks.data.columns import Column, Rows
from tasks.data.find import found_folder
from tasks.data.formats.questions.files import Asked
from tasks.data.formats.questions.sets import QuestionSet, read_questions
from tasks.data.pictures import mean_and_std
from tasks.data.samples import InMemory
from tasks.data.source import Source
from tasks.data.split_names import Split
from tasks.data.vocabulary import PAD, UNKNOWN
from tasks.data.words import COMMA, Words, learn_words, words_of
from tasks.scores.vqa import worth
from tasks.words.photos import CHANNELS, decoded, of_scenes, of_split
from tasks.worlds import scenes
from tasks.worlds.chance import SEEDS

WORLD = "scenes"
WORLD_SIZES = {"train": 40_000, "val": 500, "test": 2_000}
WORLD_PX, PHOTO_PX = 64, 64
SAID_FROM = 10_000  # scenes whose questions take long enough to say so
OTHER = "other"  # kinds that training had not


@dataclass(frozen=True)
class Questioned:
    """The pictures of a split with all their questions, at least one each."""

    picture: Column
    asked: tuple[tuple[Asked, ...], ...]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        assert len(self.picture) == len(self.asked) == len(self.names)

    def __len__(self) -> int:
        return len(self.asked)

    @cached_property
    def digest(self) -> str:
        """What tells these questions from others: 16 digits of their SHA-256."""
        found = hashlib.sha256()
        for each in self.asked:
            for one in each:
                found.update("\t".join((one.question, *one.answers, "\n")).encode())
        return found.hexdigest()[:16]


class QuestionedPictures(Source):
    """What `tasks/words/answer.py` learns from; a split is read, or made, when first wanted."""

    def __init__(self, config: Any, about: dict[str, Any] | None = None) -> None:
        super().__init__(config, about)
        self.offline = config.set == WORLD and not config.data
        self.read: dict[Split, Questioned] = {}
        self.splits: dict[Split, InMemory] = {}
        self.log_lines: dict[str, None] = {}
        self.about = self.about or self.describe_data()

    def describe_data(self) -> dict[str, Any]:
        """Return the words, the answers and the kinds of the training questions, and what the
        training pictures are like."""
        self.about = {"side_px": self.config.size_px or (WORLD_PX if self.offline else PHOTO_PX)}
        train = self.questioned("train")
        asked = [one for each in train.asked for one in each]
        answers = frequent_answers(asked, self.config.answers)
        if not answers:
            raise UserError(f"{self.name}: the answers to all training questions are empty")
        mean, std = [96.0] * CHANNELS, [64.0] * CHANNELS
        if not self.offline:
            mean, std = mean_and_std(train.picture, CHANNELS * self.about["side_px"] ** 2)
        return {
            **self.about,
            "words": learn_words((one.question for one in asked), self.config.least, "questions"),
            "answers": answers,
            "usual": usual_answers(asked),
            "channels": CHANNELS,
            "questions": train.digest,
            "mean": mean,
            "std": std,
        }

    @cached_property
    def vocabulary(self) -> Words:
        """The words of the run's questions."""
        return Words(self.about["words"])

    @cached_property
    def answers(self) -> tuple[str, ...]:
        """The answers that the run knows; UserError if the checkpoint holds no such."""
        found = self.about["answers"]
        if not found or not all(isinstance(each, str) for each in found):
            raise UserError("the run's answers are damaged; train it again")
        return tuple(found)

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of questions that training had, and `other` for those it had not."""
        return tuple(dict.fromkeys([*self.about["usual"], OTHER]))

    def kind_number(self, kind: str) -> int:
        """Return the place of a kind in `kinds`."""
        return self.kinds.index(kind if kind in self.kinds else OTHER)

    @property
    def folder(self) -> Path:
        """Where the set lies; UserError if it is nowhere."""
        return found_folder(self.config.set, self.config.data, f"use {WORLD}")

    @cached_property
    def photos(self) -> QuestionSet:
        """All photos of a set on the disk, not yet decoded."""
        return read_questions(self.folder)

    def questioned(self, split: Split) -> Questioned:
        """Return the pictures of a split with all their questions; UserError if there are none."""
        if split not in self.read:
            few = self.config.samples if split == "train" else 0
            self.read[split] = (
                self.made(split, few or WORLD_SIZES[split]) if self.offline else self.on_disk(split)
            )
        return self.read[split]

    def made(self, split: Split, count: int) -> Questioned:
        """Return the first scenes of a split of the world; questions are written at once, pictures
        when needed."""
        if count >= SAID_FROM:
            said = f"writing the questions of {count:,} scenes, which takes a millisecond each"
            say(said, sys.stderr)
        side_px, seed = self.about["side_px"], SEEDS[split]
        asked = tuple(asked_of_scene(seed, number, side_px) for number in range(count))
        names = tuple(f"scene {number}" for number in range(count))
        return Questioned(of_scenes(seed, count, side_px), asked, names)

    def on_disk(self, split: Split) -> Questioned:
        """Return a split of photos, decoded if there is room; UserError if it has none."""
        missing = f"{self.folder} has no {split} photos with questions and answers"
        validates = bool(self.config.fit.eval_every)
        photos, said = of_split(self.photos.splits, split, missing, validates=validates)
        side_px, memory_gb = self.about["side_px"], self.config.memory_gb
        few = photos[: self.config.samples or None] if split == "train" else photos
        column, kept, more = decoded(few, split, self.folder, side_px=side_px, memory_gb=memory_gb)
        self.log_lines |= dict.fromkeys([*said, *more])
        asked, names = tuple(p.asked for p in kept), tuple(p.name for p in kept)
        return Questioned(column, asked, names)

    def samples(self, split: Split) -> InMemory:
        if split not in self.splits:
            found = self.questioned(split)
            self.splits[split] = self.taught(found) if split == "train" else self.whole(split)
        return self.splits[split]

    def scored(self, split: Split) -> InMemory:
        """Return the pictures of a split, each with all its questions, as they are scored."""
        return self.whole(split) if split == "train" else self.samples(split)

    def taught(self, found: Questioned) -> InMemory:
        """Return every training picture with those of its questions that have a known answer."""
        if self.about["questions"] != found.digest:
            raise UserError(
                f"the training questions of {self.name} are not those that this run began with; "
                "give it those again, or train anew with --init"
            )
        known = {answer: number for number, answer in enumerate(self.answers)}
        worths = [[known_worth(one, known) for one in each] for each in found.asked]
        kept = [
            [one for one, of in zip(each, row, strict=True) if of]
            for each, row in zip(found.asked, worths, strict=True)
        ]
        there = [n for n, each in enumerate(kept) if each]
        left = sum(map(len, found.asked)) - sum(map(len, kept))
        if left:
            said = f"train: {left:,} questions left out, none of whose answers is among --answers"
            self.log_lines[said] = None
        most = max(len(of) for row in worths for of in row)
        tables = [answer_table([of for of in worths[n] if of], most) for n in there]
        picture = found.picture
        if len(there) < len(kept):
            picture = picture.part(torch.tensor(there))
        return InMemory(
            {
                "picture": picture,
                "question": self.question_rows([kept[n] for n in there]),
                "answer": Rows.of([table[..., 0] for table in tables]),
                "worth": Rows.of([table[..., 1] for table in tables], np.float32),
            }
        )

    def whole(self, split: Split) -> InMemory:
        """Return every picture of a split with its number and all its questions."""
        found, known = self.questioned(split), set(self.answers)
        never = sum(known.isdisjoint(worth(one.answers)) for each in found.asked for one in each)
        if never:
            total = sum(map(len, found.asked))
            said = f"{split}: {never / total:.1%} of the questions have no answer that it knows"
            self.log_lines[said] = None
        number = torch.arange(len(found))
        rows = self.question_rows(found.asked)
        return InMemory({"picture": found.picture, "number": number, "question": rows})

    def question_rows(self, asked: Iterable[Iterable[Asked]]) -> Rows:
        """Return the words of all questions of every picture, one below the other, cut off where
        they are longer than a question may be."""
        longest = self.config.longest
        rows = [[self.words(one.question)[:longest] for one in each] for each in asked]
        width = max(1, *(len(row) for each in rows for row in each))
        return Rows.of([padded(each, width) for each in rows])

    def words(self, question: str) -> list[int]:
        """Return the numbers of a question's words, without those that training never had."""
        return [number for number in self.vocabulary.encode([question])[0] if number != UNKNOWN]

    def unknown(self, question: str) -> list[str]:
        """Return the words of a question that training never had."""
        known = {COMMA, *self.vocabulary.numbers}
        return [word for word in words_of(question) if word not in known]

    def masks(self, split: Split, number: int) -> Bool[np.ndarray, "K H W"]:
        """Return the visible part of every thing of a scene of the world."""
        assert self.offline, "of photos nobody knows where things are"
        return scenes.facts(SEEDS[split], number, self.about["side_px"]).masks

    def notes(self) -> list[str]:
        photos = [] if self.offline or "photos" not in vars(self) else self.photos.notes
        known = f"{len(self.vocabulary):,} words of questions, {len(self.answers):,} answers"
        return [*photos, *self.log_lines, known]

    def protocol(self, split: Split) -> dict[str, Any]:
        """Return the set, how many pictures and questions a split has, and a digest of these."""
        found = self.questioned(split)
        return {
            "set": self.name,
            "pictures": len(found),
            "questions": sum(map(len, found.asked)),
            f"{split}_questions": found.digest,
        }


def asked_of_scene(seed: int, number: int, side_px: int) -> tuple[Asked, ...]:
    """Return the questions about a scene of the world."""
    found = scenes.asked(seed, number, side_px)
    return tuple(Asked(one.question, (one.answer,), one.kind, one.thing) for one in found)


def frequent_answers(asked: Iterable[Asked], most: int) -> list[str]:
    """Return the answers that most questions have, the most frequent first."""
    counts = Counter(answer for one in asked for answer in worth(one.answers) if answer)
    return sorted(counts, key=lambda answer: (-counts[answer], answer))[:most]


def usual_answers(asked: Iterable[Asked]) -> dict[str, str]:
    """Return the most frequent answer to every kind of question, the commonest kind first."""
    counts: dict[str, Counter[str]] = {}
    for one in asked:
        counts.setdefault(one.kind, Counter()).update(worth(one.answers))
    kinds = sorted(counts, key=lambda kind: (-counts[kind].total(), kind))
    return {kind: max(sorted(counts[kind]), key=counts[kind].__getitem__) for kind in kinds}


def known_worth(one: Asked, known: Mapping[str, int]) -> list[tuple[int, float]]:
    """Return the known answers to a question that are worth something, and what."""
    found = worth(one.answers).items()
    return [(known[answer], value) for answer, value in found if answer in known and value]


def answer_table(rows: list[list[tuple[int, float]]], most: int) -> np.ndarray:
    """Return [K, A, 2]: answers and their worth, the first answer with a worth of 0 where a
    question has fewer than others."""
    table = np.zeros((len(rows), most, 2))
    for place, row in enumerate(rows):
        table[place, : len(row)] = row
    return table


def padded(rows: list[list[int]], width: int) -> Int64[np.ndarray, "K T"]:
    """Return rows of words with padding behind."""
    table = np.full((len(rows), width), PAD)
    for place, row in enumerate(rows):
        table[place, : len(row)] = row
    return table
