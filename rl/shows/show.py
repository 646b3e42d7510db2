"""What everything that shows play has in common: a window, a terminal and a film.

Pictures are [rows, columns, 3] uint8 in the game's own size.
"""

import sys
import time
from collections.abc import Callable, Iterable
from typing import Protocol, runtime_checkable

import numpy as np

from backbones.training.progress import say
from rl.shows.panel import Panel

# A picture is shown for an hour at most.
LONGEST_S, MOST_SPEED = 3600.0, 1e6
# What the keys do that every show has, for the screen.
KEYS = "p pause, n step, + - speed, q quit"
FACTORS = {"+": 2.0, "=": 2.0, "-": 0.5}
PAUSED_S = 0.03


class Closed(Exception):
    """The person closed the window or pressed q."""


@runtime_checkable
class Show(Protocol):
    """Shows one picture after the other, and says what keys are pressed."""

    def show(self, picture: np.ndarray, panel: Panel | None, caption: str) -> None:
        """Show a game's picture and what the agent made of it; Closed if that is enough."""

    def held(self) -> set[str]:
        """Return the keys that are down: up, down, left, right, space, digits."""

    def typed(self) -> list[str]:
        """Return the letters that were typed since this was last asked."""

    def close(self) -> None:
        """Give the screen back, finish the file."""


class Pace:
    """Keeps pictures at the game's own speed times a factor; None: as fast as it goes.

    A person changes it by keys: p pauses, n takes one env step, + and - double and halve it.
    """

    def __init__(self, speed: float | None) -> None:
        self.speed = speed
        self.next_s = time.monotonic()
        self.paused = self.one_step = False

    @property
    def words(self) -> str:
        """What a caption says of it; "" at the game's own speed."""
        if self.paused:
            return "  paused"
        return "" if self.speed in (None, 1.0) else f"  speed {self.speed:g}"

    def press(self, keys: Iterable[str]) -> None:
        """Do what keys ask for."""
        for key in keys:
            if key == "p":
                self.paused = not self.paused
            elif key == "n":
                self.paused = self.one_step = True
            elif key in FACTORS and self.speed is not None:
                self.speed = min(MOST_SPEED, max(1 / 64, self.speed * FACTORS[key]))

    def hold(self, show: Show, again: Callable[[], None]) -> None:
        """Between two env steps: do what keys ask for; while paused, show `again` and wait."""
        self.press(show.typed())
        while self.paused and not self.one_step:
            again()
            time.sleep(PAUSED_S)
            self.press(show.typed())
        self.one_step = False

    def wait(self, pictures_per_s: float) -> None:
        """Sleep until the next picture is due; what is late by over 0.2 s is not made up for."""
        if self.speed is None:
            return
        late = time.monotonic() - 0.2
        shown_s = min(1 / (pictures_per_s * self.speed), LONGEST_S)
        self.next_s = max(self.next_s + shown_s, late)
        time.sleep(max(0.0, self.next_s - time.monotonic()))


class NoShow:
    """Shows no pictures: once a second a line says how it stands, where somebody reads it."""

    EVERY_S, LINE_EVERY_S = 1.0, 15.0

    def __init__(self, title: str) -> None:
        self.title, self.begin = title, time.monotonic()
        self.last_s = self.begin
        self.live = sys.stdout.isatty()

    def show(self, picture: np.ndarray, panel: Panel | None, caption: str) -> None:
        now = time.monotonic()
        if now - self.last_s >= (self.EVERY_S if self.live else self.LINE_EVERY_S):
            self.last_s = now
            line = f"{self.title}: {caption}, {now - self.begin:.0f} s"
            if self.live:
                print(f"\r{line}\x1b[K", end="", flush=True)
            else:
                say(line)

    def held(self) -> set[str]:
        return set()

    def typed(self) -> list[str]:
        return []

    def close(self) -> None:
        if self.live:
            print("\r\x1b[K", end="", flush=True)
