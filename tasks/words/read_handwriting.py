"""Handwriting that is read: letters from how a pen moved.

Letters: B lines, T points, U letters of a text, V letters of the alphabet and the blank.

The shared LSTM reads a line both ways, a few points at a step, and says at every step which letter
is there, if any; CTC (`backbones/sequences/ctc.py`) makes a text of it, since nobody said where
letters begin and end. Graves et al. 2009, https://doi.org/10.1109/TPAMI.2008.137.

What surprises: training lines are turned, slanted and stretched anew in every epoch, each as a
whole. `arcadia eval PEN --reader RUN` has a run of this job read what a pen writes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from backbones.lstm import LSTM, LSTMSpec, SequenceDropout
from backbones.sequences.ctc import best_path, ctc_loss, needed, prefix_beam
from backbones.training.checks.limits import require_at_most
from backbones.training.config import RunConfig, changed, require_fraction, require_positive
from backbones.training.errors import UserError
from backbones.training.log import Board
from tasks.answers import Answer, Kind
from tasks.data.columns import Rows
from tasks.data.formats.handwriting import strokes_of_file
from tasks.data.handwritten import Handwriting, LinesConfig
from tasks.data.samples import Batch, Samples, moved, uniforms
from tasks.data.strokes import Line
from tasks.fit_config import FitConfig
from tasks.job import TaskJob
from tasks.scores.edits import edit_scores, edit_sums
from tasks.scores.sums import Counts, Sums
from tasks.task import Task

MOST_UNITS, MOST_LAYERS, MOST_BEAM = 2**14, 64, 1_000
AT_A_STEP = 2  # points that are read at once: a letter has some 14
SHOWN = 8  # lines in TensorBoard

FIT = FitConfig(
    num_epochs=20,
    batch_size=1_500,
    optimizer="adamw",
    learning_rate=3e-3,
    warm_up=0.1,
    weight_decay=0.02,
    max_grad_norm=5.0,
    ema=0.99,
    eval_every=5,
)


@dataclass(frozen=True, kw_only=True)
class ReadConfig:
    """How lines are read."""

    beam: int = 10
    """Texts that are followed side by side; 1: the likeliest path alone."""

    def __post_init__(self) -> None:
        require_positive(self, "beam")
        require_at_most(self, beam=MOST_BEAM)


@dataclass(frozen=True, kw_only=True)
class Config(LinesConfig):
    """A reader of handwriting."""

    units: int = 128
    """Numbers of an LSTM's state, each way."""
    layers: int = 1
    """LSTMs on top of each other."""
    dropout: float = 0.2
    """Chance that a number between layers is dropped."""
    bend: float = 0.2
    """How much training lines are turned, slanted and stretched, at most; 0: as they are."""
    answer: ReadConfig = field(default_factory=ReadConfig)
    fit: FitConfig = FIT
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "units", "layers")
        require_fraction(self, "dropout", "bend")
        require_at_most(self, units=MOST_UNITS, layers=MOST_LAYERS)


class Reader(nn.Module):
    """Moves in, log probabilities of symbols at every step of `AT_A_STEP` moves out."""

    def __init__(self, size: int, *, units: int, layers: int, dropout: float) -> None:
        super().__init__()
        # What a stroke looks like around a point, before the LSTM: without these two the likeliest
        # answer stays the same for all lines for over a thousand updates.
        self.near = nn.Conv1d(3, units, 7, padding=3)
        self.far = nn.Conv1d(units, units, 5, stride=AT_A_STEP, padding=2)
        spec = LSTMSpec(
            inputs=units, units=units, layers=layers, bidirectional=True, dropout=dropout
        )
        self.lstm = LSTM(spec)
        self.dropout = SequenceDropout(dropout)
        self.head = nn.Linear(2 * units, size)

    def forward(
        self, moves: Float[Tensor, "B T 3"], length: Int64[Tensor, "B"]
    ) -> Float[Tensor, "S B V"]:
        """Return the log probabilities of S = `steps_of(T)` steps; behind a line's end they mean
        nothing."""
        # Behind a line's end is nothing, whatever lines are beside it.
        inside = (torch.arange(moves.shape[1]) < length[:, None])[:, None].to(moves.device)
        near = F.relu(self.near(moves.transpose(1, 2))) * inside
        far = F.relu(self.far(near)).permute(2, 0, 1)
        out, _ = self.lstm.read(far, steps_of(length))
        return self.head(self.dropout(out)).float().log_softmax(-1)  # type: ignore[no-any-return]


