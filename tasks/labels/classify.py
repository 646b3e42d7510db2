"""Image classification: one label a picture, or, in the scenes, which shapes are present.

Letters: B pictures, C channels, H rows, W columns, A classes, M networks of an ensemble.

Pictures come from any set that `tasks/data` reads, or from the offline worlds: `digits` and
`scenes`. The head is global average pooling and one linear layer, so a trunk takes any size. An
ensemble is M networks trained side by side on the same batches; its answer is the mean of their
log probabilities, and its first network's trunk is the one that others may start from.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from backbones.airbench import Airbench
from backbones.cnn import build_trunk
from backbones.training.checks.limits import require_at_most
from backbones.training.config import RunConfig, changed, require_positive
from backbones.training.log import Board
from backbones.transfer import TrunkConfig
from tasks.answers import Answer
from tasks.data.augment import AugmentConfig, augment, mixed
from tasks.data.decode import given_picture
from tasks.data.pictures import shown_names
from tasks.data.samples import Batch, InMemory
from tasks.evaluate import eval_batch
from tasks.fit_config import FitConfig
from tasks.job import TaskJob
from tasks.labels.classifier import Classifier
from tasks.labels.labelled import Labelled, LabelledConfig
from tasks.labels.views import Views, views
from tasks.looks.labels import label_answer, show_labels
from tasks.scores.labels import (
    classification_scores,
    classification_sums,
    commonest_class,
    presence_scores,
    presence_sums,
)
from tasks.scores.sums import Counts, Sums
from tasks.task import Task

SHOWN_BYTES = 2**28  # of the pictures that are looked at
MOST_NETWORKS = 100


@dataclass(frozen=True, kw_only=True)
class ViewsConfig:
    """How answers are made."""

    tta: Views = "none"
    """Views that are averaged for an answer: the mirror image, or shifts by a pixel as well."""


@dataclass(frozen=True, kw_only=True)
class Config(LabelledConfig):
    """Image classification on the shared trunks."""

    label_smoothing: float = 0.1
    """Share of a label's weight that is spread over all classes; of the scenes, over yes and no."""
    dropout: float = 0.0
    """Chance that a feature before the head is dropped."""
    ensemble: int = 1
    """Networks trained side by side; the answer is the mean of their log probabilities."""
    answer: ViewsConfig = field(default_factory=ViewsConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    trunk: TrunkConfig = field(default_factory=TrunkConfig)
    run: RunConfig = field(default_factory=RunConfig)

    # Where runs of earlier versions had these.
    MOVED: ClassVar[dict[str, str]] = {"tta": "answer.tta"}

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "ensemble")
        require_at_most(self, ensemble=MOST_NETWORKS)
        if not 0 <= self.label_smoothing < 1 or not 0 <= self.dropout < 1:
            raise ValueError("label_smoothing and dropout must lie between 0 and 1")


