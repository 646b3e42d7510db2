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

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from backbones.decoding import Decoded, State, beam_search
from backbones.training.checks.limits import require_at_most
from backbones.training.config import RunConfig, changed, require_fraction, require_positive
from backbones.training.device.graphs import upload
from backbones.training.errors import UserError
from backbones.training.log import Board
from backbones.training.run import Run, find_run
from backbones.training.session import newest_checkpoint
from backbones.transfer import load_weights
from tasks.data.columns import Rows
from tasks.data.find import found_folder
from tasks.data.formats.text import Pairs, read_pairs
from tasks.data.languages import code_of
from tasks.data.natural import as_trained, escapes, unescaped
from tasks.data.samples import Batch, InMemory, first_of, moved
from tasks.data.vocabulary import BEGIN, END, PAD, UNKNOWN, Vocabulary, learn
from tasks.fit import FitConfig
from tasks.job import Job
from tasks.looks.sheet import alignment_picture
from tasks.scores.labels import Sums
from tasks.scores.text import signature, text_scores, text_sums
from tasks.task import Split, Task
from tasks.words.translator import Translator
from tasks.worlds import phrases

WORLD = "phrases"
MOST_UNKNOWN = 0.05  # of the words of a text that another run's vocabulary may not know
MOST_PIECES, MOST_LONGEST, MOST_UNITS, MOST_LAYERS, MOST_BEAM = 2**20, 2**16, 2**14, 64, 1_000
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
    beam: int = 5
    """Texts that are followed side by side when a translation is searched for."""
    alpha: float = 1.0
    """Strength of the length's penalty in the search."""
    init: str = ""
    """Start from all weights and the vocabulary of another run."""
    fit: FitConfig = FIT
    run: RunConfig = field(default_factory=lambda: RunConfig(threads=2))

    def __post_init__(self) -> None:
        require_positive(self, "pieces", "longest", "units", "layers", "beam")
        require_fraction(self, "label_smoothing", "dropout")
        require_at_most(
            self,
            pieces=MOST_PIECES,
            longest=MOST_LONGEST,
            units=MOST_UNITS,
            layers=MOST_LAYERS,
            beam=MOST_BEAM,
            samples=2**31 - 1,
        )
        if self.samples < 0 or self.alpha < 0:
            raise ValueError("samples and alpha must be 0 or above")
        if self.units % 2:
            raise ValueError(f"units = {self.units} must be even: half of them read each way")
        if code_of(self.source) == code_of(self.target):
            raise ValueError(f"source and target are both {self.source}; give two languages")


