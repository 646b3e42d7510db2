"""Questions about pictures (VQA): a trunk that looks, an LSTM that reads the question.

Letters: B pictures, K questions of each, C channels, H rows, W columns, S regions, T words, A known
answers to a question, V known answers in all, G looks.

Antol et al. 2015 (https://arxiv.org/abs/1505.00468) for the task, Yang et al. 2016
(https://arxiv.org/abs/1511.02274) for stacked attention; see `tasks/words/answerer.py`. An answer
is one of those that training had most often. Each has a sigmoid of its own, which learns how right
it is by the official rule: people disagree, and several answers may be right (Teney et al. 2018,
https://arxiv.org/abs/1708.02711).

What surprises: beside every score stands what the same network gets from the question alone and
from the picture alone, since questions often give their answers away (Goyal et al. 2017,
https://arxiv.org/abs/1612.00837). A training sample is a picture with all its questions, of which
an epoch draws some. The default starts from the captioner's trunk in `runs/zoo`; `--init ''` starts
from nothing, or with another trunk.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from backbones.cnn import build_trunk
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
from tasks.data.formats.questions.files import Asked
from tasks.data.samples import Batch, InMemory, drawn, moved
from tasks.data.split_names import Split
from tasks.data.vocabulary import PAD
from tasks.data.words import words_of
from tasks.fit_config import FitConfig
from tasks.job import TaskJob
from tasks.looks.captions import attention_picture, captions_picture
from tasks.scores.sums import Counts, Sums
from tasks.scores.vqa import COUNTED, accuracy, attention_sums, vqa_scores
from tasks.task import PAIR, Task
from tasks.words.answerer import Answered, Answerer
from tasks.words.questions import WORLD, QuestionedPictures, padded

MOST_SIZE_PX, MOST_LONGEST, MOST_UNITS, MOST_LAYERS, MOST_LOOKS = 4_096, 2**12, 2**14, 64, 64
MOST_ANSWERS = 2**20
SPLITS: tuple[Split, ...] = get_args(Split)
SHOWN, LOOKED_AT = 8, 2  # pictures in TensorBoard
LIKELY = 5  # answers that programs are told

TRUNK = TrunkConfig(trunk="plain", norm="batch", width=1.0)
FIT = FitConfig(
    num_epochs=8,
    batch_size=64,
    optimizer="adamw",
    learning_rate=3e-3,
    warm_up=0.1,
    weight_decay=0.01,
    max_grad_norm=5.0,
    ema=0.998,
    eval_every=2,
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Answers to questions about pictures (VQA) on the shared trunks and the shared LSTM."""

    set: str = WORLD
    """A folder of $ARCADIA_DATA, such as easy_vqa, or the offline world scenes."""
    data: str = ""
    """Folder of the set: easy-VQA's, CLEVR's or VQA's files beside the pictures."""
    size_px: int = 0
    """Side of the pictures; 0: 64."""
    memory_gb: float = 0.0
    """Photos that would take more gigabytes than this stay on the disk and are decoded for every
    batch; 0: half of the free memory."""
    samples: int = 0
    """Learn from so many training pictures only; 0: all, of the scenes 40,000."""
    questions: int = 6
    """Questions of each picture that an epoch learns from, drawn anew; 0: all."""
    answers: int = 3_000
    """Answers that are known: those that training questions have most often."""
    least: int = 1
    """Words that the training questions have less often are left out of questions."""
    longest: int = 30
    """Words of a question; longer ones are cut off."""
    units: int = 128
    """Numbers of the LSTM's state, of a word's embedding and of a region."""
    layers: int = 1
    """LSTMs on top of each other."""
    looks: int = 2
    """Looks at the picture, each knowing what those before it saw."""
    dropout: float = 0.1
    """Chance that a number before the answers is dropped."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    fit: FitConfig = FIT
    trunk: TrunkConfig = TRUNK
    run: RunConfig = field(default_factory=lambda: RunConfig(threads=2))

    def __post_init__(self) -> None:
        self.augment.refuse_mixup()
        require_positive(self, "answers", "least", "longest", "units", "layers", "looks")
        require_fraction(self, "dropout")
        require_not_negative(self, "size_px", "memory_gb", "samples", "questions")
        require_at_most(
            self,
            size_px=MOST_SIZE_PX,
            samples=2**31 - 1,
            questions=2**31 - 1,
            answers=MOST_ANSWERS,
            longest=MOST_LONGEST,
            units=MOST_UNITS,
            layers=MOST_LAYERS,
            looks=MOST_LOOKS,
        )


class QuestionAnswering(Task[Answered]):
    """The task; see `tasks/task.py` for what each method is for."""

    metric = "accuracy"
    source_type = QuestionedPictures
    takes = PAIR
    source: QuestionedPictures

    def __init__(self, config: Config, source: QuestionedPictures) -> None:
        super().__init__(config, source)
        self.side_px = source.about["side_px"]
        config.augment.check_side(self.side_px)

    def to_score(self, split: Split) -> InMemory:
        """Return pictures with all their questions, and which split they are of."""
        samples = self.source.scored(split)
        which = torch.full((len(samples),), SPLITS.index(split))
        return InMemory({**samples.columns, "split": which})

    def means_the_same(self, about: Mapping[str, Any]) -> bool:
        return all(about.get(name) == self.source.about[name] for name in ("words", "answers"))

    def model(self) -> Answerer:
        config, about = self.config, self.source.about
        mean, std = tuple(about["mean"]), tuple(about["std"])
        spec = changed(config.trunk.spec(about["channels"]), mean=mean, std=std)
        return Answerer(
            build_trunk(spec),
            len(self.source.vocabulary),
            len(self.source.answers),
            side_px=self.side_px,
            units=config.units,
            layers=config.layers,
            looks=config.looks,
            dropout=config.dropout,
        )

    def prepare(self, batch: Batch, epoch: int) -> Batch:
        config, index = self.config, batch["index"]
        picture = augment(batch["picture"], index, config.run.seed, epoch, config.augment)
        batch, wanted = {**batch, "picture": picture}, config.questions
        if not 0 < wanted < batch["question"].shape[1]:
            return batch
        there = batch["question"][:, :, 0] != PAD
        chosen = drawn(there, wanted, config.run.seed, epoch, index)[..., None]
        for name in ("question", "answer", "worth"):
            values = batch[name]
            batch[name] = values.gather(1, chosen.expand(-1, -1, values.shape[2]))
        return batch

    def loss(self, model: Answerer, batch: Batch) -> Float[Tensor, "B"]:
        question = batch["question"]
        found = model(batch["picture"], question)
        target = torch.zeros_like(found.logits)
        target.scatter_add_(2, batch["answer"], batch["worth"].to(target.dtype))
        there = (question[:, :, 0] != PAD).to(target.dtype)
        picture_only = found.picture_only[:, None].expand_as(target)
        losses = torch.stack(
            [
                F.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(2)
                for logits in (found.logits, found.question_only, picture_only)
            ]
        )
        return (losses.sum(0) * there).sum(1) / there.sum(1).clamp(min=1)

    def predict(self, model: Answerer, batch: Batch) -> Answered:
        return model(batch["picture"], batch["question"])  # type: ignore[no-any-return]

    def score(self, answers: Answered, batch: Batch) -> Counts:
        sums = torch.zeros(len(COUNTED), len(self.source.kinds), dtype=torch.float64)
        looked = torch.zeros(2 + self.config.looks, dtype=torch.float64)
        best = [each.argmax(-1).tolist() for each in (answers.logits, answers.question_only)]
        picture_only = answers.picture_only.argmax(-1).tolist()
        weights = answers.weights.cpu()
        which = zip(batch["split"].tolist(), batch["number"].tolist(), strict=True)
        for row, (split, number) in enumerate(which):
            asked = self.source.questioned(SPLITS[split]).asked[number]
            for place, one in enumerate(asked):
                said = (best[0][row][place], best[1][row][place], picture_only[row])
                right = [accuracy(self.source.answers[each], one.answers) for each in said]
                values = torch.tensor([1.0, *right], dtype=torch.float64)
                sums[:, self.source.kind_number(one.kind)] += values
            if self.source.offline:
                things = [one.thing for one in asked]
                masks = self.source.masks(SPLITS[split], number)
                looked += attention_sums(masks, things, weights[row])
        return {"answers": sums, "looked": looked}

    def usual(self, one: Asked) -> str:
        """Return the most frequent answer to questions of a kind."""
        usual = self.source.about["usual"]
        return str(usual.get(one.kind, next(iter(usual.values()))))

    def scores(self, sums: Sums) -> dict[str, float]:
        return vqa_scores(sums, self.source.kinds)

    def baseline(self) -> tuple[float, str]:
        asked = [one for each in self.source.questioned(self.scored).asked for one in each]
        right = sum(accuracy(self.usual(one), one.answers) for one in asked)
        return 100 * right / len(asked), "the usual answer to every kind of question"

    def ask(self, inputs: list[Any]) -> Batch:
        pairs = [as_pair(given) for given in inputs]
        questions = [self.asked(question) for _, question in pairs]
        return {
            "picture": torch.stack([self.read(picture) for picture, _ in pairs]),
            "question": torch.from_numpy(padded(questions, max(map(len, questions))))[:, None],
        }

    def asked(self, question: str) -> list[int]:
        """Return the words of a question; UserError if there is nothing in it to be understood."""
        if not words_of(question):
            raise UserError("the question has no words")
        words = self.source.words(question)
        if not words:
            some = ", ".join(self.source.about["words"][:8])
            raise UserError(
                f"training had no word of {question[:60]!r}; it knows such words as {some}"
            )
        return words[: self.config.longest]

    def doubts(self, given: Any) -> str:
        _, question = as_pair(given)
        unknown = self.source.unknown(question)
        return f"words that training never had, left out: {', '.join(unknown)}" if unknown else ""

    def read(self, given: Any) -> Shaped[Tensor, "C H W"]:
        """Return the picture in a file, in bytes or in an array of the size that was trained on."""
        channels = self.source.about["channels"]
        return square_picture(given, side_px=self.side_px, channels=channels, told="model")

    def to_try(self, count: int) -> list[Any]:
        """Return pictures of the test split, and questions about some of them."""
        asked = self.source.questioned("test").asked[:count]
        return [*super().to_try(count), *dict.fromkeys(each[-1].question for each in asked)]

    def say(self, answers: Answered) -> list[Answer]:
        found = []
        for logits in answers.logits[:, 0]:
            chance, best = logits.sigmoid().topk(min(LIKELY, len(logits)))
            pairs = zip(best.tolist(), chance.tolist(), strict=True)
            chances = {self.source.answers[place]: round(share, 4) for place, share in pairs}
            found.append(Answer(next(iter(chances)), {"chances": chances}))
        return found

    @torch.no_grad()
    def explain(self, model: Answerer, batch: Batch) -> list[Answer]:
        """Return where the model looked for its answer, look by look."""
        found, explained = self.predict(model, batch), []
        for picture, weights, said in zip(
            batch["picture"], found.weights[:, 0], self.say(found), strict=True
        ):
            looks = weights.unflatten(1, model.grid).cpu()
            shown = looks_picture(picture.cpu(), looks, said.text)
            explained.append(Answer("", {"weights": looks.tolist()}, Picture(shown)))
        return explained

    def show(
        self, board: Board, progress: int, model: Answerer, sums: Mapping[str, Tensor]
    ) -> None:
        samples = self.to_score("val")
        batch = samples.batch(torch.arange(min(SHOWN, len(samples))))
        batch = moved(batch, next(model.parameters()).device)
        with torch.no_grad():
            found = self.predict(model, batch)
        pictures, lines, right, marks = batch["picture"].cpu(), [], [], []
        for row, number in enumerate(batch["number"].tolist()):
            asked = self.source.questioned("val").asked[number]
            place = row % len(asked)
            one = asked[place]
            said = self.source.answers[int(found.logits[row, place].argmax())]
            lines.append(f"{one.question} {said}")
            right.append([f"people: {', '.join(dict.fromkeys(one.answers))}"])
            marks.append("darkgreen" if accuracy(said, one.answers) > 0 else "firebrick")
            if row < LOOKED_AT:
                looks = found.weights[row, place].unflatten(1, model.grid).cpu()
                shown = looks_picture(pictures[row], looks, said)
                board.picture(progress, f"val/looks_{row}", shown)
        board.picture(progress, "val/answers", captions_picture(pictures, lines, right, marks))


def looks_picture(
    picture: Shaped[Tensor, "C H W"], looks: Float[Tensor, "G R L"], said: str
) -> UInt8[np.ndarray, "H2 W2 3"]:
    """Return the picture, then where each look went over R x L regions; `said` stands below the
    last one."""
    names = [f"look {number}" for number in range(1, len(looks) + 1)]
    names[-1] += f": {said}"
    return attention_picture(picture, names, looks)


def as_pair(given: Any) -> tuple[Any, str]:
    """Return a picture and its question; UserError for anything else."""
    if not (isinstance(given, tuple | list) and len(given) == 2 and isinstance(given[1], str)):
        raise UserError("this model takes pairs of a picture and a question about it")
    return given[0], given[1]


PLAIN = Config()
# A trunk that has learnt to tell scenes already; from nothing they take several times as long.
CAPTIONER = changed(TRUNK, init="zoo/caption-scenes:cnn", lr_backbone=0.3)
SCENES = changed(PLAIN, questions=8, trunk=CAPTIONER, fit=changed(FIT, num_epochs=7))
SMOKE = changed(
    PLAIN,
    samples=64,
    units=32,
    fit=changed(FIT, num_epochs=1, batch_size=32, eval_every=1),
    trunk=changed(TRUNK, width=0.25),
    run=RunConfig(threads=1),
)
EASY_VQA = changed(
    PLAIN,
    set="easy_vqa",
    questions=4,
    augment=AugmentConfig(flip=True, crop_px=4),
    fit=changed(FIT, num_epochs=20, batch_size=32, learning_rate=7e-4, ema=0.99),
)
PRESETS = {"default": SCENES, "smoke": SMOKE, "easy-vqa": EASY_VQA}

JOB = TaskJob("vqa", PRESETS, QuestionAnswering)
train, resume = JOB.train, JOB.resume
