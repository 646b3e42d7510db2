"""Words into pieces and back: byte-pair encoding (Sennrich et al. 2016) by SentencePiece.

One vocabulary serves both languages. It is learnt from the training side alone and kept in the run
as text (base64 of SentencePiece's own file), so that a model and its pieces cannot be parted. A
character that training never had, in no form of it, becomes `unknown`, and who asks is told so.
"""

import base64
import io
import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import sentencepiece

from backbones.training.errors import UserError
from tasks.data.natural import readable

PAD, UNKNOWN, BEGIN, END = range(4)
LONGEST_BYTES = 100_000  # of a line to learn from


def learn(lines: Iterable[str], size: int) -> str:
    """Return a vocabulary of at most `size` pieces, learnt from lines, as text."""
    written = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=written,
            vocab_size=size,
            model_type="bpe",
            character_coverage=1.0,
            normalization_rule_name="identity",
            hard_vocab_limit=False,
            pad_id=PAD,
            unk_id=UNKNOWN,
            bos_id=BEGIN,
            eos_id=END,
            minloglevel=2,
            num_threads=1,
            max_sentence_length=LONGEST_BYTES,
        )
    except RuntimeError as error:
        reason = why_not(str(error).strip().splitlines()[-1], size)
        raise UserError(f"no vocabulary of {size} pieces could be learnt: {reason}") from None
    return base64.b64encode(written.getvalue()).decode()


def why_not(reason: str, size: int) -> str:
    """Return in our words why SentencePiece, whose `reason` names flags of its own, learnt none."""
    if numbers := re.search(r"smaller than required_chars\. (\d+) vs (\d+)", reason):
        return (
            "every different character of the texts needs one; give --pieces "
            f"{numbers[2]} or more, or texts without rare characters"
        )
    if size <= END:
        return "padding, unknown, begin and end are four already; give more --pieces"
    if "sentences_.empty()" in reason or "all_chars_count" in reason:
        return f"all lines are blank, or longer than {LONGEST_BYTES:,} bytes; give other texts"
    return f"SentencePiece says {reason}"


class Vocabulary:
    """The pieces of a run."""

    def __init__(self, text: str) -> None:
        """`text` is what `learn` returned; UserError if it is not that."""
        self.pieces: Any = sentencepiece.SentencePieceProcessor()
        try:
            self.pieces.LoadFromSerializedProto(base64.b64decode(text, validate=True))
        except (ValueError, RuntimeError):
            raise UserError("the run's vocabulary is damaged; train it again") from None

    @cached_property
    def letters(self) -> frozenset[str]:
        """All characters that training had, and the blank."""
        pieces = (self.pieces.IdToPiece(piece) for piece in range(END + 1, len(self)))
        return frozenset(letter for piece in pieces for letter in piece) | {" "}

    def __len__(self) -> int:
        return int(self.pieces.GetPieceSize())

    def encode(self, lines: list[str]) -> list[list[int]]:
        """Return the pieces of every line, without begin and end."""
        return self.pieces.Encode([readable(line, self.letters) for line in lines])  # type: ignore[no-any-return]

    def decode(self, pieces: list[list[int]]) -> list[str]:
        """Return the lines that pieces make; begin, end and padding are not seen."""
        return self.pieces.Decode(pieces)  # type: ignore[no-any-return]

    def shown(self, pieces: list[int]) -> list[str]:
        """Return how pieces look, a word's first with an underline before it."""
        return [self.pieces.IdToPiece(piece) for piece in pieces]

    def unknown(self, line: str) -> list[str]:
        """Return the words of a line with characters that training never had."""
        words = readable(line, self.letters).split(" ")
        return [word for word in words if UNKNOWN in self.pieces.Encode(word)]
