"""Words as a captioner knows them: a vocabulary of whole words, and texts into words and back.

Captions are lower-cased; a comma is a word of its own, since lists need it; other marks, and the
full stop at the end, are left out, and `written` puts capital and stop back. A vocabulary is learnt
from training captions alone and lies in the run as a list of words.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from backbones.training.errors import UserError
from tasks.data.vocabulary import BEGIN, END, PAD, UNKNOWN

MARKS = ("<pad>", "<unknown>", "<begin>", "<end>")
COMMA = ","
# A number with its point, or letters and digits with hyphens and apostrophes between them.
WORD = re.compile(r"\d+(?:[.,]\d+)+|[^\W_]+(?:['-][^\W_]+)*|,")
QUOTES = str.maketrans("\u2018\u2019\u00b4`", "''''")
# Treebank's cut is undone: "the dog 's" and "does n't" are one word each.
CUT = re.compile(r" (?=(?:n't|'(?:s|re|ll|ve|d|m))\b)")


def words_of(caption: str) -> list[str]:
    """Return the words of a caption, commas between them among these."""
    text = unicodedata.normalize("NFC", " ".join(caption.split())).lower().translate(QUOTES)
    words: list[str] = WORD.findall(CUT.sub("", text))
    while words and words[-1] == COMMA:
        words.pop()
    return words[next((k for k, word in enumerate(words) if word != COMMA), 0) :]


def written(words: Sequence[str]) -> str:
    """Return words as a sentence, with a capital and a full stop; "" for none."""
    text = " ".join(words).replace(" ,", ",")
    return f"{text[0].upper()}{text[1:]}." if text else ""


def learn_words(texts: Iterable[str], least: int, told: str = "captions") -> list[str]:
    """Return the words that texts have `least` times or more, the most frequent first; UserError,
    which calls the texts what `told` says, if there are none."""
    counts = Counter(word for text in texts for word in words_of(text))
    kept = [word for word, count in counts.items() if count >= least]
    if not kept:
        raise UserError(
            f"no word of the {told} occurs {least} times; give more {told}, or a lower --least"
        )
    return sorted(kept, key=lambda word: (-counts[word], word))


class Words:
    """The vocabulary of a run: padding, unknown, begin and end are the numbers 0 to 3."""

    def __init__(self, words: Sequence[Any]) -> None:
        """`words` is what `learn_words` returned; UserError if it is not that."""
        self.words = [*MARKS, *words]
        whole = all(isinstance(word, str) and word for word in self.words)
        if not whole or len(set(self.words)) < len(self.words):
            raise UserError("the run's vocabulary is damaged; train it again")
        self.numbers = {word: number for number, word in enumerate(self.words)}

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, captions: Iterable[str]) -> list[list[int]]:
        """Return the numbers of every caption's words, without begin and end."""
        known = self.numbers.get
        return [[known(word, UNKNOWN) for word in words_of(caption)] for caption in captions]

    def decode(self, rows: Iterable[Sequence[int]]) -> list[str]:
        """Return the sentences that numbers make, each up to its end; begin and padding are not
        seen."""
        return [written(self.shown(row)) for row in rows]

    def shown(self, row: Sequence[int]) -> list[str]:
        """Return the words of a caption, up to its end, one for each number that is no mark."""
        row = list(row)
        row = row[: row.index(END)] if END in row else row
        return [self.words[number] for number in row if number not in (PAD, BEGIN)]
