"""What a trained model says of files or lines: `arcadia predict`, `arcadia.load(run).predict`."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from torch import nn

from backbones.training.config import require_not_negative
from backbones.training.errors import UserError
from backbones.training.files import read_at_most, standard_input
from backbones.training.limits import shortened
from backbones.training.progress import say
from backbones.training.run import Run, find_run
from backbones.training.session import newest_checkpoint
from backbones.training.streams import printable
from tasks import lines
from tasks.data.decode import LARGEST_BYTES
from tasks.data.samples import Batch, moved
from tasks.evaluate import device_of, load_model
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


def sources(inputs: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield (name, path or bytes) of everything that the inputs mean; UserError if missing."""
    for given in inputs:
        path = Path(given)
        if given == "-":
            yield "standard input", read_at_most(standard_input(), LARGEST_BYTES + 1)
        elif os.path.isdir(path):
            inside = sorted(p for p in path.iterdir() if p.is_file())
            if not inside:
                raise UserError(f"{path} has no files in it")
            yield from ((str(p), p) for p in inside)
        elif os.path.exists(path):
            yield given, path
        else:
            raise UserError(
                f"{shortened(given)} does not exist; give files, folders or - for standard input"
            )


def main(config: Config) -> int:
    """The command `arcadia predict`: exit status 2 if any input could not be read."""
    predictor, failed = load_predictor(find_run(config.run), device_of(config)), False
    if predictor.task.reads == "lines":
        return lines.main(config, predictor)
    if config.output or config.attention:
        raise UserError("--output and --attention are for models of texts")
    if not config.inputs:
        raise UserError("predict needs something to look at: files, folders or -")
    for name, source in sources(config.inputs):
        try:
            answer, doubts = predictor.predict(source)[0], predictor.task.doubts(source)
        except UserError as error:
            say(f"arcadia: {name}: {error}", sys.stderr)
            failed = True
            continue
        if doubts:
            say(f"arcadia: {name}: {doubts}", sys.stderr)
        line = f"{name}: {answer['text']}"
        print(json.dumps({"input": name, **answer}) if config.json else printable(line), flush=True)
    return 2 if failed else 0
