"""Environments by name: Atari, ours, and any Gymnasium environment with pictures.

`module:Env-v0` imports the user's own module first; `module:Class` needs no registration.
"""

import difflib
import re
from pathlib import Path

import gymnasium

from backbones.training.errors import UserError
from rl.games import toys
from rl.games.atari import SEED_EVERY, AtariEnvironments, atari_ids
from rl.games.contract import Environments
from rl.games.foreign.opened import REGISTERED, imported, maker_of
from rl.games.options import EnvOptions
from rl.games.processes import environments

MOST_LISTED = 10
# What Atari's games, which have a protocol of their own, would silently ignore.
NOT_ATARI = (
    "frame_skip",
    "size_px",
    "colour",
    "pixels",
    "obs_key",
    "env_kwargs",
    "wrapper",
    "old_api",
)


def is_atari(env: str) -> bool:
    """Say whether an id is one of the Atari games; UserError if it is no environment at all."""
    if env in atari_ids():
        return True
    toys.register()
    module, _, name = env.rpartition(":")
    try:
        if module:
            imported(module)
        if maker_of(env) is not None:
            return False
        spec = gymnasium.spec(name)
    except UserError:
        raise
    except (gymnasium.error.Error, ModuleNotFoundError, TypeError, ValueError) as error:
        raise UserError(f"unknown environment {env!r}{meant(env, module)} ({error})") from None
    if str(spec.entry_point).startswith("ale_py"):
        raise UserError(
            f"{env} is an old name of an Atari game{nearest(env, list(atari_ids()))} "
            "Its protocol without sticky actions is --sticky 0"
        )
    return False


def short_name(env: str) -> str:
    """Return what people call an environment: pong for ALE/Pong-v5, crafter for crafter:Env."""
    *places, name = re.split(r"[/:]", env)
    name = name.rsplit("-v", 1)[0].lower()
    return places[-1].lower() if name == "env" and places else name


def nearest(env: str, known: list[str]) -> str:
    """Return "; did you mean ...?" with the id most like what was given, or nothing."""
    by_key = {short_name(name): name for name in reversed(known)}
    key = short_name(env).replace("noframeskip", "")
    close = difflib.get_close_matches(key, by_key, 1, 0.5)
    return f"; did you mean {by_key[close[0]]}?" if close else ""


def meant(env: str, module: str) -> str:
    """Return the like of `nearest` for an id that may name a module of the user's."""
    if not module:
        return nearest(env, [*atari_ids(), *gymnasium.registry])
    if module in REGISTERED:
        return there_are(env, module, own_ids(module))
    files = [path.stem for path in Path().glob("*.py")]
    close = difflib.get_close_matches(module, files, 1)
    return f"; did you mean {close[0]}:{env.removeprefix(module + ':')}?" if close else ""


def own_ids(module: str) -> list[str]:
    """Return the ids that a user's module has registered, here or before."""
    specs = gymnasium.registry.values()
    own = [spec.id for spec in specs if registered_by(module, spec.entry_point)]
    return list(dict.fromkeys([*REGISTERED.get(module, []), *own]))


def there_are(env: str, module: str, known: list[str]) -> str:
    """Return which ids a module has registered, the nearest first, and which may be meant."""
    if not known:
        return f"; {module} registers no environment: gymnasium.register(id, entry_point=...)"
    close = difflib.get_close_matches(env.removeprefix(f"{module}:"), known, MOST_LISTED, 0.0)
    more = f" and {len(known) - len(close)} more" if len(known) > len(close) else ""
    likely = nearest(env, [f"{module}:{name}" for name in known])
    return f"{likely or ';'} {module} registers {', '.join(close)}{more}"


def registered_by(module: str, entry_point: object) -> bool:
    """Say whether an environment's class, or function that makes it, is of a module."""
    if isinstance(entry_point, str):
        return entry_point.split(":")[0] == module
    return getattr(entry_point, "__module__", "") == module


def make_environments(
    env: str,
    envs: int | range,
    *,
    seed: int,
    options: EnvOptions,
    threads: int = 0,
    end_games_every: int = 0,
    seed_every: int = SEED_EVERY,
) -> Environments:
    """Return games of an environment; UserError if it is unknown or cannot be played.

    `envs` is how many, or which of those that several processes share. All games are ended every
    `end_games_every` env steps if that is above 0 (not Atari, which repeats itself). An environment
    is seeded at the first game that begins `seed_every` env steps after its last seeding; 0: at
    every game (always so outside Atari, where seeding costs little).
    """
    numbers = range(envs) if isinstance(envs, int) else envs
    if not is_atari(env):
        return environments(
            env, numbers, seed=seed, options=options, end_games_every=end_games_every
        )
    refuse_for_atari(env, options)
    sticky = 0.25 if options.sticky is None else options.sticky
    return AtariEnvironments(
        env,
        numbers,
        seed=seed,
        sticky=sticky,
        noop_max=options.noop_max,
        max_frames=options.max_frames,
        threads=threads,
        seed_every=seed_every,
    )


def refuse_for_atari(env: str, options: EnvOptions) -> None:
    """Raise UserError for an option that Atari would silently ignore."""
    for name in NOT_ATARI:
        if getattr(options, name) != getattr(EnvOptions, name):
            flag = name.replace("_", "-")
            raise UserError(f"--{flag} is not for {env}: Atari has 4 frames, grey, 84 x 84")
    if options.env_processes:
        raise UserError(f"--env-processes is not for {env}: Atari has threads (--env-threads)")
