"""Boxes and what is taken of a map inside them, in plain torch: overlap, non-maximum suppression,
offsets, RoIAlign.

Letters: B pictures, N and M boxes of one, L levels of a pyramid, C channels, H rows, W columns, S
cells of a side that a region is cut into.

Boxes are x0, y0, x1, y1 in pixels of the picture, the end not included: a box of one pixel is
(3, 5, 4, 6). RoIAlign is that of He et al. 2017, https://arxiv.org/abs/1703.06870, with the half
pixel that later versions put right: a value of a map stands in the middle of its cell.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

# Offsets are divided by these before they are learnt (Girshick 2015, https://arxiv.org/abs/1504.08083).
SPREAD = (0.1, 0.1, 0.2, 0.2)
LARGEST_GROWTH = math.log(1000 / 16)
SMALLEST_PX = 1e-3


def area_of(boxes: Float[Tensor, "*B 4"]) -> Float[Tensor, "*B"]:
    """Return areas in square pixels; 0 where an end lies before its beginning."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)


def shared_area(
    one: Float[Tensor, "*B N 4"], other: Float[Tensor, "*B M 4"]
) -> Float[Tensor, "*B N M"]:
    """Return the area that every box of one set shares with every box of another."""
    begin = torch.maximum(one[..., :, None, :2], other[..., None, :, :2])
    end = torch.minimum(one[..., :, None, 2:], other[..., None, :, 2:])
    return (end - begin).clamp(min=0).prod(-1)


def iou(one: Float[Tensor, "*B N 4"], other: Float[Tensor, "*B M 4"]) -> Float[Tensor, "*B N M"]:
    """Return intersection over union of every box with every other; 0 for boxes of no area."""
    shared = shared_area(one, other)
    union = area_of(one)[..., :, None] + area_of(other)[..., None, :] - shared
    return shared / union.clamp(min=SMALLEST_PX)


def generalised_iou(
    one: Float[Tensor, "*B 4"], other: Float[Tensor, "*B 4"]
) -> Float[Tensor, "*B"]:
    """Return the IoU of pairs less the share of their common hull that neither covers.

    Rezatofighi et al. 2019, https://arxiv.org/abs/1902.09630: it has a slope where boxes do not
    meet, too.
    """
    begin, end = torch.maximum(one, other)[..., :2], torch.minimum(one, other)[..., 2:]
    shared = (end - begin).clamp(min=0).prod(-1)
    union = (area_of(one) + area_of(other) - shared).clamp(min=SMALLEST_PX)
    first, last = torch.minimum(one, other)[..., :2], torch.maximum(one, other)[..., 2:]
    hull = (last - first).clamp(min=0).prod(-1).clamp(min=SMALLEST_PX)
    return shared / union - (hull - union) / hull


def nms(
    boxes: Float[Tensor, "B N 4"], there: Bool[Tensor, "B N"], most_iou: float
) -> Bool[Tensor, "B N"]:
    """Return which boxes stay, each picture's from the best to the worst: one goes if a better one
    that stays overlaps it by more than `most_iou`. Boxes that are not `there` count for nothing.

    All boxes are judged at once, again and again until nothing changes. After k rounds the first k
    are right whatever the others are, so this ends with what the greedy loop gives, as a rule after
    a handful of rounds.
    """
    hides = (iou(boxes, boxes) > most_iou).triu(1) & there[:, :, None]
    stays = there
    for _ in range(boxes.shape[1]):
        now = there & ~(hides & stays[:, :, None]).any(1)
        if torch.equal(now, stays):
            break
        stays = now
    return stays


def apart_by_class(
    boxes: Float[Tensor, "B N 4"], label: Int64[Tensor, "B N"]
) -> Float[Tensor, "B N 4"]:
    """Return boxes moved so far that those of two classes never meet: NMS then goes by class."""
    span = boxes.amax().clamp(min=0) - boxes.amin().clamp(max=0) + 1
    return boxes + (label * span)[..., None]


def offsets_to(
    boxes: Float[Tensor, "*B 4"], target: Float[Tensor, "*B 4"]
) -> Float[Tensor, "*B 4"]:
    """Return what `moved_by` turns boxes into their targets with."""
    size, goal = (
        (each[..., 2:] - each[..., :2]).clamp(min=SMALLEST_PX) for each in (boxes, target)
    )
    middle, wanted = (each[..., :2] + each[..., 2:] for each in (boxes, target))
    offset = torch.cat([(wanted - middle) / 2 / size, (goal / size).log()], -1)
    return offset / offset.new_tensor(SPREAD)


