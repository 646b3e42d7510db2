"""A trained model that answers, and what the command `arcadia predict` asks it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from jaxtyping import UInt8
from torch import nn

from backbones.media import has_picture, length_s
from backbones.training.config import RunName, require_not_negative
from backbones.training.errors import UserError
from backbones.training.files import open_plain
from backbones.training.run import Run
from backbones.training.session import newest_checkpoint
from tasks.answers import Answer, Picture, Redrawn
from tasks.data.decode import HEAD_BYTES, is_picture_data
from tasks.data.samples import Batch, moved
from tasks.evaluate import load_model
from tasks.task import PAIR, Task


@dataclass(frozen=True, kw_only=True)
class Config:
    """Say what a trained model makes of files, of all files in folders, or of standard input; a
    model of texts is a filter for lines, and converses on a terminal."""

    run: RunName
    """A run: its name, a path, zoo/NAME or last."""
    inputs: tyro.conf.Positional[tuple[str, ...]] = ()
    """Files, or folders with all in them; - is standard input. Of texts: files of lines, none for
    standard input; of a model that writes also a line itself. Of a model that answers questions:
    pictures, and questions about each of them; without questions these come from standard input."""
    json: bool = False
    """Print one JSON object an answer instead of a line."""
    output: Annotated[str, tyro.conf.arg(aliases=("-o",))] = ""
    """Write answers that are lines into this new file; pictures and sounds into this folder, or
    one of them into this new file."""
    explain: Annotated[bool, tyro.conf.arg(aliases=("--attention",))] = False
    """Show where the model looked for its answer, if it can say so: beside the answer, or as a
    picture in the folder of --output."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu, cuda or cuda:N."""
    threads: int = 0
    """Threads of torch's arithmetic on a CPU; 0: as torch chooses."""

    def __post_init__(self) -> None:
        require_not_negative(self, "threads")


@dataclass(repr=False)
class Predictor:
    """A trained model with its task: `predict` takes paths, bytes or arrays."""

    task: Task[Any]
    model: nn.Module
    card: dict[str, Any]
    run: Run

    def __repr__(self) -> str:
        """Return what it is in one line."""
        takes = " and ".join(self.task.takes) or "nothing"
        return f"<{self.run.name}: {self.run.job}, takes {takes}, gives {self.task.gives}>"

    @property
    def config(self) -> Any:
        """The config it was trained with."""
        return self.task.config

    def predict(self, inputs: Any = ()) -> list[dict[str, Any]]:
        """Return an answer for every input, a dict of plain values each: see `answer`."""
        return [answer.to_dict() for answer in self.answer(inputs)]

    @torch.inference_mode()
    def answer(self, inputs: Any = ()) -> list[Answer]:
        """Return an answer for every input, pictures and sounds included.

        Of a model of texts inputs are lines; an empty one stays empty. Of one that answers
        questions about pictures they are pairs: a tuple of a picture and its question each. A model
        that takes nothing answers nothing but what it draws. UserError for an input that cannot be
        answered, such as a line that is too long.
        """
        if not self.task.takes:
            return self.say(self.task.ask([]))
        alone = isinstance(inputs, str | bytes | Path) or not isinstance(inputs, Sequence)
        if self.task.takes == PAIR:
            alone = alone or isinstance(inputs, tuple)
        given = [inputs] if alone else list(inputs)
        if self.task.takes == ("line",):
            return self.answer_lines(given)
        return [answer for one in given for answer in self.answer_one(one)]

    def answer_one(self, given: Any) -> list[Answer]:
        """Return the answers to one input; a film for a task that draws on pictures is drawn while
        it is written."""
        if self.task.redraws and is_film(given):
            return [Answer(f"{length_s(given):.1f} s", {}, Redrawn(given, self.redrawn))]
        return self.say(self.task.ask([given]))

    @torch.inference_mode()
    def redrawn(self, frame: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H2 W2 3"]:
        """Return a picture of a film as the task draws it."""
        (answer,) = self.say(self.task.ask([frame.transpose(2, 0, 1)]))
        assert isinstance(answer.medium, Picture)
        return answer.medium.pixels

    @torch.inference_mode()
    def explain(self, inputs: list[Any]) -> list[Answer]:
        """Return, for every input, where the model looked."""
        return self.task.explain(self.model, moved(self.task.ask(inputs), self.device))

    @torch.inference_mode()
    def write_on(self, line: str) -> Iterator[str]:
        """Yield how a line goes on piece by piece, as it is made, of a model that can."""
        yield from self.task.write_on(self.model, line)

    @property
    def device(self) -> torch.device:
        """Where the model lies."""
        return next(self.model.parameters()).device

    def say(self, batch: Batch) -> list[Answer]:
        """Return the answers to a batch of the CPU."""
        return self.task.say(self.task.predict(self.model, moved(batch, self.device)))

    def answer_lines(self, lines: list[Any]) -> list[Answer]:
        """Return the answers to lines."""
        words = self.task.gives == "line"
        blank = [words and isinstance(line, str) and not line.strip() for line in lines]
        asked = [line for line, empty in zip(lines, blank, strict=True) if not empty]
        answers = iter(self.say(self.task.ask(asked)) if asked else [])
        return [Answer("") if empty else next(answers) for empty in blank]


def is_film(given: Any) -> bool:
    """Say whether an input is a film: a file, or bytes, with pictures that are none of those which
    are read as one picture."""
    if not isinstance(given, str | Path | bytes):
        return False
    film = given if isinstance(given, bytes) else Path(given)
    try:
        if isinstance(film, Path):
            with open_plain(film) as file:
                head = file.read(HEAD_BYTES)
        else:
            head = film[:HEAD_BYTES]
        return not is_picture_data(head) and has_picture(film)
    except (OSError, UserError):
        return False  # what it is instead, `ask` says


def load_predictor(
    run: Run, device: torch.device | None = None, answer: object = None
) -> Predictor:
    """Return the trained model of a run, on the CPU unless another device is given; `answer` is
    the group of the config that says how answers are made, if not as in training."""
    found = newest_checkpoint(run)
    return Predictor(*load_model(run, found, device, answer), found.info, run)
