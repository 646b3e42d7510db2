"""Scores of captions: BLEU-1 to 4 and CIDEr-D against all references, diversity, and truth.

BLEU is sacrebleu's (Post 2018, https://aclanthology.org/W18-6319) over the words that
`scored_words` gives. Its counts add up; CIDEr-D weighs words by all references together, so the
texts are kept until all are there, each picture once. Letters of all texts stand one behind the
other, a JSON line a picture.

Of scenes everything is known, so that captions are also judged by what they say: see
`tasks/worlds/scene_language.py`.

Letters: B pictures of a batch, N pictures of a set.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest

import numpy as np
import torch
from jaxtyping import Float64, Int64
from sacrebleu import __version__ as VERSION
from sacrebleu.metrics import BLEU
from torch import Tensor

from tasks.data.words import words_of, written
from tasks.scores.cider import LONGEST_NGRAM, cider_d, scored_words
from tasks.scores.sums import Counts, Kept, Sums
from tasks.scores.text import bleu
from tasks.worlds.scene_language import Facts, is_right, is_true, num_claims, parses

SIGNATURE = f"all references, lower case, no marks; sacrebleu {VERSION}, CIDEr-D x 100, sigma 6"
NUM_DIVERSE = 1_000


def caption_sums(
    answers: Sequence[str], references: Sequence[Sequence[str]], number: Int64[Tensor, "B"]
) -> Counts:
    """Return sums over the captions of some pictures, and the texts with the pictures' numbers.

    Pictures may have different numbers of references, at least one each.
    """
    ours = [" ".join(scored_words(answer)) for answer in answers]
    theirs = [[" ".join(scored_words(text)) for text in texts] for texts in references]
    # One stream has every picture's first reference, the next the second where there is one.
    streams = [list(stream) for stream in zip_longest(*theirs)]
    counted = bleu("none").corpus_score(ours, streams)
    kept = zip(number.tolist(), answers, references, strict=True)
    lines = [json.dumps([n, answer, list(texts)]) for n, answer, texts in kept]
    letters = "".join(f"{line}\n" for line in lines).encode()
    return {
        "counts": torch.tensor(counted.counts),
        "totals": torch.tensor(counted.totals),
        "lengths": torch.tensor([counted.sys_len, counted.ref_len]),
        "texts": Kept(torch.from_numpy(np.frombuffer(letters, np.uint8).copy())),
    }


def texts_of(sums: Mapping[str, Tensor]) -> tuple[list[str], list[list[str]]]:
    """Return the answers and the references of every picture, in the order of their numbers."""
    lines = bytes(sums["texts"].tolist()).splitlines()
    found = {number: (answer, texts) for number, answer, texts in map(json.loads, lines)}
    kept = [found[number] for number in sorted(found)]
    return [answer for answer, _ in kept], [texts for _, texts in kept]


def cider_of(sums: Mapping[str, Tensor]) -> Float64[np.ndarray, "N"]:
    """Return CIDEr-D of every picture, in the order of their numbers."""
    return cider_d(*texts_of(sums))


def caption_scores(sums: Mapping[str, Tensor]) -> dict[str, float]:
    """Return BLEU-1 to 4 and CIDEr-D as papers print them, words a caption, and how many captions
    and words differ among the first 1,000 pictures: of the answers, and of one reference each."""
    length, reference = (int(length) for length in sums["lengths"])
    counts, totals = (sums[name].long().tolist() for name in ("counts", "totals"))
    scores = {
        f"bleu{n}": BLEU.compute_bleu(
            counts[:n], totals[:n], length, reference, smooth_method="exp", max_ngram_order=n
        ).score
        for n in range(1, LONGEST_NGRAM + 1)
    }
    answers, references = texts_of(sums)
    # Another one of each picture's: the first are of one kind in some sets.
    one = [texts[n % len(texts)] for n, texts in enumerate(references)]
    return {
        **scores,
        "cider": 100 * float(cider_d(answers, references).mean()),
        "words": length / len(answers),
        **diversity(answers[:NUM_DIVERSE]),
        **{f"reference_{name}": value for name, value in diversity(one[:NUM_DIVERSE]).items()},
    }


def diversity(captions: Sequence[str]) -> dict[str, float]:
    """Return how many of some captions, and of their words, are different ones."""
    words = [tuple(scored_words(caption)) for caption in captions]
    different = {word for row in words for word in row}
    counts = {"distinct_captions": len(set(words)), "distinct_words": len(different)}
    return {name: float(count) for name, count in counts.items()}


def truth_sums(scenes: Sequence[Facts], answers: Sequence[str]) -> Sums:
    """Return of how many scenes a caption is grammatical, true, and right, and what all claim."""
    judged = [
        (parses(answer), is_true(scene, answer), is_right(scene, answer), num_claims(answer), 1)
        for scene, answer in zip(scenes, answers, strict=True)
    ]
    names = ("grammatical", "true", "right", "claims", "scenes")
    return dict(zip(names, torch.tensor(judged).sum(0), strict=True))


def truth_scores(sums: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the shares of grammatical, true and right captions in per cent, and claims a
    caption."""
    count = float(sums["scenes"])
    percent = {name: 100 * float(sums[name]) / count for name in ("grammatical", "true", "right")}
    return {**percent, "claims": float(sums["claims"]) / count}


def most_frequent(captions: Iterable[Sequence[str]]) -> str:
    """Return the caption that most pictures have, of several the first by its words: what a
    captioner that sees nothing says."""
    counts: Counter[tuple[str, ...]] = Counter()
    for texts in captions:
        counts.update({tuple(words_of(text)) for text in texts})
    most = min(counts, key=lambda words: (-counts[words], words))
    return written(most)
