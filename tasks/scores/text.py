"""Scores of texts as sums: BLEU, chrF, and how many are right to the last character.

BLEU's counts and its formula are sacrebleu's (Post 2018, https://aclanthology.org/W18-6319), chrF
is that of Popovic 2015 (https://aclanthology.org/W15-3049) with characters up to six, beta 2 and
spaces left out; `tests/tasks/scores/test_text.py` compares both with sacrebleu's own.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache

import torch
from sacrebleu.metrics import BLEU
from torch import Tensor

from tasks.data.languages import tokeniser_of
from tasks.scores.sums import Sums

LONGEST_NGRAM = 6
BETA = 2


@cache
def bleu(tokeniser: str) -> BLEU:
    """Return the scorer of one of sacrebleu's tokenisers."""
    return BLEU(tokenize=tokeniser, force=True)


def scorer_of(tokenised: bool, language: str) -> BLEU:
    """Return the scorer: tokenised text is scored as it is, other text as its language wants."""
    return bleu("none" if tokenised else tokeniser_of(language))


def signature(tokenised: bool, language: str = "") -> str:
    """Return what to print beside a score, so that others can repeat it."""
    scorer = scorer_of(tokenised, language)
    scorer.corpus_score(["a"], [["a"]])  # It counts the references first.
    return str(scorer.get_signature())


def text_sums(
    answers: Sequence[str], references: Sequence[str], tokenised: bool, language: str = ""
) -> Sums:
    """Return sums over texts in a language and their references, one each."""
    counted = scorer_of(tokenised, language).corpus_score(answers, [references])
    characters = torch.zeros(3, LONGEST_NGRAM)
    for ours, theirs in zip(answers, references, strict=True):
        characters += character_ngrams(ours, theirs)
    return {
        "counts": torch.tensor(counted.counts),
        "totals": torch.tensor(counted.totals),
        "lengths": torch.tensor([counted.sys_len, counted.ref_len]),
        "characters": characters,
        "exact": torch.tensor(sum(a == b for a, b in zip(answers, references, strict=True))),
        "texts": torch.tensor(len(references)),
    }


def character_ngrams(answer: str, reference: str) -> Tensor:
    """Return how many n-grams of characters the text has, the reference has, and both have."""
    counts = torch.zeros(3, LONGEST_NGRAM)
    ours, theirs = ("".join(text.split()) for text in (answer, reference))
    for n in range(1, LONGEST_NGRAM + 1):
        own, other = (Counter(t[i : i + n] for i in range(len(t) - n + 1)) for t in (ours, theirs))
        if other:  # What has no reference is not held against a text.
            both = (own & other).total()
            counts[:, n - 1] = torch.tensor([own.total(), other.total(), both])
    return counts


def text_scores(sums: Mapping[str, Tensor]) -> dict[str, float]:
    """Return BLEU and chrF (0 to 100), exact matches in per cent, and the lengths' ratio."""
    length, reference = (int(length) for length in sums["lengths"])
    score = BLEU.compute_bleu(
        sums["counts"].long().tolist(),
        sums["totals"].long().tolist(),
        length,
        reference,
        smooth_method="exp",
    )
    return {
        "bleu": score.score,
        "chrf": chrf(sums["characters"]),
        "exact": 100 * float(sums["exact"] / sums["texts"]),
        "length_ratio": length / max(1, reference),
    }


def chrf(characters: Tensor) -> float:
    """Return chrF from the n-grams that texts have, references have, and both have."""
    ours, theirs, both = characters.double()
    known = (ours > 0) & (theirs > 0)
    if not known.any():
        return 0.0
    precision, recall = ((both / part)[known].mean() for part in (ours, theirs))
    if precision + recall == 0:
        return 0.0
    return 100 * float((1 + BETA**2) * precision * recall / (BETA**2 * precision + recall))
