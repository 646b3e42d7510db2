"""Scores over several games and seeds as one number, with an interval.

Letters: G games, each with S_g seeds; scores are human-normalised. The numbers and the stratified
bootstrap are those of Agarwal et al. 2021, https://arxiv.org/abs/2108.13264: the mean and the
median are over games, each game's score being the mean of its seeds; the interquartile mean (IQM)
is over all runs, without the lowest and the highest quarter of them.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 2_000
LEVEL = 0.95

Scores = Sequence[Sequence[float]] | Sequence[np.ndarray]
"""A game's scores by seed, game after game."""


class Estimate(NamedTuple):
    """A number, and the interval that 95 % of the resampled ones lie in."""

    value: float
    low: float
    high: float


def mean_of(scores: Scores) -> float:
    """Return the mean over games of each game's mean over seeds."""
    return float(np.mean([np.mean(game) for game in scores]))


def median_of(scores: Scores) -> float:
    """Return the median over games of each game's mean over seeds."""
    return float(np.median([np.mean(game) for game in scores]))


def interquartile_mean(scores: Scores) -> float:
    """Return the mean of all runs but the lowest and the highest quarter, rounded down."""
    every = np.sort(np.concatenate([np.asarray(game, float) for game in scores]))
    cut = len(every) // 4
    return float(np.mean(every[cut : len(every) - cut]))


MEASURES: dict[str, Callable[[Scores], float]] = {
    "mean": mean_of,
    "median": median_of,
    "IQM": interquartile_mean,
}


def resampled(scores: Scores, generator: np.random.Generator) -> list[np.ndarray]:
    """Return as many seeds of every game, drawn with replacement from that game's own."""
    return [
        np.asarray(game, float)[generator.integers(len(game), size=len(game))] for game in scores
    ]


def estimates(scores: Scores, seed: int = 0, resamples: int = RESAMPLES) -> dict[str, Estimate]:
    """Return mean, median and IQM with their intervals; where every game has one seed, an interval
    is the number itself."""
    generator = np.random.default_rng(seed)
    drawn = [resampled(scores, generator) for _ in range(resamples)]
    found = {}
    for name, measure in MEASURES.items():
        values = [measure(each) for each in drawn]
        low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        found[name] = Estimate(measure(scores), float(low), float(high))
    return found
