"""Reading captures as slowly and plainly as can be: sets of stones, wider choices of moves.

The game read is that of `rl/go/search/reader.py`, by code that shares nothing with it.
"""

from tests.rl.go.rules.slow_board import SlowBoard


class SlowReader:
    """Positions are a dict from (row, column) to 1 or 2, and the point that simple ko forbids."""

    def __init__(self, size, reach=2):
        self.rules, self.size, self.reach = SlowBoard(size), size, reach

    def chain(self, stones, point):
        return self.rules.chain(stones, point)

    def after(self, stones, ko, point, colour):
        """Return the stones and the ko after a move; None if it is none."""
        if point in stones or point == ko:
            return None
        self.rules.stones, self.rules.to_play = stones, colour
        left = self.rules.after(point)
        if left is None:
            return None
        taken = set(stones) - set(left)
        chain, liberties = self.chain(left, point)
        single = len(taken) == len(chain) == len(liberties) == 1
        return left, taken.pop() if single else None

    def near(self, points):
        reach = range(-self.reach, self.reach + 1)
        spots = {(row + y, column + x) for row, column in points for y in reach for x in reach}
        return {(y, x) for y, x in spots if 0 <= y < self.size and 0 <= x < self.size}

    def liberties_beside(self, stones, chain, most):
        """Return the liberties of the chains beside one that have at most so many."""
        found = set()
        for point in chain:
            for other in self.rules.beside(point):
                if other in stones and stones[other] != stones[point]:
                    liberties = self.chain(stones, other)[1]
                    found |= liberties if len(liberties) <= most else set()
        return found

    def attacks(self, stones, target, quiet):
        """Return the attacker's moves, and which of them are no atari."""
        chain, liberties = self.chain(stones, target)
        others = self.near(liberties) | self.liberties_beside(stones, chain, 1) if quiet else set()
        return sorted(liberties), sorted(others - liberties)

    def defences(self, stones, target):
        chain, liberties = self.chain(stones, target)
        found = liberties | self.liberties_beside(stones, chain, len(liberties))
        return sorted(found | self.near(liberties) if len(liberties) > 1 else found)

    def attack_works(self, stones, ko, target, point, quiet):
        """Return whether a move of the attacker captures a chain of two liberties."""
        played = self.after(stones, ko, point, 3 - stones[target])
        if played is None:
            return False
        if point in self.chain(stones, target)[1]:
            return self.captured(*played, target, False, quiet)
        if not quiet or not self.captured(*played, target, True, 0):
            return False
        return self.captured(*played, target, False, quiet - 1)

    def defence_works(self, stones, ko, target, point, quiet):
        played = self.after(stones, ko, point, stones[target])
        return played is not None and not self.captured(*played, target, True, quiet)

    def captured(self, stones, ko, target, attacking, quiet):
        """Return whether the chain at a point is captured; who is attacking may be to move."""
        liberties = self.chain(stones, target)[1]
        if len(liberties) >= 3:
            return False
        if attacking and len(liberties) == 1:
            return ko not in liberties
        if attacking:
            ataris, others = self.attacks(stones, target, quiet)
            return any(self.attack_works(stones, ko, target, p, quiet) for p in [*ataris, *others])
        return not any(
            self.defence_works(stones, ko, target, p, quiet) for p in self.defences(stones, target)
        )
