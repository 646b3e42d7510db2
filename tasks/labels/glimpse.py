"""Recurrent visual attention: a picture is classified from a few small looks at it.

Letters: B pictures, C channels, H rows, W columns, T looks, K looks that were chosen, A classes.

Mnih et al. 2014, https://arxiv.org/abs/1406.6247. The network (`tasks/labels/looker.py`) chooses by
itself where to look next. Its answers are learnt by cross-entropy; where to look is learnt by
REINFORCE (Williams 1992), since nobody says which places are good ones: a place is drawn from a
normal distribution about where the network meant to look, and becomes likelier if the answer after
that look is better than expected.

What surprises: a look's reward is the probability of the right class right after it, not 1 or 0 at
the end as in the paper: there all looks share one number, and none can tell what it did for it
(`--reward end`; docs/results.md compares them). Training draws one path for each picture. Answers
are made without noise, from a first look at the centre, so they are the same every time.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from backbones.training.checks.limits import require_at_most
from backbones.training.config import RunConfig, changed, require_not_negative, require_positive
from backbones.training.log import Board
from tasks.answers import Animation, Answer, Picture
from tasks.data.augment import AugmentConfig, augment
from tasks.data.decode import given_picture, whole_picture
from tasks.data.pictures import shown_names
from tasks.data.samples import Batch, Samples, moved, uniforms
from tasks.data.split_names import Split
from tasks.fit_config import FitConfig
from tasks.job import TaskJob
from tasks.labels.labelled import LabelledConfig, shuffled
from tasks.labels.looker import Looker, Looks, glimpse, pyramid
from tasks.labels.placed import APART, Placed
from tasks.looks.glimpses import look_pictures, side_by_side
from tasks.looks.labels import label_answer, show_labels
from tasks.scores.labels import classification_scores, classification_sums, commonest_class
from tasks.scores.sums import Counts, Sums
from tasks.task import Step, Task

MOST_PX, MOST_PATCH_PX, MOST_CLUTTER = 4_096, 256, 100
MOST_LOOKS, MOST_SCALES, MOST_UNITS, MOST_NOISE = 100, 8, 2**14, 2.0
SHOWN, LOOKED_AT, SHOWN_BYTES, LOOKS_PER_S = 6, 1_000, 2**28, 1.5  # in TensorBoard


@dataclass(frozen=True, kw_only=True)
class LooksConfig:
    """How looks are drawn."""

    draw: Literal["picture", "animation"] = "picture"
    """What --explain draws: all looks beside each other (PNG), or one after the other (GIF)."""


@dataclass(frozen=True, kw_only=True)
class Config(LabelledConfig):
    """Classification from a few small looks."""

    ground_px: int = 0
    """Side of a black ground that pictures are put on, anywhere; 0: as they are."""
    clutter: int = 0
    """Pieces of 8 x 8 pixels of other training pictures that lie on the ground too."""
    looks: int = 6
    """Looks at a picture; the first is at its centre."""
    patch_px: int = 12
    """Rows and columns of a patch."""
    scales: int = 2
    """Patches of a look, each twice as wide as the one before and as coarse."""
    units: int = 128
    """Numbers of the LSTM's state."""
    noise: float = 0.15
    """Standard deviation of the looks about where they are meant, in halves of the side."""
    reward: Literal["each", "end"] = "each"
    """What a look is worth: the probability of the right class right after it, or after all."""
    answer: LooksConfig = field(default_factory=LooksConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "looks", "patch_px", "scales", "units", "noise")
        require_not_negative(self, "ground_px", "clutter")
        require_at_most(
            self,
            ground_px=MOST_PX,
            clutter=MOST_CLUTTER,
            looks=MOST_LOOKS,
            patch_px=MOST_PATCH_PX,
            scales=MOST_SCALES,
            units=MOST_UNITS,
            noise=MOST_NOISE,
        )
        if self.clutter and not self.ground_px:
            raise ValueError("clutter lies on a ground; give --ground-px too, such as 60")
        self.augment.refuse_mixup()


