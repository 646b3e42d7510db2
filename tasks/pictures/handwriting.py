"""Handwriting: a pen that writes any line of text, learnt from how somebody writes; or draws.

Letters: B lines, T points of a line, U letters of its text.

Synthesis after Graves 2013 (https://arxiv.org/abs/1308.0850); `tasks/pictures/pen.py` has the
network, `tasks/data/strokes.py` what its moves are.

What surprises: nats depend on the unit of length, which the protocol states (a point of a stroke
lies about one unit from the one before), and count what it costs to say where a line ends: the pen
learns that. In the paper a line ends where the window has passed the last letter, but this pen
looks ahead, and dots come last. One that never ends is stopped after so many points a letter.
Learnt from drawings without text, the pen takes none: it draws, as the drawings that it saw.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.distributions import Bernoulli, MultivariateNormal

from backbones.sequences.mixture import mixture_of, nats
from backbones.training.checks.limits import require_at_most
from backbones.training.config import (
    RunConfig,
    StartName,
    changed,
    require_not_negative,
    require_positive,
)
from backbones.training.distributed import ALONE
from backbones.training.errors import UserError
from backbones.training.log import Board
from backbones.training.run import find_run
from tasks.answers import Answer, Kind, Picture, Strokes
from tasks.data.columns import Rows
from tasks.data.formats.handwriting import read_line
from tasks.data.handwritten import Handwriting, LinesConfig
from tasks.data.samples import Batch, moved
from tasks.data.strokes import Stroke, strokes_of
from tasks.fit_config import FitConfig
from tasks.job import TaskJob
from tasks.looks.strokes import drawn, looked
from tasks.pictures.pen import BITS, PenModel, given_letters
from tasks.predictor import load_predictor
from tasks.scores.edits import edit_scores, edit_sums
from tasks.scores.sums import Counts, Sums, add
from tasks.task import Task

MOST_UNITS, MOST_LETTERS = 2**14, 200
LONGEST_LETTER = 4  # times the points of an average one, after which a letter is over
SHOWN, READ = 4, 100  # lines in TensorBoard, and those that a reader is given

FIT = FitConfig(
    num_epochs=30,
    batch_size=3_000,
    optimizer="adamw",
    learning_rate=3e-3,
    warm_up=0.1,
    weight_decay=0.01,
    max_grad_norm=5.0,
    ema=0.995,
    eval_every=5,
)


@dataclass(frozen=True, kw_only=True)
class PenConfig:
    """How a line is written."""

    bias: float = 1.0
    """From 0, as varied as the writer, up: neater."""
    write_seed: int = 1
    """Which of the possible lines; the same again with the same number."""
    prime: str = ""
    """A file of one line with its text and points, in JSON: the pen goes on in that hand."""
    reader: StartName = ""
    """A run of read-handwriting, which an evaluation gives the first test lines as somebody wrote
    them, and as this pen writes them."""

    def __post_init__(self) -> None:
        require_not_negative(self, "bias", "write_seed")
        require_at_most(self, bias=20.0)


@dataclass(frozen=True, kw_only=True)
class Config(LinesConfig):
    """Handwriting of any line of text."""

    units: int = 200
    """Numbers of an LSTM's state."""
    window: int = 5
    """Gaussians of the window on the text."""
    mixtures: int = 20
    """Gaussians of the next point."""
    answer: PenConfig = field(default_factory=PenConfig)
    fit: FitConfig = FIT
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "units", "window", "mixtures")
        require_at_most(self, units=MOST_UNITS, window=1_000, mixtures=1_000)


class Costs(NamedTuple):
    """What lines cost in nats, and how many points they have."""

    nats: Float[Tensor, "B"]
    points: Int64[Tensor, "B"]


class Written(NamedTuple):
    """A line as a pen wrote it, or a drawing."""

    text: str
    """Of known letters; "" of a drawing."""
    strokes: list[Stroke]
    """In the unit of the moves."""
    weights: Float[Tensor, "T U"]
    """Where the window lay: its weight on every letter, and on the end, at every point."""


