"""A look at somebody's environment before an agent is trained on it: some random env steps.

What breaks the word of an environment in them is refused by `rl/games/foreign/declared.py`, before
a run is made; what may be meant so is said.
"""

from typing import Any

import numpy as np

from rl.games.foreign.declared import DeclaredGame
from rl.games.gym import adaptations, settled
from rl.games.make import is_atari
from rl.games.options import EnvOptions
from rl.games.patience import Patience

NUM_STEPS = 64
# Smaller pictures are too small for most trunks.
SMALL_PX = 36
# Pictures whose numbers all lie below are nearly black, of 255.
DARK = 16


def settle_options(env: str, options: EnvOptions) -> tuple[dict[str, Any], list[str]]:
    """Return options that only the environment can say, and what was made of it, as a line.

    UserError for an environment that agents cannot play.
    """
    if is_atari(env):
        return {}, []
    game = DeclaredGame(env, options)
    new, rows = settled(game, options), max(game.pictures.shape[:2])
    done = adaptations(game, new)
    game.close()
    names = ("channels", "size_px", "obs_key")
    found = {n: getattr(new, n) for n in names if getattr(new, n) != getattr(options, n)}
    lines = [f"{env}: {'; '.join(done)}"] if done else []
    if rows < new.size_px:
        trunk = " --trunk plain --pool 1" if rows < SMALL_PX else ""
        lines[-1] += f" (--size-px 0{trunk} learns from them as they are)"
    return found, lines


def first_look(env: str, options: EnvOptions) -> list[str]:
    """Return what is to be said of an environment, a line each; UserError for what cannot be."""
    if is_atari(env):
        return []
    game, rng = DeclaredGame(env, options), np.random.default_rng(0)
    pictures, patience = [game.reset(0).copy()], Patience(env, "a first look", NUM_STEPS)
    while not patience.over():
        action = int(rng.integers(game.num_actions))
        picture, _, terminated, truncated = game.hold(action, options.frame_skip)
        pictures.append(picture.copy())
        if terminated or truncated:
            pictures.append(game.reset(patience.steps).copy())
    game.close()
    lines, seen = patience.notes, f"in {patience.steps} random env steps"
    brightest = max(int(picture.max()) for picture in pictures)
    if all(np.array_equal(picture, pictures[0]) for picture in pictures):
        lines.append(f"{env} showed one and the same picture {seen}")
    elif brightest < DARK:
        lines.append(
            f"{env} showed numbers of 0 to {brightest} {seen}: almost black to an agent, which "
            "expects 0 to 255; --centred measures them"
        )
    if game.cut_by_info:
        lines.append(
            f'{env} ends games with info["TimeLimit.truncated"]: they count as truncated, not as '
            "terminated"
        )
    return lines
