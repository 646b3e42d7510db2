"""Text letter by letter: an LSTM learns what comes next, and writes on.

Letters of dimensions: B windows, T letters of a window, D units, L layers.

Learnt by truncated back-propagation through time: the text is read as several streams side by side,
whose state goes from each window to the next. Graves 2013, section 3
(https://arxiv.org/abs/1308.0850); char-rnn (Karpathy 2015).

What surprises: two scores stand beside each other. `nats` reads every letter after at least 512
others, as who reads a text does; `nats_alone` begins anew at every window, as models do that see a
block and no more.
"""

import codecs
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from backbones.start import start_from
from backbones.training.checkpoint import Checkpoint
from backbones.training.checks.limits import require_at_most
from backbones.training.config import (
    RunConfig,
    StartName,
    changed,
    require_fraction,
    require_not_negative,
    require_positive,
)
from backbones.training.errors import UserError
from backbones.training.log import Board
from backbones.training.run import Run
from backbones.training.streams import plain
from tasks.answers import Answer, Kind
from tasks.data.columns import Rows
from tasks.data.samples import Batch, Samples, moved, uniforms
from tasks.data.split_names import Split
from tasks.fit_config import FitConfig
from tasks.job import TaskJob
from tasks.scores.sums import Counts, Sums
from tasks.task import Task
from tasks.words.letter_model import LetterModel
from tasks.words.letters import CONTEXT, OTHER, PASSAGE, WORLD, LetterText

MOST_UNITS, MOST_LAYERS, MOST_WINDOW, MOST_LENGTH = 2**14, 64, 2**16, 10_000_000
ALONE = 64  # letters of a window that is read alone, as nanoGPT's blocks on a CPU
BEGINNINGS = ("The ", "\n")  # of samples in TensorBoard
SHOWN = 400  # letters of each
BEGINNING_OF, LONGEST_BEGUN = 10_000, 20  # letters: where lines to try are, and of one


@dataclass(frozen=True, kw_only=True)
class WriteConfig:
    """How a text is written on."""

    temperature: float = 0.7
    """Chances go with exp(logits / temperature): below 1 more careful, 0 always the likeliest."""
    top_k: int = 0
    """Choose among so many of the likeliest letters only; 0: among all."""
    length: int = 500
    """Letters to write."""
    write_seed: int = 1
    """Which of the possible texts; the same again with the same number."""

    def __post_init__(self) -> None:
        require_not_negative(self, "temperature", "top_k", "write_seed")
        require_positive(self, "length")
        require_at_most(self, length=MOST_LENGTH, temperature=100.0)


