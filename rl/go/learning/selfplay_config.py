"""How games are played to learn from: the flags of self-play."""

import math
from dataclasses import dataclass

from backbones.training.config import require_fraction, require_not_negative, require_positive

# Between equal players: of 5 x 5 solved, of 7 x 7 and 9 x 9 what strong programs agree on.
FAIR_KOMI = {4: 2.0, 5: 25.0, 6: 4.0, 7: 9.0, 8: 10.0, 9: 7.0}


def fair_komi(size: int) -> float:
    """Return the komi at which neither side is better off on a board of this size, or 7."""
    return FAIR_KOMI.get(size, 7.0)


@dataclass(frozen=True, kw_only=True)
class SelfPlayConfig:
    """How games are played to learn from."""

    games_at_a_time: int = 64
    """Games in lock-step: the batch of the network."""
    simulations: int = 24
    """Simulations of a full search, whose policy is learnt."""
    fast_simulations: int = 8
    """Simulations of the other searches, whose positions teach value, ownership and score only."""
    full_share: float = 0.5
    """Share of full searches."""
    considered: int = 12
    """Moves of the root that a search begins with."""
    opening: float = 0.04
    """Mean number of moves a point that a game begins with, drawn from the policy alone."""
    no_pass_before: float = 0.5
    """No pass before so many moves a point: a young network ends its games with two passes."""
    longest: float = 3.0
    """Games are cut off after so many moves a point, and their outcome is not learnt."""
    komi_spread: float = 1.5
    """Standard deviation of the komi, in points."""

    def steps_of(self, moves: int) -> int:
        """Return in how many steps of all games about so many moves are played."""
        slow, fast = self.simulations, self.fast_simulations
        each = 1 + self.full_share * slow + (1 - self.full_share) * fast
        return math.ceil(moves * each / self.games_at_a_time)

    def __post_init__(self) -> None:
        require_positive(self, "games_at_a_time", "simulations", "considered", "longest")
        require_not_negative(self, "fast_simulations", "opening", "no_pass_before", "komi_spread")
        require_fraction(self, "full_share")
        if self.fast_simulations > self.simulations:
            raise ValueError(
                f"fast_simulations = {self.fast_simulations} must be at most simulations = "
                f"{self.simulations}"
            )
        if self.considered < 2:
            raise ValueError(f"considered = {self.considered} must be 2 or above")
        if self.no_pass_before >= self.longest:
            raise ValueError(
                f"no_pass_before = {self.no_pass_before:g} must be below longest = "
                f"{self.longest:g}, or no game ends"
            )
