"""Strengths to choose from: a level is a number of simulations, twice as many as the one below.

docs/go.md has the Elo that lies between levels, and how it was measured. A level does not depend
on the machine: it searches as long as it takes, where seconds would make a fast computer strong.
"""

from backbones.training.errors import UserError
from rl.go.engine import Limits

WEAKEST_VISITS = 10
MOST_LEVEL = 10
ONE_BY_ONE = 160  # simulations below which a network judges one leaf at a time


def check_level(level: int) -> None:
    """UserError if there is no such level; 0 is none."""
    if not 0 <= level <= MOST_LEVEL:
        raise UserError(
            f"level = {level}: levels go from 1, the weakest, to {MOST_LEVEL}; 0 leaves the "
            "strength to --seconds and --visits"
        )


def limits_of(level: int, *, visits: int, seconds: float) -> Limits:
    """Return the limits of a level; at level 0 those of the flags."""
    if level:
        return Limits(visits=WEAKEST_VISITS * 2 ** (level - 1))
    return Limits(visits=visits, seconds=seconds)


def leaves_of(level: int) -> int:
    """Return how many leaves a network judges at a time: of few simulations each must count."""
    return 1 if level and limits_of(level, visits=0, seconds=0.0).visits < ONE_BY_ONE else 8
