"""What a game's pictures look like before anything is learnt: their background, and what differs.

A trunk that sees `(picture - mean) / std` sees zeros where nothing is, and objects with numbers
about 1, whichever of the two is brighter. Max pooling, which comes first, is the same before and
after.
"""

from dataclasses import replace

import numpy as np
import torch

from backbones.transfer import TrunkConfig
from backbones.trunk import pooled_bytes
from rl.games.make import make_environments
from rl.games.options import EnvOptions
from rl.games.patience import Patience

# Of a trunk that is given neither.
UNCENTRED = (TrunkConfig.mean, TrunkConfig.std)
NUM_ENVS, NUM_STEPS, EVERY = 4, 256, 4
SEED = 0  # of the games looked at: all runs of a game centre alike


def background(env: str, options: EnvOptions, trunk: TrunkConfig) -> tuple[float, float]:
    """Return the commonest middle (median) of the numbers of pictures of random play, and their
    root mean square distance from it; 1 at least, for pictures of one colour."""
    alone = replace(options, env_processes=None)
    games = make_environments(env, NUM_ENVS, seed=SEED, options=alone, threads=1)
    rng = np.random.default_rng(SEED)
    frames = [games.reset().copy()]
    patience = Patience(env, "centring what the trunk sees", NUM_STEPS - 1)
    while not patience.over():
        step = games.step(rng.integers(len(games.action_names), size=NUM_ENVS))
        if patience.steps % EVERY == 0:
            frames.append(step.frame.copy())
    games.close()
    seen = pooled_bytes(torch.from_numpy(np.stack(frames)), trunk.pool, trunk.pooling).double()
    median = float(seen.median())
    return median, max(1.0, float((seen - median).square().mean().sqrt()))