def moved_by(boxes: Float[Tensor, "*B 4"], offset: Float[Tensor, "*B 4"]) -> Float[Tensor, "*B 4"]:
    """Return boxes moved and stretched: equations 1 to 4 of Girshick et al. 2014,
    https://arxiv.org/abs/1311.2524."""
    offset = offset * offset.new_tensor(SPREAD)
    size = boxes[..., 2:] - boxes[..., :2]
    middle = (boxes[..., :2] + boxes[..., 2:]) / 2 + offset[..., :2] * size
    half = size * offset[..., 2:].clamp(max=LARGEST_GROWTH).exp() / 2
    return torch.cat([middle - half, middle + half], -1)


def inside(boxes: Float[Tensor, "*B 4"], side_px: int) -> Float[Tensor, "*B 4"]:
    """Return boxes cut off at the edges of a square picture."""
    return boxes.clamp(0, side_px)


def level_of(boxes: Float[Tensor, "B N 4"], strides: Sequence[int]) -> Int64[Tensor, "B N"]:
    """Return the level of a pyramid that a box is looked at in: from 14 up to 28 cells wide, larger
    and smaller ones where the levels end. Equation 1 of Lin et al. 2017,
    https://arxiv.org/abs/1612.03144, in which a box of 224 pixels lies on stride 16."""
    side = area_of(boxes).clamp(min=SMALLEST_PX).sqrt()
    return (side / (14 * strides[0])).log2().floor().long().clamp(0, len(strides) - 1)


def roi_align(
    maps: Sequence[Float[Tensor, "B C _ _"]],
    strides: Sequence[int],
    boxes: Float[Tensor, "B N 4"],
    side: int,
    points: int = 1,
) -> Float[Tensor, "B N C S S"]:
    """Return `side` x `side` cells of every box, each the mean of `points` squared values between
    the places of the map of its level.

    All levels lie in one table of rows, of which every cell is a weighted sum: one call for all
    boxes of all pictures, 2 x 2 to 4 times as fast on a CPU as `grid_sample` once a level.
    """
    count, number = boxes.shape[:2]
    channels, device = maps[0].shape[1], boxes.device
    table = torch.cat([each.permute(0, 2, 3, 1).flatten(1, 2) for each in maps], 1).float()
    heights, widths = (
        torch.tensor([each.shape[n] for each in maps], device=device) for n in (2, 3)
    )
    level = level_of(boxes, strides)
    height, width = heights[level][..., None], widths[level][..., None]
    begins = (heights * widths).cumsum(0) - heights * widths
    first = begins[level] + torch.arange(count, device=device)[:, None] * table.shape[1]
    stride = torch.tensor(strides, device=device)[level][..., None]
    # Where the points lie, in cells of the map; [B, N, side * points] along either axis.
    step = (torch.arange(side * points, device=device) + 0.5) / (side * points)
    ends = boxes / stride - 0.5
    across = ends[..., 0:1] + (ends[..., 2:3] - ends[..., 0:1]) * step
    down = ends[..., 1:2] + (ends[..., 3:4] - ends[..., 1:2]) * step
    (left, right, x_share, x_there), (top, bottom, y_share, y_there) = (
        neighbours(across, width),
        neighbours(down, height),
    )
    places, weights = [], []
    for row, row_weight in ((top, 1 - y_share), (bottom, y_share)):
        for column, column_weight in ((left, 1 - x_share), (right, x_share)):
            place = row[..., :, None] * width[..., None] + column[..., None, :]
            places.append(first[..., None, None] + place)
            weight = (row_weight * y_there)[..., :, None] * (column_weight * x_there)[..., None, :]
            weights.append(weight)
    # [B, N, side * points, side * points, 4] -> a row a cell, [B N side side, 4 points points]
    shape = (count, number, side, points, side, points, 4)
    index, share = (
        torch.stack(each, -1).view(shape).transpose(3, 4).reshape(-1, 4 * points**2)
        for each in (places, weights)
    )
    cells = F.embedding_bag(
        index, table.flatten(0, 1), mode="sum", per_sample_weights=share / points**2
    )
    return cells.view(count, number, side, side, channels).permute(0, 1, 4, 2, 3)


def neighbours(
    place: Float[Tensor, "B N P"], size: Int64[Tensor, "B N 1"]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the cells before and behind a place, the share of the one behind, and whether the
    place lies on the map or less than a cell beside it."""
    there = (place >= -1) & (place <= size)
    place = torch.minimum(place.clamp(min=0), (size - 1).float())
    before = place.floor().long()
    behind = torch.minimum(before + 1, size - 1)
    return before, behind, place - before, there