class Write(Task[Costs | list[Written]]):
    """The task; see `tasks/task.py` for what each method is for."""

    metric = "nats"
    source_type = Handwriting
    takes: tuple[Kind, ...] = ("line",)
    gives: Kind = "strokes"
    source: Handwriting

    def __init__(self, config: Any, source: Handwriting) -> None:
        super().__init__(config, source)
        if not source.letters:
            self.takes = ()

    def model(self) -> PenModel:
        config = self.config
        return PenModel(
            self.source.size, units=config.units, window=config.window, mixtures=config.mixtures
        )

    def loss(self, model: PenModel, batch: Batch) -> Float[Tensor, "B"]:
        moves, text, length = batch["moves"], batch["text"], batch["moves_length"]
        # Every move is said from those before it; before the first stands one of a lifted pen.
        before = moves.new_tensor([0.0, 0.0, 1.0]).expand(len(moves), 1, 3)
        given = torch.cat([before, moves[:, :-1]], 1)
        place = torch.arange(moves.shape[1])
        inside, last = place < length[:, None], place == length[:, None] - 1
        bits = torch.stack([moves[..., 2], last.to(moves)], -1)
        letters = given_letters(text, batch["text_length"], self.source.size)
        outputs, _, _ = model(given, letters, model.begin(len(moves)))
        with torch.autocast(moves.device.type, enabled=False):
            each = nats(mixture_of(outputs, BITS), moves[..., :2], bits)
        return (each * inside.to(each.device)).sum(1)

    def predict(self, model: PenModel, batch: Batch) -> Costs | list[Written]:
        """Return what lines cost; of texts without moves, how they are written."""
        if "moves" in batch:
            return Costs(self.loss(model, batch), batch["moves_length"])
        rows = zip(batch["text"], batch["text_length"].tolist(), strict=True)
        seed = self.config.answer.write_seed
        return [self.written(model, row[:length], seed) for row, length in rows]

    def score(self, answers: Costs | list[Written], batch: Batch) -> Counts:
        assert isinstance(answers, Costs)
        return {
            "nats": answers.nats.double().sum().cpu(),
            "points": answers.points.sum(),
            "lines": torch.tensor(len(answers.points)),
        }

    def scores(self, sums: Sums) -> dict[str, float]:
        total = float(sums["nats"])
        return {"nats": total / float(sums["points"]), "nats_a_line": total / float(sums["lines"])}

    def baseline(self) -> tuple[float, str]:
        train, scored = (
            torch.from_numpy(self.source.moves_of(split)).double()
            for split in ("train", self.scored)
        )
        place = MultivariateNormal(train[:, :2].mean(0), train[:, :2].T.cov())
        lifted = Bernoulli(train[:, 2].mean())
        cost = -place.log_prob(scored[:, :2]) - lifted.log_prob(scored[:, 2])
        return float(cost.mean()), "one Gaussian of all moves"

    def baselines(self, model: PenModel, sums: Sums) -> dict[str, float]:
        """Return the errors of a reader on lines of the test, and on the same texts written by this
        pen, each by a seed of its own."""
        how = self.config.answer
        if not how.reader:
            return {}
        if not self.takes:
            raise UserError("--reader: this pen draws, and no text is there to read")
        reader = load_predictor(find_run(how.reader))
        lines = self.source.lines(self.scored)[:READ]
        texts = [line.text for line in lines]
        written = []
        for number, text in enumerate(texts):
            row = self.ask([text])["text"][0].to(next(model.parameters()).device)
            written.append(self.written(model, row, how.write_seed + number).strokes)
        unit = self.source.about["spacing"]
        both = {
            "cer_of_the_writer": [line.strokes for line in lines],
            "cer_of_this_pen": [[stroke * unit for stroke in strokes] for strokes in written],
        }
        errors = {}
        for name, read in both.items():
            said = [answer.text for answer in reader.answer(read)]
            errors[name] = edit_scores(add([edit_sums(said, texts)], ALONE))["cer"]
        return errors

    def protocol(self) -> dict[str, Any]:
        # How lines are written changes no score.
        return self.source.protocol(self.scored)

    def ask(self, inputs: list[Any]) -> Batch:
        """Return a batch of texts, without letters that training never had; UserError for what is
        no text, too long or has no letter that can be written. A pen that draws takes nothing, and
        the batch is one empty text."""
        if not self.takes:
            inputs = [""]
        if not all(isinstance(line, str) for line in inputs):
            raise UserError("a pen writes a line of text, or a list of them")
        rows = [self.source.encode(line.strip()) for line in inputs]
        for line, row in zip(inputs, rows, strict=True):
            if not row and self.takes:
                raise UserError(
                    "none of its letters was learnt; this pen knows " + self.source.letters
                )
            if len(row) > MOST_LETTERS:
                raise UserError(
                    f"a line of {len(line):,} letters is too long; at most {MOST_LETTERS} are "
                    "written: cut it into lines"
                )
        return Rows.of(rows).batch("text", torch.arange(len(rows)))

    def to_try(self, count: int) -> list[Any]:
        return [line.text for line in self.source.lines("test")[:count]] if self.takes else []

    def doubts(self, given: Any) -> str:
        """Return which letters are not written, or that a line is longer than any learnt; "" for
        neither."""
        unknown = dict.fromkeys(each for each in given.strip() if each not in self.source.numbers)
        named = ", ".join(repr(each) if each.isspace() else each for each in list(unknown)[:5])
        said = [f"{named}: letters that nobody wrote, left out"] if unknown else []
        if len(given.strip()) > self.source.about["longest"]:
            said.append(f"longer than any line that was learnt ({self.source.about['longest']})")
        return "; ".join(said)

    def say(self, answers: Costs | list[Written]) -> list[Answer]:
        assert isinstance(answers, list)
        return [
            Answer(
                line.text or f"{len(line.strokes):,} strokes",
                {"points": sum(map(len, line.strokes))},
                Strokes(line.strokes),
            )
            for line in answers
        ]

    def explain(self, model: PenModel, batch: Batch) -> list[Answer]:
        """Return, for every text, where the window lay on it while it was written."""
        lines = self.predict(model, batch)
        assert isinstance(lines, list)
        if not self.takes:
            return [Answer("no text was given, so there was none to look at") for _ in lines]
        looks = (looked(line.weights.numpy()) for line in lines)
        return [
            Answer(line.text, {}, Picture(look)) for line, look in zip(lines, looks, strict=True)
        ]

    @torch.inference_mode()
    def written(self, model: PenModel, text: Int64[Tensor, "U"], seed: int) -> Written:
        """Return how a text of known letters is written; of no letters, a drawing.

        UserError if there is no line to begin with where `prime` says.
        """
        how, device = self.config.answer, text.device
        generator = torch.Generator().manual_seed(seed)
        pen, move = model.begin(1), torch.tensor([[[0.0, 0.0, 1.0]]], device=device)
        if how.prime and not self.takes:
            raise UserError("--prime: a line with its text leads no pen that draws")
        prime = read_line(Path(how.prime)) if how.prime else None
        before = self.source.encode(prime.text) if prime else []
        whole = torch.cat([torch.tensor(before, dtype=torch.long, device=device), text])
        letters = given_letters(whole[None], torch.tensor([len(whole)]), self.source.size)
        if prime:
            # What somebody wrote is read, and not part of what is written.
            given = torch.from_numpy(self.source.moves(prime)).to(device)[None]
            _, _, pen = model(torch.cat([move, given[:, :-1]], 1), letters, pen)
            move = given[:, -1:]
        most = len(text) * self.config.points * LONGEST_LETTER or self.config.longest
        moves, weights = model.write(move, letters, pen, generator, bias=how.bias, most=most)
        strokes = strokes_of(moves.cpu().numpy())
        return Written(self.source.decode(text.tolist()), strokes, weights.cpu())

    def show(
        self, board: Board, progress: int, model: PenModel, sums: Mapping[str, Tensor]
    ) -> None:
        device = next(model.parameters()).device
        lines = self.source.lines("val")[:SHOWN]
        texts = moved(self.ask([line.text for line in lines]), device)
        with torch.no_grad():
            found = self.predict(model, texts)
        assert isinstance(found, list)
        if not self.takes:
            nothing, seed = texts["text"][0, :0], self.config.answer.write_seed
            found = [self.written(model, nothing, seed + n) for n in range(len(lines))]
        unit = self.source.about["spacing"]
        theirs = [[stroke / unit for stroke in line.strokes] for line in lines]
        board.picture(progress, "val/written", drawn([line.strokes for line in found]))
        board.picture(progress, "val/by_the_writer", drawn(theirs))
        if not self.takes:
            return
        first = moved(self.data("val").batch(torch.tensor([0])), device)
        letters = given_letters(first["text"], first["text_length"], self.source.size)
        with torch.no_grad():
            _, weights, _ = model(first["moves"], letters, model.begin(1))
        board.picture(progress, "val/window", looked(weights[0].cpu().numpy()))


CURSIVE = changed(Config(set="cursive_handwriting"), fit=changed(FIT, num_epochs=25))
SMOKE = Config(
    samples=60, units=24, window=3, mixtures=3, fit=changed(FIT, num_epochs=1, batch_size=500)
)
# A stroke of a drawing bends once or twice.
DRAWINGS = Config(set="sketch_strokes", points=6, fit=changed(FIT, num_epochs=10))
PRESETS = {"default": Config(), "smoke": SMOKE, "cursive": CURSIVE, "drawings": DRAWINGS}

JOB = TaskJob("handwriting", PRESETS, Write)
train, resume = JOB.train, JOB.resume
