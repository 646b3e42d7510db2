"""Sound for silent film: what is struck, scratched and missed in it is heard
(Visually Indicated Sounds, Owens et al. 2016, https://arxiv.org/abs/1512.08512).

Letters: B films, T frames, S steps of sound, F bands.

The model predicts a cochleagram; the sound is noise with these envelopes. Scores are those of the
sound, heard again, not of the prediction.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from backbones.cnn import build_trunk
from backbones.media import has_picture, has_sound, length_s, read_sound
from backbones.soundtrack import why_anew
from backbones.training.checks.limits import require_at_most
from backbones.training.config import RunConfig, changed, require_positive
from backbones.training.errors import UserError
from backbones.training.log import Board
from backbones.training.progress import Told, untold
from backbones.transfer import TrunkConfig
from tasks.answers import Answer, Film, Kind
from tasks.data.samples import Batch, moved
from tasks.fit_config import FitConfig
from tasks.job import TaskJob
from tasks.looks.cochleagrams import cochleagrams_picture, frames_at
from tasks.scores.sums import Counts, Sums
from tasks.sounds.baselines import always, matched_films, mean_heard, sums_of
from tasks.sounds.cochleagram import BANDS, RATE_HZ, STEPS_HZ, cochleagram
from tasks.sounds.examples import Examples, examples_of
from tasks.sounds.films import STEPS, Films, small
from tasks.sounds.network import FilmHearer
from tasks.sounds.onsets import onsets
from tasks.sounds.scores import fit_materials, near_hits, sound_scores, windows
from tasks.sounds.synthesis import from_examples, from_noise
from tasks.task import Task
from tasks.worlds.strikes import FRAMES_HZ, SIZE_PX

MOST_FILMS, MOST_UNITS = 2**20, 2**12
TAUGHT = 400  # films to whose real sounds the classifier of materials is fitted
REMEMBERED = 64  # films whose sounds are given to others
AT_HITS = 3.0  # what is heard at a hit counts for so much more than the rest
SCALE = 100.0  # of the loss, which is small: most of a film is silent
LONGEST_S = 1_800
PIECE, OVERLAP = 8 * FRAMES_HZ, FRAMES_HZ  # frames of a long film that are heard at once
SHOWN, HEARD = 10, 3  # films that are seen and heard in TensorBoard
# Without a mean the textures, which tell materials apart, were learnt many times more slowly.
TRUNK = TrunkConfig(mean=128.0, std=32.0)
FIT = FitConfig(
    num_epochs=26,
    batch_size=16,
    optimizer="adamw",
    learning_rate=2e-3,
    weight_decay=0.01,
    max_grad_norm=1.0,
    ema=0.98,
    eval_every=3,
)


@dataclass(frozen=True, kw_only=True)
class AnswerConfig:
    """How a sound is made, and what becomes of the one that a film has."""

    synthesis: Literal["noise", "example"] = "noise"
    """noise: noise with the envelopes that were predicted; example: the most similar training
    sounds."""
    replace: bool = False
    """It goes."""
    mix: bool = False
    """It stays, under the new one."""

    def __post_init__(self) -> None:
        if self.replace and self.mix:
            raise ValueError("replace and mix are both set; a film's own sound goes or stays")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sound for silent film, on the shared CNN and LSTM."""

    data: str = ""
    """A folder in the layout of the Greatest Hits; empty: the offline world strikes."""
    samples: int = 3_000
    """Films to learn from; clips of 2 s, of a folder."""
    units: int = 128
    """Numbers of the LSTM's state, each way."""
    features: int = 128
    """Numbers that the LSTM gets of a frame."""
    answer: AnswerConfig = field(default_factory=AnswerConfig)
    fit: FitConfig = FIT
    trunk: TrunkConfig = TRUNK
    run: RunConfig = field(default_factory=lambda: RunConfig(threads=2))

    def __post_init__(self) -> None:
        require_positive(self, "samples", "units", "features")
        require_at_most(self, samples=MOST_FILMS, units=MOST_UNITS, features=MOST_UNITS)


