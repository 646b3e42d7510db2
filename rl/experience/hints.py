"""Lines in the log where figures of learning are far from where they are in runs that learn.

The bounds are wide: in this project's runs on Pong the clip fraction lies between 0.1 and 0.4 until
the learning rate has fallen, and gradients are cut to a sixth in the first updates and hardly at
all later. A hint is said once a session, and nothing depends on it.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any

OVER_ROLLOUTS = 20
MOST_CLIPPED, LEAST_CLIPPED = 0.6, 0.002
MOST_CUT = 20.0  # gradient norm, as a multiple of the largest that is allowed


class Hints:
    """Looks at the figures of a run's rollouts, the latest ones together."""

    def __init__(self, config: Any) -> None:
        self.config = config
        self.latest: deque[Mapping[str, float]] = deque(maxlen=OVER_ROLLOUTS)
        self.said: set[str] = set()

    def look(self, figures: Mapping[str, float]) -> list[str]:
        """Take the figures of a rollout; return hints that were not given before."""
        self.latest.append(figures)
        if len(self.latest) < OVER_ROLLOUTS:
            return []
        found = {**self.about_clipping(), **self.about_gradients()}
        new = [line for kind, line in found.items() if kind not in self.said]
        self.said |= {*found}
        return [f"hint: {line}" for line in new]

    def mean(self, tag: str) -> float | None:
        """Return the mean of a figure over the latest rollouts; None if one has none."""
        values = [figures[tag] for figures in self.latest if tag in figures]
        return sum(values) / len(values) if len(values) == OVER_ROLLOUTS else None

    def about_clipping(self) -> dict[str, str]:
        """Return what a clip fraction far off says."""
        fraction, rate = self.mean("train/clip_fraction"), self.mean("train/learning_rate")
        if fraction is None or rate is None:
            return {}
        words = f"{100 * fraction:.1f} % of actions are beyond the clip range {self.config.clip:g}"
        if fraction > MOST_CLIPPED:
            less = "a smaller --learning-rate or --num-epochs, or a larger --clip"
            return {"clipped": f"{words}: each rollout changes the policy too much; try {less}"}
        # Where the rate has fallen, nothing should change much any more.
        if fraction < LEAST_CLIPPED and rate > self.config.learning_rate / 2:
            return {"still": f"{words}: the policy hardly changes; try a larger --learning-rate"}
        return {}

    def about_gradients(self) -> dict[str, str]:
        """Return what gradients that are cut to nearly nothing say."""
        norm, most = self.mean("train/grad_norm"), self.config.max_grad_norm
        if norm is None or norm <= MOST_CUT * most:
            return {}
        remedy = "rewards that are scaled (--normalise-rewards of ppo, --clip-rewards)"
        return {
            "cut": f"gradients of norm {norm:.3g} are scaled down to {most:g}: values may be of a "
            f"size that learning cannot follow; try {remedy}"
        }
