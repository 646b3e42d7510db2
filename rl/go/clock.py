"""Clocks: what a side has left under the usual time systems, and how much of it a move may use.

Main time is spread over the moves that are expected to remain on a board of this size. In overtime
(Canadian, Japanese byo-yomi, Fischer increments) a move gets its share of it. Without overtime a
move never uses more than a third of what is left, so the time never runs out entirely.
"""

import math
from dataclasses import dataclass

LAG_S = 0.1  # kept back for what lies between the engine and the clock: 9x9 servers lose 0.25
SHORTEST = 0.004  # of what is left: even a clock that is nearly out gives a hundred moves more


@dataclass(frozen=True, kw_only=True)
class TimeSettings:
    """A time system; without main time and overtime there is no clock."""

    main_s: float = 0.0
    overtime_s: float = 0.0
    """Seconds of a period of overtime."""
    stones: int = 0
    """Moves to make in a period: Canadian; 1 with several periods is byo-yomi."""
    periods: int = 1
    """Periods of overtime that may be used up; with several, servers count them, not stones."""
    increment_s: float = 0.0
    """Seconds added after every move (Fischer)."""
    cap_s: float = math.inf
    """Seconds that adding does not go beyond."""
    longest_s: float = math.inf
    """Seconds that a move may take."""


class Clock:
    """What one side has left."""

    def __init__(self, settings: TimeSettings) -> None:
        self.settings = settings
        self.left_s = settings.main_s
        self.stones = settings.stones if settings.main_s <= 0 else 0  # 0: in main time
        if self.stones:
            self.left_s = settings.overtime_s
        self.periods = settings.periods

    def set_left(self, left_s: float, stones: int) -> None:
        """Set the time left as a server reports it.

        `stones` is 0 in main time, otherwise the moves still to make; in Japanese byo-yomi, with
        one move per period, it is the number of periods left.
        """
        self.left_s, self.stones = left_s, stones
        if stones and self.settings.stones == 1:
            self.stones, self.periods = 1, stones

    def spend(self, seconds: float) -> None:
        """Subtract the time that a move took."""
        settings = self.settings
        self.left_s -= seconds
        if self.stones:  # in overtime
            self.stones -= 1
            while self.left_s < 0 and self.periods > 1:
                self.periods, self.left_s = self.periods - 1, self.left_s + settings.overtime_s
            if self.stones == 0:
                self.left_s, self.stones = settings.overtime_s, settings.stones
        elif self.left_s < 0 and settings.overtime_s:
            self.left_s, self.stones = self.left_s + settings.overtime_s, max(settings.stones, 1)
        # A server may have said that there is more than the cap.
        self.left_s = min(self.left_s + settings.increment_s, max(settings.cap_s, self.left_s))

    def budget_s(self, empty: int, lag_s: float = LAG_S) -> float:
        """Return the seconds for the next move, on a board of so many empty points."""
        left, shortest = self.left_s - lag_s, max(SHORTEST * self.left_s, 1e-4)
        longest = max(self.settings.longest_s - lag_s, shortest)
        if self.stones:
            return min(max(left / self.stones * 0.9, shortest), longest)
        moves_left = max(empty * 0.45, 12)
        share = left / moves_left + 0.8 * self.settings.increment_s
        if self.settings.overtime_s:
            share += 0.5 * self.settings.overtime_s / max(self.settings.stones, 1)
        # With overtime behind it the main time may run out within a move.
        beyond = 0.8 * self.settings.overtime_s / max(self.settings.stones, 1)
        return min(max(min(share, left / 3), beyond, shortest), longest)