FIT = FitConfig(
    num_epochs=2,
    batch_size=2_048,
    optimizer="adamw",
    learning_rate=4e-3,
    warm_up=0.1,
    weight_decay=0.01,
    max_grad_norm=1.0,
    ema=0.99,
    eval_every=1,
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Text letter by letter on the shared LSTM."""

    set: str = WORLD
    """A folder of $ARCADIA_DATA, such as tinyshakespeare, or the offline world phrases."""
    data: str = ""
    """A text, or a folder of texts (plain or gzip): train.txt, valid.txt and test.txt, or any,
    whose last tenth is then scored."""
    letters: Literal["characters", "bytes"] = "characters"
    """What a text is made of; bytes take any file."""
    samples: int = 0
    """Sentences of the world; 0: as many as translation has."""
    window: int = 64
    """Letters through which an update goes back."""
    units: int = 256
    """Numbers of an LSTM's state, and of an embedding."""
    layers: int = 2
    """LSTMs on top of each other."""
    dropout: float = 0.0
    """Chance that a number between layers is dropped."""
    answer: WriteConfig = field(default_factory=WriteConfig)
    init: StartName = ""
    """Start from another run: RUN (all its weights, if it knows the same letters), RUN:lstm, or the
    .safetensors file of an LSTM."""
    fit: FitConfig = FIT
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        require_positive(self, "window", "units", "layers")
        require_fraction(self, "dropout")
        require_not_negative(self, "samples")
        require_at_most(
            self, units=MOST_UNITS, layers=MOST_LAYERS, window=MOST_WINDOW, samples=2**31 - 1
        )
        if self.fit.batch_size < self.window:
            raise ValueError(
                f"batch_size = {self.fit.batch_size} must be at least window = {self.window}, the "
                "letters of one stream"
            )


class Nats(NamedTuple):
    """What letters cost in nats, a row a passage: after those before it, and in windows alone."""

    read: Float[Tensor, "B P"]
    alone: Float[Tensor, "B P"]


class Text(Task[Nats | list[str]]):
    """The task; see `tasks/task.py` for what each method is for."""

    metric = "nats"
    source_type = LetterText
    takes: tuple[Kind, ...] = ("line",)
    goes_on = True
    source: LetterText

    def to_score(self, split: Split) -> Samples:
        return self.source.passages(split)

    def model(self) -> LetterModel:
        config = self.config
        return LetterModel(
            self.source.size, units=config.units, layers=config.layers, dropout=config.dropout
        )

    def start(self, model: LetterModel) -> list[str]:
        def knows_the_same(run: Run, found: Checkpoint) -> bool:
            about = found.info.get("about", {})
            return bool(about.get("letters") == self.source.about["letters"])

        return start_from(model, self.config.init, knows_the_same)

    def loss(self, model: LetterModel, batch: Batch) -> Float[Tensor, "B"]:
        text, carried = batch["text"], self.carried
        # Rows come first in what is carried, layers in what the LSTM takes.
        state = (turned(carried["hidden"]), turned(carried["cell"])) if carried else None
        losses, (hidden, cell) = model.losses(text[:, :-1], text[:, 1:], state)
        self.carried = {"hidden": turned(hidden.detach()), "cell": turned(cell.detach())}
        return losses.sum(1)

    def predict(self, model: LetterModel, batch: Batch) -> Nats | list[str]:
        """Return what the letters of passages cost, or how prompts go on."""
        if "prompt" in batch:
            rows = zip(batch["prompt"], batch["prompt_length"].tolist(), strict=True)
            return ["".join(self.written(model, row[:length])) for row, length in rows]
        text, begins = batch["text"], batch["begins"]
        # Where the text begins there is nothing before.
        reset = torch.zeros(text.shape[1] - 1, len(text), dtype=torch.bool)
        reset[CONTEXT] = begins
        read, _ = model.losses(text[:, :-1], text[:, 1:], reset=reset)
        windows = text[:, CONTEXT:-1].reshape(-1, ALONE), text[:, CONTEXT + 1 :].reshape(-1, ALONE)
        alone, _ = model.losses(*windows)
        return Nats(read[:, CONTEXT:], alone.reshape(len(text), -1))

    def score(self, answers: Nats | list[str], batch: Batch) -> Counts:
        assert isinstance(answers, Nats)
        inside = torch.arange(PASSAGE) < batch["scored"].cpu()[:, None]
        return {
            "letters": inside.sum(),
            "read": answers.read.double().cpu()[inside].sum(),
            "alone": answers.alone.double().cpu()[inside].sum(),
        }

    def scores(self, sums: Sums) -> dict[str, float]:
        nats, alone = (float(sums[name] / sums["letters"]) for name in ("read", "alone"))
        return {"nats": nats, "bits": nats / math.log(2), "nats_alone": alone}

    def baseline(self) -> tuple[float, str]:
        train, text = (self.source.encode(self.source.texts[s]) for s in ("train", self.scored))
        # One is added to every count, so that no letter is impossible.
        counts = torch.bincount(train, minlength=self.source.size).double() + 1
        nats = -(counts / counts.sum()).log()[text[1:]].mean()
        return float(nats), "letters by how often they are in the training text"

    def protocol(self) -> dict[str, Any]:
        # How texts are written on changes no score.
        return self.source.protocol(self.scored)

    def ask(self, inputs: list[Any]) -> Batch:
        """Return a batch of prompts, without letters that training never had; UserError for what is
        no text."""
        if not all(isinstance(line, str) for line in inputs):
            raise UserError("text is written on from a line of text, or a list of them")
        rows = [self.known(line) or [self.source.beginning] for line in inputs]
        return Rows.of(rows).batch("prompt", torch.arange(len(rows)))

    def known(self, line: str) -> list[int]:
        """Return the numbers of a line's letters, without those that training never had."""
        numbers = self.source.encode(self.source.numbers(line)).tolist()
        return [n for n in numbers if n != OTHER or self.source.in_bytes]

    def to_try(self, count: int) -> list[Any]:
        # The first one may be the rest of a line of the training text.
        lines = self.source.text("test")[:BEGINNING_OF].splitlines()[1:]
        begun = [
            line[:LONGEST_BEGUN].rsplit(" ", 1)[0] for line in lines if len(line) > LONGEST_BEGUN
        ]
        return list(dict.fromkeys(begun))[:count]

    def doubts(self, given: Any) -> str:
        """Return which letters of a prompt are left out, "" for none."""
        if self.source.in_bytes:
            return ""
        unknown = dict.fromkeys(
            letter for letter in given if letter not in self.source.about["letters"]
        )
        if not unknown:
            return ""
        return f"{', '.join(list(unknown)[:5])}: letters that training never had, left out"

    def say(self, answers: Nats | list[str]) -> list[Answer]:
        assert isinstance(answers, list)
        return [Answer(text) for text in answers]

    def write_on(self, model: LetterModel, line: str) -> Iterator[str]:
        batch = self.ask([line])
        yield from self.written(model, batch["prompt"][0])

    def written(self, model: LetterModel, prompt: Int64[Tensor, "T"]) -> Iterator[str]:
        """Yield a prompt, then what follows it letter by letter, of bytes as soon as they make
        one."""
        how, device = self.config.answer, prompt.device
        letters = codecs.getincrementaldecoder("utf-8")(errors="replace")
        yield letters.decode(b"".join(map(self.source.letter, prompt.tolist())))
        chances = uniforms(how.write_seed, 0, torch.zeros(1, dtype=torch.long), how.length)[0]
        never = torch.tensor([] if self.source.in_bytes else [OTHER], dtype=torch.long)
        following = model.write(
            prompt,
            chances.to(device),
            temperature=how.temperature,
            top_k=how.top_k,
            never=never.to(device),
        )
        for number in following:
            yield letters.decode(self.source.letter(number))
        yield letters.decode(b"", final=True)

    def show(
        self, board: Board, progress: int, model: LetterModel, sums: Mapping[str, Tensor]
    ) -> None:
        device = next(model.parameters()).device
        for number, beginning in enumerate(BEGINNINGS):
            batch = moved(self.ask([beginning]), device)
            pieces = self.written(model, batch["prompt"][0])
            text = "".join(islice(pieces, SHOWN))
            # Markdown leaves lines that are indented by four blanks as they are.
            shown = "\n".join(f"    {plain(line)}" for line in text.split("\n"))
            board.text(progress, f"val/text_{number + 1}", shown)


def turned(rows: Float[Tensor, "X Y D"]) -> Float[Tensor, "Y X D"]:
    """Return layers first where rows were, and rows first where layers were."""
    return rows.transpose(0, 1).contiguous()


SHAKESPEARE = Config(
    set="tinyshakespeare", dropout=0.1, fit=changed(FIT, num_epochs=6, eval_every=1)
)
SMOKE = Config(
    samples=400,
    units=32,
    layers=1,
    fit=changed(FIT, num_epochs=1, batch_size=1_024),
    answer=WriteConfig(length=40),
)
PRESETS = {"default": Config(), "smoke": SMOKE, "shakespeare": SHAKESPEARE}

JOB = TaskJob("text", PRESETS, Text)
train, resume = JOB.train, JOB.resume
