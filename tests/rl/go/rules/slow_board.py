"""The rules of Go written as slowly and plainly as can be: sets, floods, a list of all boards."""


class SlowBoard:
    """A game on N by N; stones are a dict from (row, column) to 1 or 2."""

    def __init__(self, size: int, ko: str = "positional", suicide: bool = False) -> None:
        self.size, self.ko, self.suicide = size, ko, suicide
        self.stones: dict[tuple[int, int], int] = {}
        self.to_play = 1
        # What each ply left behind: the stones and who was to play then.
        self.history = [(frozenset(), 1)]
        self.passes = 0

    def beside(self, point):
        row, column = point
        around = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
        return [(r, c) for r, c in around if 0 <= r < self.size and 0 <= c < self.size]

    def chain(self, stones, point):
        """Return a chain and its liberties."""
        colour, seen, todo, liberties = stones[point], {point}, [point], set()
        while todo:
            for other in self.beside(todo.pop()):
                if other not in stones:
                    liberties.add(other)
                elif stones[other] == colour and other not in seen:
                    seen.add(other)
                    todo.append(other)
        return seen, liberties

    def after(self, point):
        """Return the stones after a move, None if it is suicide that the rules forbid."""
        stones = dict(self.stones)
        stones[point] = self.to_play
        for other in self.beside(point):
            if stones.get(other) == 3 - self.to_play:
                chain, liberties = self.chain(stones, other)
                if not liberties:
                    for dead in chain:
                        del stones[dead]
        chain, liberties = self.chain(stones, point)
        if not liberties:
            if not self.suicide or len(chain) == 1:
                return None
            for dead in chain:
                del stones[dead]
        return stones

    def legal(self, point):
        if point is None:
            return True
        if point in self.stones:
            return False
        stones = self.after(point)
        if stones is None:
            return False
        board = frozenset(stones.items())
        if self.ko == "simple":
            return len(self.history) < 2 or self.history[-2][0] != board
        if self.ko == "situational":
            return (board, 3 - self.to_play) not in self.history
        return all(board != before for before, _ in self.history)

    def play(self, point):
        if point is None:
            self.passes += 1
        else:
            self.passes = 0
            self.stones = self.after(point)
        self.to_play = 3 - self.to_play
        self.history.append((frozenset(self.stones.items()), self.to_play))

    def score(self):
        """Return Black's area less White's."""
        score = sum(1 if colour == 1 else -1 for colour in self.stones.values())
        empty = {(r, c) for r in range(self.size) for c in range(self.size)} - set(self.stones)
        while empty:
            region, todo, touched = set(), [empty.pop()], set()
            while todo:
                point = todo.pop()
                region.add(point)
                for other in self.beside(point):
                    if other in self.stones:
                        touched.add(self.stones[other])
                    elif other in empty:
                        empty.remove(other)
                        todo.append(other)
            if len(touched) == 1:
                score += len(region) if touched == {1} else -len(region)
        return score
