"""Scores of boxes and masks: average precision as COCO has it, by faster-coco-eval, and VOC's.

Letters: B pictures, D boxes that were found, G objects there are, Z bytes.

Average precision needs all boxes of a split in the order of their scores, so rows are kept: sums
would not do. Masks are kept as the bytes of COCO's strings of run lengths, one behind the other.
COCO's AP is the mean over IoU 0.50 to 0.95 in steps of 0.05, over 101 points of recall and over
classes, of the best 100 boxes a picture (https://cocodataset.org/#detection-eval); crowds are
neither found nor missed. VOC's is that of 2007 with 11 points of recall, at IoU 0.5.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from faster_coco_eval import COCO, COCOeval_faster
from jaxtyping import Bool, Float, Float64, Int64, UInt8
from torch import Tensor

from tasks.scores.sums import Counts, Kept

MOST_FOUND = 100  # boxes of a picture that count
NAMES = {
    "ap": "AP_all",
    "ap50": "AP_50",
    "ap75": "AP_75",
    "ap_small": "AP_small",
    "ap_medium": "AP_medium",
    "ap_large": "AP_large",
    "ar": "AR_third",
}
IouType = Literal["bbox", "segm"]


@dataclass(frozen=True)
class Seen:
    """What is in a picture, or what was found in it: boxes and masks in its own pixels."""

    boxes: Float64[np.ndarray, "D 4"]
    """x0, y0, x1, y1."""
    label: Int64[np.ndarray, "D"]
    """1 to the number of classes."""
    score: Float64[np.ndarray, "D"]
    """Of what was found, 0 to 1; of objects, 1 for crowds and 0 for all others."""
    size: tuple[int, int]
    """Rows and columns of the picture."""
    masks: tuple[str, ...] | None = None
    """Strings of run lengths, if there are masks."""
    shown: UInt8[np.ndarray, "H W 3"] | None = None
    """The picture as it is, where the answer is to be drawn on it."""


def detection_rows(
    found: Sequence[Seen], truth: Sequence[Seen], number: Sequence[int], *, masks: bool
) -> Counts:
    """Return what is kept of a batch: what was found in the pictures of these numbers, and what
    is there."""
    counts: dict[str, Tensor | Kept] = {
        "size": Kept(torch.tensor([[n, *each.size] for n, each in zip(number, truth, strict=True)]))
    }
    for name, sides in (("found", found), ("truth", truth)):
        rows = [
            np.column_stack([np.full(len(s.label), n), s.label, s.score, s.boxes])
            for n, s in zip(number, sides, strict=True)
        ]
        counts[name] = Kept(torch.from_numpy(np.concatenate(rows)))
        if masks:
            texts = [text.encode() for side in sides for text in side.masks or ()]
            data = np.frombuffer(b"".join(texts), np.uint8).copy()
            counts[f"{name}_mask"] = Kept(torch.from_numpy(data))
            counts[f"{name}_mask_length"] = Kept(torch.tensor([*map(len, texts)]).long())
    return counts


def mask_texts(sums: Mapping[str, Tensor], name: str) -> list[str]:
    """Return the strings that were kept, in the order of their rows."""
    data, texts, begin = sums[f"{name}_mask"].numpy().tobytes(), [], 0
    for length in sums[f"{name}_mask_length"].tolist():
        texts.append(data[begin : begin + length].decode())
        begin += length
    return texts


def coco_entries(sums: Mapping[str, Tensor], name: str, *, masks: bool) -> list[dict[str, Any]]:
    """Return what was found, or what is there, in COCO's form."""
    sizes = {n: [height, width] for n, height, width in sums["size"].tolist()}
    texts = mask_texts(sums, name) if masks else []
    entries = []
    for n, (number, label, score, x0, y0, x1, y1) in enumerate(sums[name].tolist()):
        box = [x0, y0, x1 - x0, y1 - y0]
        entry = {"id": n + 1, "image_id": int(number), "category_id": int(label), "bbox": box}
        if masks:
            entry["segmentation"] = {"size": sizes[int(number)], "counts": texts[n]}
        if name == "found":
            entry["score"] = score
        else:
            entry |= {"iscrowd": int(score), "area": box[2] * box[3]}
        entries.append(entry)
    return entries


