"""Trying a model of a task: what is dropped on its card goes in, its answer comes out.

A card is made of what the task itself says: what it takes, what it gives. So a new task has one by
itself. Inputs are bytes or lines, never paths, and are read by the same bounded readers as files of
strangers. Answers that are seen or heard are kept for a while under a number of their own.
"""

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import torch

from backbones.training.errors import UserError
from backbones.training.run import Run
from tasks.answers import Answer, Medium, Picture
from tasks.predictor import Predictor, load_predictor
from tasks.task import PAIR

MOST_MODELS, MOST_MEDIA, EXAMPLES = 4, 64, 6
MOST_LINE = 10_000  # characters
Given = bytes | str | tuple[bytes, str] | None
"""What is asked: a file, a line, a file with a question about it, nothing."""
TYPES = {
    ".png": "image/png",
    ".gif": "image/gif",
    ".svg": "image/svg+xml",
    ".wav": "audio/wav",
    ".mp4": "video/mp4",
}


@dataclass
class Trying:
    """The models that were asked last, and what they answered with."""

    models: OrderedDict[str, Predictor] = field(default_factory=OrderedDict)
    media: OrderedDict[str, tuple[str, bytes]] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Models answer one after the other: two would take each other's cores."""

    def card(self, run: Run) -> dict[str, Any]:
        """Return what a run's model takes and gives; UserError if it answers nothing."""
        with self.lock:
            task = self.model(run).task
        about = (type(task.config).__doc__ or "").strip()
        return {"name": run.name, "takes": list(task.takes), "gives": task.gives, "about": about}

    def examples(self, run: Run) -> dict[str, Any]:
        """Return inputs of the test split, or of the task's own world, to click on: lines, and
        pictures that are kept; none, with the reason, where there are no such data here."""
        with self.lock:
            torch.set_num_threads(1)
            task = self.model(run).task
            try:
                found = task.to_try(EXAMPLES)
            except UserError as error:
                return {"lines": [], "media": [], "why": str(error)}
        lines = [each for each in found if isinstance(each, str)]
        media = [self.keep(Picture(each)) for each in found if not isinstance(each, str)]
        return {"lines": lines, "media": media, "why": ""}

    def answer(self, run: Run, given: Given, explain: bool) -> dict[str, Any]:
        """Return a model's answer to one input; UserError if it is none that it takes."""
        with self.lock:
            torch.set_num_threads(1)
            model = self.model(run)
            task = model.task
            asked = [fitting(given, task.takes)] if task.takes else []
            doubts = task.doubts(asked[0]) if asked else ""
            answer = model.answer(asked)[0]
            seen = model.explain(asked)[0].medium if explain and asked else None
        return {
            "text": answer.text,
            "values": small(answer),
            "doubts": doubts,
            "medium": self.keep(answer.medium),
            "explained": self.keep(seen),
        }

    def model(self, run: Run) -> Predictor:
        """Return a run's model, loaded if it was not asked lately; the lock is held."""
        if run.name not in self.models:
            self.models[run.name] = load_predictor(run)
        self.models.move_to_end(run.name)
        while len(self.models) > MOST_MODELS:
            self.models.popitem(last=False)
        return self.models[run.name]

    def keep(self, medium: Medium | None) -> dict[str, str] | None:
        """Keep what is seen or heard; return its number and type."""
        if medium is None:
            return None
        number, kind = secrets.token_hex(8), TYPES[medium.suffix]
        self.media[number] = kind, medium.encoded()
        while len(self.media) > MOST_MEDIA:
            self.media.popitem(last=False)
        return {"number": number, "type": kind}

    def kept(self, number: str) -> tuple[str, bytes]:
        """Return type and content of a kept medium; UserError if it is gone."""
        if number not in self.media:
            raise UserError("this answer is no longer kept; ask once more")
        return self.media[number]


def fitting(given: Given, takes: tuple[str, ...]) -> Given:
    """Return an input; UserError if the task takes no such thing."""
    kinds: dict[tuple[str, ...], type] = {("line",): str, PAIR: tuple}
    if not isinstance(given, kinds.get(takes, bytes)):
        raise UserError(f"this model takes a {' and a '.join(takes)}")
    line = given[1] if isinstance(given, tuple) else given
    if isinstance(line, str) and len(line) > MOST_LINE:
        raise UserError(f"a line of {len(line):,} characters; give at most {MOST_LINE:,}")
    return given


def small(answer: Answer) -> dict[str, Any]:
    """Return an answer's plain values but for tables, which are for programs."""
    return {k: v for k, v in answer.values.items() if not isinstance(v, list)}