class FilmSound(Task[Tensor]):
    """The task; see `tasks/task.py` for what each method is for."""

    metric = "onset_f1_100ms"
    source_type = Films
    source: Films
    takes: tuple[Kind, ...] = ("film",)
    gives: Kind = "film"
    asked: list[Any]
    """The films that the last answers are of: they get the sounds."""

    def model(self) -> FilmHearer:
        config = self.config
        return FilmHearer(
            build_trunk(config.trunk.spec(3)),
            size_px=SIZE_PX,
            units=config.units,
            features=config.features,
            steps=STEPS_HZ // FRAMES_HZ,
            bands=BANDS,
        )

    def loss(self, model: FilmHearer, batch: Batch) -> Float[Tensor, "B"]:
        # Squares, so that a doubt about the moment shows as a weaker stroke: under distances, as in
        # Owens et al., silence wins wherever a stroke is less likely than not.
        away = model(batch["frames"]) - batch["heard"].float()
        weight = 1 + AT_HITS * near_hits(batch["time_s"], away.shape[1])
        return (away.square().mean(2) * weight).mean(1) * SCALE

    def predict(self, model: FilmHearer, batch: Batch) -> Float[Tensor, "B S F"]:
        heard = heard_in_pieces(model, batch["frames"], self.told)
        return heard.clamp(0, 2).float().cpu()

    @cached_property
    def materials(self) -> Float[Tensor, "D M"]:
        """The classifier of materials, fitted to real sounds of training."""
        films = self.data("train")
        batch = films.batch(torch.arange(min(TAUGHT, len(films))))
        window = windows(batch["heard"].float(), batch["time_s"])
        kinds = batch["material"][batch["time_s"] >= 0]
        return fit_materials(window, kinds, len(self.source.materials))

    def score(self, answers: Float[Tensor, "B S F"], batch: Batch) -> Counts:
        made = torch.stack([torch.from_numpy(self.sounding(one)) for one in answers])
        heard = cochleagram(made, answers.shape[1])
        return sums_of(answers, heard, batch, self.materials)

    def sounding(self, heard: Float[Tensor, "S F"]) -> Float32[np.ndarray, "N"]:
        """Return a sound of which this is heard."""
        if self.config.answer.synthesis == "noise":
            return from_noise(heard, self.told)
        examples = self.examples
        return from_examples(heard, onsets(heard), examples.windows, examples.sounds)

    @cached_property
    def examples(self) -> Examples:
        """The training sounds that films are given."""
        return examples_of(self.source.remembered(REMEMBERED))

    def scores(self, sums: Sums) -> dict[str, float]:
        return sound_scores(sums)

    def baseline(self) -> tuple[float, str]:
        scores = sound_scores(self.of_mean)
        return scores[self.metric], "the mean of all training sounds"

    @cached_property
    def of_mean(self) -> Sums:
        """The sums of the mean of training sounds for every film of the split that is scored."""
        heard = mean_heard(self.data("train"), TAUGHT)
        return always(heard, self.data(self.scored), self.materials)

    def baselines(self, model: FilmHearer, sums: Sums) -> dict[str, float]:
        samples, train = self.data(self.scored), self.data("train")
        silence = always(torch.zeros(STEPS, BANDS), samples, self.materials)
        itself = self.scored == "train"
        match = matched_films(model, train, TAUGHT, samples, self.materials, itself)
        of = {"silence": silence, "mean": self.of_mean, "image_match": match}
        return {
            f"{name}_{score}": value
            for name, found in of.items()
            for score, value in sound_scores(found).items()
            if score != "material_of_real"
        }

    def ask(self, inputs: list[Any]) -> Batch:
        """Return the frames of a film as the world has them: 15 a second, squeezed to 64 x 64."""
        (film,) = self.asked = inputs
        answer = self.config.answer
        sounding = has_picture(film) and has_sound(film)
        if sounding and not (answer.replace or answer.mix):
            raise UserError("this film has sound already; add --replace or --mix")
        # One block that grows: small pictures between large ones that go would hold a long film's
        # memory, 1.9 GB for ten minutes.
        held, length = bytearray(), length_s(film)
        for number, picture in enumerate(small(film)):
            if number == LONGEST_S * FRAMES_HZ:
                raise UserError(f"this film is longer than {LONGEST_S // 60} minutes; cut it")
            self.told("s seen", number / FRAMES_HZ, length)
            held += picture.tobytes()
        frames = torch.frombuffer(held, dtype=torch.uint8)
        return {"frames": frames.view(1, -1, SIZE_PX, SIZE_PX, 3)}

    def doubts(self, given: Any) -> str:
        why = why_anew(given)
        return f"{why}: they are encoded anew" if why else ""

    def say(self, answers: Float[Tensor, "B S F"]) -> list[Answer]:
        """Return the film with its sound, and when something begins to sound in it."""
        (film,) = self.asked
        made = self.sounding(answers[0])
        if self.config.answer.mix and has_sound(film):
            own = read_sound(film, RATE_HZ)[: len(made)]
            made[: len(own)] += own
        steps = onsets(answers[0])
        times = [round((step + 0.5) / STEPS_HZ, 3) for step in steps.tolist()]
        return [Answer(f"{len(times)} sounds", {"onset_s": times}, Film(film, made, RATE_HZ))]

    def show(
        self, board: Board, progress: int, model: FilmHearer, sums: Mapping[str, Tensor]
    ) -> None:
        samples = self.data("val")
        batch = samples.batch(torch.arange(min(SHOWN, len(samples))))
        with torch.no_grad():
            predicted = self.predict(model, moved(batch, next(model.parameters()).device))
        times = [row[row >= 0] for row in batch["time_s"]]
        true = [(row * STEPS_HZ).long().tolist() for row in times]
        found = [onsets(one).tolist() for one in predicted]
        real = batch["heard"].float()
        picture = cochleagrams_picture(real, predicted, true, found)
        board.picture(progress, "val/cochleagrams", picture)
        for n in range(min(HEARD, len(predicted))):
            board.sound(progress, f"val/sound_{n}", self.sounding(predicted[n]), RATE_HZ)
            numbers = [step * FRAMES_HZ // STEPS_HZ for step in found[n]]
            if numbers:
                shown = frames_at(batch["frames"][n], numbers)
                board.picture(progress, f"val/frames_at_onsets_{n}", shown)


def heard_in_pieces(
    model: FilmHearer, frames: UInt8[Tensor, "B T H W 3"], told: Told = untold
) -> Float[Tensor, "B S F"]:
    """Return what is heard of films, long ones in pieces that overlap: memory does not grow with
    them, and what stands still is judged over seconds, as in training."""
    heard = []
    for first in range(0, frames.shape[1], PIECE):
        begin = max(0, first - OVERLAP)
        piece = model(frames[:, begin : first + PIECE + OVERLAP])
        told("s heard", first / FRAMES_HZ, frames.shape[1] / FRAMES_HZ)
        skipped = (first - begin) * model.steps
        heard.append(piece[:, skipped : skipped + PIECE * model.steps])
    return torch.cat(heard, 1)


PRESETS = {
    "default": Config(),
    "smoke": Config(
        samples=8,
        units=16,
        features=16,
        fit=changed(FIT, num_epochs=1, batch_size=4),
        trunk=changed(TRUNK, width=0.25),
        run=RunConfig(threads=1),
    ),
}
JOB = TaskJob("sound", PRESETS, FilmSound)
train, resume = JOB.train, JOB.resume