def coco_evaluation(
    sums: Mapping[str, Tensor], classes: int, kind: IouType = "bbox"
) -> COCOeval_faster:
    """Return faster-coco-eval's evaluation of all pictures: it has scores and curves."""
    masks = kind == "segm"
    truth = COCO(
        {
            "images": [
                {"id": n, "height": height, "width": width}
                for n, height, width in sums["size"].tolist()
            ],
            "categories": [{"id": n, "name": str(n)} for n in range(1, classes + 1)],
            "annotations": coco_entries(sums, "truth", masks=masks),
        }
    )
    found = truth.loadRes(coco_entries(sums, "found", masks=masks))
    evaluation = COCOeval_faster(truth, found, kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation


def detection_scores(sums: Mapping[str, Tensor], classes: int, *, masks: bool) -> dict[str, float]:
    """Return COCO's scores of boxes, and of masks as `mask_ap` and so on, and VOC's of boxes, all
    in per cent. A size of which there is no object has no score; AP without any object is 0."""
    scores = {"ap": 0.0, "ap50": 0.0} | ({"mask_ap": 0.0, "mask_ap50": 0.0} if masks else {})
    there = bool((sums["truth"][:, 2] == 0).any())
    if not there or not len(sums["found"]):
        return {**scores, "voc_ap": 0.0}
    for kind in ("bbox", "segm") if masks else ("bbox",):
        stats = coco_evaluation(sums, classes, kind).stats_as_dict
        prefix = "mask_" if kind == "segm" else ""
        named = {f"{prefix}{name}": 100 * float(stats[theirs]) for name, theirs in NAMES.items()}
        scores |= {name: value for name, value in named.items() if value >= 0}
    return {**scores, "voc_ap": 100 * voc_ap(sums)}


def precision_curves(
    sums: Mapping[str, Tensor], classes: int, kind: IouType
) -> tuple[Float64[np.ndarray, "T R"], list[str]] | None:
    """Return the mean precision over classes at 101 points of recall, for IoU 0.5, 0.75 and 0.9,
    and what the curves are called; None where nothing is, or nothing was found."""
    if not bool((sums["truth"][:, 2] == 0).any()) or not len(sums["found"]):
        return None
    precision = coco_evaluation(sums, classes, kind).eval["precision"]
    there = (precision[:, :, :, 0, -1] >= 0).all((0, 1))  # of classes that have objects
    curves = precision[[0, 5, 8]][:, :, there, 0, -1].mean(2)
    return curves, [f"IoU {threshold}" for threshold in ("0.50", "0.75", "0.90")]


def voc_ap(sums: Mapping[str, Tensor]) -> float:
    """Return the mean over classes of VOC 2007's average precision (0 to 1): the mean of the best
    precision from recall 0, 0.1, ... 1 on (Everingham et al. 2010,
    https://doi.org/10.1007/s11263-009-0275-4, section 4.2)."""
    found, truth = sums["found"].numpy(), sums["truth"].numpy()
    each = []
    for label in np.unique(truth[truth[:, 2] == 0, 1]):
        objects = truth[truth[:, 1] == label]
        ranked = found[found[:, 1] == label]
        ranked = ranked[np.argsort(-ranked[:, 2], kind="stable")]
        right, counts = voc_matches(ranked, objects)
        hits = np.cumsum(right[counts])
        recall = hits / (objects[:, 2] == 0).sum()
        precision = hits / np.arange(1, len(hits) + 1)
        tops = [precision[recall >= n / 10].max(initial=0.0) for n in range(11)]
        each.append(np.mean(tops))
    return float(np.mean(each)) if each else 0.0


def voc_matches(
    ranked: Float64[np.ndarray, "D 7"], objects: Float64[np.ndarray, "G 7"]
) -> tuple[Bool[np.ndarray, "D"], Bool[np.ndarray, "D"]]:
    """Return which boxes of a class are right, the best first, and which count at all: one on a
    crowd or on something difficult does not. A second box on the same object is wrong."""
    right, counts = np.zeros(len(ranked), bool), np.ones(len(ranked), bool)
    places: dict[int, list[int]] = {}
    for n, number in enumerate(objects[:, 0].astype(int).tolist()):
        places.setdefault(number, []).append(n)
    taken = set[int]()
    for n, row in enumerate(ranked):
        here = places.get(int(row[0]), [])
        if not here:
            continue
        overlap = overlaps(row[3:], objects[here, 3:])
        best = here[int(overlap.argmax())]
        if overlap.max() < 0.5:
            continue
        if objects[best, 2]:
            counts[n] = False
        elif best not in taken:
            right[n] = True
            taken.add(best)
    return right, counts


def overlaps(
    box: Float64[np.ndarray, "4"], others: Float64[np.ndarray, "G 4"]
) -> Float[np.ndarray, "G"]:
    """Return the IoU of a box with others."""
    size = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = size.clip(0).prod(1)
    union = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(1) - shared
    return shared / np.maximum(union, 1e-9)  # type: ignore[no-any-return]
