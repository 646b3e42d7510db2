"""What is counted of self-play, so that what goes wrong is seen: by turn, as TensorBoard tags."""

import numpy as np
from jaxtyping import Float, Int

OPENING = 6  # moves that tell one opening from another
KEPT = 256  # games among which openings are compared
EARLY = 0.5  # moves a point that are early in a game


class Counters:
    """Sums over a turn, and the latest openings."""

    def __init__(self, size: int) -> None:
        self.size, self.games = size, 0
        self.openings = np.full((KEPT, OPENING), -1, np.int16)
        self.begin()

    def begin(self) -> None:
        """Begin a turn."""
        self.moves = self.passes = self.early = self.early_passes = self.evaluations = 0
        self.entropies: list[float] = []
        self.lengths: list[int] = []
        self.black_points = 0.0
        self.capped = 0

    def searched(self, policy: Float[np.ndarray, "moves"]) -> None:
        """Count a full search by its policy."""
        self.entropies.append(float(-(policy * np.log(np.maximum(policy, 1e-12))).sum()))

    def played(self, is_pass: bool, ply: int) -> None:
        """Count a move."""
        early = ply < EARLY * self.size * self.size
        self.moves += 1
        self.passes += is_pass
        self.early += early
        self.early_passes += early and is_pass

    def ended(self, moves: Int[np.ndarray, "plies"], lead: float, whole: bool) -> None:
        """Count a game: its moves, Black's lead, whether it came to its end."""
        opening = np.full(OPENING, -1, np.int16)
        opening[: len(moves[:OPENING])] = moves[:OPENING]
        self.openings[self.games % KEPT] = opening
        self.games += 1
        self.lengths.append(len(moves))
        self.capped += not whole
        self.black_points += 0.5 * float(np.sign(lead) + 1)

    def figures(self) -> dict[str, float]:
        """Return the figures of a turn; those of games only where one has ended."""
        known = self.openings[: min(self.games, KEPT)]
        figures = {"selfplay/pass_share": self.passes / max(self.moves, 1)}
        if self.early:
            figures["selfplay/early_pass_share"] = self.early_passes / self.early
        if self.entropies:
            figures["selfplay/policy_entropy"] = float(np.mean(self.entropies))
        if self.lengths:
            count = len(self.lengths)
            figures |= {
                "selfplay/game_length": float(np.mean(self.lengths)),
                "selfplay/capped_share": self.capped / count,
                "selfplay/black_wins": self.black_points / count,
                "selfplay/unique_openings": len(np.unique(known, axis=0)) / len(known),
            }
        return figures
