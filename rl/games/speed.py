"""How fast a game steps, and by how many processes its copies are stepped best."""

import resource
import time
from dataclasses import replace

import gymnasium
import numpy as np

from backbones.training.device.cores import available_threads
from rl.games.gym import GymnasiumEnvironments
from rl.games.make import is_atari
from rl.games.options import MOST_PROCESSES, EnvOptions
from rl.games.patience import Patience

# Of all copies together: a step of less is not worth the 0.1 ms that processes add, nor their
# start, which takes seconds.
WORTH_S = 1e-2
TIMED_STEPS, TIMED_S = 64, 2.0
# A rollout that takes longer is said, so that nobody waits without knowing.
LONG_S = 30.0


def settle_processes(
    env: str, options: EnvOptions, num_envs: int, num_steps: int
) -> tuple[int, list[str]]:
    """Return by how many processes copies of an environment are stepped best, and lines for the
    log.

    A timing decides: as many as cores for a game that computes, one each for a game that waits.
    """
    if is_atari(env):
        return 0, []
    each_s, waits = timed(env, options)
    count = 0
    if options.env_processes is not None:
        count = options.env_processes
    elif each_s * num_envs >= WORTH_S and is_found_by_import(env):
        count = min(num_envs, MOST_PROCESSES if waits else available_threads())
        count = 0 if count < 2 else count
    lines, step_s = [], each_s * -(-num_envs // count) if count else each_s * num_envs
    if count:
        kind = "ms of waiting" if waits else "ms"
        lines.append(
            f"{env} takes {1e3 * each_s:.2g} {kind} an env step: {num_envs} games are stepped by "
            f"{count} processes (--env-processes)"
        )
    if step_s * num_steps > LONG_S:
        lines.append(
            f"{env} is slow: a rollout of {num_envs} x {num_steps} env steps takes about "
            f"{step_s * num_steps / 60:.1f} min; a smaller --num-envs or --num-steps is sooner done"
        )
    return count, lines


def timed(env: str, options: EnvOptions) -> tuple[float, bool]:
    """Return how many seconds an env step takes, and whether it is mostly waiting.

    Of a game that computes they are those of a core, which other programs do not change.
    """
    alone = replace(options, env_processes=0)
    games = GymnasiumEnvironments(env, range(1), seed=0, options=alone)
    games.reset()
    rng, patience = np.random.default_rng(0), Patience(env, "its speed", TIMED_STEPS, TIMED_S)
    # On a busy machine a game that computes waits too, but does not give way by itself.
    given_way = -resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
    begin, computed = time.perf_counter(), -time.process_time()
    while not patience.over():
        games.step(rng.integers(len(games.action_names), size=1))
    spent, computed = time.perf_counter() - begin, computed + time.process_time()
    given_way += resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
    games.close()
    waits = computed < spent / 2 and given_way >= patience.steps / 2
    return (spent if waits else computed) / patience.steps, waits


def is_found_by_import(env: str) -> bool:
    """Say whether another process finds an environment too: by its module, or in a package."""
    module, _, name = env.rpartition(":")
    if module:
        return module != "__main__"
    entry = gymnasium.spec(name).entry_point
    return isinstance(entry, str) and entry.startswith(("gymnasium.", "rl.games."))
