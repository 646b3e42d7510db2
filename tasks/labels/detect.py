"""Object detection: which things are where, as boxes, and with `--masks` as masks.

Letters: B pictures, N proposals of one, L objects of the picture that has most, D found.

A detector in two steps, after R-CNN (Girshick et al. 2014, https://arxiv.org/abs/1311.2524) and
its successors; see `tasks/labels/detector.py` for papers and layers. Pictures come from any set
that `tasks/labels/boxed.py` reads, or from the offline world `scenes`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from PIL import Image
from torch import Tensor

from backbones.cnn import build_trunk
from backbones.training.checks.limits import require_at_most
from backbones.training.config import RunConfig, changed, require_not_negative, require_positive
from backbones.training.distributed import ALONE
from backbones.training.errors import UserError
from backbones.training.log import Board
from backbones.transfer import TrunkConfig
from tasks.answers import Answer, Picture
from tasks.data.augment import alternating, flip
from tasks.data.decode import whole_picture, whole_planes
from tasks.data.formats.rle import runs_of, string_of
from tasks.data.pictures import shown_names
from tasks.data.samples import Batch, Samples, moved
from tasks.data.split_names import Split
from tasks.fit_config import FitConfig
from tasks.job import TaskJob
from tasks.labels.bits import unpacked
from tasks.labels.boxed import WORLD, Boxed
from tasks.labels.detector import Detector, Objects, head_loss, mask_loss
from tasks.labels.finding import FindConfig, find, regions, truth_of
from tasks.looks.boxes import curve_picture, in_square, show_detections, shown_part, with_objects
from tasks.scores.detection import Seen, detection_rows, detection_scores, precision_curves
from tasks.scores.sums import Counts, Sums, add
from tasks.task import Task

Proposals = Literal["dense", "grid", "file"]
SHOWN = 64  # pictures of which TensorBoard has the first and the worst
MOST_SIZE_PX, MOST_CHANNELS, MOST_UNITS, MOST_PROPOSALS = 2_048, 2**10, 2**13, 1_000

TRUNK = TrunkConfig(trunk="plain", norm="batch")
FIT = FitConfig(
    num_epochs=1,
    batch_size=32,
    optimizer="adamw",
    learning_rate=2e-3,
    warm_up=0.1,
    weight_decay=0.01,
    max_grad_norm=10.0,
    ema=0.995,
    eval_every=1,
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Object detection on the shared trunks."""

    set: str = WORLD
    """A folder of $ARCADIA_DATA, such as coco128, or the offline world scenes."""
    data: str = ""
    """Folder of the set: COCO's JSON, VOC's XML, Penn-Fudan's or YOLO's files with the photos."""
    size_px: int = 0
    """Side of the square that pictures are fitted into; 0: 96 of the scenes, 256 of photos."""
    samples: int = 0
    """Learn from so many training pictures only; 0: all, of the scenes 24,000."""
    memory_gb: float = 0.0
    """Photos that would take more gigabytes than this stay on the disk and are decoded for every
    batch; 0: half of the free memory."""
    masks: bool = False
    """Learn a mask for every object too: Mask R-CNN."""
    proposals: Proposals = "dense"
    """Where to look: boxes that the network proposes (dense), windows of three sizes everywhere
    (grid), or boxes from outside in the set's proposals_train.json, _val and _test (file)."""
    crops: bool = False
    """Cut every region out of the picture and look at it by itself, as in the R-CNN of 2014,
    rather than at one map for all; needs proposals from outside."""
    num_proposals: int = 32
    """Regions of a picture that are looked at; a grid has as many as it needs."""
    channels: int = 64
    """Channels of the feature pyramid."""
    units: int = 256
    """Units of the two layers that say what is in a region."""
    flip: bool = False
    """Mirror training pictures left and right, every other epoch."""
    answer: FindConfig = field(default_factory=FindConfig)
    fit: FitConfig = FIT
    trunk: TrunkConfig = TRUNK
    run: RunConfig = field(default_factory=lambda: RunConfig(threads=2))

    def __post_init__(self) -> None:
        if self.crops and self.proposals == "dense":
            raise ValueError("crops need proposals from outside; give --proposals grid or file")
        if self.proposals == "file" and self.set == WORLD and not self.data:
            raise ValueError(
                "the scenes have no file of proposals until they are files: write them with "
                "`python -m tasks.worlds.scene_files FOLDER --proposals`, and give --data FOLDER"
            )
        require_positive(self, "num_proposals", "channels", "units")
        require_not_negative(self, "size_px", "samples")
        require_at_most(
            self,
            size_px=MOST_SIZE_PX,
            samples=2**31 - 1,
            num_proposals=MOST_PROPOSALS,
            channels=MOST_CHANNELS,
            units=MOST_UNITS,
        )


