"""Whether games repeat themselves from their seeds and actions, as an exact resume needs."""

import numpy as np
from jaxtyping import Int

from rl.games.contract import Environments
from rl.games.gym import GymnasiumEnvironments
from rl.games.make import is_atari
from rl.games.options import EnvOptions
from rl.games.patience import LIMIT_S, Patience

# Env steps between two ends of all games, where games cannot be replayed.
END_GAMES_EVERY = 1024


def repeats_itself(env: str, options: EnvOptions, seed: int, num_steps: int = 256) -> bool:
    """Say whether a game of an environment can be replayed: played twice, all is equal.

    The second time on a fresh environment and on the used one, with the same seeds and actions. A
    slow game is played for fewer env steps than `num_steps`.
    """
    if is_atari(env):
        return True  # Tried on every registered game, sticky actions included.
    used, fresh = (
        GymnasiumEnvironments(env, range(1), seed=seed, options=options) for _ in range(2)
    )
    rng = np.random.default_rng(seed)
    actions = rng.integers(len(used.action_names), size=(num_steps, 1))
    patience = Patience(env, "does it repeat its games", num_steps, LIMIT_S / 3)
    first = played(used, actions, patience)
    again = [played(envs, actions[: patience.steps]) for envs in (fresh, used)]
    used.close()
    fresh.close()
    return again == [first, first]


def played(
    envs: Environments, actions: Int[np.ndarray, "T N"], patience: Patience | None = None
) -> list[bytes]:
    """Return all that some actions lead to from the first game on."""
    seen = [envs.reset().tobytes()]
    for action in actions:
        if patience is not None and patience.over():
            break
        seen += [array.tobytes() for array in envs.step(action)]
    return seen


def settle_end_of_games(env: str, options: EnvOptions, num_steps: int) -> tuple[int, list[str]]:
    """Return how often all games must be ended for a run to be saved, and lines for the log.

    0 (never) where games repeat themselves, else a multiple of the rollout's `num_steps`.
    """
    if repeats_itself(env, options, seed=1):
        return 0, []
    every = -(-END_GAMES_EVERY // num_steps) * num_steps
    return every, [
        f"{env} does not repeat its games from their seeds: all games end every {every:,} env "
        "steps of each environment, where the run can be saved (--end-games-every)"
    ]
