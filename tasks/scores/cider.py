"""CIDEr-D of captions, a score a picture, and the interval of a mean over pictures.

Vedantam et al. 2015 (https://arxiv.org/abs/1411.5726), as everybody's scorer computes it: n-grams
of one to four words are weighted by their counts and by how few pictures have them in their
references; the cosine of answer and reference is taken with the answer's weights cut to the
reference's, times a Gaussian of the difference in length with sigma 6; the mean over n-grams and
references is multiplied by 10. The pictures that are scored are those that are counted in, so one
picture alone scores 0, and scores of different sets cannot be compared.

Words are those of `tasks/data/words.py` without commas, where the published scorer has the words of
a Treebank tokeniser without marks.

Letters: N pictures.
"""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from tasks.data.words import COMMA, words_of

LONGEST_NGRAM = 4
SIGMA = 6
SCALE = 10
NUM_RESAMPLES = 2_000

Ngrams = Counter[tuple[str, ...]]


def scored_words(caption: str) -> list[str]:
    """Return the words of a caption that scores see: lower-cased, without any marks."""
    return [word for word in words_of(caption) if word != COMMA]


def ngrams(words: Sequence[str]) -> Ngrams:
    """Return how often a text has each run of one to four words."""
    return Counter(
        tuple(words[start : start + n])
        for n in range(1, LONGEST_NGRAM + 1)
        for start in range(len(words) - n + 1)
    )


def cider_d(
    answers: Sequence[str], references: Sequence[Sequence[str]]
) -> Float64[np.ndarray, "N"]:
    """Return the score of every picture's answer, 0 to 10; ValueError for one without references.

    Papers print a hundred times the mean.
    """
    if not all(references):
        raise ValueError("every picture needs a reference")
    true = [[ngrams(scored_words(text)) for text in texts] for texts in references]
    pictures = Counter(ngram for texts in true for ngram in set().union(*texts))
    # Of an n-gram that no reference has, as if one had.
    weight = {ngram: math.log(len(true) / count) for ngram, count in pictures.items()}
    rarest = math.log(len(true)) if true else 0.0
    scores = [
        similarity(ngrams(scored_words(answer)), texts, weight, rarest)
        for answer, texts in zip(answers, true, strict=True)
    ]
    return np.array(scores, np.float64)


def similarity(
    answer: Ngrams, references: list[Ngrams], weight: dict[tuple[str, ...], float], rarest: float
) -> float:
    """Return the mean over references and lengths of n-grams, times 10."""
    ours, our_norm = weighted(answer, weight, rarest)
    total = 0.0
    for reference in references:
        theirs, their_norm = weighted(reference, weight, rarest)
        product = [0.0] * LONGEST_NGRAM
        for ngram in ours.keys() & theirs.keys():
            product[len(ngram) - 1] += min(ours[ngram], theirs[ngram]) * theirs[ngram]
        # Lengths are counted in pairs of words.
        longer = pairs(answer) - pairs(reference)
        near = math.exp(-(longer**2) / (2 * SIGMA**2))
        for n in range(LONGEST_NGRAM):
            if our_norm[n] and their_norm[n]:
                total += near * product[n] / (our_norm[n] * their_norm[n])
    return SCALE * total / LONGEST_NGRAM / len(references)


def weighted(
    counts: Ngrams, weight: dict[tuple[str, ...], float], rarest: float
) -> tuple[dict[tuple[str, ...], float], list[float]]:
    """Return the weights of a text's n-grams, and their Euclidean norm for each n."""
    weights = {ngram: count * weight.get(ngram, rarest) for ngram, count in counts.items()}
    squares = [0.0] * LONGEST_NGRAM
    for ngram, value in weights.items():
        squares[len(ngram) - 1] += value**2
    return weights, [math.sqrt(square) for square in squares]


def pairs(counts: Ngrams) -> int:
    return sum(count for ngram, count in counts.items() if len(ngram) == 2)


def interval(values: Float64[np.ndarray, "N"], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of a mean over pictures, by bootstrap (Efron 1979): the pictures are
    drawn anew 2,000 times. For two systems on the same pictures, give the differences."""
    rng, count = np.random.default_rng(seed), len(values)
    means = [values[rng.integers(count, size=count)].mean() for _ in range(NUM_RESAMPLES)]
    low, high = np.quantile(means, (0.025, 0.975)).tolist()
    return low, high
