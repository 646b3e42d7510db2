"""Translation by a stacked LSTM that reads and one that writes.

Letters: B pairs, S source pieces, T target pieces, V pieces of the vocabulary, D units, L layers.

With attention (Luong et al. 2015, https://arxiv.org/abs/1508.04025) the reader reads both ways, and
the writer looks at all of what was read; without (Sutskever et al. 2014,
https://arxiv.org/abs/1409.3215) the source is read backward and its last state is all there is.
Nothing that was looked at goes back into the writer, so that a whole target is one fused call.

What surprises: answers are searched for in fp32 on their own lengths, so that a line's translation
does not depend on the lines beside it. Scores are of text, not of pieces: the references are those
that were read, a word that no piece makes included.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from backbones.sequences.decoding import Decoded
from backbones.start import start_from
from backbones.training.checks.limits import require_at_most
from backbones.training.config import (
    RunConfig,
    StartName,
    changed,
    require_fraction,
    require_not_negative,
    require_positive,
)
from backbones.training.device.graphs import upload
from backbones.training.errors import UserError
from backbones.training.log import Board
from tasks.answers import Answer, Kind
from tasks.data.columns import Rows
from tasks.data.languages import code_of
from tasks.data.natural import escapes, unescaped
from tasks.data.samples import Batch, moved
from tasks.data.vocabulary import BEGIN, END
from tasks.fit_config import FitConfig
from tasks.job import TaskJob
from tasks.looks.alignment import alignment_text
from tasks.looks.sheet import alignment_picture
from tasks.scores.sums import Counts, Sums
from tasks.scores.text import signature, text_scores, text_sums
from tasks.task import Task
from tasks.words.pairs import WORLD, TextPairs
from tasks.words.translator import Translator
from tasks.words.writer import SearchConfig, begun

MOST_PIECES, MOST_LONGEST, MOST_UNITS, MOST_LAYERS = 2**20, 2**16, 2**14, 64
SHOWN = 8  # translations in TensorBoard


FIT = FitConfig(
    num_epochs=7,
    batch_size=2_000,
    optimizer="adamw",
    learning_rate=3e-3,
    warm_up=0.1,
    weight_decay=0.01,
    max_grad_norm=1.0,
    ema=0.995,
    eval_every=2,
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Machine translation on the shared LSTM."""

    set: str = WORLD
    """A folder of $ARCADIA_DATA, such as multi30k/tok or tatoeba, or the offline world phrases."""
    data: str = ""
    """Folder of the set: train.en and train.de (plain or gzip), val and test likewise (split off
    train where there are none; valid and dev are val), or
    ManyThings' zip or deu.txt, which may also be given by itself."""
    source: str = "en"
    """Language to translate from, as the files' names have it."""
    target: str = "de"
    """Language to translate to."""
    samples: int = 0
    """Learn from so many pairs only; 0: all. Of the world: how many there are."""
    pieces: int = 500
    """Pieces of the vocabulary that both languages share, at most."""
    longest: int = 100
    """Pieces of a text; longer pairs are not learnt from, longer lines not translated."""
    units: int = 256
    """Numbers of an LSTM's state, and of an embedding."""
    layers: int = 1
    """LSTMs on top of each other, of the reader and of the writer."""
    attention: bool = True
    """Look at all that was read; without, the source is read backward and remembered."""
    dropout: float = 0.1
    """Chance that a number between layers is dropped."""
    label_smoothing: float = 0.1
    """Share of a piece's weight that is spread over all pieces."""
    answer: SearchConfig = field(default_factory=SearchConfig)
    init: StartName = ""
    """Start from another run: RUN (its vocabulary and all its weights), RUN:encoder, RUN:decoder
    (that LSTM alone) or the .safetensors file of an LSTM."""
    fit: FitConfig = FIT
    run: RunConfig = field(default_factory=lambda: RunConfig(threads=2))

    # Where runs of earlier versions had these.
    MOVED: ClassVar[dict[str, str]] = {"beam": "answer.beam", "alpha": "answer.alpha"}

    def __post_init__(self) -> None:
        require_positive(self, "pieces", "longest", "units", "layers")
        require_fraction(self, "label_smoothing", "dropout")
        require_at_most(
            self,
            pieces=MOST_PIECES,
            longest=MOST_LONGEST,
            units=MOST_UNITS,
            layers=MOST_LAYERS,
            samples=2**31 - 1,
        )
        require_not_negative(self, "samples")
        if self.units % 2:
            raise ValueError(f"units = {self.units} must be even: half of them read each way")
        if code_of(self.source) == code_of(self.target):
            raise ValueError(f"source and target are both {self.source}; give two languages")


