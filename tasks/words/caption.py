"""Captioning: a sentence for a picture, by a trunk that looks and an LSTM that writes.

Letters: B pictures, C channels, H rows, W columns, S regions, T words, V words of the vocabulary.

The picture is the first word that the LSTM reads (NIC: Vinyals et al. 2015,
https://arxiv.org/abs/1411.4555). With attention the writer also looks at the regions of the trunk's
last map for each word (Xu et al. 2015, https://arxiv.org/abs/1502.03044), after its LSTM and
without feeding back what it saw (Luong et al. 2015, https://arxiv.org/abs/1508.04025), so that a
whole caption is one fused call; see `tasks/words/captioner.py` for its layers.

What surprises: a training sample is a picture with all its captions, which the trunk sees once.
Captions of scenes are judged by what they say, photos' by CIDEr-D. The vocabulary lies in the run;
`--init` of another captioner takes its words and all its weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from backbones.cnn import build_trunk
from backbones.sequences.decoding import Decoded
from backbones.training.checks.limits import require_at_most
from backbones.training.config import (
    RunConfig,
    changed,
    require_fraction,
    require_not_negative,
    require_positive,
)
from backbones.training.errors import UserError
from backbones.training.log import Board
from backbones.transfer import TrunkConfig
from tasks.answers import Answer, Picture
from tasks.data.augment import AugmentConfig, augment
from tasks.data.decode import square_picture
from tasks.data.samples import Batch, InMemory, drawn, moved
from tasks.data.split_names import Split
from tasks.data.vocabulary import BEGIN, PAD
from tasks.fit_config import FitConfig
from tasks.job import TaskJob
from tasks.looks.captions import attention_picture, captions_picture
from tasks.scores.captions import (
    SIGNATURE,
    caption_scores,
    caption_sums,
    cider_of,
    truth_scores,
    truth_sums,
)
from tasks.scores.cider import cider_d, interval
from tasks.scores.sums import Counts, Sums
from tasks.task import Task
from tasks.words.captioner import Captioner
from tasks.words.captions import WORLD, CaptionedPictures, one_by_one, references_of
from tasks.words.nearest import nearest_captions
from tasks.words.writer import SearchConfig
from tasks.worlds.scene_language import is_true

MOST_SIZE_PX, MOST_LONGEST, MOST_UNITS, MOST_LAYERS = 4_096, 2**12, 2**14, 64
SPLITS: tuple[Split, ...] = get_args(Split)
SHOWN = 8  # pictures in TensorBoard

TRUNK = TrunkConfig(trunk="plain", norm="batch", width=1.0)
FIT = FitConfig(
    num_epochs=3,
    batch_size=64,
    optimizer="adamw",
    learning_rate=3e-3,
    warm_up=0.1,
    weight_decay=0.01,
    max_grad_norm=5.0,
    ema=0.998,
    eval_every=1,
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Image captioning on the shared trunks and the shared LSTM."""

    set: str = WORLD
    """A folder of $ARCADIA_DATA, such as flickr8k_1k, or the offline world scenes."""
    data: str = ""
    """Folder of the set: Flickr8k's, Flickr30k's, COCO's or Karpathy's files beside the photos."""
    size_px: int = 0
    """Side of the pictures; 0: 64 of the scenes, 96 of photos."""
    memory_gb: float = 0.0
    """Photos that would take more gigabytes than this stay on the disk and are decoded for every
    batch; 0: half of the free memory."""
    samples: int = 0
    """Learn from so many training pictures only; 0: all, of the scenes 80,000."""
    easy: float = 0.3
    """Share of the training pictures, those of which the fewest words are said, with which the
    first epoch begins: of few things it is soon clear which word means which."""
    captions: int = 2
    """Captions of each picture that an epoch learns from, drawn anew; 0: all."""
    least: int = 5
    """Words that the training captions have less often are unknown."""
    longest: int = 40
    """Words of a caption, its end counted; longer ones are not learnt from, nor written."""
    units: int = 192
    """Numbers of the LSTM's state, of a word's embedding and of a region."""
    layers: int = 2
    """LSTMs on top of each other, each with attention after it."""
    attention: bool = True
    """Look at the picture's regions for each word; without, the picture is seen once, before."""
    dropout: float = 0.1
    """Chance that a number between layers is dropped."""
    label_smoothing: float = 0.0
    """Share of a word's weight that is spread over all words."""
    answer: SearchConfig = field(default_factory=lambda: SearchConfig(beam=3, alpha=0.0))
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    fit: FitConfig = FIT
    trunk: TrunkConfig = TRUNK
    run: RunConfig = field(default_factory=lambda: RunConfig(threads=2))

    def __post_init__(self) -> None:
        self.augment.refuse_mixup()
        require_positive(self, "least", "longest", "units", "layers")
        require_fraction(self, "label_smoothing", "dropout", "easy")
        require_not_negative(self, "size_px", "memory_gb", "samples", "captions")
        require_at_most(
            self,
            size_px=MOST_SIZE_PX,
            samples=2**31 - 1,
            captions=2**31 - 1,
            longest=MOST_LONGEST,
            units=MOST_UNITS,
            layers=MOST_LAYERS,
        )


