"""Scores of label maps from one confusion matrix of all pixels, a sum.

Letters: A classes, H rows, W columns.

The mean IoU is that of the whole set, as PASCAL VOC defines it (Everingham et al. 2010), not the
mean over pictures. A class that is neither in the truth nor in an answer does not count. Pixels
without a class (VOID) are not scored.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float64, Int64, UInt8
from torch import Tensor

from backbones.training.errors import UserError
from tasks.data.formats.class_maps import VOID


def confusion_of(
    answer: UInt8[Tensor, "..."], truth: UInt8[Tensor, "..."], classes: int
) -> Int64[Tensor, "A A"]:
    """Return how many pixels of each class (rows) were answered as which (columns)."""
    seen = truth != VOID
    pairs = truth[seen].long() * classes + answer[seen].long()
    return torch.bincount(pairs, minlength=classes * classes).view(classes, classes)


def class_ious(confusion: Float64[Tensor, "A A"]) -> Float64[Tensor, "A"]:
    """Return the IoU of every class in per cent; nan for one that nobody saw."""
    hit = confusion.diagonal()
    return 100 * hit / (confusion.sum(0) + confusion.sum(1) - hit)


def mask_scores(sums: Mapping[str, Tensor], classes: Sequence[str]) -> dict[str, float]:
    """Return mean IoU, pixel accuracy and mean class accuracy in per cent, and every class's IoU.

    UserError if no pixel has a class.
    """
    confusion: Float64[Tensor, "A A"] = sums["confusion"].double()
    if not confusion.any():
        raise UserError("no pixel of these pictures has a class: there is nothing to score")
    ious = class_ious(confusion)
    true = confusion.sum(1)
    right = 100 * confusion.diagonal() / true
    scores = {
        "miou": float(ious.nanmean()),
        "pixel_accuracy": 100 * float(confusion.diagonal().sum() / confusion.sum()),
        "class_accuracy": float(right.nanmean()),
    }
    for name, value in zip(classes, ious.tolist(), strict=True):
        if value == value:
            scores[f"iou_{name.replace(' ', '_')}"] = value
    return scores


def median_frequency(pixels: Int64[Tensor, "N A"]) -> Float64[Tensor, "A"]:
    """Return the weight of every class, from how many pixels of it each picture has.

    A class's frequency is its share of the pixels (with a class) of the pictures that contain it;
    its weight is the median frequency over its own (Eigen and Fergus 2015,
    https://arxiv.org/abs/1411.4734, section 4.3.2). A class in no picture weighs nothing.
    """
    counts = pixels.double()
    shown = (pixels > 0).double()
    of_all = (shown * counts.sum(1, keepdim=True)).sum(0)
    frequency = counts.sum(0) / of_all
    there = frequency[frequency > 0]
    if not len(there):
        return torch.zeros_like(frequency)
    return (there.quantile(0.5) / frequency).nan_to_num(0.0, 0.0, 0.0)
