"""Labelled pictures as they are, or anywhere on a larger ground among pieces of other pictures.

Letters: B pictures, C channels, H rows, W columns, S rows and columns of the ground, N pictures.

What is learnt from lies elsewhere in every epoch, a function of (seed, epoch, sample). What is
scored lies where split and sample say, whatever the run's seed.
"""

from functools import cached_property
from typing import Any

from jaxtyping import Int64, Shaped
from torch import Tensor

from backbones.training.device.graphs import upload
from backbones.training.errors import UserError
from tasks.data.samples import Batch, Samples, uniforms
from tasks.data.split_names import Split
from tasks.labels.labelled import Labelled, shuffled
from tasks.worlds.chance import SEEDS
from tasks.worlds.clutter import A_PIECE, ON_GROUND, PIECE_PX, scattered

MOST_CUT = 10_000  # training pictures that pieces are cut out of
APART = 2**32  # seeds from here on: augmentation draws from those below


class Placed(Labelled):
    """What `tasks/labels/glimpse.py` learns from: one label a picture."""

    def __init__(self, config: Any, about: dict[str, Any] | None = None) -> None:
        super().__init__(config, about)
        if self.many:
            raise UserError(
                "--set scenes: a picture there has several labels; give a set with one label a "
                "picture, such as digits or mnist"
            )
        own, ground = self.about["side_px"], config.ground_px
        if 0 < ground < own:
            raise UserError(
                f"--ground-px {ground}: pictures of {own} by {own} are put on it; give {own} or "
                "more, 0 for none, or a smaller --size-px"
            )
        if config.clutter and own < PIECE_PX:
            raise UserError(
                f"--clutter: pieces of {PIECE_PX} by {PIECE_PX} are cut out of pictures, and these "
                f"have {own} by {own}; give a larger --size-px"
            )
        self.side_px: int = ground or own

    @cached_property
    def others(self) -> Shaped[Tensor, "N C H W"] | None:
        """The training pictures that pieces are cut out of; None without clutter."""
        if not self.config.clutter:
            return None
        train = self.samples("train")
        return train.batch(shuffled(len(train))[:MOST_CUT])["picture"]

    def placed(
        self, picture: Shaped[Tensor, "B C H W"], index: Int64[Tensor, "B"], seed: int, epoch: int
    ) -> Shaped[Tensor, "B C S S"]:
        """Return pictures on their ground, if there is one."""
        if not self.config.ground_px:
            return picture
        count = ON_GROUND + A_PIECE * self.config.clutter
        random = upload(uniforms(APART + seed, epoch, index, count), picture.device)
        if self.others is not None and self.others.device != picture.device:
            self.others = upload(self.others, picture.device)
        return scattered(picture, self.side_px, self.others, random)

    def to_score(self, split: Split) -> Samples:
        """Return the samples of a split, each in its place."""
        samples = self.samples(split)
        return InPlace(self, samples, SEEDS[split]) if self.config.ground_px else samples


class InPlace(Samples):
    """Samples whose pictures lie on a ground, where seed and sample say."""

    def __init__(self, source: Placed, samples: Samples, seed: int) -> None:
        self.source, self.samples, self.seed = source, samples, seed

    def __len__(self) -> int:
        return len(self.samples)

    def batch(self, index: Int64[Tensor, "B"]) -> Batch:
        batch = self.samples.batch(index)
        return {**batch, "picture": self.source.placed(batch["picture"], index, self.seed, 0)}

    def in_order(self) -> Int64[Tensor, "N"]:
        return self.samples.in_order()
