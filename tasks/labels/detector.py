"""The detector: a trunk, a pyramid, proposals, and heads that look at every proposal.

Letters: B pictures, C channels, H rows, W columns, N proposals, L objects of the picture that has
most, A classes, D channels of the pyramid, R regions whose masks are learnt.

Faster R-CNN (Ren et al. 2015, https://arxiv.org/abs/1506.01497) with the pyramid of Lin et al.
2017, and with a mask head Mask R-CNN (He et al. 2017, https://arxiv.org/abs/1703.06870).

What surprises: class 0 is the background, so the objects' classes are 1 to A. No proposal is drawn
at random to learn from: non-maximum suppression leaves so few that all of them count.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor, nn

from backbones.pyramid import Pyramid
from backbones.trunk import Trunk
from tasks.labels.dense import DenseProposals, best_places
from tasks.labels.regions import area_of, inside, iou, moved_by, offsets_to, roi_align, shared_area

BOX_CELLS, MASK_CELLS = 7, 14
MASK_PX = 2 * MASK_CELLS
POSITIVE_IOU = 0.5
IN_A_CROWD = 0.5  # share of a proposal that lies in a crowd, from which on it is no mistake
MASKS_LEARNT = 6  # regions of a picture


@dataclass(frozen=True)
class Objects:
    """What is in the pictures of a batch, as it is learnt from."""

    boxes: Float[Tensor, "B L 4"]
    label: Int64[Tensor, "B L"]
    """1 to A; 0 where a picture has fewer objects than others."""
    crowd: Bool[Tensor, "B L"]
    """Several objects that nobody told apart: neither found nor missed."""

    @property
    def there(self) -> Bool[Tensor, "B L"]:
        """Which are single objects."""
        return (self.label > 0) & ~self.crowd & (area_of(self.boxes) > 0)

    @property
    def ignored(self) -> Float[Tensor, "B L 4"]:
        """The boxes of crowds; boxes of no area for everything else."""
        return self.boxes * self.crowd[..., None]


class BoxHead(nn.Module):
    """Two layers over the cells of a region; then its class, and how its box is to be moved."""

    def __init__(self, channels: int, classes: int, units: int) -> None:
        super().__init__()
        self.first = nn.Linear(channels * BOX_CELLS**2, units)
        self.second = nn.Linear(units, units)
        self.label = nn.Linear(units, classes + 1)
        self.offset = nn.Linear(units, 4)
        nn.init.normal_(self.label.weight, std=0.01)
        nn.init.normal_(self.offset.weight, std=0.001)
        for layer in (self.first, self.second):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        for layer in (self.first, self.second, self.label, self.offset):
            nn.init.zeros_(layer.bias)

    def forward(self, cells: Float[Tensor, "B N D S S"]) -> tuple[Tensor, Tensor]:
        """Return logits of the classes, [B, N, A + 1], and offsets, [B, N, 4]."""
        seen = F.relu(self.second(F.relu(self.first(cells.flatten(2)))))
        return self.label(seen).float(), self.offset(seen).float()


class MaskHead(nn.Module):
    """Convolutions over 14 x 14 cells, enlarged to 28 x 28: a mask for every class."""

    def __init__(self, channels: int, classes: int, units: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, units, 3, padding=1)
        self.second = nn.Conv2d(units, units, 3, padding=1)
        self.enlarge = nn.ConvTranspose2d(units, units, 2, 2)
        self.say = nn.Conv2d(units, classes, 1)
        for layer in (self.first, self.second, self.enlarge, self.say):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, cells: Float[Tensor, "R D S S"]) -> Float[Tensor, "R A S2 S2"]:
        seen = F.relu(self.second(F.relu(self.first(cells))))
        return self.say(F.relu(self.enlarge(seen))).float()


class Detector(nn.Module):
    """Everything that learns. `proposals` are dense, or come from outside: then there is no part
    that makes them."""

    def __init__(
        self,
        trunk: Trunk,
        classes: int,
        *,
        side_px: int,
        channels: int,
        units: int,
        masks: bool,
        dense: bool,
        crops: bool,
    ) -> None:
        """With `crops` every region is cut out of the picture and goes through the trunk by itself,
        as in the first R-CNN. UserError if pictures of `side_px` are too small for the trunk."""
        super().__init__()
        assert not (dense and crops), "what proposes looks at the map of the whole picture"
        trunk.conv_output(side_px, side_px)
        self.side_px, self.classes = side_px, classes
        self.cnn = trunk
        self.pyramid = Pyramid(trunk, channels)
        self.strides = self.pyramid.strides
        self.crop_px = BOX_CELLS * self.strides[1] if crops else 0
        self.dense = DenseProposals(channels, self.strides) if dense else None
        self.box = BoxHead(channels, classes, units)
        self.mask = MaskHead(channels, classes, channels // 2) if masks else None

    def levels(self, picture: Shaped[Tensor, "B C H W"]) -> list[Tensor]:
        """Return the pyramid of pictures; with crops, the pictures alone."""
        if self.crop_px:
            return [picture.float()]
        return self.pyramid(self.cnn(picture))  # type: ignore[no-any-return]

    def propose(
        self, levels: list[Tensor], count: int
    ) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor]]:
        """Return boxes, their worth, which are there, and what the places said for the loss."""
        assert self.dense is not None
        worth, boxes = self.dense(levels)
        return *best_places(worth, boxes, count, self.side_px), (worth, boxes)

    def cells(
        self, levels: list[Tensor], boxes: Float[Tensor, "B N 4"], side: int
    ) -> Float[Tensor, "B N D S S"]:
        """Return what a head looks at of every region."""
        if not self.crop_px:
            return roi_align(levels, self.strides, boxes, side)
        crops = roi_align(levels, [1], boxes, self.crop_px)
        seen = self.pyramid(self.cnn(crops.flatten(0, 1)))
        # A crop is so large that its levels have as many cells as the heads take.
        level = seen[1 if side == BOX_CELLS else 0].float()
        return level.unflatten(0, boxes.shape[:2])  # type: ignore[no-any-return]

    def judge(
        self, levels: list[Tensor], boxes: Float[Tensor, "B N 4"]
    ) -> tuple[Float[Tensor, "B N A1"], Float[Tensor, "B N 4"]]:
        """Return logits of the classes of regions, and how their boxes are to be moved."""
        return self.box(self.cells(levels, boxes, BOX_CELLS))  # type: ignore[no-any-return]

    def masks(
        self, levels: list[Tensor], boxes: Float[Tensor, "B R 4"], label: Int64[Tensor, "B R"]
    ) -> Float[Tensor, "B R S S"]:
        """Return the mask of every region for its class, as logits."""
        assert self.mask is not None
        cells = self.cells(levels, boxes, MASK_CELLS)
        said = self.mask(cells.flatten(0, 1)).unflatten(0, boxes.shape[:2])
        number = (label - 1).clamp(min=0)[..., None, None, None]
        return said.gather(2, number.expand(-1, -1, 1, MASK_PX, MASK_PX))[:, :, 0]


def matched(
    boxes: Float[Tensor, "B N 4"], there: Bool[Tensor, "B N"], objects: Objects
) -> tuple[Int64[Tensor, "B N"], Int64[Tensor, "B N"], Bool[Tensor, "B N"], Float[Tensor, "B N"]]:
    """Return each proposal's class (0: background), the object it is nearest to, whether it counts,
    and how much it overlaps that object."""
    if not objects.boxes.shape[1]:
        nothing = torch.zeros(boxes.shape[:2], dtype=torch.long, device=boxes.device)
        return nothing, nothing, there, nothing.float()
    overlap = iou(boxes, objects.boxes) * objects.there[:, None]
    best, which = overlap.max(-1)
    positive = best >= POSITIVE_IOU
    crowded = shared_area(boxes, objects.ignored).amax(-1)
    counts = there & (positive | (crowded <= IN_A_CROWD * area_of(boxes)))
    return objects.label.gather(1, which) * positive, which, counts, best


def head_loss(
    logits: Float[Tensor, "B N A1"],
    offset: Float[Tensor, "B N 4"],
    boxes: Float[Tensor, "B N 4"],
    there: Bool[Tensor, "B N"],
    objects: Objects,
) -> Float[Tensor, "B"]:
    """Return the loss of classes and offsets of every picture's regions."""
    label, which, counts, _ = matched(boxes, there, objects)
    cost = F.cross_entropy(logits.transpose(1, 2), label, reduction="none")
    loss = (cost * counts).sum(1) / counts.sum(1).clamp(min=1)
    positive = (label > 0) & counts
    if not objects.boxes.shape[1]:
        return loss
    target = objects.boxes.gather(1, which[..., None].expand(-1, -1, 4))
    apart = F.smooth_l1_loss(offset, offsets_to(boxes, target), reduction="none", beta=0.5).sum(-1)
    return loss + (apart * positive).sum(1) / positive.sum(1).clamp(min=1)