class Glimpse(Task[Looks]):
    """The task; see `tasks/task.py` for what each method is for."""

    metric = "error"
    source_type = Placed
    source: Placed

    def __init__(self, config: Config, source: Placed) -> None:
        super().__init__(config, source)
        self.classes = shown_names(source.about["classes"])
        self.channels, self.side_px = source.about["channels"], source.side_px
        config.augment.check_side(source.about["side_px"])

    def to_score(self, split: Split) -> Samples:
        return self.source.to_score(split)

    def model(self) -> Looker:
        config, about = self.config, self.source.about
        return Looker(
            len(self.classes),
            mean=tuple(about["mean"]),
            std=tuple(about["std"]),
            patch_px=config.patch_px,
            scales=config.scales,
            looks=config.looks,
            units=config.units,
        )

    def prepare(self, batch: Batch, epoch: int) -> Batch:
        config, index = self.config, batch["index"]
        seed = config.run.seed
        picture = augment(batch["picture"], index, seed, epoch, config.augment)
        picture = self.source.placed(picture, index, seed, epoch)
        noise = config.noise * normals(2 * APART + seed, epoch, index, 2 * (config.looks - 1))
        return {
            **batch,
            "picture": picture,
            "noise": noise.view(len(index), config.looks - 1, 2).to(picture.device),
        }

    def loss(self, model: Looker, batch: Batch) -> Float[Tensor, "B"]:
        seen = model(batch["picture"], batch.get("noise"))
        return torch.stack(list(self.losses(seen, batch).values())).sum(0)

    def losses(self, seen: Looks, batch: Batch) -> dict[str, Float[Tensor, "B"]]:
        """Return what is lowered, by name: the answers' loss, the policy's, the baseline's."""
        noise, each = batch.get("noise"), cross_entropy(seen.logits, batch["label"])
        # The answer after every look is learnt, since it is what that look is judged by.
        losses = {"answer_loss": each[-1] + each.mean(0)}
        if noise is None or self.config.looks == 1:
            return losses
        right = (-each.detach()).exp()
        reward = right[1:] if self.config.reward == "each" else right[-1:].expand_as(right[1:])
        losses["policy_loss"] = reinforce(
            seen.meant, noise.transpose(0, 1), reward - seen.reward.detach(), self.config.noise
        )
        losses["value_loss"] = (seen.reward - reward).square().mean(0)
        return losses

    def update(self, model: Looker, batch: Batch, step: Step) -> dict[str, Tensor]:
        parts: dict[str, Tensor] = {}
        size = self.data("train").fitted(self.config.fit.batch_size)

        def losses() -> Tensor:
            each = self.losses(model(batch["picture"], batch["noise"]), batch)
            parts.update({name: rows.detach().sum() / size for name, rows in each.items()})
            return torch.stack(list(each.values())).sum(0)

        return {"loss": step(losses), **parts}

    def predict(self, model: Looker, batch: Batch) -> Looks:
        return model(batch["picture"])  # type: ignore[no-any-return]

    def score(self, answers: Looks, batch: Batch) -> Counts:
        log_probs, label = answers.logits.log_softmax(-1), batch["label"]
        first = (log_probs[0].argmax(-1) != label).sum()
        return {**classification_sums(log_probs[-1], label), "first_wrong": first}

    def scores(self, sums: Sums) -> dict[str, float]:
        scores = classification_scores(sums)
        return {
            **scores,
            "first_look_error": 100 * float(sums["first_wrong"] / sums["confusion"].sum()),
        }

    def baseline(self) -> tuple[float, str]:
        label = self.source.labels(self.scored)
        return commonest_class(label)

    def protocol(self) -> dict[str, Any]:
        config = self.config
        wide = [config.patch_px * 2**scale for scale in range(config.scales)]
        ground = f"{config.ground_px} x {config.ground_px}" if config.ground_px else "none"
        return {
            **self.source.protocol(self.scored),
            "ground": ground,
            "pieces": config.clutter,
            "looks": config.looks,
            "patches": f"{config.patch_px} x {config.patch_px} of {', '.join(map(str, wide))} px",
            "paths": "1, without noise, from the centre",
        }

    def ask(self, inputs: list[Any]) -> Batch:
        """Return pictures in the size and colours that were trained on."""
        pictures = [self.source.on_ground(self.read(one))[0] for one in inputs]
        return {"picture": torch.stack([in_middle(one, self.side_px) for one in pictures])}

    def read(self, given: Any) -> Shaped[Tensor, "C H W"]:
        """Return the picture in a file, in bytes or in an array; UserError if it does not fit.

        Where training puts pictures on a ground, one of the ground's size is taken for one that
        lies there already.
        """
        whole = whole_picture(given, channels=self.channels)
        if whole.shape[1:] == (self.side_px, self.side_px):
            return whole
        own = self.source.about["side_px"]
        return given_picture(given, size_px=own, channels=self.channels)

    def doubts(self, given: Any) -> str:
        """Return how a picture differs from those of the training, "" for not at all."""
        return self.source.on_ground(self.read(given))[1]

    def say(self, answers: Looks) -> list[Answer]:
        chances = answers.logits[-1].cpu().softmax(-1)
        return [label_answer(row, self.classes, several=False) for row in chances]

    @torch.no_grad()
    def explain(self, model: Looker, batch: Batch) -> list[Answer]:
        """Return the way of the looks over every picture."""
        answers = []
        for row in range(len(batch["picture"])):
            frames, values = self.path(model, batch["picture"][row : row + 1])
            if self.config.answer.draw == "animation":
                answers.append(Answer("", values, Animation(frames, LOOKS_PER_S)))
            else:
                answers.append(Answer("", values, Picture(side_by_side(frames))))
        return answers

    def path(
        self, model: Looker, picture: Shaped[Tensor, "1 C H W"]
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Return a picture of every look at one picture, and the looks as plain values."""
        seen, size = model(picture), (picture.shape[-2], picture.shape[-1])
        levels = pyramid(picture, model.scales)
        patches = torch.cat([glimpse(levels, place, size, model.patch_px) for place in seen.place])
        chances, place = seen.logits[:, 0].softmax(-1).cpu(), seen.place[:, 0].cpu()
        best = [int(row.argmax()) for row in chances]
        titles = [
            f"{look}: {self.classes[n]} {float(row[n]):.0%}"
            for look, (row, n) in enumerate(zip(chances, best, strict=True), 1)
        ]
        frames = look_pictures(picture[0].cpu(), place, patches.cpu(), titles)
        px = (place.double() + 1) / 2 * torch.tensor(size[::-1])
        values = {
            "places_px": [[round(n, 2) for n in row] for row in px.tolist()],
            "answers": [self.classes[n] for n in best],
        }
        return frames, values

    def show(self, board: Board, progress: int, model: Looker, sums: Mapping[str, Tensor]) -> None:
        samples = self.to_score("val")
        most = max(1, min(LOOKED_AT, SHOWN_BYTES // (self.channels * self.side_px**2)))
        # Class folders come in the order of their classes.
        batch = samples.batch(shuffled(len(samples))[:most])
        device = model_device(model)
        with torch.no_grad():
            parts = [
                self.predict(model, moved({"picture": part}, device))
                for part in batch["picture"].split(256)
            ]
            answers = torch.cat([part.logits[-1].cpu() for part in parts])
            memory = torch.cat([part.memory[-1].float().cpu() for part in parts])
            rows = [self.path(model, one[None].to(device))[0] for one in batch["picture"][:SHOWN]]
        frames = np.stack([side_by_side(np.stack(look)) for look in zip(*rows, strict=True)])
        board.animation(progress, "val/looks", frames, LOOKS_PER_S)
        seen = batch["picture"], batch["label"], answers.log_softmax(-1), memory
        show_labels(board, progress, *seen, self.classes, sums["confusion"])


def cross_entropy(
    logits: Float[Tensor, "T B A"], label: Int64[Tensor, "B"]
) -> Float[Tensor, "T B"]:
    """Return the loss of every answer after every look."""
    each = F.cross_entropy(logits.flatten(0, 1), label.repeat(len(logits)), reduction="none")
    return each.view(logits.shape[:2])


def reinforce(
    mean: Float[Tensor, "K B 2"],
    noise: Float[Tensor, "K B 2"],
    advantage: Float[Tensor, "K B"],
    std: float,
) -> Float[Tensor, "B"]:
    """Return what has the gradient of REINFORCE (Williams 1992): less the log density of the K
    places that were drawn, times how much better than expected each turned out."""
    place = mean.detach() + noise
    log_prob = -(place - mean).square().sum(-1) / (2 * std**2)
    return -(log_prob * advantage).sum(0)


def normals(seed: int, epoch: int, index: Int64[Tensor, "B"], count: int) -> Float[Tensor, "B K"]:
    """Return `count` normally distributed numbers for every sample, a function of seed, epoch and
    sample (Box and Muller 1958)."""
    both = uniforms(seed, epoch, index, 2 * count)
    radius, angle = both[:, :count], both[:, count:]
    return (-2 * (1 - radius).log()).sqrt() * (2 * math.pi * angle).cos()


def in_middle(picture: Shaped[Tensor, "C H W"], side_px: int) -> Shaped[Tensor, "C H2 W2"]:
    """Return a picture in the middle of a black square, if it is smaller."""
    down, across = (max(0, side_px - side) for side in picture.shape[1:])
    margins = across // 2, across - across // 2, down // 2, down - down // 2
    return F.pad(picture, margins)


def model_device(model: Looker) -> torch.device:
    """Return where a model lies."""
    return next(model.parameters()).device


FIT = FitConfig(
    num_epochs=5,
    batch_size=128,
    optimizer="adamw",
    learning_rate=3e-3,
    warm_up=0.1,
    weight_decay=0.01,
    ema=0.999,
)
SHIFTED = AugmentConfig(rotate_deg=10.0, shift=0.1, scale=0.1, shear=0.1, elastic_px=1.0)
DIGITS = Config(fit=FIT, augment=SHIFTED)
SMOKE = changed(
    DIGITS, samples=256, units=32, looks=3, fit=changed(FIT, num_epochs=1, batch_size=64)
)
MNIST = changed(DIGITS, set="mnist", fit=changed(FIT, num_epochs=12, eval_every=4))
# Mnih et al. 2014, table 2: digits of MNIST anywhere on 60 x 60.
TRANSLATED = changed(
    MNIST,
    ground_px=60,
    scales=3,
    units=256,
    noise=0.25,
    fit=changed(FIT, num_epochs=20, eval_every=4),
    augment=AugmentConfig(),
)
# And among 4 pieces of other digits.
CLUTTERED = changed(TRANSLATED, clutter=4)
PRESETS = {
    "default": DIGITS,
    "smoke": SMOKE,
    "mnist": MNIST,
    "translated": TRANSLATED,
    "cluttered": CLUTTERED,
}

JOB = TaskJob("glimpse", PRESETS, Glimpse)
train, resume = JOB.train, JOB.resume
