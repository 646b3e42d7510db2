"""An engine: a player with a position, limits and clocks, that resigns and passes politely.

It searches in short parts, so that a command, the clock or the user can stop it at once.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from rl.go.clock import Clock, TimeSettings
from rl.go.player import Player, Thoughts
from rl.go.rules.board import BLACK, WHITE
from rl.go.rules.position import Position

PART_S = 0.05  # how long a search may take to notice that it should stop
FIRST_PART = 16  # simulations of the first part, before their speed is known
RESIGN_AFTER = 3  # own moves in a row that look lost
PONDERING = 1_000_000  # most simulations in the opponent's time
JUDGING = 500  # simulations that decide which stones are dead

MOST_SECONDS = 1e6  # eleven days


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long one move may be searched; the search ends at whichever limit comes first."""

    visits: int = 0
    """Simulations; 0: no such limit."""
    seconds: float = 0.0
    """Seconds, where no clock runs; 0: no such limit."""

    def __post_init__(self) -> None:
        if self.visits < 0 or self.seconds < 0:
            raise ValueError("visits and seconds must be 0 or above")


def never() -> bool:
    """Return False: a search that nothing stops."""
    return False


@dataclass
class Engine:
    """A player that plays a game."""

    player: Player
    limits: Limits
    position: Position = field(default_factory=Position)
    resign_below: float = 0.05
    """Resign when the winrate stays below this; 0: never."""
    settings: TimeSettings = field(default_factory=TimeSettings)
    clocks: dict[int, Clock] = field(default_factory=dict)
    losing_moves: int = 0
    """Own moves in a row that looked lost."""
    rate: float = 0.0
    """Recent simulations per second."""
    thoughts: Thoughts | None = None
    """Result of the search before the last own move."""

    def new_game(self, position: Position) -> None:
        """Start a game at a position."""
        self.position, self.losing_moves, self.thoughts = position, 0, None
        self.player.forget()
        self.set_time(self.settings)

    def warm_up(self) -> None:
        """Compile the search now, so that the first move's time is not spent on it."""
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
        """Search until a limit is reached or `stop()`, called every PART_S, is true.

        With `choosing`, stop early once the best move cannot be overtaken in the time left.
        """
        start, done = time.monotonic(), 0
        while True:
            count = max(FIRST_PART, int(self.rate * PART_S))
            if limits.visits:
                count = min(count, limits.visits - done)
            if limits.seconds:
                left_s = limits.seconds - (time.monotonic() - start)
                count = int(min(count, self.rate * left_s if self.rate else FIRST_PART))
            if count <= 0 and done:
                return
            count = max(count, 1)  # at least one simulation, however little time there is
            before = time.monotonic()
            self.player.search(self.position, count)
            rate = count / max(time.monotonic() - before, 1e-6)
            self.rate = (self.rate + rate) / 2 if self.rate else rate
            done += count
            if stop() or (choosing and self.decided(limits, start, done)):
                return

    def decided(self, limits: Limits, start: float, done: int) -> bool:
        """Return whether no other move can overtake the best one within the limits."""
        left = [float(limits.visits - done)] if limits.visits else []
        if limits.seconds:
            left.append(self.rate * (limits.seconds - (time.monotonic() - start)))
        return bool(left) and self.player.lead(self.position) > min(left)

    def ponder(self, stop: Callable[[], bool]) -> None:
        """Search the opponent's answers until `stop()` is true."""
        self.search(Limits(visits=PONDERING), stop)

    def limits_of(self, colour: int) -> Limits:
        """Return the limits of a colour's next move."""
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
        self.losing_moves = (
            self.losing_moves + 1 if late and best.winrate < self.resign_below else 0
        )
        move = best.move if self.losing_moves >= RESIGN_AFTER else self.polite_move(colour)
        if colour in self.clocks:
            self.clocks[colour].spend(time.monotonic() - start)
        return None if self.losing_moves >= RESIGN_AFTER else move

    def polite_move(self, colour: int) -> int:
        """Return the best move, or a pass if the opponent has passed and passing wins.

        The search treats a second pass as the end, with every stone on the board alive. Where the
        players agree on dead stones, the count is an estimate: pass only if the search believes in
        a win too; if the two disagree, play the best other move. A count of all stones is exact.
        A pass at the very beginning of a game is never answered with a pass.
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
        """Return whether the board is empty; nearly empty, where players agree on dead stones."""
        position = self.position
        stones = np.count_nonzero(position.board["colour"][position.points()])
        settled = position.size**2 / 8 if position.rules.friendly else 1
        return bool(stones < settled)

    def passing_wins(self, colour: int) -> bool:
        """Return whether a colour wins if it passes now and the game ends.

        With area scoring it must win with every stone alive too, so that no agreement is needed.
        """
        rules, sign = self.position.rules, 1 if colour == BLACK else -1
        agreed = rules.friendly and rules.scoring == "territory"
        if not agreed and sign * self.position.score() <= 0:
            return False
        return not rules.friendly or sign * self.score_after_pass(colour) > 0

    def score_after_pass(self, colour: int) -> float:
        """Return Black's lead if a colour passes now and the player then judges the dead stones."""
        after = self.position.copy()
        after.play(after.pass_move, colour)
        self.player.search(after, JUDGING)
        return after.score(after.dead_stones(self.player.thoughts(after).ownership))

    def dead_stones(self) -> list[int]:
        """Return the stones that the player judges dead; search the position first."""
        return self.position.dead_stones(self.player.thoughts(self.position).ownership)

    def judge(self) -> None:
        """Search enough to judge who owns each point.

        Ownership statistics are not kept with a reused tree, so search anew.
        """
        self.search(Limits(visits=JUDGING))

    def final_score(self) -> tuple[float, list[int]]:
        """Return Black's lead and the dead stones, as the player judges the position.

        Where the rules remove no dead stones, there are none once two passes have ended the game.
        """
        if self.position.over and not self.position.rules.friendly:
            return self.position.score(), []
        self.judge()
        dead = self.dead_stones()
        return self.position.score(dead), dead
