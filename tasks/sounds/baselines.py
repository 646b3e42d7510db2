"""What sound is worth that nothing was learnt for: silence, the mean of all films, and the sound of
the training film that looks most alike.

Letters: N films, S steps of sound, F bands, D features.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from torch import Tensor

from backbones.training.distributed import ALONE
from tasks.data.samples import Batch, Samples
from tasks.scores.sums import Counts, Sums, add
from tasks.sounds.cochleagram import cochleagram
from tasks.sounds.network import FilmHearer
from tasks.sounds.scores import sound_sums
from tasks.sounds.synthesis import from_noise

AT_ONCE = 32


def batches(samples: Samples, most: int | None = None) -> list[Batch]:
    """Return the first samples in batches."""
    count = len(samples) if most is None else min(most, len(samples))
    return [samples.batch(index) for index in torch.arange(count).split(AT_ONCE)]


def mean_heard(samples: Samples, most: int) -> Float[Tensor, "S F"]:
    """Return the mean cochleagram of the first films."""
    return torch.cat([batch["heard"].float() for batch in batches(samples, most)]).mean(0)


def always(heard: Float[Tensor, "S F"], samples: Samples, materials: Float[Tensor, "D M"]) -> Sums:
    """Return the sums of films that all get the same sound."""
    again = cochleagram(torch.from_numpy(from_noise(heard))[None], len(heard))[0]
    parts = list[Counts]()
    for batch in batches(samples):
        shape = len(batch["heard"]), -1, -1
        parts.append(sums_of(heard.expand(shape), again.expand(shape), batch, materials))
    return add(parts, ALONE)


@torch.no_grad()
def matched_films(
    model: FilmHearer,
    train: Samples,
    most: int,
    samples: Samples,
    materials: Float[Tensor, "D M"],
    itself: bool,
) -> Sums:
    """Return the sums of films that get the real sound of the training film, of the first `most`,
    whose frames' features make the smallest angle with theirs; if `itself`, of another one."""
    known = batches(train, most)
    features = F.normalize(torch.cat([features_of(model, batch) for batch in known]))
    heard = torch.cat([batch["heard"].float() for batch in known])
    parts, first = list[Counts](), 0
    for batch in batches(samples):
        alike = F.normalize(features_of(model, batch)) @ features.T
        if itself:
            rows = torch.arange(first, min(first + len(alike), alike.shape[1]))
            alike[rows - first, rows] = -torch.inf
        first += len(alike)
        near = heard[alike.argmax(1)]
        parts.append(sums_of(near, near, batch, materials))
    return add(parts, ALONE)


def features_of(model: FilmHearer, batch: Batch) -> Float32[Tensor, "N D"]:
    """Return what the network's eyes see of films, frame by frame."""
    device = next(model.parameters()).device
    return model.see(batch["frames"].to(device)).flatten(1).float().cpu()


def sums_of(
    predicted: Float[Tensor, "N S F"],
    heard: Float[Tensor, "N S F"],
    batch: Batch,
    materials: Float[Tensor, "D M"],
) -> Counts:
    """Return the sums of a batch's sounds."""
    real, time_s = batch["heard"].float().cpu(), batch["time_s"].cpu()
    return sound_sums(predicted, heard, real, time_s, batch["material"].cpu(), materials)
