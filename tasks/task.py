"""The contract of a task: what is learnt. The source says from what, the loop (`tasks/fit.py`) how.

Letters: B samples of a batch.

A task is one class. Its methods stand in this order: what learns, what it answers and how good that
is, what people see. What is not abstract has a default.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from backbones.training.config import to_dict
from backbones.training.errors import UserError
from backbones.training.log import Board
from backbones.training.progress import Told, untold
from tasks.answers import Answer, Kind
from tasks.data.samples import Batch, Samples
from tasks.data.source import Source
from tasks.data.split_names import Split
from tasks.scores.sums import Counts, Sums

Answers = TypeVar("Answers")  # of a batch, in a task's own form
PAIR: tuple[Kind, ...] = ("picture", "line")
"""What a task takes that answers a line about a picture: `ask` has pairs of the two."""


@runtime_checkable
class Step(Protocol):
    """One step of an optimiser."""

    def __call__(
        self, losses: Callable[[], Float[Tensor, "B"]], part: str = ""
    ) -> Float[Tensor, ""]:
        """Lower the losses of every sample by one step of a part of the model; return their sum
        over the size of the whole minibatch, of which this process may have a share only."""


class Task(ABC, Generic[Answers]):
    """What `tasks/fit.py` asks of a task. `config.fit` is a `FitConfig`, `config.run` a RunConfig;
    with `config.trunk` the model's `cnn` can start from another run's, and `config.answer` is how
    answers are made, which may change when training is over."""

    metric: str
    """Name of the score that counts, one of those in `scores`."""
    source_type: Callable[..., Source]
    """What is learnt from; made of the config and what is known about the training data."""
    takes: tuple[Kind, ...] = ("picture",)
    """What an answer is given to; nothing for a task that answers by itself."""
    gives: Kind = "line"
    """What an answer is."""
    redraws: bool = False
    """Whether a film is answered picture by picture, each as `say` draws it."""
    goes_on: bool = False
    """Whether an answer goes on from its line, and is had piece by piece (`write_on`)."""
    speaks: bool = False
    """Whether an answer's line is worth having without its picture or sound: `predict` then needs
    no --output, and writes none."""

    def __init__(self, config: Any, source: Source) -> None:
        self.config, self.source = config, source
        self.carried: dict[str, Tensor] = {}
        """What `loss` keeps for the next batch of `Streams`, such as an LSTM's state: one row a
        sample; empty when an epoch begins."""
        self.scored: Split = "test"
        """The split that `baseline` and `protocol` speak of."""
        self.told: Told = untold
        """Is told how far an answer is that takes long."""

    @classmethod
    def of(cls, config: Any, about: dict[str, Any] | None = None) -> "Task[Answers]":
        """Return the task on its source; `about` is what its checkpoint kept, if it has one."""
        return cls(config, cls.source_type(config, about))

    def data(self, split: Split) -> Samples:
        """Return the samples of a split; UserError if there are none."""
        return self.source.samples(split)

    def to_score(self, split: Split) -> Samples:
        """Return the samples of a split as they are scored: those of `data`, unless what is learnt
        from comes in other pieces than what is answered."""
        return self.data(split)

    def means_the_same(self, about: Mapping[str, Any]) -> bool:
        """Say whether the heads of a run of this job, which knew `about` of its data, mean the same
        here, so that `--init` takes them too."""
        return bool(about == json.loads(json.dumps(self.source.about)))

    # What learns

    @abstractmethod
    def model(self) -> nn.Module:
        """Return the untrained model: `cnn` is its backbone, if it has one."""

    def parts(self) -> dict[str, float]:
        """Return the submodules that have an optimiser of their own, each with its multiple of the
        rate; "" is the whole model. What is in none of them does not learn."""
        return {"": 1.0}

    def start(self, model: Any) -> list[str]:
        """Fit what of an untrained model follows from the data alone; return lines for the log."""
        return []

    def prepare(self, batch: Batch, epoch: int) -> Batch:
        """Augment training samples, each by itself: a function of (seed, epoch, its `index`).

        On a GPU the samples of several batches come at once.
        """
        return batch

    def blend(self, batch: Batch, epoch: int) -> Batch:
        """Augment a training batch as a whole, after `prepare`: what samples do to each other."""
        return batch

    @abstractmethod
    def loss(self, model: Any, batch: Batch) -> Float[Tensor, "B"]:
        """Return the loss of every sample."""

    def update(self, model: Any, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Learn from a batch; return figures by name, each this process's share of a sum, under
        the same names every time.

        A model of several parts takes several steps.
        """
        return {"loss": step(lambda: self.loss(model, batch))}

    # What it answers, and how good that is

    @abstractmethod
    def predict(self, model: Any, batch: Batch) -> Answers:
        """Return the model's answers, in the form that `score` and `say` take."""

    @abstractmethod
    def score(self, answers: Answers, batch: Batch) -> Counts:
        """Return sums over the batch, and rows to keep of it, from which `scores` makes scores."""

    @abstractmethod
    def scores(self, sums: Sums) -> dict[str, float]:
        """Return scores by name. Rows that were kept come in no particular order."""

    @abstractmethod
    def baseline(self) -> tuple[float, str]:
        """Return what no model at all scores, and how."""

    def baselines(self, model: Any, sums: Sums) -> dict[str, float]:
        """Return what else a score is held against, by name: what the model's features alone make
        of it, or by how much, in what interval, the model is above a baseline."""
        return {}

    def protocol(self) -> dict[str, Any]:
        """Return how scores are made: printed with every score."""
        answer = getattr(self.config, "answer", None)
        return {**self.source.protocol(self.scored), **(to_dict(answer) if answer else {})}

    # What people see

    def ask(self, inputs: list[Any]) -> Batch:
        """Return a batch of paths, bytes, arrays or lines; UserError if one cannot be answered."""
        raise UserError("this task answers no files")

    def doubts(self, given: Any) -> str:
        """Return what is to be said of an input before its answer; "" for nothing."""
        return ""

    def to_try(self, count: int) -> list[Any]:
        """Return inputs to try, of the whole test split: lines, or pictures [H, W] or [H, W, 3];
        none where it has no such. UserError if the split is not there."""
        if self.takes not in (("picture",), PAIR):
            return []
        samples = self.to_score("test")
        index = torch.linspace(0, len(samples) - 1, min(count, len(samples))).long()
        planes = samples.batch(index).get("picture")
        if planes is None or planes.dtype != torch.uint8 or planes.shape[1] not in (1, 3):
            return []
        rows = planes.movedim(1, -1).numpy()
        return [row[:, :, 0] if row.shape[2] == 1 else row for row in rows]

    def say(self, answers: Answers) -> list[Answer]:
        """Return the answers for people and programs."""
        raise UserError("this task says nothing of files")

    def write_on(self, model: Any, line: str) -> Iterator[str]:
        """Yield the answer to a line piece by piece, as it is made."""
        raise UserError("this model does not write on")

    def explain(self, model: Any, batch: Batch) -> list[Answer]:
        """Return, for every sample, where the model looked."""
        raise UserError("this model explains nothing")

    def show(self, board: Board, progress: int, model: Any, sums: Mapping[str, Tensor]) -> None:
        """Write what people look at, with the sums of the validation split."""
