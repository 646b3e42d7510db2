"""The chance in self-play: what is drawn for a game or a move depends on its numbers alone.

So a game is the same whichever games are played beside it, and a run that was stopped draws again
what it drew before.

Letters: A moves, S simulations.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

SUICIDE_SHARE = 0.25  # of the games allow it, so that the network knows both rules


class GameLuck(NamedTuple):
    """What is drawn when a game begins."""

    opening: int
    """Moves that are drawn from the network's policy without a search."""
    suicide: bool
    komi_follows: bool
    """Whether the komi is round the games' mean score, or round the one that was asked for."""
    komi_noise: float
    """In standard deviations."""


class MoveLuck(NamedTuple):
    """What is drawn before a move is searched."""

    gumbel: Float[np.ndarray, "A"]
    ways: Int[np.ndarray, "S"]
    """In which of eight ways the network sees the root, then each leaf."""
    full: float
    """A number in [0, 1): below the share of full searches, this is one."""


def game_luck(seed: int, game: int, mean_opening: float) -> GameLuck:
    """Draw what a game begins with; the opening's length falls off exponentially."""
    rng = np.random.default_rng((seed, 0, game))
    return GameLuck(
        int(rng.exponential(mean_opening)) if mean_opening else 0,
        bool(rng.random() < SUICIDE_SHARE),
        bool(rng.random() < 0.5),
        float(rng.normal()),
    )


def move_luck(seed: int, game: int, ply: int, moves: int, evaluations: int) -> MoveLuck:
    """Draw what the search of a game's move needs."""
    rng = np.random.default_rng((seed, 1, game, ply))
    return MoveLuck(rng.gumbel(size=moves), rng.integers(8, size=evaluations), float(rng.random()))
