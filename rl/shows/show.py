"""What everything that shows play has in common: a window, a terminal and a film.

Pictures are [rows, columns, 3] uint8 in the game's own size.
"""

import time
from typing import Protocol, runtime_checkable

import numpy as np

from rl.shows.panel import Panel

# A picture is shown for an hour at most.
LONGEST_S, MOST_SPEED = 3600.0, 1e6


class Closed(Exception):
    """The person closed the window or pressed q."""


@runtime_checkable
class Show(Protocol):
    """Shows one picture after the other, and says what keys are held."""

    def show(self, picture: np.ndarray, panel: Panel | None, caption: str) -> None:
        """Show a game's picture and what the agent made of it; Closed if that is enough."""

    def held(self) -> set[str]:
        """Return the keys that are down: up, down, left, right, space, digits."""

    def close(self) -> None:
        """Give the screen back, finish the file."""


class Pace:
    """Keeps pictures at the game's own speed times a factor; None: as fast as it goes."""

    def __init__(self, speed: float | None) -> None:
        self.speed = speed
        self.next_s = time.monotonic()

    def wait(self, pictures_per_s: float) -> None:
        """Sleep until the next picture is due; what is late by over 0.2 s is not made up for."""
        if self.speed is None:
            return
        late = time.monotonic() - 0.2
        shown_s = min(1 / (pictures_per_s * self.speed), LONGEST_S)
        self.next_s = max(self.next_s + shown_s, late)
        time.sleep(max(0.0, self.next_s - time.monotonic()))


class NoShow:
    """Shows nothing to nobody."""

    def show(self, picture: np.ndarray, panel: Panel | None, caption: str) -> None:
        pass

    def held(self) -> set[str]:
        return set()

    def close(self) -> None:
        pass
