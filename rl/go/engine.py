"""An engine: a player with a position, limits, a clock for each side, and manners.

It thinks in short parts, so that a line from outside, the clock or the user may stop it at once.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from rl.go.clock import Clock, TimeSettings
from rl.go.player import Player, Thoughts
from rl.go.rules.board import BLACK, WHITE
from rl.go.rules.position import Position

PART_S = 0.05  # how long the engine may be deaf
FIRST_PART = 16  # simulations of the first part, when it is not known how long they take
HOPELESS = 3  # moves in a row that must look lost before it resigns
PONDERING = 1_000_000  # simulations in the other's time at most
JUDGING = 500  # simulations from which it is told what is dead

MOST_SECONDS = 1e6  # eleven days


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long a move may be thought about; whichever is reached first ends it."""

    visits: int = 0
    """Simulations; 0: no such limit."""
    seconds: float = 0.0
    """Seconds, where no clock runs; 0: no such limit."""

    def __post_init__(self) -> None:
        if self.visits < 0 or self.seconds < 0:
            raise ValueError("visits and seconds must be 0 or above")


def never() -> bool:
    """Nothing interrupts."""
    return False


@dataclass
class Engine:
    """A player that plays a game."""

    player: Player
    limits: Limits
    position: Position = field(default_factory=Position)
    resign_below: float = 0.05
    """Resign when the chance to win stays below this; 0: never."""
    settings: TimeSettings = field(default_factory=TimeSettings)
    clocks: dict[int, Clock] = field(default_factory=dict)
    hopeless: int = 0
    rate: float = 0.0
    """Simulations per second, as of late."""
    thoughts: Thoughts | None = None
    """What was found before the last own move."""

    def new_game(self, position: Position) -> None:
        """Begin with a position."""
        self.position, self.hopeless, self.thoughts = position, 0, None
        self.player.forget()
        self.set_time(self.settings)

    def warm_up(self) -> None:
        """Let the compiler work now and not in the time of the first move."""
        self.new_game(Position(self.position.size))
        self.search(Limits(visits=8))
        self.final_score()
        self.rate = 0.0

    def set_time(self, settings: TimeSettings) -> None:
        """Start both clocks; settings without any time stop them."""
        self.settings = settings
        timed = settings.main_s + settings.overtime_s + settings.increment_s > 0
        self.clocks = {c: Clock(settings) for c in (BLACK, WHITE)} if timed else {}

    def search(
        self, limits: Limits, stop: Callable[[], bool] = never, *, choosing: bool = False
    ) -> None:
        """Think until a limit is reached or `stop`, asked every PART_S, says so.

        Who is `choosing` a move stops when no other can have more visits in the time that is left.
        """
        start, done = time.monotonic(), 0
        while True:
            count = max(FIRST_PART, int(self.rate * PART_S))
            if limits.visits:
                count = min(count, limits.visits - done)
            if limits.seconds:
                left_s = limits.seconds - (time.monotonic() - start)
                count = min(count, int(self.rate * left_s) if self.rate else FIRST_PART)
            if count <= 0 and done:
                return
            count = max(count, 1)  # however little time there is, a move is looked for
            before = time.monotonic()
            self.player.search(self.position, count)
            rate = count / max(time.monotonic() - before, 1e-6)
            self.rate = (self.rate + rate) / 2 if self.rate else rate
            done += count
            if stop() or (choosing and self.decided(limits, start, done)):
                return

    def decided(self, limits: Limits, start: float, done: int) -> bool:
        """Is it certain which move will have the most visits?"""
        left = [float(limits.visits - done)] if limits.visits else []
        if limits.seconds:
            left.append(self.rate * (limits.seconds - (time.monotonic() - start)))
        return bool(left) and self.player.lead(self.position) > min(left)

    def ponder(self, stop: Callable[[], bool]) -> None:
        """Think about the other's answers until `stop` says so."""
        self.search(Limits(visits=PONDERING), stop)

    def limits_of(self, colour: int) -> Limits:
        """Return how long a colour may think now."""
        clock = self.clocks.get(colour)
        if clock is None:
            return self.limits
        budget_s = clock.budget_s(int(self.position.board["num_empty"]))
        return Limits(visits=self.limits.visits, seconds=budget_s)

    def generate(self, colour: int, stop: Callable[[], bool] = never) -> int | None:
        """Return the move of a colour, None to resign; the move is not played yet."""
        start = time.monotonic()
        self.position.whose(colour)
        self.search(self.limits_of(colour), stop, choosing=True)
        self.thoughts = self.player.thoughts(self.position)
        best = self.thoughts.best
        late = len(self.position.moves) >= self.position.size
        self.hopeless = self.hopeless + 1 if late and best.winrate < self.resign_below else 0
        move = best.move if self.hopeless >= HOPELESS else self.mannered(colour)
        if colour in self.clocks:
            self.clocks[colour].spend(time.monotonic() - start)
        return None if self.hopeless >= HOPELESS else move

    def mannered(self, colour: int) -> int:
        """Return the best move; where the other has passed, a pass if it wins the count.

        The search takes a second pass for the end, with every stone on the board alive. Where dead
        stones are agreed on, the count is an estimate: a pass is played if the search believes to
        win too; if they disagree, its next best move is taken. A count of all stones is exact.
        Before the game has begun nobody's pass is answered by one.
        """
        assert self.thoughts
        position, best = self.position, self.thoughts.best
        if not position.moves or position.moves[-1] != (3 - colour, position.pass_move):
            return best.move
        early = self.hardly_begun()
        wins, believes = not early and self.passing_wins(colour), best.winrate >= 0.5
        exact = not position.rules.friendly
        if wins and (exact or believes):
            found = (1.0, abs(position.score())) if exact else (best.winrate, best.score)
            self.thoughts = self.thoughts.with_best(position.pass_move, *found)
            return position.pass_move
        others = [c.move for c in self.thoughts.candidates if c.move != position.pass_move]
        misled = best.move == position.pass_move and (early or wins or believes)
        return others[0] if misled and others else best.move

    def hardly_begun(self) -> bool:
        """Is the board empty or, where the players agree on what is dead, nearly so?"""
        position = self.position
        stones = np.count_nonzero(position.board["colour"][position.points()])
        settled = position.size**2 / 8 if position.rules.friendly else 1
        return bool(stones < settled)

    def passing_wins(self, colour: int) -> bool:
        """Would the game be won if a colour passed now and that was the end of it?

        By area it must be won with every stone on the board alive, so that nobody has to agree.
        """
        rules, sign = self.position.rules, 1 if colour == BLACK else -1
        agreed = rules.friendly and rules.scoring == "territory"
        if not agreed and sign * self.position.score() <= 0:
            return False
        return not rules.friendly or sign * self.score_after_pass(colour) > 0

    def score_after_pass(self, colour: int) -> float:
        """Return Black's lead if a colour passed now and the player then told what is dead."""
        after = self.position.copy()
        after.play(after.pass_move, colour)
        self.player.search(after, JUDGING)
        return after.score(after.dead_stones(self.player.thoughts(after).ownership))

    def dead_stones(self) -> list[int]:
        """Return the stones that the player takes for dead; it must have thought about this."""
        return self.position.dead_stones(self.player.thoughts(self.position).ownership)

    def judge(self) -> None:
        """Search enough to tell whose points are.

        Visits of a tree that was kept do not count for that: it was not kept with them.
        """
        self.search(Limits(visits=JUDGING))

    def final_score(self) -> tuple[float, list[int]]:
        """Return Black's lead and the dead stones of the position as the player judges it.

        Where the rules take no stones off, there are none once two passes have ended the game.
        """
        if self.position.over and not self.position.rules.friendly:
            return self.position.score(), []
        self.judge()
        dead = self.dead_stones()
        return self.position.score(dead), dead
