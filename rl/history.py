"""The actions since each game's beginning, so that a game can be lived through again.

An emulator cannot be cloned, but a seeded one repeats itself: the seed of each environment's game
and its actions since are the whole state of the game. One game has at most 27,000 env steps at the
usual limit of 108,000 frames, a byte each where there are at most 256 actions.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Int

# Old steps are forgotten this often: a function of the step count, so that runs repeat.
PRUNE_EVERY = 4096


class History:
    """Records actions of N environments and the step at which each one's game began."""

    def __init__(self, num_envs: int, num_actions: int) -> None:
        self.dtype = np.min_scalar_type(num_actions - 1)
        self.actions: list[np.ndarray] = []
        self.begin = np.zeros(num_envs, np.int64)
        self.episode = np.zeros(num_envs, np.int64)

    def record(self, action: Int[np.ndarray, "N"], over: Bool[np.ndarray, "N"]) -> None:
        """Add one env step; environments in `over` begin their next game after it."""
        self.actions.append(action.astype(self.dtype))
        self.begin[over] = len(self.actions)
        self.episode[over] += 1
        if len(self.actions) % PRUNE_EVERY == 0:
            self.prune()

    def lengths(self) -> Int[np.ndarray, "N"]:
        """Return the env steps of every running game."""
        return len(self.actions) - self.begin

    def prune(self) -> None:
        """Forget steps from before every running game."""
        first = int(self.begin.min())
        del self.actions[:first]
        self.begin -= first

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return `actions` [L, N], `length` of the running games [N] and `episode` [N].

        The last rows are the newest, so rows of anything before the first change nothing.
        """
        self.prune()
        num_envs = len(self.begin)
        actions = np.stack(self.actions) if self.actions else np.zeros((0, num_envs), self.dtype)
        return {"actions": actions, "length": self.lengths(), "episode": self.episode.copy()}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Take over what `state_dict` returned."""
        self.actions = list(state["actions"])
        self.begin = len(self.actions) - state["length"]
        self.episode = state["episode"].copy()
        self.prune()

    def replay(self) -> Iterator[tuple[Bool[np.ndarray, "N"], np.ndarray | None]]:
        """Yield (environments whose game begins here, action to take next or None at the end).

        Environments whose game has not begun yet are stepped along with their older actions:
        whatever that leads to is wiped out by their reset.
        """
        for row in range(len(self.actions) + 1):
            action = self.actions[row] if row < len(self.actions) else None
            yield self.begin == row, None if action is None else action.astype(np.int64)