def steps_of(points: Int64[Tensor, "B"]) -> Int64[Tensor, "B"]:
    """Return in how many steps so many points are read."""
    return -(-points // AT_A_STEP)


class Read(Task[list[str]]):
    """The task; see `tasks/task.py` for what each method is for."""

    metric = "cer"
    source_type = Handwriting
    takes: tuple[Kind, ...] = ("strokes",)
    source: Handwriting

    def __init__(self, config: Any, source: Handwriting) -> None:
        super().__init__(config, source)
        if not source.letters:
            raise UserError(
                f"{source.name} holds drawings without text, and a reader learns from lines with "
                "their texts; `arcadia train handwriting` learns to draw them"
            )

    def model(self) -> Reader:
        config = self.config
        return Reader(
            self.source.size, units=config.units, layers=config.layers, dropout=config.dropout
        )

    def start(self, model: Reader) -> list[str]:
        samples = self.source.samples("train")
        text, steps = samples.columns["text"], steps_of(samples.lengths("moves")).tolist()
        assert isinstance(text, Rows)
        rows = zip(text.flat.split(text.lengths.tolist()), steps, strict=True)
        short = sum(needed(row.tolist()) > count for row, count in rows)
        if not short:
            return []
        return [f"{short:,} lines have too few points for their text, and teach nothing"]

    def prepare(self, batch: Batch, epoch: int) -> Batch:
        # Turned, slanted and stretched: any 2 x 2 matrix near the one that changes nothing.
        random = uniforms(self.config.run.seed, epoch, batch["index"], 4).view(-1, 2, 2)
        matrix = torch.eye(2) + self.config.bend * (2 * random - 1)
        moves = batch["moves"].clone()
        moves[..., :2] = moves[..., :2] @ matrix.to(moves.device)
        return {**batch, "moves": moves}

    def loss(self, model: Reader, batch: Batch) -> Float[Tensor, "B"]:
        length = batch["moves_length"]
        log_prob = model(batch["moves"], length)
        with torch.autocast(log_prob.device.type, enabled=False):
            return ctc_loss(log_prob, steps_of(length), batch["text"], batch["text_length"])

    def predict(self, model: Reader, batch: Batch) -> list[str]:
        log_prob, beam = model(batch["moves"], batch["moves_length"]), self.config.answer.beam
        texts = []
        lengths = steps_of(batch["moves_length"]).tolist()
        for row, length in zip(log_prob.unbind(1), lengths, strict=True):
            found = best_path(row[:length]) if beam == 1 else prefix_beam(row[:length], beam)
            texts.append(self.source.decode(found))
        return texts

    def score(self, answers: list[str], batch: Batch) -> Counts:
        return edit_sums(answers, self.source.texts(batch))

    def scores(self, sums: Sums) -> dict[str, float]:
        return edit_scores(sums)

    def baseline(self) -> tuple[float, str]:
        return 100.0, "no letter read"

    def ask(self, inputs: list[Any]) -> Batch:
        """Return a batch of files (`tasks/data/formats/handwriting.py`) or of lines' strokes, lists
        of [n, 2] each; UserError if one is neither."""
        rows = []
        for given in inputs:
            if isinstance(given, str | Path | bytes):
                given = strokes_of_file(given)
            rows.append(self.source.moves(Line("", given)))
        return Rows.of(rows, np.float32).batch("moves", torch.arange(len(rows)))

    def say(self, answers: list[str]) -> list[Answer]:
        return [Answer(text) for text in answers]

    def show(self, board: Board, progress: int, model: Reader, sums: Mapping[str, Tensor]) -> None:
        samples: Samples = self.data("val")
        index = torch.arange(min(SHOWN, len(samples)))
        batch = moved(samples.batch(index), next(model.parameters()).device)
        with torch.no_grad():
            answers = self.predict(model, batch)
        meant = self.source.texts(batch)
        rows = [f"| `{text}` | `{said}` |" for text, said in zip(meant, answers, strict=True)]
        board.text(progress, "val/read", "\n".join(["| written | read |", "|---|---|", *rows]))


CURSIVE = Config(set="cursive_handwriting")
SMOKE = Config(
    answer=ReadConfig(beam=1),
    samples=60,
    units=16,
    layers=1,
    fit=changed(FIT, num_epochs=1, batch_size=500),
)
PRESETS = {"default": Config(), "smoke": SMOKE, "cursive": CURSIVE}

JOB = TaskJob("read-handwriting", PRESETS, Read)
train, resume = JOB.train, JOB.resume