class Captioning(Task[list[str]]):
    """The task; see `tasks/task.py` for what each method is for."""

    metric = "cider"
    source_type = CaptionedPictures
    source: CaptionedPictures

    def __init__(self, config: Config, source: CaptionedPictures) -> None:
        super().__init__(config, source)
        self.vocabulary, self.side_px = source.vocabulary, source.about["side_px"]
        config.augment.check_side(self.side_px)
        if source.offline:
            self.metric = "right"

    def to_score(self, split: Split) -> InMemory:
        """Return pictures with all their captions; scenes say which split's they are."""
        samples = self.source.scored(split)
        which = torch.full((len(samples),), SPLITS.index(split))
        return InMemory({**samples.columns, "split": which})

    def means_the_same(self, about: Mapping[str, Any]) -> bool:
        return bool(about.get("words") == self.source.about["words"])

    def model(self) -> Captioner:
        config, about = self.config, self.source.about
        mean, std = tuple(about["mean"]), tuple(about["std"])
        spec = changed(config.trunk.spec(about["channels"]), mean=mean, std=std)
        return Captioner(
            build_trunk(spec),
            len(self.vocabulary),
            side_px=self.side_px,
            units=config.units,
            layers=config.layers,
            attention=config.attention,
            dropout=config.dropout,
        )

    def prepare(self, batch: Batch, epoch: int) -> Batch:
        config, index = self.config, batch["index"]
        picture = augment(batch["picture"], index, config.run.seed, epoch, config.augment)
        return {**batch, "picture": picture, "caption": self.drawn(batch["caption"], index, epoch)}

    def drawn(
        self, rows: Int64[Tensor, "B L"], index: Int64[Tensor, "B"], epoch: int
    ) -> Int64[Tensor, "B _"]:
        """Return the captions of these pictures that an epoch learns from."""
        target, wanted = one_by_one(rows), self.config.captions
        if not 0 < wanted < target.shape[1]:
            return rows
        chosen = drawn(target[:, :, 0] != PAD, wanted, self.config.run.seed, epoch, index)
        return target.gather(1, chosen[..., None].expand(-1, -1, target.shape[2])).flatten(1)

    def loss(self, model: Captioner, batch: Batch) -> Float[Tensor, "B"]:
        target = one_by_one(batch["caption"])
        of_each = model(batch["picture"], target, self.config.label_smoothing).sum(2)
        return of_each.sum(1) / (target[:, :, 0] != PAD).sum(1)

    def predict(self, model: Captioner, batch: Batch) -> list[str]:
        return self.vocabulary.decode([each.tokens for each in self.search(model, batch)])

    def search(self, model: Captioner, batch: Batch) -> list[Decoded]:
        """Return the best caption of every picture."""
        picture = batch["picture"]
        longest = torch.full((len(picture),), self.config.longest, device=picture.device)
        return model.search(*model.read(picture), longest=longest, how=self.config.answer)

    def score(self, answers: list[str], batch: Batch) -> Counts:
        counts = caption_sums(answers, references_of(batch), batch["number"])
        return {**counts, **self.truth(answers, batch["split"], batch["number"])}

    def truth(self, answers: list[str], split: Tensor, number: Tensor) -> Sums:
        """Return how true answers are of scenes, by split and number; nothing for photos."""
        if not self.source.offline:
            return {}
        which = zip(split.tolist(), number.tolist(), strict=True)
        return truth_sums([self.source.told(SPLITS[s], n) for s, n in which], answers)

    def scores(self, sums: Sums) -> dict[str, float]:
        truth = truth_scores(sums) if self.source.offline else {}
        return {**truth, **caption_scores(sums)}

    def baseline(self) -> tuple[float, str]:
        answer = self.source.about["most_frequent"]
        answers = [answer] * len(self.source.captions(self.scored))
        return self.score_of(answers), f"always {answer!r}"

    def score_of(self, answers: list[str]) -> float:
        """Return the score that counts of answers to the whole split that is scored."""
        if not self.source.offline:
            return 100 * float(cider_d(answers, self.source.captions(self.scored)).mean())
        split = torch.full((len(answers),), SPLITS.index(self.scored))
        sums = self.truth(answers, split, torch.arange(len(answers)))
        return truth_scores(sums)[self.metric]

    def baselines(self, model: Captioner, sums: Sums) -> dict[str, float]:
        """Return what the nearest training picture's caption scores, and 95 % intervals over
        pictures: of CIDEr-D, and of by how much it is above each baseline's."""
        references, ours = self.source.captions(self.scored), 100 * cider_of(sums)
        near = nearest_captions(model, self.source, self.scored)
        always = [self.source.about["most_frequent"]] * len(near)
        found = {f"nearest_{self.metric}": self.score_of(near)}
        for name, gain in (
            ("cider", ours),
            ("above_nearest", ours - 100 * cider_d(near, references)),
            ("above_always", ours - 100 * cider_d(always, references)),
        ):
            found[f"{name}_low"], found[f"{name}_high"] = interval(gain)
        return found

    def protocol(self) -> dict[str, Any]:
        return {**super().protocol(), "captions": SIGNATURE}

    def ask(self, inputs: list[Any]) -> Batch:
        return {"picture": torch.stack([self.read(one) for one in inputs])}

    def read(self, given: Any) -> Shaped[Tensor, "C H W"]:
        """Return the picture in a file, in bytes or in an array of the size that was trained on."""
        channels = self.source.about["channels"]
        return square_picture(given, side_px=self.side_px, channels=channels, told="captioner")

    def say(self, answers: list[str]) -> list[Answer]:
        return [Answer(text) for text in answers]

    @torch.no_grad()
    def explain(self, model: Captioner, batch: Batch) -> list[Answer]:
        """Return where the writer looked for each word, the end of the caption included."""
        if not model.looks:
            raise UserError("this model has no attention; train one with --attention")
        answers = []
        for picture in batch["picture"].split(1):
            tokens = self.search(model, {"picture": picture})[0].tokens
            begin = torch.tensor([[BEGIN, *tokens]], device=picture.device)
            _, _, found = model.write(begin, *model.read(picture))
            assert found is not None
            weights = found[0].unflatten(1, model.grid).cpu()
            words = [*self.vocabulary.shown(tokens), "(end)"]
            shown = attention_picture(picture[0].cpu(), words, weights)
            values = {"words": words, "weights": weights.tolist()}
            answers.append(Answer("", values, Picture(shown)))
        return answers

    def show(
        self, board: Board, progress: int, model: Captioner, sums: Mapping[str, Tensor]
    ) -> None:
        samples = self.to_score("val")
        batch = samples.batch(torch.arange(min(SHOWN, len(samples))))
        batch = moved(batch, next(model.parameters()).device)
        with torch.no_grad():
            answers = self.predict(model, batch)
        references, marks = references_of(batch), ["black"] * len(answers)
        if self.source.offline:
            told = [self.source.told("val", number) for number in batch["number"].tolist()]
            judged = zip(told, answers, strict=True)
            marks = ["darkgreen" if is_true(*each) else "firebrick" for each in judged]
        pictures = batch["picture"].cpu()
        board.picture(
            progress, "val/captions", captions_picture(pictures, answers, references, marks)
        )
        if model.looks:
            for n, seen in enumerate(self.explain(model, {"picture": batch["picture"][:2]})):
                assert isinstance(seen.medium, Picture)
                board.picture(progress, f"val/attention_{n}", seen.medium.pixels)


SCENES = Config()
SMOKE = changed(
    SCENES,
    samples=64,
    units=32,
    least=1,
    longest=24,
    answer=SearchConfig(beam=2),
    fit=changed(FIT, num_epochs=1, batch_size=32, eval_every=1),
    trunk=changed(TRUNK, width=0.25),
    run=RunConfig(threads=1),
)
FLICKR8K = changed(
    SCENES,
    easy=0.0,
    captions=0,
    set="flickr8k_1k",
    dropout=0.3,
    answer=SearchConfig(beam=3),
    label_smoothing=0.1,
    augment=AugmentConfig(flip=True, zoom=0.3),
    fit=changed(FIT, num_epochs=20, batch_size=16, learning_rate=1e-3, ema=0.99, eval_every=10),
)
PRESETS = {"default": SCENES, "smoke": SMOKE, "flickr8k": FLICKR8K}

JOB = TaskJob("caption", PRESETS, Captioning)
train, resume = JOB.train, JOB.resume
