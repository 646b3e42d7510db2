"""Mean IoU against torchmetrics, void left out, weights by hand."""

import pytest
import torch
from torch.testing import assert_close
from torchmetrics.classification import MulticlassJaccardIndex

from backbones.training.errors import UserError
from tasks.data.formats.class_maps import VOID
from tasks.scores.masks import class_ious, confusion_of, mask_scores, median_frequency

NAMES = ("sky", "road", "traffic light", "car")


def maps(seed, count=5, classes=4, void=0.2):
    random = torch.Generator().manual_seed(seed)
    truth = torch.randint(0, classes, (count, 9, 11), generator=random, dtype=torch.uint8)
    right = torch.rand(truth.shape, generator=random) < 0.6
    other = torch.randint(0, classes, truth.shape, generator=random, dtype=torch.uint8)
    answer = torch.where(right, truth, other)
    hidden = torch.rand(truth.shape, generator=random) < void
    return answer, torch.where(hidden, torch.tensor(VOID, dtype=torch.uint8), truth)


@pytest.mark.parametrize("seed", range(4))
def test_mean_iou_is_that_of_torchmetrics_on_all_pixels(seed):
    answer, truth = maps(seed)
    theirs = MulticlassJaccardIndex(4, average="none", ignore_index=VOID)
    for one, other in zip(answer, truth, strict=True):
        theirs.update(one.long()[None], other.long()[None])
    scores = mask_scores({"confusion": confusion_of(answer, truth, 4)}, NAMES)
    assert_close(torch.tensor(scores["miou"]), 100 * theirs.compute().mean())
    assert scores["iou_traffic_light"] == pytest.approx(100 * float(theirs.compute()[2]))


def test_the_score_is_one_of_all_pixels_and_not_the_mean_of_pictures():
    answer, truth = maps(9)
    parts = sum(confusion_of(a, t, 4) for a, t in zip(answer, truth, strict=True))
    assert_close(parts, confusion_of(answer, truth, 4))
    apart = [
        mask_scores({"confusion": confusion_of(a, t, 4)}, NAMES)["miou"]
        for a, t in zip(answer, truth, strict=True)
    ]
    whole = mask_scores({"confusion": parts}, NAMES)["miou"]
    assert abs(whole - sum(apart) / len(apart)) > 0.05


def test_by_hand_with_void_and_a_class_that_nobody_saw():
    truth = torch.tensor([0, 0, 1, 1, VOID, VOID], dtype=torch.uint8)
    answer = torch.tensor([0, 1, 1, 1, 0, 2], dtype=torch.uint8)
    confusion = confusion_of(answer, truth, 4)
    ious = class_ious(confusion.double())
    assert ious[0] == 50 and ious[1] == pytest.approx(200 / 3) and ious[2:].isnan().all()
    scores = mask_scores({"confusion": confusion}, NAMES)
    assert scores["miou"] == pytest.approx((50 + 200 / 3) / 2)
    assert scores["pixel_accuracy"] == 75 and scores["class_accuracy"] == 75
    assert "iou_car" not in scores


def test_void_everywhere_is_nothing_to_score():
    truth = torch.full((3, 4), VOID, dtype=torch.uint8)
    confusion = confusion_of(torch.zeros_like(truth), truth, 4)
    with pytest.raises(UserError, match="no pixel of these pictures has a class"):
        mask_scores({"confusion": confusion}, NAMES)


def test_weights_are_the_median_frequency_over_that_of_the_class():
    # Of class 2 only the second picture has any: 10 of its 100 pixels.
    pixels = torch.tensor([[80, 20, 0, 0], [50, 40, 10, 0]])
    # Frequencies 130/200, 60/200, 10/100: the median is 0.3.
    expected = torch.tensor([0.3 / 0.65, 1.0, 3.0, 0.0], dtype=torch.float64)
    assert_close(median_frequency(pixels), expected)
    assert_close(median_frequency(torch.zeros(2, 3, dtype=torch.long)), torch.zeros(3).double())
