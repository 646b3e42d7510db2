"""How well sounds fit films: when, how loud, how bright, of which material.

Letters: B films, S steps of sound, F bands, K hits, D numbers.

As in Owens et al. 2016, loudness and centroid are compared at the hits, where they are; the
material is named by a linear classifier that was fitted to real sounds.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from tasks.scores.sums import Counts, Kept, Sums
from tasks.sounds.cochleagram import STEPS_HZ, centroid_erb
from tasks.sounds.onsets import matched, onsets

WITHIN_S = (0.1, 0.05)
WINDOW = 18  # steps from a hit on: 0.2 s
BEFORE_S = 0.03  # before a hit, in which nothing may be heard of it yet
QUIET = 0.02  # compressed envelopes below which nothing is heard: 113 dB under full amplitude
RIDGE = 1.0


def windows(heard: Float[Tensor, "B S F"], time_s: Float[Tensor, "B _"]) -> Float[Tensor, "K W F"]:
    """Return what is heard from every hit on, silence behind the film: film by film."""
    film, hit = (time_s >= 0).nonzero(as_tuple=True)
    first = (time_s[film, hit] * STEPS_HZ).long()
    longer = torch.nn.functional.pad(heard, (0, 0, 0, WINDOW))
    steps = first[:, None] + torch.arange(WINDOW)
    return longer[film[:, None], steps]


def near_hits(time_s: Float[Tensor, "B _"], steps: int) -> Float[Tensor, "B S"]:
    """Return 1 in the steps of the windows of hits, and in a few before them, else 0."""
    middle = (torch.arange(steps, device=time_s.device) + 0.5) / STEPS_HZ
    since = middle - time_s[:, :, None]
    inside = (since > -BEFORE_S) & (since < WINDOW / STEPS_HZ) & (time_s >= 0)[:, :, None]
    return inside.any(1).float()


def material_inputs(window: Float[Tensor, "K W F"]) -> Float[Tensor, "K D"]:
    """Return what the material is read off: early and late spectra over the loudest, and 1."""
    scale = window.amax((1, 2), keepdim=True).clamp_min(1e-3)
    parts = (window / scale).unflatten(1, (3, -1)).mean(2).flatten(1)
    return torch.cat([parts, torch.ones(len(parts), 1)], 1)


def fit_materials(
    window: Float[Tensor, "K W F"], material: Int64[Tensor, "K"], count: int
) -> Float[Tensor, "D M"]:
    """Return the weights of a linear classifier by least squares; hits of no known material, -1,
    are left out."""
    window, material = window[material >= 0], material[material >= 0]
    inputs = material_inputs(window).double()
    target = torch.eye(count, dtype=torch.float64)[material]
    square = inputs.T @ inputs + RIDGE * torch.eye(inputs.shape[1], dtype=torch.float64)
    return torch.linalg.solve(square, inputs.T @ target).float()


def sound_sums(
    predicted: Float[Tensor, "B S F"],
    heard: Float[Tensor, "B S F"],
    real: Float[Tensor, "B S F"],
    time_s: Float[Tensor, "B K"],
    material: Int64[Tensor, "B K"],
    weights: Float[Tensor, "D M"],
) -> Counts:
    """Return what films of a batch add to the scores: onsets are read off what was predicted, the
    rest off what is heard of the sound made from it."""
    found = [(onsets(one).float() + 0.5) / STEPS_HZ for one in predicted]
    true = [row[row >= 0] for row in time_s]
    counts: dict[str, Tensor | Kept] = {
        "found": torch.tensor(sum(map(len, found))),
        "true": torch.tensor(sum(map(len, true))),
    }
    for within in WITHIN_S:
        pairs = zip(found, true, strict=True)
        counts[f"hits_{within}"] = sum(
            (matched(one, other, within).sum() for one, other in pairs), torch.tensor(0)
        )
    mine, theirs, kinds = windows(heard, time_s), windows(real, time_s), material[time_s >= 0]
    rows = [louder(mine), louder(theirs), centroid_erb(mine), centroid_erb(theirs)]
    counts["rows"] = Kept(torch.stack(rows, 1))
    counts["labelled"] = (kinds >= 0).sum()
    for name, window in (("named", mine), ("named_real", theirs)):
        right = (material_inputs(window) @ weights).argmax(1) == kinds
        # Of silence nothing is named: the classifier would say what is most frequent.
        counts[name] = (right & (window.amax((1, 2)) > QUIET)).sum()
    return counts


def louder(window: Float[Tensor, "K W F"]) -> Float[Tensor, "K"]:
    """Return how loud hits are, as in Owens et al. 2016: the largest norm of a step's bands."""
    return window.norm(dim=2).amax(1)


def sound_scores(sums: Sums) -> dict[str, float]:
    """Return scores in per cent, correlations from -1 to 1."""
    scores = {}
    both = (sums["found"] + sums["true"]).clamp_min(1)
    for within in reversed(WITHIN_S):
        f1 = 200 * sums[f"hits_{within}"] / both
        scores[f"onset_f1_{round(1000 * within)}ms"] = float(f1)
    columns = sums["rows"].double().T
    scores["loudness_r"] = correlation(columns[0], columns[1])
    scores["centroid_r"] = correlation(columns[2], columns[3])
    hits = sums["labelled"].clamp_min(1)
    scores["material"] = float(100 * sums["named"] / hits)
    scores["material_of_real"] = float(100 * sums["named_real"] / hits)
    return scores


def correlation(one: Float[Tensor, "K"], other: Float[Tensor, "K"]) -> float:
    """Return Pearson's correlation; 0 where one of the two does not vary."""
    one, other = one - one.mean(), other - other.mean()
    scale = float(one.norm() * other.norm())
    return float(one @ other) / scale if scale > 1e-9 else 0.0