def mask_loss(
    model: Detector,
    levels: list[Tensor],
    boxes: Float[Tensor, "B N 4"],
    there: Bool[Tensor, "B N"],
    objects: Objects,
    drawn: Callable[[Int64[Tensor, "B R"]], Float[Tensor, "B R H W"]],
) -> Float[Tensor, "B"]:
    """Return the loss of the masks of the regions that fit an object best; `drawn` gives the masks
    of objects by number, since all of a crowded photo's would take gigabytes."""
    if not objects.boxes.shape[1]:
        return levels[0].sum((1, 2, 3)) * 0
    label, which, counts, overlap = matched(boxes, there, objects)
    rank = torch.where((label > 0) & counts, overlap, -1.0)
    kept, best = rank.topk(min(MASKS_LEARNT, rank.shape[1]), dim=1)
    of_best = [each.gather(1, best) for each in (label, which)]
    region = boxes.gather(1, best[..., None].expand(-1, -1, 4))
    said = model.masks(levels, region, of_best[0])
    target = cut_out(drawn(of_best[1]), region)
    cost = F.binary_cross_entropy_with_logits(said, target, reduction="none").mean((2, 3))
    positive = kept >= 0
    return (cost * positive).sum(1) / positive.sum(1).clamp(min=1)


@torch.no_grad()
def cut_out(
    masks: Float[Tensor, "B R H W"], boxes: Float[Tensor, "B R 4"]
) -> Float[Tensor, "B R S S"]:
    """Return what lies of each region's mask in its cells: 0 or 1."""
    cells = roi_align([masks.flatten(0, 1)[:, None]], [1], boxes.reshape(-1, 1, 4), MASK_PX)
    return (cells.view(*boxes.shape[:2], MASK_PX, MASK_PX) > 0.5).float()


@torch.no_grad()
def refined(
    logits: Float[Tensor, "B N A1"],
    offset: Float[Tensor, "B N 4"],
    boxes: Float[Tensor, "B N 4"],
    side_px: int,
) -> tuple[Float[Tensor, "B N A"], Float[Tensor, "B N 4"]]:
    """Return the chance of every class, and the moved boxes."""
    return logits.softmax(-1)[..., 1:], inside(moved_by(boxes, offset), side_px)