class Detect(Task[list[Seen]]):
    """The task; see `tasks/task.py` for what each method is for."""

    metric = "ap"
    gives = "picture"
    speaks = True
    redraws = True
    source_type = Boxed
    source: Boxed

    def __init__(self, config: Config, source: Boxed) -> None:
        super().__init__(config, source)
        self.side_px = source.about["side_px"]
        self.classes = shown_names(source.about["classes"])

    def means_the_same(self, about: Mapping[str, Any]) -> bool:
        return bool(about.get("classes") == self.source.about["classes"])

    def model(self) -> Detector:
        config, about = self.config, self.source.about
        mean, std = tuple(about["mean"]), tuple(about["std"])
        spec = changed(config.trunk.spec(about["channels"]), mean=mean, std=std)
        return Detector(
            build_trunk(spec),
            len(self.classes),
            side_px=self.side_px,
            channels=config.channels,
            units=config.units,
            masks=config.masks,
            dense=config.proposals == "dense",
            crops=config.crops,
        )

    def to_score(self, split: Split) -> Samples:
        return self.source.of(split, scored=True)

    def prepare(self, batch: Batch, epoch: int) -> Batch:
        if not self.config.flip:
            return batch
        seed, device = self.config.run.seed, batch["picture"].device
        which = alternating(seed, epoch, batch["index"], device)
        return mirrored(batch, which, self.side_px)

    def loss(self, model: Detector, batch: Batch) -> Float[Tensor, "B"]:
        objects = Objects(batch["box"], batch["label"], batch["crowd"])
        levels = model.levels(batch["picture"])
        boxes, _, there, said = regions(model, levels, batch, self.config.num_proposals)
        loss = torch.zeros(len(boxes), device=boxes.device)
        if model.dense is not None:
            worth, places = said
            targets = objects.boxes, objects.there, objects.ignored
            loss = model.dense.loss(levels, worth, places, *targets)
        # Objects' own boxes are looked at too, so that the heads learn before proposals are good.
        boxes = torch.cat([boxes, objects.boxes], 1)
        there = torch.cat([there, objects.there], 1)
        loss = loss + head_loss(*model.judge(levels, boxes), boxes, there, objects)
        if model.mask is not None:
            loss = loss + mask_loss(
                model, levels, boxes, there, objects, lambda n: self.drawn(batch, n)
            )
        return loss

    def drawn(self, batch: Batch, which: Int64[Tensor, "B R"]) -> Float[Tensor, "B R H W"]:
        """Return the masks of some objects of every picture, by number."""
        bits = batch["mask"]
        picked = bits.gather(1, which[..., None].expand(-1, -1, bits.shape[-1]))
        masks = unpacked(picked, self.side_px)
        return flip(masks, batch["mirrored"]) if "mirrored" in batch else masks

    def predict(self, model: Detector, batch: Batch) -> list[Seen]:
        return find(model, batch, self.config.num_proposals, self.config.answer)

    def score(self, answers: list[Seen], batch: Batch) -> Counts:
        masks = self.config.masks
        truth = truth_of(batch, self.side_px)
        return detection_rows(answers, truth, batch["number"].tolist(), masks=masks)

    def scores(self, sums: Sums) -> dict[str, float]:
        return detection_scores(sums, len(self.classes), masks=self.config.masks)

    def baseline(self) -> tuple[float, str]:
        commonest, *shares = self.source.about["typical"]
        label = int(commonest)
        samples = self.to_score(self.scored)
        counts = []
        for index in samples.in_order().split(256):
            truth = truth_of(samples.batch(index), self.side_px)
            usual = [usual_answer(label, shares, seen, masks=self.config.masks) for seen in truth]
            counts.append(detection_rows(usual, truth, index.tolist(), masks=self.config.masks))
        scores = self.scores(add(counts, ALONE))
        return scores[self.metric], f"always one {self.classes[label - 1]} of the median box"

    def ask(self, inputs: list[Any]) -> Batch:
        """Return pictures fitted into the square that was trained on, and as they are."""
        if self.config.proposals == "file":
            raise UserError(
                "this detector looks where a file says, and that knows no other photos; train one "
                "with --proposals dense or grid"
            )
        channels = self.source.about["channels"]
        asked = [whole_picture(one, channels=channels) for one in inputs]
        tall, wide = (max(picture.shape[n] for picture in asked) for n in (1, 2))
        shown = torch.zeros(len(asked), asked[0].shape[0], tall, wide, dtype=torch.uint8)
        squares = []
        for row, picture in zip(shown, asked, strict=True):
            row[:, : picture.shape[1], : picture.shape[2]] = picture
            pixels = picture.permute(1, 2, 0).contiguous().numpy()
            image = Image.fromarray(pixels)
            squares.append(torch.from_numpy(whole_planes(image, self.side_px, len(picture))))
        size = torch.tensor([picture.shape[1:] for picture in asked])
        scale = self.side_px / size.amax(1)
        return {"picture": torch.stack(squares), "scale": scale, "size": size, "shown": shown}

    def say(self, answers: list[Seen]) -> list[Answer]:
        return [self.said_of(shown_part(seen, self.config.answer.threshold)) for seen in answers]

    def said_of(self, seen: Seen) -> Answer:
        """Return what was found in a picture: names, COCO's results, and the picture with it."""
        names, numbers = self.classes, self.source.about["numbers"]
        results = []
        for n, (label, score) in enumerate(
            zip(seen.label.tolist(), seen.score.tolist(), strict=True)
        ):
            x0, y0, x1, y1 = (round(value, 2) for value in seen.boxes[n].tolist())
            result = {"category_id": numbers[label - 1], "category": names[label - 1]}
            result |= {"bbox": [x0, y0, round(x1 - x0, 2), round(y1 - y0, 2)]}
            result |= {"score": round(score, 4)}
            if seen.masks is not None:
                result["segmentation"] = {"size": list(seen.size), "counts": seen.masks[n]}
            results.append(result)
        text = ", ".join(f"{each['category']} {each['score']:.0%}" for each in results)
        picture = None
        if seen.shown is not None:
            picture = Picture(with_objects(seen.shown, seen, names, sure=True))
        return Answer(text or "nothing", {"results": results}, picture)

    @torch.no_grad()
    def show(
        self, board: Board, progress: int, model: Detector, sums: Mapping[str, Tensor]
    ) -> None:
        samples, device = self.to_score("val"), next(model.parameters()).device
        truth, answers, pictures = list[Seen](), list[Seen](), list[np.ndarray]()
        for index in torch.arange(min(SHOWN, len(samples))).split(16):
            batch = moved(samples.batch(index), device)
            truth += truth_of(batch, self.side_px)
            found = self.predict(model, batch)
            answers += [shown_part(seen, self.config.answer.threshold) for seen in found]
            pictures += list(batch["picture"].cpu().permute(0, 2, 3, 1).contiguous().numpy())
        # Drawn in the square that the detector sees: boxes of photos are scaled to it.
        truth, answers = ([in_square(s, self.side_px) for s in each] for each in (truth, answers))
        show_detections(board, progress, pictures, truth, answers, self.classes)
        for kind in ("bbox", "segm") if self.config.masks else ("bbox",):
            curves = precision_curves(sums, len(self.classes), kind)
            if curves is not None:
                name = "precision_recall" if kind == "bbox" else "mask_precision_recall"
                board.picture(progress, f"val/{name}", curve_picture(*curves))


