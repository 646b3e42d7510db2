"""Overlap, NMS, offsets and RoIAlign against slow versions, and against numbers by hand."""

import math

import pytest
import torch
from torch.testing import assert_close

from tasks.labels.regions import (
    apart_by_class,
    area_of,
    generalised_iou,
    iou,
    level_of,
    moved_by,
    nms,
    offsets_to,
    roi_align,
)


def random_boxes(*shape, side=40.0, seed=0):
    torch.manual_seed(seed)
    corner = torch.rand(*shape, 2) * side * 0.8
    return torch.cat([corner, corner + torch.rand(*shape, 2) * side * 0.5 + 1], -1)


def slow_iou(a, b):
    wide = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    tall = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return wide * tall / (both - wide * tall)


def slow_nms(boxes, most_iou):
    kept = []
    for n, box in enumerate(boxes):
        if all(slow_iou(box, boxes[k]) <= most_iou for k in kept):
            kept.append(n)
    return kept


def slow_value(plane, x, y):
    """Return a plane's value between its cells, as torchvision's RoIAlign has it."""
    height, width = plane.shape
    if not (-1 <= x <= width and -1 <= y <= height):
        return 0.0
    x, y = min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)
    x0, y0 = int(x), int(y)
    x1, y1 = min(x0 + 1, width - 1), min(y0 + 1, height - 1)
    above = plane[y0, x0] * (1 - x + x0) + plane[y0, x1] * (x - x0)
    below = plane[y1, x0] * (1 - x + x0) + plane[y1, x1] * (x - x0)
    return float(above * (1 - y + y0) + below * (y - y0))


def slow_roi_align(plane, box, stride, side, points):
    x0, y0, x1, y1 = ((each / stride) - 0.5 for each in box)
    out = torch.zeros(side, side)
    for row in range(side):
        for column in range(side):
            for p in range(points):
                for q in range(points):
                    x = x0 + (column + (q + 0.5) / points) * (x1 - x0) / side
                    y = y0 + (row + (p + 0.5) / points) * (y1 - y0) / side
                    out[row, column] += slow_value(plane, x, y) / points**2
    return out


def test_overlap_is_what_it_is_by_hand():
    one = torch.tensor([[0.0, 0.0, 4.0, 4.0]])
    others = torch.tensor([[2.0, 2.0, 6.0, 6.0], [0, 0, 4, 4], [8, 8, 9, 9], [1, 1, 1, 3]])
    assert_close(iou(one, others), torch.tensor([[4 / 28, 1.0, 0.0, 0.0]]))
    assert_close(area_of(others), torch.tensor([16.0, 16, 1, 0]))
    # 4 of 28 shared; the hull of 36 has 8 that neither covers.
    assert_close(generalised_iou(one[0], others[0]), torch.tensor(4 / 28 - 8 / 36))


def test_overlap_agrees_with_a_loop():
    a, b = random_boxes(9), random_boxes(7, seed=1)
    slow = [[slow_iou(x, y) for y in b.tolist()] for x in a.tolist()]
    assert_close(iou(a, b), torch.tensor(slow))


@pytest.mark.parametrize("most_iou", [0.1, 0.3, 0.5, 0.7])
def test_suppression_agrees_with_the_greedy_loop(most_iou):
    boxes = random_boxes(6, 60, seed=2)
    stays = nms(boxes, torch.ones(6, 60, dtype=torch.bool), most_iou)
    for row, kept in zip(boxes.tolist(), stays, strict=True):
        assert kept.nonzero()[:, 0].tolist() == slow_nms(row, most_iou)


def test_a_chain_of_boxes_that_hide_each_other_is_judged_one_by_one():
    # Each overlaps its neighbour alone: the first goes on, the second goes, the third stays.
    boxes = torch.tensor([[[3.0 * n, 0, 3.0 * n + 5, 5] for n in range(40)]])
    stays = nms(boxes, torch.ones(1, 40, dtype=torch.bool), 0.2)
    assert stays[0].tolist() == [n % 2 == 0 for n in range(40)]


def test_a_box_that_is_not_there_hides_nothing():
    boxes = torch.tensor([[[0.0, 0, 4, 4], [0, 0, 4, 4.1], [0, 0, 4, 4.2]]])
    assert nms(boxes, torch.tensor([[False, True, True]]), 0.5).tolist() == [[False, True, False]]


def test_boxes_of_two_classes_do_not_hide_each_other():
    boxes = torch.tensor([[[0.0, 0, 4, 4], [0, 0, 4, 4], [0, 0, 4, 4]]])
    apart = apart_by_class(boxes, torch.tensor([[1, 2, 1]]))
    assert nms(apart, torch.ones(1, 3, dtype=torch.bool), 0.5).tolist() == [[True, True, False]]


def test_offsets_move_a_box_to_its_target_and_are_those_of_the_paper():
    boxes, target = random_boxes(20), random_boxes(20, seed=3)
    assert_close(moved_by(boxes, offsets_to(boxes, target)), target, atol=1e-4, rtol=1e-4)
    given = offsets_to(torch.tensor([0.0, 0, 10, 20]), torch.tensor([5.0, 0, 25, 20]))
    assert_close(given, torch.tensor([1.0 / 0.1, 0.0, math.log(2) / 0.2, 0.0]))


def test_a_box_of_no_area_makes_no_number_that_is_none():
    boxes = torch.tensor([[3.0, 3, 3, 3], [0, 0, 5, 5]])
    assert offsets_to(boxes, boxes).isfinite().all() and iou(boxes, boxes).isfinite().all()
    assert generalised_iou(boxes, boxes).isfinite().all()


@pytest.mark.parametrize("points", [1, 2])
def test_regions_agree_with_a_loop_on_one_map(points):
    torch.manual_seed(0)
    maps, boxes = torch.randn(2, 3, 9, 11), random_boxes(2, 4, side=44.0)
    # One reaches outside, one is smaller than a cell.
    boxes[0, 0], boxes[1, 2] = torch.tensor([-9.0, -6, 30, 50]), torch.tensor([7.0, 7, 8, 7.5])
    found = roi_align([maps], [4], boxes, 5, points)
    for picture in range(2):
        for n, box in enumerate(boxes[picture].tolist()):
            for channel in range(3):
                slow = slow_roi_align(maps[picture, channel], box, 4, 5, points)
                assert_close(found[picture, n, channel], slow, atol=1e-5, rtol=1e-4)


def test_a_region_is_cut_from_the_level_of_its_size():
    maps = [torch.full((1, 1, 64 // s, 64 // s), float(s)) for s in (4, 8, 16)]
    sides = [10.0, 55.0, 57.0, 111.0, 113.0, 900.0]
    boxes = torch.tensor([[[0.0, 0, side, side] for side in sides]])
    assert level_of(boxes, (4, 8, 16)).tolist() == [[0, 0, 0, 0, 1, 2]]
    small = torch.tensor([[[8.0, 8, 24, 24]]])
    assert_close(roi_align(maps, [4, 8, 16], small, 2), torch.full((1, 1, 1, 2, 2), 4.0))


def test_the_slope_of_a_region_reaches_the_map():
    maps = torch.randn(1, 2, 6, 6, dtype=torch.float32, requires_grad=True)
    boxes = torch.tensor([[[4.0, 4, 20, 20]]])
    roi_align([maps], [4], boxes, 3, 2).sum().backward()
    # Nine cells of two channels, each a weighted mean.
    assert_close(maps.grad.sum(), torch.tensor(18.0)) and maps.grad[0, 0, 2, 2] > 0