class Translate(Task):
    """The task; see `tasks/task.py` for what each method is for."""

    metric = "bleu"
    reads: Literal["files", "lines"] = "lines"

    def __init__(self, config: Config, about: dict[str, Any] | None = None) -> None:
        """`about` is what a checkpoint keeps of the training texts: the vocabulary."""
        super().__init__(config)
        self.offline = config.set == WORLD and not config.data
        self.texts: dict[str, Pairs] = {}
        self.splits: dict[str, InMemory] = {}
        self.said: list[str] = []
        self.origin = self.find_origin() if config.init and not about else None
        self.about = about or self.look()

    def find_origin(self) -> Run:
        """Return the run to start from; UserError if it does not translate."""
        run = find_run(self.config.init)
        if run.job != JOB.name:
            raise UserError(f"--init {run.name} is a run of {run.job}; give one of {JOB.name}")
        return run

    def look(self) -> dict[str, Any]:
        """Return the vocabulary of the training texts, whether they are tokenised, their digest."""
        pairs = self.pairs("train")
        if self.origin is None:
            text = learn([*pairs.source, *pairs.target], self.config.pieces)
        else:
            text = newest_checkpoint(self.origin).info["about"]["vocabulary"]
            self.check_known(Vocabulary(text), [*pairs.source[:1000], *pairs.target[:1000]])
        return {"vocabulary": text, "tokenised": pairs.tokenised, "texts": pairs.digest}

    def check_known(self, vocabulary: Vocabulary, lines: list[str]) -> None:
        """UserError if another run's vocabulary does not know these texts."""
        unknown = [word for line in lines for word in vocabulary.unknown(line)]
        share = len(unknown) / sum(len(line.split()) for line in lines)
        if share > MOST_UNKNOWN:
            raise UserError(
                f"--init {self.config.init}: its vocabulary does not know {share:.0%} of the words "
                f"({', '.join(unknown[:3])}); it has learnt other languages: train without --init"
            )

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The pieces that both languages share."""
        return Vocabulary(self.about["vocabulary"])

    def pairs(self, split: Split) -> Pairs:
        """Return a split's texts, read once; UserError if there are none."""
        if split not in self.texts:
            config = self.config
            if self.offline:
                pairs = phrases.pairs(split, config.source, config.target, config.samples)
            else:
                pairs = read_pairs(self.folder, split, config.source, config.target)
                few = config.samples if split == "train" else 0
                pairs = pairs.first(few) if few else pairs
            if pairs.split_off:
                self.said.append(f"{split}: {len(pairs):,} pairs split off the training texts")
            self.texts[split] = pairs
        return self.texts[split]

    @property
    def folder(self) -> Path:
        """Where the set lies, a folder or one file; UserError if it is nowhere."""
        given = Path(self.config.data).expanduser()
        if self.config.data and given.is_file():
            return given
        return found_folder(self.config.set, self.config.data, f"use {WORLD}")

    def data(self, split: Split) -> InMemory:
        if split not in self.splits:
            self.splits[split] = self.ragged(split)
        return self.splits[split]

    def ragged(self, split: Split) -> InMemory:
        """Return a split as pieces; those to learn from without the pairs that are too long."""
        pairs = self.pairs(split)
        if split == "train" and self.about.get("texts", pairs.digest) != pairs.digest:
            raise UserError(
                f"the training texts of {self.name_of_data} are not those that this run began "
                "with; give it those again, or train anew with --init"
            )
        source, target = (self.encode(side) for side in (pairs.source, pairs.target))
        if split != "train":
            reference = [list(line.encode()) for line in pairs.target]
            columns = {"source": source, "target": target, "reference": reference}
            return InMemory(
                {name: Rows.of(rows) for name, rows in columns.items()}, ("source", "target")
            )
        longest = self.config.longest
        kept = [
            (ours, theirs)
            for ours, theirs in zip(source, target, strict=True)
            if max(len(ours), len(theirs)) <= longest
        ]
        if not kept:
            raise UserError(f"all pairs have more than longest = {longest} pieces")
        too_long = len(source) - len(kept)
        if pairs.left_out or too_long:
            self.said.append(
                f"train: {pairs.left_out:,} pairs with an empty side and {too_long:,} of more than "
                f"{longest} pieces left out"
            )
        columns = {"source": [pair[0] for pair in kept], "target": [pair[1] for pair in kept]}
        return InMemory(
            {name: Rows.of(rows) for name, rows in columns.items()}, ("source", "target")
        )

    def encode(self, lines: list[str]) -> list[list[int]]:
        """Return the pieces of lines, each with its end."""
        return [[*line, END] for line in self.vocabulary.encode(lines)]

    def notes(self) -> list[str]:
        where = f", and all weights, of {self.origin.name}" if self.origin else ""
        return [*self.said, f"a vocabulary of {len(self.vocabulary):,} pieces{where}"]

    def start(self, model: Translator) -> None:
        if self.origin is None:
            return
        try:
            load_weights(model, newest_checkpoint(self.origin))
        except RuntimeError as error:
            reason = str(error).splitlines()[1].strip()
            raise UserError(
                f"--init {self.config.init} does not fit: {reason}; use the same --units, --layers "
                "and --attention"
            ) from None

    def model(self) -> Translator:
        config = self.config
        return Translator(
            len(self.vocabulary),
            units=config.units,
            layers=config.layers,
            attention=config.attention,
            dropout=config.dropout,
        )

    def loss(self, model: nn.Module, batch: Batch) -> Float[Tensor, "B"]:
        target = batch["target"]
        begin = torch.full_like(target[:, :1], BEGIN)
        tokens = torch.cat([begin, target], 1)[:, :-1]
        smoothing = self.config.label_smoothing
        source = batch["source"], batch["source_length"]
        return model(*source, tokens, target, smoothing).sum(1)  # type: ignore[no-any-return]

    def predict(self, model: Any, batch: Batch) -> Int64[Tensor, "B T"]:
        """Return the pieces of the best translations, padded."""
        found = self.search(model, batch["source"], batch["source_length"])
        rows = [torch.tensor([*each.tokens, END]) for each in found]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)

    def search(
        self, model: Translator, source: Int64[Tensor, "B S"], length: Int64[Tensor, "B"]
    ) -> list[Decoded]:
        """Return the best translation of every source."""
        state, memory, inside = model.read(source, length)

        def step(tokens: Tensor, state: State) -> tuple[Tensor, State]:
            hidden, cell, memory, inside = state
            logits, after, _ = model.write(tokens[:, None], (hidden, cell), memory, inside)
            log_prob = logits[0].float().log_softmax(-1)
            log_prob[:, [PAD, UNKNOWN, BEGIN]] = -torch.inf
            return log_prob, (*after, memory, inside)

        longest = upload(2 * length + 10, source.device)
        return beam_search(
            step,
            (*state, memory, inside),
            begin=BEGIN,
            end=END,
            width=self.config.beam,
            longest=longest,
            alpha=self.config.alpha,
        )

    def score(self, predictions: Tensor, batch: Batch) -> Sums:
        bytes_of = zip(batch["reference"].tolist(), batch["reference_length"].tolist(), strict=True)
        references = [bytes(row[:length]).decode() for row, length in bytes_of]
        tokenised, language = self.about["tokenised"], self.config.target
        return text_sums(self.decode(predictions), references, tokenised, language)

    def decode(self, pieces: Int64[Tensor, "B T"]) -> list[str]:
        """Return the texts of padded pieces."""
        return self.vocabulary.decode(
            [[piece for piece in row if piece not in (PAD, BEGIN, END)] for row in pieces.tolist()]
        )

    def scores(self, sums: Sums) -> dict[str, float]:
        return text_scores(sums)

    def baseline(self) -> tuple[float, str]:
        pairs = self.pairs(self.scored)
        sums = text_sums(pairs.source, pairs.target, pairs.tokenised, self.config.target)
        return text_scores(sums)["bleu"], "the source as it is"

    def protocol(self) -> dict[str, Any]:
        """Return how answers are made: printed with every score."""
        config = self.config
        return {
            "set": self.name_of_data,
            f"{self.scored}_texts": self.pairs(self.scored).digest,
            "direction": f"{config.source}-{config.target}",
            "beam": config.beam,
            "alpha": config.alpha,
            "bleu": signature(self.about["tokenised"], config.target),
        }

    def show(self, board: Board, progress: int, model: Any, sums: Sums) -> None:
        batch = first_of(self.data("val"), SHOWN)
        device = next(model.parameters()).device
        batch = moved(batch, device)
        with torch.no_grad():
            answers = self.predict(model, batch)
        texts = [self.decode(part) for part in (batch["source"], batch["target"], answers)]
        rows = [f"| {' | '.join(row)} |" for row in zip(*texts, strict=True)]
        head = ["| source | reference | translation |", "|---|---|---|"]
        board.text(progress, "val/translations", "\n".join(head + rows))
        if model.attention is not None:
            found = self.alignment(model, self.vocabulary.decode([batch["source"][0].tolist()])[0])
            board.picture(progress, "val/alignment", alignment_picture(*found))

    @torch.no_grad()
    def alignment(self, model: Translator, line: str) -> tuple[list[str], list[str], Tensor]:
        """Return the pieces of a line, those of its translation, and where the writer looked for
        each of these, [T S]; UserError for a model without attention.
        """
        if model.attention is None:
            raise UserError("this model has no attention; train one with --attention")
        batch = moved(self.read_input(line), next(model.parameters()).device)
        source, length = batch["source"], batch["source_length"]
        tokens = self.search(model, source, length)[0].tokens
        begin = torch.tensor([[BEGIN, *tokens]], device=source.device)
        _, _, weights = model.write(begin, *model.read(source, length))
        assert weights is not None
        shown = self.vocabulary.shown
        return shown(source[0].tolist()), shown([*tokens, END]), weights[0].cpu()

    def read_input(self, source: Any) -> Batch:
        """Return a batch of one line, or of a list of lines; UserError for one that is too long, or
        is no text."""
        lines = [source] if isinstance(source, str) else list(source)
        try:
            pieces = self.encode([self.as_trained(line) for line in lines])
        except (TypeError, UnicodeEncodeError):  # the second for half of a surrogate pair
            raise UserError("a translator takes a line of text, or a list of them") from None
        longest = self.config.longest
        for line, row in zip(lines, pieces, strict=True):
            if len(row) > longest:
                raise UserError(
                    f"a line of {len(line.split()):,} words has {len(row):,} pieces, its end "
                    f"counted; at most {longest} are translated: cut it into sentences"
                )
        return Rows.of(pieces).batch("source", torch.arange(len(pieces)))

    def doubts(self, line: str) -> str:
        """Return what a translation of a line leaves out, "" for nothing."""
        unknown = self.vocabulary.unknown(self.as_trained(line))
        if not unknown:
            return ""
        return f"{', '.join(unknown[:5])}: with letters that training never had, read as a blank"

    def as_trained(self, line: Any) -> str:
        """Return a line in the case and with the marks of the training texts; TypeError for what
        is no text."""
        if not isinstance(line, str):
            raise TypeError
        letters, language = self.vocabulary.letters, code_of(self.config.source)
        return as_trained(line, letters, self.about["tokenised"], language)

    def say(self, predictions: Tensor) -> list[dict[str, Any]]:
        escaped = self.about["tokenised"] and escapes(self.vocabulary.letters)
        texts = self.decode(predictions)
        return [{"text": unescaped(text) if escaped else text} for text in texts]


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
    beam=2,
    fit=changed(FIT, num_epochs=1, batch_size=1_000),
    run=RunConfig(threads=1),
)
PRESETS = {"default": Config(), "smoke": SMOKE, "multi30k": MULTI30K}

JOB = Job("translate", Config, Translate)
train, resume = JOB.train, JOB.resume
