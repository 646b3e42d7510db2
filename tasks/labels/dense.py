"""Boxes where something might be, of no class: one for every place of every level of a pyramid.

Letters: B pictures, D channels, P places of all levels, N boxes that are kept, L objects of the
picture that has most.

No anchors (FCOS: Tian et al. 2019, https://arxiv.org/abs/1904.01355): a place near the middle of an
object says how far its four sides are. How much a place is worth is what its box overlaps the
object by (Li et al. 2020, https://arxiv.org/abs/2006.04388), so that what is best placed stays in
the non-maximum suppression, and one number says both that something is there and how exactly.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tasks.labels.regions import area_of, generalised_iou, inside, iou, nms

NEAR = 1.5  # strides that a place may lie from an object's middle
REACH = 8  # strides from a place to the farthest side, on all levels but the last
RARE = 0.01  # share of places that are worth something, to begin with
LONGEST = 6.0  # logarithm of a side's distance in strides
PROPOSAL_IOU = 0.7
MOST_PAIRS = 2**21  # of places and objects
RANKED = 4  # times as many as are kept are ranked


class DenseProposals(nn.Module):
    """A convolution, then one number for a place's worth and four for its box, on every level."""

    def __init__(self, channels: int, strides: Sequence[int]) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.tower = nn.Conv2d(channels, channels, 3, padding=1)
        self.say = nn.Conv2d(channels, 5, 3, padding=1)
        self.scale = nn.Parameter(torch.ones(len(strides)))
        nn.init.kaiming_normal_(self.tower.weight, nonlinearity="relu")
        nn.init.normal_(self.say.weight, std=0.01)
        assert self.tower.bias is not None and self.say.bias is not None
        nn.init.zeros_(self.tower.bias)
        with torch.no_grad():
            self.say.bias.copy_(torch.tensor([math.log(RARE / (1 - RARE)), 1.0, 1.0, 1.0, 1.0]))

    def forward(self, levels: Sequence[Float[Tensor, "B D _ _"]]) -> tuple[Tensor, Tensor]:
        """Return the worth of every place as a logit, [B, P], and its box in pixels, [B, P, 4]."""
        worth, boxes = [], []
        for n, (level, stride) in enumerate(zip(levels, self.strides, strict=True)):
            said = self.say(F.relu(self.tower(level))).float().flatten(2).transpose(1, 2)
            away = (said[..., 1:] * self.scale[n]).clamp(max=LONGEST).exp() * stride
            place = places_of(level.shape[-2], level.shape[-1], stride, level.device)
            boxes.append(torch.cat([place - away[..., :2], place + away[..., 2:]], -1))
            worth.append(said[..., 0])
        return torch.cat(worth, 1), torch.cat(boxes, 1)

    def loss(
        self,
        levels: Sequence[Float[Tensor, "B D _ _"]],
        worth: Float[Tensor, "B P"],
        boxes: Float[Tensor, "B P 4"],
        objects: Float[Tensor, "B L 4"],
        there: Bool[Tensor, "B L"],
        ignored: Float[Tensor, "B _ 4"],
    ) -> Float[Tensor, "B"]:
        """Return the loss of every picture; places inside what is `ignored` cost nothing there."""
        if not objects.shape[1]:  # nothing in any picture of the batch: all places are worth 0
            objects = objects.new_zeros(len(objects), 1, 4)
            there = there.new_zeros(len(there), 1)
        place, stride, last = self.all_places(levels)
        # All at once, unless that would take more than some 100 megabytes.
        step = max(1, MOST_PAIRS // (len(place) * objects.shape[1]))
        pieces = zip(objects.split(step), there.split(step), strict=True)
        which = torch.cat([assigned(place, stride, last, *piece) for piece in pieces])
        positive = which >= 0
        target = objects.gather(1, which.clamp(min=0)[..., None].expand(-1, -1, 4))
        overlap = generalised_iou(boxes, target)
        exact = iou(boxes.detach()[:, :, None], target[:, :, None])[..., 0, 0] * positive
        # Quality focal loss: a place that is sure already weighs little.
        cost = F.binary_cross_entropy_with_logits(worth, exact, reduction="none")
        cost = cost * (worth.detach().sigmoid() - exact).square()
        inner = (place[:, None] >= ignored[:, None, :, :2]) & (
            place[:, None] < ignored[:, None, :, 2:]
        )
        hidden = inner.all(-1).any(-1) & ~positive
        count = positive.sum(1).clamp(min=1)
        return ((cost * ~hidden).sum(1) + ((1 - overlap) * positive).sum(1)) / count

    def all_places(self, levels: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return every level's places, their strides, and whether theirs is the last level."""
        place, strides, last = [], [], []
        for n, (level, stride) in enumerate(zip(levels, self.strides, strict=True)):
            found = places_of(level.shape[-2], level.shape[-1], stride, level.device)
            place.append(found)
            strides.append(torch.full((len(found),), float(stride), device=level.device))
            last.append(torch.full((len(found),), n == len(levels) - 1, device=level.device))
        return torch.cat(place), torch.cat(strides), torch.cat(last)


def places_of(height: int, width: int, stride: int, device: torch.device) -> Float[Tensor, "P 2"]:
    """Return x and y of the middle of every cell of a map, in pixels."""
    y, x = (torch.arange(size, device=device) for size in (height, width))
    return (torch.cartesian_prod(y, x).flip(1) + 0.5) * stride


def assigned(
    place: Float[Tensor, "P 2"],
    stride: Float[Tensor, "P"],
    last: Bool[Tensor, "P"],
    objects: Float[Tensor, "B L 4"],
    there: Bool[Tensor, "B L"],
) -> Tensor:
    """Return the number of the object that each place answers for, [B, P]; -1 for none.

    A place is near an object's middle and inside it, and its level is of the object's size. Of
    several objects it takes the smallest.
    """
    away = torch.cat(
        [
            place[None, :, None] - objects[:, None, :, :2],
            objects[:, None, :, 2:] - place[None, :, None],
        ],
        -1,
    )  # [B, P, L, 4]
    middle = (objects[..., :2] + objects[..., 2:]) / 2
    beside = (place[None, :, None] - middle[:, None]).abs().amax(-1)
    farthest, step = away.amax(-1), stride[None, :, None]
    most = torch.where(last, math.inf, stride * REACH)[None, :, None]
    # The first level takes what is smaller than any other.
    least = torch.where(stride == stride.min(), 0.0, stride * REACH / 2)[None, :, None]
    fits = (away.amin(-1) > 0) & (beside < NEAR * step) & (farthest <= most) & (farthest > least)
    size = torch.where(fits & there[:, None], area_of(objects)[:, None], math.inf)
    smallest, which = size.min(-1)
    return torch.where(smallest.isinf(), -1, which)


@torch.no_grad()
def best_places(
    worth: Float[Tensor, "B P"], boxes: Float[Tensor, "B P 4"], count: int, side_px: int
) -> tuple[Float[Tensor, "B N 4"], Float[Tensor, "B N"], Bool[Tensor, "B N"]]:
    """Return the `count` best boxes that do not lie on each other, what they are worth (0 to 1),
    and which of them are any: where fewer are left, the rest is not there."""
    ranked, order = worth.detach().sigmoid().topk(min(RANKED * count, worth.shape[1]), dim=1)
    found = inside(boxes.detach().gather(1, order[..., None].expand(-1, -1, 4)), side_px)
    stays = nms(found, (found[..., 2:] - found[..., :2] > 1).all(-1), PROPOSAL_IOU)
    kept, best = torch.where(stays, ranked, -1.0).topk(min(count, ranked.shape[1]), dim=1)
    return found.gather(1, best[..., None].expand(-1, -1, 4)), kept.clamp(min=0), kept >= 0
