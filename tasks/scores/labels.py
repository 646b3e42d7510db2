"""Scores of labels, one a picture or several, as sums.

Letters: B samples, A classes.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor


def classification_sums(
    log_probs: Float[Tensor, "B A"], label: Int64[Tensor, "B"]
) -> dict[str, Tensor]:
    """Return the confusion matrix [true, predicted], the summed loss in nats, hits in the top 5."""
    classes = log_probs.shape[1]
    confusion = torch.bincount(
        label * classes + log_probs.argmax(1), minlength=classes * classes
    ).view(classes, classes)
    top = log_probs.topk(min(5, classes), dim=1).indices
    return {
        "confusion": confusion,
        "loss": -log_probs.gather(1, label[:, None]).double().sum(),
        "top5": (top == label[:, None]).sum(),
    }


def classification_scores(sums: Mapping[str, Tensor]) -> dict[str, float]:
    """Return error and top-5 error in per cent, and the mean loss in nats."""
    confusion: Float64[Tensor, "A A"] = sums["confusion"]
    count = float(confusion.sum())
    scores = {
        "error": 100 * (1 - float(confusion.diagonal().sum()) / count),
        "loss": float(sums["loss"]) / count,
    }
    if len(confusion) > 5:
        scores["top5_error"] = 100 * (1 - float(sums["top5"]) / count)
    return scores


def commonest_class(label: Int64[Tensor, "B"]) -> tuple[float, str]:
    """Return the error in per cent of the one class that is right most often, and a name for it."""
    return 100 * (1 - float(torch.bincount(label).max()) / len(label)), "always the commonest class"


def presence_sums(logits: Float[Tensor, "B A"], present: Float[Tensor, "B A"]) -> dict[str, Tensor]:
    """Return, per label, true and false positives and negatives at a threshold of a half."""
    answered, true = logits > 0, present > 0.5
    return {
        "hit": (answered & true).sum(0),
        "false": (answered & ~true).sum(0),
        "missed": (~answered & true).sum(0),
        "none": (~answered & ~true).sum(0),
        "all_right": (answered == true).all(1).sum(),
    }


def presence_scores(sums: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the share of wrong labels and of pictures with any, in per cent, and the mean F1."""
    hit, false, missed = sums["hit"], sums["false"], sums["missed"]
    count = float((hit + false + missed + sums["none"])[0])
    wrong = float((false + missed).sum()) / (count * len(hit))
    f1 = 2 * hit / (2 * hit + false + missed).clamp(min=1)
    return {
        "error": 100 * wrong,
        "picture_error": 100 * (1 - float(sums["all_right"]) / count),
        "f1": float(f1.mean()),
    }
