"""Semantic segmentation: the class of every pixel, such as road, car or sky.

Letters: B pictures, C channels, H rows, W columns, A classes, D all pixels of the largest picture.

`--decode fcn` is Long et al. 2015 (https://arxiv.org/abs/1411.4038), `segnet` Badrinarayanan et al.
2017 (https://arxiv.org/abs/1511.00561); both stand on one of the shared trunks. Pixels without a
class (void) are neither learnt from nor scored. The score is the mean IoU of one confusion matrix
of all pixels of the split, at the size of the labels.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from backbones.cnn import build_trunk
from backbones.decoders import enlarged
from backbones.training.checks.limits import require_at_most
from backbones.training.config import RunConfig, changed, require_fraction, require_not_negative
from backbones.training.distributed import ALONE
from backbones.training.log import Board
from backbones.transfer import TrunkConfig
from tasks.answers import Answer, Kind, Picture
from tasks.data.decode import whole_picture
from tasks.data.formats.class_maps import VOID
from tasks.data.samples import Batch, Samples, moved
from tasks.data.split_names import Split
from tasks.evaluate import eval_batch
from tasks.fit_config import FitConfig
from tasks.job import TaskJob
from tasks.labels.mask_augment import MaskAugmentConfig, augment_masks
from tasks.labels.masked import Masked, squeezed
from tasks.labels.segmenter import Decode, Segmenter
from tasks.looks.masks import laid_over, masks_sheet, percents, shares_of
from tasks.looks.sheet import confusion_picture
from tasks.scores.masks import confusion_of, mask_scores
from tasks.scores.sums import Counts, Sums, add
from tasks.task import Task

MOST_SIZE_PX, MOST_SAMPLES = 4_096, 2**31 - 1
SHOWN, WORST, LOOKED_AT = 6, 6, 100  # pictures in TensorBoard, and of how many the worst are taken
USUAL = 500  # training pictures from which the commonest class of each place is taken


@dataclass(frozen=True, kw_only=True)
class DrawnConfig:
    """How answers are made and drawn."""

    prior: float = 0.75
    """How far the loss's class weights are taken back: 0, rare classes are answered too often; 1,
    as often as they are there."""
    tta: Literal["none", "flip"] = "none"
    """flip: the mean of a picture's answer and of its mirror image's."""
    draw: Literal["over", "colours", "numbers"] = "over"
    """Classes as colours over the picture, as colours alone, or as numbers for programs (grey)."""
    opacity: float = 0.5
    """Of the colours over a picture, 0 to 1."""

    def __post_init__(self) -> None:
        require_fraction(self, "prior", "opacity")


@dataclass(frozen=True, kw_only=True)
class Config:
    """The class of every pixel, on the shared trunks."""

    set: str = "roads"
    """camvid_subset, ... (a folder of $ARCADIA_DATA), or the offline world roads."""
    data: str = ""
    """Folder of the set: CamVid as packed for SegNet, Cityscapes, or PASCAL VOC."""
    height_px: int = 0
    """Rows of the pictures that the network sees; 0: 96."""
    width_px: int = 0
    """Columns; 0: 128."""
    samples: int = 0
    """Learn from so many training pictures only; 0: all. Of the world: how many there are."""
    memory_gb: float = 0.0
    """Pictures that would take more gigabytes than this stay on the disk; 0: half of the free
    memory."""
    decode: Decode = "fcn"
    """fcn: scores of several stages, summed; segnet: the trunk mirrored, with the places that its
    pooling took."""
    stages: tuple[str, ...] = ()
    """Stages that fcn scores, such as s2 s3 s5; none: the last three."""
    class_weights: Literal["median", "none"] = "median"
    """Rare classes weigh more in the loss: the median frequency over their own; none: all alike."""
    answer: DrawnConfig = field(default_factory=DrawnConfig)
    augment: MaskAugmentConfig = field(default_factory=MaskAugmentConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    trunk: TrunkConfig = field(default_factory=TrunkConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        require_not_negative(self, "height_px", "width_px", "samples", "memory_gb")
        require_at_most(self, height_px=MOST_SIZE_PX, width_px=MOST_SIZE_PX, samples=MOST_SAMPLES)


class Segment(Task[Tensor]):
    """The task; see `tasks/task.py` for what each method is for."""

    metric = "miou"
    source_type = Masked
    source: Masked
    gives: Kind = "picture"
    asked: list[UInt8[np.ndarray, "H W 3"]]
    """The pictures that the last answers are of: they are drawn on."""

    def __init__(self, config: Config, source: Masked) -> None:
        super().__init__(config, source)
        self.classes = tuple(source.about["classes"])
        self.palette = [(r, g, b) for r, g, b in source.about["palette"]]
        # A film's encoder would change numbers.
        self.redraws = config.answer.draw != "numbers"

    def to_score(self, split: Split) -> Samples:
        return self.source.scored(split)

    def means_the_same(self, about: Mapping[str, Any]) -> bool:
        return tuple(about.get("classes", ())) == self.classes

    def model(self) -> Segmenter:
        config, about = self.config, self.source.about
        mean, std = tuple(about["mean"]), tuple(about["std"])
        spec = changed(config.trunk.spec(3), mean=mean, std=std)
        trunk = build_trunk(spec)
        return Segmenter(trunk, config.decode, config.stages, len(self.classes), self.source.size)

    def prepare(self, batch: Batch, epoch: int) -> Batch:
        picture, label = augment_masks(
            batch["picture"],
            batch["label"],
            batch["index"],
            self.config.run.seed,
            epoch,
            self.config.augment,
        )
        return {**batch, "picture": picture, "label": label}

    @cached_property
    def weights(self) -> Float[Tensor, "A"]:
        """How much a pixel of each class counts in the loss."""
        if self.config.class_weights == "none":
            return torch.ones(len(self.classes))
        return torch.tensor(self.source.about["weights"])

    def loss(self, model: Segmenter, batch: Batch) -> Float[Tensor, "B"]:
        scores, label = model(batch["picture"]), batch["label"]
        each = F.cross_entropy(
            scores,
            label.long(),
            self.weights.to(scores.device),
            ignore_index=VOID,
            reduction="none",
        )
        # A picture that is void everywhere teaches nothing: 0, not 0 / 0.
        return each.sum((1, 2)) / (label != VOID).sum((1, 2)).clamp(min=1)

    def predict(self, model: Segmenter, batch: Batch) -> Float[Tensor, "B A H W"]:
        """Return log probabilities, up to a number, in the size that the network sees.

        A loss with weights w learns w times the probability: equation 9 of Menon et al. 2021,
        https://arxiv.org/abs/2007.07314, with their logarithms subtracted again.
        """
        picture = batch["picture"]
        answer = model(picture).log_softmax(1)
        if self.config.answer.tta == "flip":
            answer = (answer + model(picture.flip(-1)).flip(-1).log_softmax(1)) / 2
        weights = self.weights.to(answer.device)
        seen = torch.where(weights > 0, weights, 1)  # a class that training never had weighs 0
        return answer - self.config.answer.prior * seen.log().view(-1, 1, 1)

    def score(self, answers: Float[Tensor, "B A H W"], batch: Batch) -> Counts:
        count = len(self.classes)
        if "truth" not in batch:
            labels = labels_of(answers, (int(answers.shape[2]), int(answers.shape[3])))
            return {"confusion": confusion_of(labels, batch["label"], count)}
        total = torch.zeros(count, count, dtype=torch.long, device=answers.device)
        for answer, truth, shape in zip(answers, batch["truth"], batch["shape"], strict=True):
            rows, columns = shape.tolist()
            label = labels_of(answer[None], (rows, columns))[0]
            total += confusion_of(label.flatten(), truth[: rows * columns], count)
        return {"confusion": total}

    def scores(self, sums: Sums) -> dict[str, float]:
        return mask_scores(sums, self.classes)

    def baseline(self) -> tuple[float, str]:
        usual = self.usual[None]
        samples = self.to_score(self.scored)
        sums = add(
            (
                self.score(usual.expand(len(index), -1, -1, -1), samples.batch(index))
                for index in samples.in_order().split(50)
            ),
            ALONE,
        )
        score = mask_scores(sums, self.classes)[self.metric]
        return score, "the commonest class of every place in training"

    @cached_property
    def usual(self) -> Float[Tensor, "A H W"]:
        """How often each class is at every place of some training pictures."""
        samples = self.data("train")
        total = torch.zeros(len(self.classes), *self.source.size)
        for index in torch.arange(min(USUAL, len(samples))).split(50):
            label = samples.batch(index)["label"]
            for number in range(len(self.classes)):
                total[number] += (label == number).sum(0)
        return total

    def protocol(self) -> dict[str, Any]:
        return {**super().protocol(), "miou": "one confusion matrix of all pixels, void left out"}

    def ask(self, inputs: list[Any]) -> Batch:
        """Return pictures in the size that the network sees; an array is [3, H, W]."""
        whole = [whole_picture(given, channels=3) for given in inputs]
        self.asked = [each.permute(1, 2, 0).contiguous().numpy() for each in whole]
        pictures = [squeezed(each, self.source.size) for each in self.asked]
        return {"picture": torch.from_numpy(np.stack(pictures))}

    def say(self, answers: Float[Tensor, "B A H W"]) -> list[Answer]:
        """Return the shares of the classes, and the picture with its classes drawn."""
        said = []
        for picture, answer in zip(self.asked, answers, strict=True):
            rows, columns = picture.shape[:2]
            label = labels_of(answer[None], (rows, columns))[0].cpu().numpy()
            shares = shares_of(label, self.classes)
            text = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items())
            said.append(Answer(text, {"shares": shares}, Picture(self.drawn(picture, label))))
        return said

    def drawn(
        self, picture: UInt8[np.ndarray, "H W 3"], label: UInt8[np.ndarray, "H W"]
    ) -> UInt8[np.ndarray, "H W"] | UInt8[np.ndarray, "H W 3"]:
        """Return a picture as the answer's group of the config wants it drawn."""
        answer = self.config.answer
        if answer.draw == "numbers":
            return label
        opacity = 1.0 if answer.draw == "colours" else answer.opacity
        return laid_over(picture, label, self.palette, opacity)

    def show(
        self, board: Board, progress: int, model: Segmenter, sums: Mapping[str, Tensor]
    ) -> None:
        samples = self.data("val")
        device = next(model.parameters()).device
        index = torch.arange(min(LOOKED_AT, len(samples)))
        pictures, labels, answers = [], [], []
        with torch.no_grad():
            for part in index.split(eval_batch(samples, device)):
                batch = moved(samples.batch(part), device)
                size = int(batch["label"].shape[1]), int(batch["label"].shape[2])
                answers.append(labels_of(self.predict(model, batch), size).cpu())
                pictures.append(batch["picture"].cpu())
                labels.append(batch["label"].cpu())
        picture, truth, answer = torch.cat(pictures), torch.cat(labels), torch.cat(answers)
        seen = truth != VOID
        right = ((answer == truth) & seen).sum((1, 2)) / seen.sum((1, 2)).clamp(min=1)
        worst = right.argsort()[:WORST]
        for name, rows in (("answers", index[:SHOWN]), ("worst", worst)):
            titles = [f"{100 * share:.1f} % of pixels right" for share in right[rows].tolist()]
            sheet = masks_sheet(
                picture[rows].numpy(),
                truth[rows].numpy(),
                answer[rows].numpy(),
                self.palette,
                self.classes,
                titles,
            )
            board.picture(progress, f"val/{name}", sheet)
        table = torch.from_numpy(percents(sums["confusion"].cpu().double().numpy()))
        board.picture(progress, "val/confusion_percent", confusion_picture(table, self.classes))


