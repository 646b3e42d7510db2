"""Texts in two languages by split, as pieces of a vocabulary: files of pairs, or a world's phrases.

The vocabulary is learnt from the training texts, or is that of another run, whose weights are then
what training starts from.
"""

from functools import cached_property
from pathlib import Path
from typing import Any

from backbones.training.checkpoint import Checkpoint
from backbones.training.errors import UserError
from backbones.training.run import Run, find_run
from backbones.training.session import newest_checkpoint
from tasks.data.columns import Rows
from tasks.data.find import found_folder
from tasks.data.formats.text import Pairs, read_pairs
from tasks.data.languages import code_of
from tasks.data.natural import as_trained
from tasks.data.samples import InMemory
from tasks.data.source import Source
from tasks.data.split_names import Split
from tasks.data.vocabulary import END, Vocabulary, learn
from tasks.worlds import phrases

WORLD = "phrases"
JOB = "translate"
MOST_UNKNOWN = 0.05  # of the words of a text that another run's vocabulary may not know


class TextPairs(Source):
    """What `tasks/words/translate.py` learns from; a split is read when first wanted."""

    def __init__(self, config: Any, about: dict[str, Any] | None = None) -> None:
        super().__init__(config, about)
        self.offline = config.set == WORLD and not config.data
        self.texts: dict[str, Pairs] = {}
        self.splits: dict[str, InMemory] = {}
        self.log_lines: list[str] = []
        self.origin = None if about else self.find_origin()
        self.about = self.about or self.describe_data()

    def find_origin(self) -> Run | None:
        """Return the run whose vocabulary this one takes; None without `init`, or for a backbone
        alone."""
        init = self.config.init
        if not init or ":" in init or init.endswith(".safetensors"):
            return None
        run = find_run(init)
        return run if run.job == JOB else None

    def has_same_vocabulary(self, run: Run, found: Checkpoint) -> bool:
        """Say whether a run has the same pieces, so that its embedding means the same."""
        vocabulary = found.info.get("about", {}).get("vocabulary")
        return bool(vocabulary == self.about["vocabulary"])

    def describe_data(self) -> dict[str, Any]:
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
                self.log_lines.append(f"{split}: {len(pairs):,} pairs split off the training texts")
            self.texts[split] = pairs
        return self.texts[split]

    @property
    def folder(self) -> Path:
        """Where the set lies, a folder or one file; UserError if it is nowhere."""
        given = Path(self.config.data).expanduser()
        if self.config.data and given.is_file():
            return given
        return found_folder(self.config.set, self.config.data, f"use {WORLD}")

    def samples(self, split: Split) -> InMemory:
        if split not in self.splits:
            self.splits[split] = self.in_pieces(split)
        return self.splits[split]

    def in_pieces(self, split: Split) -> InMemory:
        """Return a split as pieces; the one to learn from without the pairs that are too long."""
        pairs = self.pairs(split)
        if split == "train" and self.about.get("texts", pairs.digest) != pairs.digest:
            raise UserError(
                f"the training texts of {self.name} are not those that this run began "
                "with; give it those again, or train anew with --init"
            )
        source, target = (self.encode(side) for side in (pairs.source, pairs.target))
        if split != "train":
            reference = [list(line.encode()) for line in pairs.target]
            columns = {"source": source, "target": target, "reference": reference}
            return in_rows(columns)
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
            self.log_lines.append(
                f"train: {pairs.left_out:,} pairs with an empty side and {too_long:,} of more than "
                f"{longest} pieces left out"
            )
        columns = {"source": [pair[0] for pair in kept], "target": [pair[1] for pair in kept]}
        return in_rows(columns)

    def encode(self, lines: list[str]) -> list[list[int]]:
        """Return the pieces of lines, each with its end."""
        return [[*line, END] for line in self.vocabulary.encode(lines)]

    def as_trained(self, line: Any) -> str:
        """Return a line in the case and with the marks of the training texts; TypeError for what
        is no text."""
        if not isinstance(line, str):
            raise TypeError
        letters, language = self.vocabulary.letters, code_of(self.config.source)
        return as_trained(line, letters, self.about["tokenised"], language)

    def notes(self) -> list[str]:
        where = f", of {self.origin.name}" if self.origin else ""
        return [*self.log_lines, f"a vocabulary of {len(self.vocabulary):,} pieces{where}"]

    def protocol(self, split: Split) -> dict[str, Any]:
        """Return the set, a digest of the texts, and the direction."""
        direction = f"{self.config.source}-{self.config.target}"
        texts = self.pairs(split).digest
        return {"set": self.name, f"{split}_texts": texts, "direction": direction}


def in_rows(columns: dict[str, list[list[int]]]) -> InMemory:
    """Return a set of texts; a pair counts as many tokens as its longer side has."""
    rows = {name: Rows.of(values) for name, values in columns.items()}
    return InMemory(rows, counted=("source", "target"))
