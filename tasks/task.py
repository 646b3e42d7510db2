"""The contract of a task: what one small file says, and `tasks/fit.py` does the rest.

A task is a class made of its config and, where it is loaded rather than trained, of what its
checkpoint tells `about` the data. Its methods stand in this order: where its samples come from, its
model, the loss of a batch, what the model answers, how answers are scored (as sums, so that any
sharding gives the same number), and what is shown. The rest have defaults.
"""

from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from backbones.training.errors import UserError
from backbones.training.log import Board
from tasks.data.samples import Batch, Samples
from tasks.scores.labels import Sums

Split = Literal["train", "val", "test"]


class Task:
    """What `tasks/fit.py` asks of a task. `config.fit` is a `FitConfig`, `config.run` a RunConfig;
    with `config.trunk` the model's `cnn` can start from another run's."""

    metric: str
    """Name of the score that counts, one of those in `scores`."""
    reads: Literal["files", "lines"] = "files"
    """What `predict` answers."""

    def __init__(self, config: Any, about: dict[str, Any] | None = None) -> None:
        self.config = config
        # What an answer needs to know of the training data, as plain values.
        self.about = about or {}
        self.scored: Split = "test"
        """The split that `baseline` and `protocol` speak of."""

    def data(self, split: Split) -> Samples:
        """Return the samples of a split; UserError if there are none."""
        raise NotImplementedError

    def model(self) -> nn.Module:
        """Return the untrained model: `cnn` is its backbone, if it has one."""
        raise NotImplementedError

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the loss of every sample, [B]."""
        raise NotImplementedError

    def predict(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the model's answer for every sample, [B, ...]."""
        raise NotImplementedError

    def score(self, predictions: Tensor, batch: Batch) -> Sums:
        """Return sums over the batch, from which `scores` makes the scores."""
        raise NotImplementedError

    def scores(self, sums: Sums) -> dict[str, float]:
        """Return scores by name."""
        raise NotImplementedError

    def baseline(self) -> tuple[float, str]:
        """Return what no model at all scores, and how."""
        raise NotImplementedError

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

    @property
    def name_of_data(self) -> str:
        """What card and protocol call the data: the end of the folder that was given, or the set's
        name, if the config has them."""
        given = "/".join(Path(getattr(self.config, "data", "")).parts[-2:])
        return given or str(getattr(self.config, "set", type(self).__name__.lower()))

    def notes(self) -> list[str]:
        """Return what is to be said of the data read so far, such as what was left out."""
        return []

    def protocol(self) -> dict[str, Any]:
        """Return how answers are made: printed with every score."""
        return {}

    def show(self, board: Board, progress: int, model: nn.Module, sums: Sums) -> None:
        """Write what people look at, with the sums of the validation split."""

    def read_input(self, source: Any) -> Batch:
        """Return a batch of one from a path, bytes or an array; UserError if it cannot be."""
        raise UserError("this task answers no files")

    def doubts(self, line: Any) -> str:
        """Return what is to be said of a line, or a picture's file, before its answer; "" for
        nothing."""
        return ""

    def alignment(self, model: Any, line: str) -> tuple[list[str], list[str], Tensor]:
        """Return a line's pieces, its answer's, and where the model looked for each of these."""
        raise UserError("this task looks nowhere")

    def say(self, predictions: Tensor) -> list[dict[str, Any]]:
        """Return answers as plain values for people; `text` is a line."""
        raise NotImplementedError
