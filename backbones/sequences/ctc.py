"""Connectionist temporal classification: texts from what is said at every place of a sequence.

Letters: B sequences, T places, V symbols, of which 0 is the blank; U symbols of a text.

Graves et al. 2006, https://doi.org/10.1145/1143844.1143891. A path names a symbol at every place;
its text has repeats taken together and blanks taken out. The loss is torch's. `best_path` reads off
the likeliest path; `prefix_beam` adds up the paths of a text while it follows the likeliest texts
(Graves 2012, section 7.5.3; Hannun et al. 2014, https://arxiv.org/abs/1408.2873).
"""

import math
from collections import defaultdict
from itertools import pairwise

import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

BLANK = 0
LIKELY = 1e-4  # symbols below this chance begin no new text


def ctc_loss(
    log_prob: Float[Tensor, "T B V"],
    length: Int64[Tensor, "B"],
    text: Int64[Tensor, "B U"],
    text_length: Int64[Tensor, "B"],
) -> Float[Tensor, "B"]:
    """Return minus the log probability of every text; 0 for one that no path is long enough for.

    See `needed` for how long that is.
    """
    return F.ctc_loss(
        log_prob.float(), text, length, text_length, BLANK, reduction="none", zero_infinity=True
    )


def needed(text: list[int]) -> int:
    """Return how many places a text needs: one a symbol, and a blank between two that are alike."""
    return len(text) + sum(a == b for a, b in pairwise(text))


def best_path(log_prob: Float[Tensor, "T V"]) -> list[int]:
    """Return the text of the likeliest path."""
    path = log_prob.argmax(-1).tolist()
    return [
        symbol
        for place, symbol in enumerate(path)
        if symbol != BLANK and (place == 0 or path[place - 1] != symbol)
    ]


def prefix_beam(log_prob: Float[Tensor, "T V"], width: int) -> list[int]:
    """Return the likeliest text that is found while so many are followed at every place."""
    # Of each text the log probability of its paths that end in a blank, and of those that do not.
    texts: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -math.inf)}
    for row in log_prob.double().cpu():
        chances, symbols = row.tolist(), (row > math.log(LIKELY)).nonzero()[:, 0].tolist()
        new: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [-math.inf, -math.inf])
        for text, (blank, other) in texts.items():
            both, same = add(blank, other), new[text]
            same[0] = add(same[0], both + chances[BLANK])
            if text:
                same[1] = add(same[1], other + chances[text[-1]])
            for symbol in symbols:
                if symbol == BLANK:
                    continue
                # After itself a symbol begins anew only behind a blank.
                before = blank if text and text[-1] == symbol else both
                longer = new[(*text, symbol)]
                longer[1] = add(longer[1], before + chances[symbol])
        ranked = sorted(new.items(), key=lambda item: -add(*item[1]))
        texts = {text: (found[0], found[1]) for text, found in ranked[:width]}
    return list(max(texts.items(), key=lambda item: add(*item[1]))[0])


def add(a: float, b: float) -> float:
    """Return the logarithm of the sum of two numbers that are given as theirs."""
    high, low = max(a, b), min(a, b)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))