def labels_of(answers: Float[Tensor, "B A H W"], size: tuple[int, int]) -> UInt8[Tensor, "B H2 W2"]:
    """Return the likeliest class of every pixel of a picture of another size."""
    if tuple(answers.shape[-2:]) == size:
        return answers.argmax(1).to(torch.uint8)
    # Class after class: the scores of all for a photo of 48 megapixels would take 2 GB.
    best = enlarged(answers[:, :1], size)[:, 0]
    label = torch.zeros_like(best, dtype=torch.uint8)
    for number in range(1, answers.shape[1]):
        score = enlarged(answers[:, number : number + 1], size)[:, 0]
        label.masked_fill_(score > best, number)
        best = torch.maximum(best, score)
    return label


ROADS = Config(
    stages=("s2", "s3", "s5"),
    fit=FitConfig(
        num_epochs=4,
        batch_size=16,
        optimizer="adamw",
        learning_rate=2e-3,
        weight_decay=0.01,
        max_grad_norm=1.0,
        ema=0.995,
    ),
    trunk=TrunkConfig(trunk="vgg11", norm="batch", width=0.5),
    run=RunConfig(threads=1),
)
SMOKE = changed(
    ROADS,
    height_px=48,
    width_px=64,
    samples=16,
    stages=(),
    fit=changed(ROADS.fit, num_epochs=1, batch_size=8),
    trunk=TrunkConfig(trunk="plain", norm="batch", width=0.25),
)
# Few pictures: `--init RUN` of the road world helps most here.
CAMVID = changed(
    ROADS,
    set="camvid_subset",
    height_px=120,
    width_px=160,
    augment=MaskAugmentConfig(zoom=0.5, light=0.3),
    fit=changed(ROADS.fit, num_epochs=40, batch_size=4, eval_every=20, ema=0.99),
)
PRESETS = {"default": ROADS, "smoke": SMOKE, "camvid": CAMVID}
JOB = TaskJob("segment", PRESETS, Segment)
train, resume = JOB.train, JOB.resume