def mirrored(batch: Batch, which: Bool[Tensor, "B"], side_px: int) -> Batch:
    """Return a batch with some of its pictures mirrored left and right, their boxes with them;
    masks are bits until they are learnt, and are mirrored then."""
    box = batch["box"]
    turned = torch.stack(
        [side_px - box[..., 2], box[..., 1], side_px - box[..., 0], box[..., 3]], -1
    )
    turned = turned * (batch["label"] > 0)[..., None]
    return {
        **batch,
        "picture": flip(batch["picture"], which),
        "box": torch.where(which[:, None, None], turned, box),
        "mirrored": which,
    }


def usual_answer(label: int, shares: list[float], truth: Seen, *, masks: bool) -> Seen:
    """Return one box of a class in a picture, in shares of its longer side, filled as a mask."""
    box = np.array(shares) * max(truth.size)
    filled = None
    if masks:
        (x0, y0, x1, y1), whole = box.round().astype(int), np.zeros(truth.size, bool)
        whole[y0:y1, x0:x1] = True
        filled = (string_of(runs_of(whole)),)
    return Seen(box[None], np.array([label]), np.ones(1), truth.size, filled)


SCENES = Config()
SMOKE = changed(
    SCENES,
    samples=64,
    masks=True,
    num_proposals=8,
    channels=16,
    units=32,
    fit=changed(FIT, num_epochs=1, batch_size=16),
    trunk=changed(TRUNK, width=0.25),
    run=RunConfig(threads=1),
)
MASKS = changed(SCENES, masks=True)
PRESETS = {"default": SCENES, "smoke": SMOKE, "masks": MASKS}

JOB = TaskJob("detect", PRESETS, Detect)
train, resume = JOB.train, JOB.resume
