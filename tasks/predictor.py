"""A trained model that answers, and what the command `arcadia predict` asks it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from torch import nn

from backbones.training.config import require_not_negative
from backbones.training.run import Run
from backbones.training.session import newest_checkpoint
from tasks.data.samples import Batch, moved
from tasks.evaluate import load_model
from tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Config:
    """Say what a trained model makes of files, of all files in folders, or of standard input; a
    model of texts is a filter for lines, and converses on a terminal."""

    run: tyro.conf.Positional[str]
    """A run: its name, a path, zoo/NAME or last."""
    inputs: tyro.conf.Positional[tuple[str, ...]] = ()
    """Files or folders; - is standard input. Of texts: files of lines, none for standard input."""
    json: bool = False
    """Print one JSON object an answer instead of a line."""
    output: str = ""
    """Write the answers to lines into this new file."""
    attention: bool = False
    """Draw where a model of texts looked for each piece of its answer."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu, cuda or cuda:N."""
    threads: int = 0
    """Threads of torch's arithmetic on a CPU; 0: as torch chooses."""

    def __post_init__(self) -> None:
        require_not_negative(self, "threads")


@dataclass
class Predictor:
    """A trained model with its task: `predict` takes paths, bytes or arrays."""

    task: Task
    model: nn.Module
    card: dict[str, Any]
    run: Run

    @property
    def config(self) -> Any:
        """The config it was trained with."""
        return self.task.config

    @torch.inference_mode()
    def predict(self, inputs: Any) -> list[dict[str, Any]]:
        """Return an answer for every input, a dict of plain values each.

        Of a model of texts inputs are lines; an empty one stays empty. UserError for an input that
        cannot be answered, such as a line that is too long.
        """
        if self.task.reads == "lines":
            return self.answer([inputs] if isinstance(inputs, str) else list(inputs))
        alone = isinstance(inputs, str | bytes | Path) or not isinstance(inputs, Sequence)
        answers = []
        for given in [inputs] if alone else inputs:
            answers += self.say(self.task.read_input(given))
        return answers

    def say(self, batch: Batch) -> list[dict[str, Any]]:
        """Return the answers to a batch of the CPU."""
        device = next(self.model.parameters()).device
        return self.task.say(self.task.predict(self.model, moved(batch, device)).cpu())

    def answer(self, lines: list[Any]) -> list[dict[str, Any]]:
        """Return the answers to lines."""
        blank = [isinstance(line, str) and not line.strip() for line in lines]
        asked = [line for line, empty in zip(lines, blank, strict=True) if not empty]
        said: list[dict[str, Any]] = []
        if asked:
            said = self.say(self.task.read_input(asked))
        answers = iter(said)
        return [{"text": ""} if empty else next(answers) for empty in blank]


def load_predictor(run: Run, device: torch.device | None = None) -> Predictor:
    """Return the trained model of a run, on the CPU unless another device is given."""
    found = newest_checkpoint(run)
    return Predictor(*load_model(run, found, device), found.info, run)