class Classify(Task[Tensor]):
    """The task; see `tasks/task.py` for what each method is for."""

    metric = "error"
    source_type = Labelled
    source: Labelled

    def __init__(self, config: Config, source: Labelled) -> None:
        super().__init__(config, source)
        self.many, about = source.many, source.about
        self.classes = shown_names(about["classes"])
        self.channels, self.side_px = about["channels"], about["side_px"]
        config.augment.check_side(self.side_px)

    def model(self) -> Classifier:
        config, about = self.config, self.source.about
        mean, std = tuple(about["mean"]), tuple(about["std"])
        spec = changed(config.trunk.spec(self.channels), mean=mean, std=std)
        trunks = [build_trunk(spec) for _ in range(config.ensemble)]
        trunks[0].conv_output(self.side_px, self.side_px)  # UserError if they are too small for it
        return Classifier(trunks, len(self.classes), config.dropout)

    def start(self, model: Classifier) -> list[str]:
        for trunk in [model.cnn, *model.others]:
            if isinstance(trunk, Airbench):
                trunk.whiten(self.source.some("train", 5_000)["picture"])
        return []

    def prepare(self, batch: Batch, epoch: int) -> Batch:
        config = self.config
        picture = augment(batch["picture"], batch["index"], config.run.seed, epoch, config.augment)
        return {**batch, "picture": picture}

    def blend(self, batch: Batch, epoch: int) -> Batch:
        config = self.config
        if not config.augment.mixup:
            return batch
        seeds = (config.run.seed, epoch, int(batch["index"][0]))
        picture, own = mixed(batch["picture"], seeds, config.augment.mixup)
        share = torch.full((len(picture),), own, device=picture.device)
        return {**batch, "own": share, "picture": picture}

    def loss(self, model: nn.Module, batch: Batch) -> Float[Tensor, "B"]:
        total = torch.zeros(len(batch["picture"]), device=batch["picture"].device)
        for logits in model(batch["picture"]):
            total = total + self.loss_of(logits, batch)
        return total

    def loss_of(self, logits: Float[Tensor, "B A"], batch: Batch) -> Float[Tensor, "B"]:
        """Return the loss of one network."""
        label, smoothing = batch["label"], self.config.label_smoothing

        def against(label: Tensor) -> Float[Tensor, "B"]:
            if not self.many:
                return F.cross_entropy(logits, label, reduction="none", label_smoothing=smoothing)
            present = label.float() * (1 - smoothing) + smoothing / 2
            return F.binary_cross_entropy_with_logits(logits, present, reduction="none").mean(1)

        loss = against(label)
        if "own" in batch:
            loss = loss * batch["own"] + against(label.flip(0)) * (1 - batch["own"])
        return loss

    def predict(self, model: Classifier, batch: Batch) -> Float[Tensor, "B A"]:
        """Return log probabilities; logits where a picture may have several labels."""
        seen = views(batch["picture"], self.config.answer.tta)
        return torch.stack([self.mean_of(model(view)) for view in seen]).mean(0)

    def mean_of(self, logits: Float[Tensor, "M B A"]) -> Float[Tensor, "B A"]:
        """Return the mean answer of an ensemble's networks."""
        return logits.mean(0) if self.many else logits.log_softmax(-1).mean(0)

    def score(self, answers: Tensor, batch: Batch) -> Counts:
        if self.many:
            return presence_sums(answers, batch["label"].float())
        return classification_sums(answers, batch["label"])

    def scores(self, sums: Sums) -> dict[str, float]:
        return presence_scores(sums) if self.many else classification_scores(sums)

    def baseline(self) -> tuple[float, str]:
        label = self.source.labels(self.scored)
        if self.many:
            often = label.float().mean(0)
            return 100 * float(torch.minimum(often, 1 - often).mean()), "the likelier of yes and no"
        return commonest_class(label)

    def protocol(self) -> dict[str, Any]:
        tta, ensemble = self.config.answer.tta, self.config.ensemble
        return {**self.source.protocol(self.scored), "networks": ensemble, "views": tta}

    def ask(self, inputs: list[Any]) -> Batch:
        """Return pictures in the size and colours that were trained on."""
        found = [self.source.on_ground(self.read(one))[0] for one in inputs]
        return {"picture": torch.stack(found)}

    def read(self, given: Any) -> Shaped[Tensor, "C H W"]:
        """Return the picture in a file, in bytes or in an array; UserError if it does not fit."""
        return given_picture(given, size_px=self.side_px, channels=self.channels)

    def doubts(self, given: Any) -> str:
        """Return how a picture differs from those of the training, "" for not at all."""
        return self.source.on_ground(self.read(given))[1]

    def say(self, answers: Tensor) -> list[Answer]:
        chances = answers.cpu().sigmoid() if self.many else answers.cpu().softmax(-1)
        return [label_answer(row, self.classes, several=self.many) for row in chances]

    def show(
        self, board: Board, progress: int, model: Classifier, sums: Mapping[str, Tensor]
    ) -> None:
        if self.many:
            return
        batch = self.source.some(
            "val", max(1, min(1_000, SHOWN_BYTES // (self.channels * self.side_px**2)))
        )
        device = next(model.parameters()).device
        answers, features = [], []
        with torch.no_grad():
            for part in batch["picture"].split(eval_batch(InMemory(batch), device)):
                answers.append(self.predict(model, {"picture": part.to(device)}).cpu())
                features.append(model.features(part.to(device)).float().cpu())
        seen = batch["picture"], batch["label"], torch.cat(answers), torch.cat(features)
        show_labels(board, progress, *seen, self.classes, sums["confusion"])


DIGITS = Config(
    fit=FitConfig(num_epochs=3),
    augment=AugmentConfig(rotate_deg=10.0, shift=0.1, scale=0.1, shear=0.1, elastic_px=1.0),
    trunk=TrunkConfig(trunk="plain", norm="batch"),
)
MNIST = changed(
    DIGITS,
    set="mnist",
    ensemble=2,
    answer=ViewsConfig(tta="shift"),
    fit=FitConfig(num_epochs=12, eval_every=4),
    run=RunConfig(threads=2),
)
SMOKE = changed(
    DIGITS,
    samples=256,
    fit=FitConfig(num_epochs=1, batch_size=64),
    trunk=TrunkConfig(trunk="plain", norm="batch", width=0.25),
)
# Keller Jordan 2024 (https://arxiv.org/abs/2404.00498), with smaller batches and our head.
CIFAR10 = changed(
    DIGITS,
    set="cifar10",
    answer=ViewsConfig(tta="flip"),
    label_smoothing=0.2,
    fit=FitConfig(
        num_epochs=9, batch_size=256, learning_rate=0.6, warm_up=0.25, ema=0.99, eval_every=3
    ),
    augment=AugmentConfig(flip=True, crop_px=2),
    trunk=TrunkConfig(trunk="airbench"),
    run=RunConfig(threads=2),
)
# Few labels: what a trunk that has learnt elsewhere is worth.
SCENES = changed(
    DIGITS,
    set="scenes",
    samples=300,
    label_smoothing=0.0,
    fit=FitConfig(num_epochs=60, batch_size=50, learning_rate=0.05, eval_every=20, ema=0.99),
    augment=AugmentConfig(flip=True, crop_px=4),
    run=RunConfig(threads=2),
)
# A folder of photos: `--data DIR`, better with `--init` and published weights of ImageNet.
PHOTOS = changed(
    DIGITS,
    set="photos",
    size_px=224,
    fit=FitConfig(num_epochs=30, batch_size=32, learning_rate=0.02, eval_every=5, ema=0.99),
    augment=AugmentConfig(flip=True, zoom=0.5),
    trunk=TrunkConfig(trunk="resnet18"),
    run=RunConfig(threads=2),
)
PRESETS = {
    "default": DIGITS,
    "smoke": SMOKE,
    "mnist": MNIST,
    "cifar10": CIFAR10,
    "scenes": SCENES,
    "photos": PHOTOS,
}

JOB = TaskJob("classify", PRESETS, Classify)
train, resume = JOB.train, JOB.resume
