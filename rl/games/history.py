"""The actions since each environment was last seeded, so that its game can be replayed.

An emulator cannot be cloned, but a seeded one repeats itself, games that begin unseeded included:
the seed of each environment and its actions since are the whole state of its game. An environment
is seeded at the beginning of a game only, `seed_every` or more env steps after the last time. So
with Atari's usual limit of 108,000 frames at most 27,000 + `seed_every` env steps are kept, a byte
each where there are at most 256 actions.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Int

# Old steps are forgotten this often: a function of the step count, so that runs repeat.
PRUNE_EVERY = 4096


class History:
    """Records actions of N environments and after which of them each was seeded.

    `begin` and `episode` are the first env step and the number of the running games, `seeded` and
    `seeded_episode` those of the games that began with a seed last.
    """

    def __init__(self, num_envs: int, num_actions: int, seed_every: int = 0) -> None:
        """Seed `seed_every` or more env steps after the last time; 0: every game."""
        self.dtype = np.min_scalar_type(num_actions - 1)
        self.seed_every = seed_every
        self.actions: list[np.ndarray] = []
        self.begin, self.seeded = np.zeros((2, num_envs), np.int64)
        self.episode, self.seeded_episode = np.zeros((2, num_envs), np.int64)

    def record(self, action: Int[np.ndarray, "N"], over: Bool[np.ndarray, "N"]) -> None:
        """Add one env step; environments in `over` begin their next game after it."""
        self.actions.append(action.astype(self.dtype))
        self.begin[over] = len(self.actions)
        self.episode[over] += 1
        # A function of this environment's env steps alone: neighbours and processes do not matter.
        self.seed(over & (len(self.actions) - self.seeded >= self.seed_every), self.episode)
        if len(self.actions) % PRUNE_EVERY == 0:
            self.prune()

    def seed(self, mask: Bool[np.ndarray, "N"], episode: Int[np.ndarray, "N"]) -> None:
        """Note that games of these numbers begin with a seed now."""
        self.begin[mask] = self.seeded[mask] = len(self.actions)
        self.episode[mask] = self.seeded_episode[mask] = episode[mask]

    @property
    def seeding(self) -> Bool[np.ndarray, "N"]:
        """Environments that have to be seeded before their next env step."""
        return self.seeded == len(self.actions)

    def lengths(self) -> Int[np.ndarray, "N"]:
        """Return the env steps of every running game."""
        return len(self.actions) - self.begin

    def prune(self) -> None:
        """Forget steps from before every environment's last seeding."""
        first = int(self.seeded.min())
        del self.actions[:first]
        self.begin -= first
        self.seeded -= first

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return `actions` [L, N], and of the last seeding its age in env steps and its game's
        number: `length` [N], `episode` [N].

        The last rows are the newest, so rows of anything before the first change nothing.
        """
        self.prune()
        num_envs = len(self.seeded)
        actions = np.stack(self.actions) if self.actions else np.zeros((0, num_envs), self.dtype)
        length = len(self.actions) - self.seeded
        return {"actions": actions, "length": length, "episode": self.seeded_episode.copy()}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Take over what `state_dict` returned; games that ended since the seeding are not known
        before they are replayed."""
        self.actions = list(state["actions"])
        self.seeded = len(self.actions) - state["length"]
        self.seeded_episode = state["episode"].copy()
        self.begin, self.episode = self.seeded.copy(), self.seeded_episode.copy()
        self.prune()

    def replay(self) -> Iterator[tuple[Bool[np.ndarray, "N"], np.ndarray | None]]:
        """Yield (environments that are seeded here, action to take next or None at the end).

        Environments that are not seeded yet may be stepped along with their older actions: whatever
        that leads to is wiped out by the seeding.
        """
        for row in range(len(self.actions) + 1):
            action = self.actions[row] if row < len(self.actions) else None
            yield self.seeded == row, None if action is None else action.astype(np.int64)
