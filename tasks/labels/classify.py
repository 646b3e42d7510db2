"""Image classification: one label a picture, or, in the scenes, which shapes are present.

Letters: B pictures, C channels, H rows, W columns, A classes, M networks of an ensemble.

Pictures come from any set that `tasks/data` reads, or from the offline worlds: `digits` and
`scenes`. The head is global average pooling and one linear layer, so a trunk takes any size. An
ensemble is M networks trained side by side on the same batches; its answer is the mean of their
log probabilities, and its first network's trunk is the one that others may start from.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from backbones.airbench import Airbench
from backbones.cnn import build_trunk
from backbones.training.checks.limits import require_at_most
from backbones.training.config import RunConfig, changed, require_positive
from backbones.training.errors import UserError
from backbones.training.log import Board
from backbones.transfer import TrunkConfig
from tasks.data.augment import AugmentConfig, augment, mixed
from tasks.data.find import folder_of
from tasks.data.formats.folders import read_picture
from tasks.data.ground import on_ground, trained_ground
from tasks.data.pictures import shown_names
from tasks.data.samples import Batch, InMemory, Samples
from tasks.evaluate import eval_batch
from tasks.fit import FitConfig
from tasks.job import TaskJob
from tasks.labels.classifier import Classifier
from tasks.labels.labelled import Labelled
from tasks.looks.projector import write_embedding
from tasks.looks.sheet import confusion_picture, contact_sheet
from tasks.scores.labels import (
    Sums,
    classification_scores,
    classification_sums,
    presence_scores,
    presence_sums,
)
from tasks.task import Split, Task
from tasks.worlds import digits, scenes

MOST_SIZE_PX, MOST_SAMPLES, MOST_NETWORKS = 4_096, 2**31 - 1, 100
WORST = 36  # mistakes shown


@dataclass(frozen=True, kw_only=True)
class Config:
    """Image classification on the shared trunks."""

    set: str = "digits"
    """mnist, cifar10, ... (a folder of $ARCADIA_DATA), or the offline worlds digits and scenes."""
    data: str = ""
    """Folder of the set: IDX, CIFAR-10's files, class folders or tars of them."""
    size_px: int = 0
    """Side of the pictures; 0: that of the set, 32 for class folders."""
    grey: bool = False
    """Read class folders as grey pictures."""
    samples: int = 0
    """Learn from so many training pictures only; 0: all. Of a world: how many there are."""
    held_out: int = 5_000
    """Training pictures kept back to validate on, where the set has no split for it."""
    label_smoothing: float = 0.1
    """Share of a label's weight that is spread over all classes; of the scenes, over yes and no."""
    dropout: float = 0.0
    """Chance that a feature before the head is dropped."""
    ensemble: int = 1
    """Networks trained side by side; the answer is the mean of their log probabilities."""
    tta: Literal["none", "flip", "shift"] = "none"
    """Views that are averaged for an answer: the mirror image, or shifts by a pixel as well."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    trunk: TrunkConfig = field(default_factory=TrunkConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        require_positive(self, "ensemble", "held_out")
        if self.size_px < 0 or self.samples < 0:
            raise ValueError("size_px and samples must be 0 or above")
        require_at_most(
            self,
            size_px=MOST_SIZE_PX,
            samples=MOST_SAMPLES,
            held_out=MOST_SAMPLES,
            ensemble=MOST_NETWORKS,
        )
        if not 0 <= self.label_smoothing < 1 or not 0 <= self.dropout < 1:
            raise ValueError("label_smoothing and dropout must lie between 0 and 1")


class Classify(Task):
    """The task; see `tasks/task.py` for what each method is for."""

    metric = "error"

    def __init__(self, config: Config, about: dict[str, Any] | None = None) -> None:
        """`about` is what a checkpoint keeps of the training set, so that it is not needed."""
        super().__init__(config, about)
        self.source = Labelled(config, self.about)
        self.many = self.source.many
        if not about:
            self.about = self.source.about = self.describe_data()
        self.classes = shown_names(self.about["classes"])
        self.channels, self.side_px = self.about["channels"], self.about["side_px"]
        if config.augment.crop_px >= self.side_px:
            raise UserError(
                f"--crop-px {config.augment.crop_px}: pictures of {self.side_px} by {self.side_px} "
                "are shifted by less than their side; give a smaller one"
            )

    def describe_data(self) -> dict[str, Any]:
        """Return the classes, and what the training pictures are like."""
        config, source = self.config, self.source
        if source.offline:
            names = scenes.SHAPES if source.many else digits.CLASSES
            channels, side = (3, 64) if source.many else (1, 28)
            return {
                "classes": names,
                "channels": channels,
                "side_px": config.size_px or side,
                "mean": [96.0] * channels,
                "std": [64.0] * channels,
            }
        pictures = source.pictures("train")
        values = pictures.picture[:: max(1, len(pictures) // 2000)].float()
        return {
            "classes": pictures.classes,
            "channels": values.shape[1],
            "side_px": values.shape[-1],
            "mean": values.mean((0, 2, 3)).tolist(),
            "std": values.std((0, 2, 3)).tolist(),
        }

    def data(self, split: Split) -> Samples:
        return self.source.samples(split)

    def start(self, model: Classifier) -> list[str]:
        for trunk in [model.cnn, *model.others]:
            if isinstance(trunk, Airbench):
                trunk.whiten(self.source.some("train", 5_000)["picture"])
        return []

    def notes(self) -> list[str]:
        return self.source.notes()

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

    def model(self) -> Classifier:
        config = self.config
        mean, std = tuple(self.about["mean"]), tuple(self.about["std"])
        spec = changed(config.trunk.spec(self.channels), mean=mean, std=std)
        trunks = [build_trunk(spec) for _ in range(config.ensemble)]
        trunks[0].conv_output(self.side_px, self.side_px)  # UserError if they are too small for it
        return Classifier(trunks, len(self.classes), config.dropout)

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

    def predict(self, model: nn.Module, batch: Batch) -> Float[Tensor, "B A"]:
        """Return log probabilities; logits where a picture may have several labels."""
        answers = [self.answer(model(view)) for view in self.views(batch["picture"])]
        return torch.stack(answers).mean(0)

    def answer(self, logits: Float[Tensor, "M B A"]) -> Float[Tensor, "B A"]:
        """Return the mean answer of an ensemble's networks."""
        return logits.mean(0) if self.many else logits.log_softmax(-1).mean(0)

    def views(self, picture: Shaped[Tensor, "B C H W"]) -> list[Tensor]:
        """Return the views of pictures that an answer is averaged over."""
        views = [picture]
        if self.config.tta == "shift":
            padded = F.pad(picture.float(), (1, 1, 1, 1), "replicate")
            height, width = picture.shape[-2:]
            views += [
                padded[..., y : y + height, x : x + width]
                for y, x in ((0, 1), (2, 1), (1, 0), (1, 2))
            ]
        if self.config.tta == "flip":
            views.append(picture.flip(-1))
        return views

    def score(self, predictions: Tensor, batch: Batch) -> Sums:
        if self.many:
            return presence_sums(predictions, batch["label"].float())
        return classification_sums(predictions, batch["label"])

    def scores(self, sums: Sums) -> dict[str, float]:
        return presence_scores(sums) if self.many else classification_scores(sums)

    def baseline(self) -> tuple[float, str]:
        label = self.source.labels(self.scored)
        if self.many:
            often = label.float().mean(0)
            return 100 * float(torch.minimum(often, 1 - often).mean()), "the likelier of yes and no"
        most = torch.bincount(label, minlength=len(self.classes)).max()
        return 100 * (1 - float(most) / len(label)), "always the commonest class"

    def protocol(self) -> dict[str, Any]:
        """Return how answers are made: printed with every score."""
        folder = folder_of(self.config.set, self.config.data)
        where = folder.name if folder else "made here"
        return {
            "set": self.name_of_data,
            "data": where,
            "networks": self.config.ensemble,
            "views": self.config.tta,
            **self.source.stands_for(self.scored),
        }

    def read_input(self, source: Any) -> Batch:
        """Return one picture, in the size and colours that were trained on."""
        if isinstance(source, np.ndarray | Tensor):
            picture = torch.as_tensor(source)
            picture = picture if picture.ndim == 3 else picture[None]
        else:
            picture = read_picture(source, size_px=self.side_px, channels=self.channels)
        if picture.dtype != torch.uint8 or picture.shape[0] != self.channels:
            raise UserError(
                f"the picture is {picture.dtype} of shape {tuple(picture.shape)}; expected uint8 "
                f"[{self.channels}, H, W]"
            )
        return {"picture": self.on_ground(picture)[0][None]}

    def on_ground(self, picture: Shaped[Tensor, "C H W"]) -> tuple[Tensor, str]:
        """Return a picture with its strokes and ground as training had them, and what to say."""
        wanted = 0 if self.source.offline and not self.many else trained_ground(self.about)
        return (picture, "") if wanted is None else on_ground(picture, wanted)

    def doubts(self, line: Any) -> str:
        """Return how a picture differs from those of the training, "" for not at all."""
        return self.on_ground(read_picture(line, size_px=self.side_px, channels=self.channels))[1]

    def say(self, predictions: Tensor) -> list[dict[str, Any]]:
        answers = []
        for row in predictions.sigmoid() if self.many else predictions.softmax(-1):
            best = row.argsort(descending=True)
            chances = {self.classes[int(i)]: round(float(row[i]), 4) for i in best}
            shown = [i for i in best if row[i] > 0.5] if self.many else best[:1]
            text = ", ".join(f"{self.classes[int(i)]} {100 * float(row[i]):.1f} %" for i in shown)
            answers.append({"text": text or "nothing", "chances": chances})
        return answers

    def title(self, label: int, answer: Float[Tensor, "A"]) -> str:
        """Return a picture's class and, of a mistake, the answer; else how sure the answer was."""
        best = int(answer.argmax())
        chance = f"{float(answer.softmax(-1)[label]):.0%}"
        return f"{self.classes[label]} {chance if best == label else f'not {self.classes[best]}'}"

    def show(self, board: Board, progress: int, model: Any, sums: Sums) -> None:
        if self.many:
            return
        batch = self.source.some("val", 1_000)
        device = next(model.parameters()).device
        answers, features = [], []
        with torch.no_grad():
            for part in batch["picture"].split(eval_batch(InMemory(batch), device)):
                answers.append(self.predict(model, {"picture": part.to(device)}).cpu())
                features.append(model.features(part.to(device)).float().cpu())
        answer = torch.cat(answers)
        board.picture(progress, "val/confusion", confusion_picture(sums["confusion"], self.classes))
        loss = -answer.gather(1, batch["label"][:, None])[:, 0]
        worst = loss.argsort(descending=True)[:WORST]
        titles = [self.title(int(batch["label"][i]), answer[i]) for i in worst]
        board.picture(progress, "val/worst", contact_sheet(batch["picture"][worst], titles))
        names = [self.classes[int(label)] for label in batch["label"]]
        write_embedding(board.folder, torch.cat(features), names, batch["picture"])


DIGITS = Config(
    fit=FitConfig(num_epochs=3),
    augment=AugmentConfig(rotate_deg=10.0, shift=0.1, scale=0.1, shear=0.1, elastic_px=1.0),
    trunk=TrunkConfig(trunk="plain", norm="batch"),
)
MNIST = changed(
    DIGITS,
    set="mnist",
    ensemble=2,
    tta="shift",
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
    tta="flip",
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
PRESETS = {"default": DIGITS, "smoke": SMOKE, "mnist": MNIST, "cifar10": CIFAR10, "scenes": SCENES}

JOB = TaskJob("classify", PRESETS, Classify)
train, resume = JOB.train, JOB.resume