class Translate(Task[list[str]]):
    """The task; see `tasks/task.py` for what each method is for."""

    metric = "bleu"
    source_type = TextPairs
    takes: tuple[Kind, ...] = ("line",)
    source: TextPairs

    def __init__(self, config: Config, source: TextPairs) -> None:
        super().__init__(config, source)
        self.vocabulary, self.tokenised = source.vocabulary, source.about["tokenised"]

    def model(self) -> Translator:
        config = self.config
        return Translator(
            len(self.vocabulary),
            units=config.units,
            layers=config.layers,
            attention=config.attention,
            dropout=config.dropout,
        )

    def start(self, model: Translator) -> list[str]:
        return start_from(model, self.config.init, self.source.has_same_vocabulary)

    def loss(self, model: Translator, batch: Batch) -> Float[Tensor, "B"]:
        target = batch["target"]
        smoothing = self.config.label_smoothing
        source = batch["source"], batch["source_length"]
        return model(*source, begun(target), target, smoothing).sum(1)

    def predict(self, model: Translator, batch: Batch) -> list[str]:
        found = self.search(model, batch["source"], batch["source_length"])
        return self.vocabulary.decode([each.tokens for each in found])

    def search(
        self, model: Translator, source: Int64[Tensor, "B S"], length: Int64[Tensor, "B"]
    ) -> list[Decoded]:
        """Return the best translation of every source."""
        read = model.read(source, length)
        longest = upload(2 * length + 10, source.device)
        return model.search(*read, longest=longest, how=self.config.answer)

    def score(self, answers: list[str], batch: Batch) -> Counts:
        bytes_of = zip(batch["reference"].tolist(), batch["reference_length"].tolist(), strict=True)
        references = [bytes(row[:length]).decode() for row, length in bytes_of]
        return text_sums(answers, references, self.tokenised, self.config.target)

    def scores(self, sums: Sums) -> dict[str, float]:
        return text_scores(sums)

    def baseline(self) -> tuple[float, str]:
        pairs = self.source.pairs(self.scored)
        sums = text_sums(pairs.source, pairs.target, pairs.tokenised, self.config.target)
        return text_scores(sums)["bleu"], "the source as it is"

    def protocol(self) -> dict[str, Any]:
        return {**super().protocol(), "bleu": signature(self.tokenised, self.config.target)}

    def ask(self, inputs: list[Any]) -> Batch:
        """Return a batch of lines; UserError for one that is too long, or is no text."""
        try:
            pieces = self.source.encode([self.source.as_trained(line) for line in inputs])
        except (TypeError, UnicodeEncodeError):  # the second for half of a surrogate pair
            raise UserError("a translator takes a line of text, or a list of them") from None
        longest = self.config.longest
        for line, row in zip(inputs, pieces, strict=True):
            if len(row) > longest:
                raise UserError(
                    f"a line of {len(line.split()):,} words has {len(row):,} pieces, its end "
                    f"counted; at most {longest} are translated: cut it into sentences"
                )
        return Rows.of(pieces).batch("source", torch.arange(len(pieces)))

    def to_try(self, count: int) -> list[Any]:
        lines = self.source.pairs("test").source
        return lines[:: max(len(lines) // count, 1)][:count]

    def doubts(self, given: Any) -> str:
        """Return what a translation of a line leaves out, "" for nothing."""
        unknown = self.vocabulary.unknown(self.source.as_trained(given))
        if not unknown:
            return ""
        return f"{', '.join(unknown[:5])}: with letters that training never had, read as a blank"

    def say(self, answers: list[str]) -> list[Answer]:
        escaped = self.tokenised and escapes(self.vocabulary.letters)
        return [Answer(unescaped(text) if escaped else text) for text in answers]

    @torch.no_grad()
    def explain(self, model: Translator, batch: Batch) -> list[Answer]:
        """Return where the writer looked for each piece that it wrote."""
        if model.attention is None:
            raise UserError("this model has no attention; train one with --attention")
        answers, shown = [], self.vocabulary.shown
        for row, length in zip(batch["source"], batch["source_length"], strict=True):
            source, lengths = row[None, : int(length)], length[None]
            tokens = self.search(model, source, lengths)[0].tokens
            begin = torch.tensor([[BEGIN, *tokens]], device=source.device)
            _, _, weights = model.write(begin, *model.read(source, lengths))
            assert weights is not None
            pieces = {"source": shown(source[0].tolist()), "target": shown([*tokens, END])}
            text = alignment_text(**pieces, weights=weights[0].cpu())
            answers.append(Answer(text, {**pieces, "weights": weights[0].tolist()}))
        return answers

    def show(
        self, board: Board, progress: int, model: Translator, sums: Mapping[str, Tensor]
    ) -> None:
        # No sentence twice: a world repeats itself, and photos have several captions.
        lines = self.source.pairs("val").source
        different = [lines.index(line) for line in list(dict.fromkeys(lines))[:SHOWN]]
        samples = self.data("val").batch(torch.tensor(different))
        batch = moved(samples, next(model.parameters()).device)
        with torch.no_grad():
            answers = self.predict(model, batch)
        sides = [self.vocabulary.decode(batch[name].tolist()) for name in ("source", "target")]
        rows = [f"| {' | '.join(row)} |" for row in zip(*sides, answers, strict=True)]
        head = ["| source | reference | translation |", "|---|---|---|"]
        board.text(progress, "val/translations", "\n".join(head + rows))
        if model.attention is not None:
            first = {name: batch[name][:1] for name in ("source", "source_length")}
            seen = self.explain(model, first)[0].values
            weights = torch.tensor(seen["weights"])
            picture = alignment_picture(seen["source"], seen["target"], weights)
            board.picture(progress, "val/alignment", picture)


MULTI30K = Config(
    set="multi30k/tok",
    pieces=5_000,
    units=384,
    layers=2,
    dropout=0.3,
    fit=changed(FIT, num_epochs=16, batch_size=3_000, learning_rate=2e-3, ema=0.998, eval_every=6),
)
SMOKE = Config(
    samples=512,
    pieces=300,
    units=32,
    layers=1,
    answer=SearchConfig(beam=2),
    fit=changed(FIT, num_epochs=1, batch_size=1_000),
    run=RunConfig(threads=1),
)
PRESETS = {"default": Config(), "smoke": SMOKE, "multi30k": MULTI30K}

JOB = TaskJob("translate", PRESETS, Translate)
train, resume = JOB.train, JOB.resume
