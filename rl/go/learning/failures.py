"""Rules that stop a self-play run which learns nothing any more, and name what went wrong.

Each is a figure that stays beyond its bound for `PATIENCE` turns in a row. They are known failures,
by issues of leela-zero: passing early (152, 198), games that nobody ends (1446), a value that knows
its games by heart (591); and games that repeat each other.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

PATIENCE = 20  # turns


class Rule(NamedTuple):
    """A failure: how it shows, its name, what to do."""

    shows: Callable[[Mapping[str, float]], bool]
    says: str


RULES = (
    Rule(
        lambda f: f.get("selfplay/early_pass_share", 0) > 0.3,
        "early-pass collapse: a third of the moves in the first half of a board are passes, so "
        "games end before they are played; raise --no-pass-before",
    ),
    Rule(
        lambda f: f.get("selfplay/capped_share", 0) > 0.5,
        "endless games: more than half are cut off and teach no outcome; raise --longest, or lower "
        "--learning-rate",
    ),
    Rule(
        lambda f: (
            "train/value_loss" in f and f.get("new/value_loss", 0) - f["train/value_loss"] > 0.3
        ),
        "value overfit: new games surprise the network far more than those it has learnt from; "
        "lower --reuse or raise --first-window",
    ),
    Rule(
        lambda f: f.get("selfplay/unique_openings", 1) < 0.02,
        "games that repeat each other: hardly one in fifty begins in a way of its own; raise "
        "--opening",
    ),
)


class Failures:
    """Counts for how many turns in a row each rule's figure has been bad; a resume begins anew."""

    def __init__(self) -> None:
        self.bad = [0] * len(RULES)

    def named(self, figures: Mapping[str, float]) -> str:
        """Return the failure that a turn's figures complete; "" for none."""
        for number, rule in enumerate(RULES):
            self.bad[number] = self.bad[number] + 1 if rule.shows(figures) else 0
            if self.bad[number] >= PATIENCE:
                return rule.says
        return ""
