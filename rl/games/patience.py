"""Trials of an environment before training, bounded in time: a slow game is announced, not waited
for in silence."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from backbones.training.errors import UserError
from backbones.training.progress import say
from rl.games.foreign.blame import GameFault

SAY_AFTER_S, LIMIT_S = 2.0, 20.0


class Patience:
    """Counts the env steps of a trial; use as `while not patience.over(): ...step...`."""

    def __init__(
        self,
        env: str,
        purpose: str,
        most: int,
        limit_s: float = LIMIT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A trial of at most so many env steps and so many seconds."""
        self.env, self.purpose, self.most, self.limit_s = env, purpose, most, limit_s
        self.clock, self.begin, self.steps, self.announced = clock, clock(), 0, False

    def over(self) -> bool:
        """Return whether the trial ends here; count one env step more if it does not."""
        spent = self.clock() - self.begin
        if self.steps >= self.most or (self.steps and spent >= self.limit_s):
            return True
        if spent >= SAY_AFTER_S and not self.announced:
            self.announced = True
            say(
                f"trying {self.env} ({self.purpose}): {self.steps / spent:.2g} env steps/s, at "
                f"most {self.most} of them or {self.limit_s:.0f} s"
            )
        self.steps += 1
        return False

    @property
    def notes(self) -> list[str]:
        """A line if time has cut the trial short."""
        if self.steps >= self.most:
            return []
        return [
            f"{self.env} is slow: only {self.steps} env steps were tried in {self.limit_s:.0f} s "
            f"({self.purpose})"
        ]


@contextmanager
def before_training() -> Iterator[None]:
    """Say of an environment's fault that it was met in a trial."""
    try:
        yield
    except GameFault as fault:
        raise UserError(f"{fault} (in a trial before training; no run was made)") from fault
