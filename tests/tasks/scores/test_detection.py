"""Average precision by hand, against faster-coco-eval and against a slow version of VOC's."""

import numpy as np
import pytest

from backbones.training.distributed import ALONE
from tasks.data.formats.rle import runs_of, string_of
from tasks.scores.detection import (
    Seen,
    coco_evaluation,
    detection_rows,
    detection_scores,
    mask_texts,
    precision_curves,
)
from tasks.scores.sums import add

SIZE = (20, 20)


def seen(*rows, masks=False):
    """(x0, y0, x1, y1, class, score) of each; score 1 is a crowd's where it is the truth."""
    boxes = np.array([row[:4] for row in rows], np.float64).reshape(-1, 4)
    texts = None
    if masks:
        texts = tuple(string_of(runs_of(filled(box))) for box in boxes.astype(int))
    label = np.array([row[4] for row in rows], np.int64)
    return Seen(boxes, label, np.array([row[5] for row in rows], np.float64), SIZE, texts)


def filled(box):
    whole = np.zeros(SIZE, bool)
    whole[box[1] : box[3], box[0] : box[2]] = True
    return whole


def summed(found, truth, masks=False):
    return add([detection_rows(found, truth, range(len(found)), masks=masks)], ALONE)


def scored(found, truth, classes=2, masks=False):
    return detection_scores(summed(found, truth, masks), classes, masks=masks)


def test_all_right_is_a_hundred_and_nothing_found_is_nothing():
    truth = [seen((0, 0, 10, 10, 1, 0), (5, 5, 15, 20, 2, 0)), seen()]
    found = [seen((0, 0, 10, 10, 1, 0.9), (5, 5, 15, 20, 2, 0.8)), seen()]
    scores = scored(found, truth)
    assert scores["ap"] == scores["ap50"] == scores["voc_ap"] == pytest.approx(100)
    assert scored([seen(), seen()], truth)["ap"] == 0
    assert scored(found, [seen(), seen()])["ap"] == 0  # no object at all


def test_one_miss_and_one_mistake_are_counted_as_by_hand():
    # Of one class: two objects; the likeliest answer is wrong, the second right, one is missed.
    truth = [seen((0, 0, 10, 10, 1, 0), (12, 12, 18, 18, 1, 0))]
    found = [seen((0, 12, 6, 18, 1, 0.9), (0, 0, 10, 10, 1, 0.5))]
    scores = scored(found, truth, 1)
    # Precision is a half up to recall a half: 51 of 101 points, or 6 of 11.
    assert scores["ap50"] == pytest.approx(100 * 0.5 * 51 / 101)
    assert scores["voc_ap"] == pytest.approx(100 * 0.5 * 6 / 11)


def test_a_box_that_is_a_little_off_counts_up_to_its_overlap():
    truth = [seen((0, 0, 10, 10, 1, 0))]
    found = [seen((0, 0, 10, 8, 1, 0.9))]  # IoU 0.8: right at 0.50, 0.55, ... 0.80
    scores = scored(found, truth, 1)
    assert scores["ap"] == pytest.approx(70) and scores["ap75"] == pytest.approx(100)


def test_a_second_box_on_an_object_is_wrong_and_one_on_a_crowd_is_nothing():
    truth = [seen((0, 0, 10, 10, 1, 0), (10, 10, 20, 20, 1, 1))]
    twice = [seen((0, 0, 10, 10, 1, 0.9), (0, 0, 10, 9, 1, 0.95))]
    assert scored(twice, truth, 1)["ap75"] == pytest.approx(100)
    crowd = [seen((10, 10, 20, 20, 1, 0.95), (0, 0, 10, 10, 1, 0.9))]
    scores = scored(crowd, truth, 1)
    assert scores["ap"] == pytest.approx(100) and scores["voc_ap"] == pytest.approx(100)


def test_masks_are_scored_by_their_pixels():
    truth = [seen((0, 0, 10, 10, 1, 0), masks=True)]
    found = [seen((0, 0, 10, 10, 1, 0.9), masks=True)]
    half = Seen(
        found[0].boxes,
        found[0].label,
        found[0].score,
        SIZE,
        (string_of(runs_of(filled((0, 0, 10, 6)))),),
    )
    assert scored(found, truth, 1, True)["mask_ap"] == pytest.approx(100)
    scores = scored([half], truth, 1, True)  # IoU 0.6: right at 0.50, 0.55 and 0.60
    assert scores["mask_ap"] == pytest.approx(30) and scores["ap"] == pytest.approx(100)


