"""From what the heads say of proposals to what was found in a picture.

Letters: B pictures, N proposals, D found, A classes, S cells of a mask's side.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from backbones.training.checks.limits import require_at_most
from backbones.training.config import require_fraction, require_positive
from tasks.data.formats.rle import runs_of, string_of
from tasks.data.samples import Batch
from tasks.labels.bits import unpacked
from tasks.labels.detector import Detector, refined
from tasks.labels.proposals import windows
from tasks.labels.regions import apart_by_class, nms
from tasks.scores.detection import MOST_FOUND, Seen

MASKED_AT_ONCE = 8  # pictures
LEAST_SCORE = 0.01  # of what counts; that is 0.0001 as a chance, and a higher bound lowers AP


@dataclass(frozen=True, kw_only=True)
class FindConfig:
    """How answers are made."""

    nms_iou: float = 0.5
    """Of two boxes of one class that overlap by more than this the less likely one goes."""
    threshold: float = 0.5
    """How sure the detector must be of what people are shown; scores count all that it found."""
    most: int = MOST_FOUND
    """Objects of a picture at most."""

    def __post_init__(self) -> None:
        require_fraction(self, "nms_iou", "threshold")
        require_positive(self, "most")
        require_at_most(self, most=MOST_FOUND)


def regions(
    model: Detector, levels: list[Tensor], batch: Batch, count: int
) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, ...]]:
    """Return the boxes to look at, [B, N, 4], what each is worth (0 to 1), which are there, and
    what the network said of them for its loss: those that it proposes, those of the batch, or
    windows everywhere."""
    if model.dense is not None:
        return model.propose(levels, count)
    boxes = batch.get("proposal")
    if boxes is None:
        boxes = windows(model.side_px).to(levels[0].device)
        boxes = boxes.expand(len(batch["picture"]), *boxes.shape)
    there = (boxes[..., 2:] - boxes[..., :2] > 1).all(-1)
    return boxes, there.float(), there, ()


@torch.no_grad()
def find(model: Detector, batch: Batch, count: int, how: FindConfig) -> list[Seen]:
    """Return what is in the pictures of a batch, in their own pixels."""
    levels = model.levels(batch["picture"])
    boxes, worth, there, _ = regions(model, levels, batch, count)
    logits, offset = model.judge(levels, boxes)
    chance, moved = refined(logits, offset, boxes, model.side_px)
    # What is only shown needs no masks of what nobody will see.
    least = max(LEAST_SCORE, how.threshold if "shown" in batch else 0.0)
    boxes, label, score, stays = chosen(chance, moved, worth, there, how, least)
    masks = None
    if model.mask is not None:
        # A few pictures at a time: the maps of a region take a quarter of a megabyte.
        parts = range(0, len(boxes), MASKED_AT_ONCE)
        views = [slice(n, n + MASKED_AT_ONCE) for n in parts]
        drawn = [model.masks([m[v] for m in levels], boxes[v], label[v]).sigmoid() for v in views]
        masks = torch.cat(drawn).float().cpu()
    columns = [each.cpu() for each in (boxes, label, score, stays)]
    seen = []
    for n in range(len(boxes)):
        mine, names, scores, kept = (each[n] for each in columns)
        scale = float(batch["scale"][n])
        height, width = batch["size"][n].tolist()
        inside = (mine[kept].double() / scale).numpy().clip(0, [width, height, width, height])
        texts = None
        if masks is not None:
            texts = tuple(map(pasted, masks[n][kept], inside, [(height, width)] * len(inside)))
        labels, sure = names[kept].numpy(), scores[kept].double().numpy()
        shown = batch["shown"][n, :, :height, :width].cpu() if "shown" in batch else None
        pixels = None if shown is None else shown.permute(1, 2, 0).contiguous().numpy()
        seen.append(Seen(inside, labels, sure, (height, width), texts, pixels))
    return seen


def chosen(
    chance: Float[Tensor, "B N A"],
    boxes: Float[Tensor, "B N 4"],
    worth: Float[Tensor, "B N"],
    there: Bool[Tensor, "B N"],
    how: FindConfig,
    least: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return boxes, classes and scores, `least` or above, of the likeliest objects of every
    picture, and which of them are any."""
    number, classes = chance.shape[1:]
    score = (chance * worth[..., None]).sqrt() * there[..., None]
    ranked, order = score.flatten(1).topk(min(4 * how.most, number * classes), dim=1)
    label = order % classes + 1
    found = boxes.gather(1, (order // classes)[..., None].expand(-1, -1, 4))
    any_area = (found[..., 2:] - found[..., :2] > 0).all(-1)
    stays = nms(apart_by_class(found, label), (ranked >= least) & any_area, how.nms_iou)
    kept, best = torch.where(stays, ranked, -1.0).topk(min(how.most, ranked.shape[1]), dim=1)
    most = max(1, int((kept > 0).sum(1).max()))
    kept, best = kept[:, :most], best[:, :most]
    return (
        found.gather(1, best[..., None].expand(-1, -1, 4)),
        label.gather(1, best),
        kept,
        kept > 0,
    )


def pasted(mask: Float[Tensor, "S S"], box: Float[np.ndarray, "4"], size: tuple[int, int]) -> str:
    """Return a mask that was found in a box as a string of run lengths of the whole picture."""
    height, width = size
    left, top = np.floor(box[:2]).astype(int)
    right, bottom = np.ceil(box[2:]).astype(int)
    whole = np.zeros((height, width), bool)
    if right > left and bottom > top:
        x = (torch.arange(left, right) + 0.5 - box[0]) / (box[2] - box[0]) * 2 - 1
        y = (torch.arange(top, bottom) + 0.5 - box[1]) / (box[3] - box[1]) * 2 - 1
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None].float()
        inside = F.grid_sample(mask[None, None], grid, padding_mode="border", align_corners=False)
        whole[top:bottom, left:right] = inside[0, 0].numpy() > 0.5
    return string_of(runs_of(whole))


def truth_of(batch: Batch, side_px: int) -> list[Seen]:
    """Return what is in the pictures of a batch, in their own pixels."""
    batch = {name: column.cpu() for name, column in batch.items() if name != "picture"}
    seen = []
    for n, label in enumerate(batch["label"]):
        there = label > 0
        boxes = batch["box"][n][there].double() / batch["scale"][n].double()
        height, width = batch["size"][n].tolist()
        crowd = batch["crowd"][n][there].double().numpy()
        texts = mask_texts_of(batch, n, there, side_px)
        seen.append(Seen(boxes.numpy(), label[there].numpy(), crowd, (height, width), texts))
    return seen


def mask_texts_of(
    batch: Batch, row: int, there: Bool[Tensor, "L"], side_px: int
) -> tuple[str, ...] | None:
    """Return the run lengths of a picture's masks: as they were written down, or of the bits where
    the picture is the square itself; None without masks."""
    if "mask_text" in batch:
        text = batch["mask_text"][row, : int(batch["mask_text_length"][row])]
        return tuple(bytes(text.tolist()).decode().split("\n")) if there.any() else ()
    if "mask" not in batch:
        return None
    masks = unpacked(batch["mask"][row, there], side_px).bool().numpy()
    return tuple(string_of(runs_of(each)) for each in masks)