def random_pictures(count, classes, seed):
    random = np.random.default_rng(seed)
    truth, found = [], []
    for _ in range(count):
        rows, answers = [], []
        for _ in range(random.integers(0, 5)):
            x, y, w, h = random.integers(2, 9, 4).tolist()
            label = int(random.integers(1, classes + 1))
            rows.append((x, y, x + w, y + h, label, float(random.random() < 0.1)))
            for _ in range(random.integers(0, 3)):
                dx, dy = random.integers(-2, 3, 2).tolist()
                box = (x + dx, y + dy, x + w, y + h + dy)
                answers.append((*box, label, random.random()))
        truth.append(seen(*rows))
        found.append(seen(*answers))
    return found, truth


def slow_voc(found, truth, classes):
    """VOC's AP with loops, as its development kit has it."""
    each = []
    for label in range(1, classes + 1):
        answers = sorted(
            (
                (s, n, b)
                for n, p in enumerate(found)
                for b, s, k in zip(p.boxes, p.score, p.label, strict=True)
                if k == label
            ),
            key=lambda row: -row[0],
        )
        taken, points, right, wrong = set(), [], 0, 0
        total = sum(int(((p.label == label) & (p.score == 0)).sum()) for p in truth)
        if not total:
            continue
        for _, n, box in answers:
            best, place = 0.0, None
            for m in np.flatnonzero(truth[n].label == label):
                other = truth[n].boxes[m]
                w = min(box[2], other[2]) - max(box[0], other[0])
                h = min(box[3], other[3]) - max(box[1], other[1])
                both = (box[2] - box[0]) * (box[3] - box[1])
                both += (other[2] - other[0]) * (other[3] - other[1])
                overlap = w * h / (both - w * h) if w > 0 and h > 0 else 0.0
                if overlap > best:
                    best, place = overlap, (n, int(m))
            if best >= 0.5 and truth[place[0]].score[place[1]]:
                continue
            if best >= 0.5 and place not in taken:
                taken.add(place)
                right += 1
            else:
                wrong += 1
            points.append((right / total, right / (right + wrong)))
        tops = [max([p for r, p in points if r >= k / 10], default=0.0) for k in range(11)]
        each.append(sum(tops) / 11)
    return 100 * sum(each) / len(each)


@pytest.mark.parametrize("seed", range(4))
def test_voc_s_precision_agrees_with_loops(seed):
    found, truth = random_pictures(30, 3, seed)
    assert scored(found, truth, 3)["voc_ap"] == pytest.approx(slow_voc(found, truth, 3))


def test_the_shares_of_several_processes_give_the_same_score():
    found, truth = random_pictures(20, 2, 7)
    whole = scored(found, truth)
    parts = [
        detection_rows(found[k::3], truth[k::3], range(k, 20, 3), masks=False) for k in (2, 0, 1)
    ]
    again = detection_scores(add(parts, ALONE), 2, masks=False)
    assert again == pytest.approx(whole)


def test_masks_come_back_in_the_order_of_their_rows():
    truth = [seen((0, 0, n, n, 1, 0), (0, 0, 2, n, 1, 0), masks=True) for n in (3, 9)]
    sums = summed(truth, truth, True)
    assert mask_texts(sums, "truth") == [text for each in truth for text in each.masks]


def test_curves_are_means_over_classes_that_have_objects():
    found, truth = random_pictures(30, 2, 1)
    sums = summed(found, truth)
    curves, names = precision_curves(sums, 3, "bbox")  # of the third there is none
    assert curves.shape == (3, 101) and names[0] == "IoU 0.50"
    assert curves[0].mean() == pytest.approx(coco_evaluation(sums, 3).stats_as_dict["AP_50"])
    assert precision_curves(summed([seen()], [seen()]), 2, "bbox") is None


def test_a_hundred_boxes_of_a_picture_count():
    truth = [seen((0, 0, 10, 10, 1, 0))]
    wrong = [(10, 10, 12, 12, 1, 0.9 - n / 1000) for n in range(100)]
    assert scored([seen(*wrong, (0, 0, 10, 10, 1, 0.1))], truth, 1)["ap"] == 0
    assert scored([seen(*wrong[:99], (0, 0, 10, 10, 1, 0.1))], truth, 1)["ap"] == pytest.approx(1)
