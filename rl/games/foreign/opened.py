"""Making one Gymnasium environment as people ask: by its id or class, with arguments and wrappers.

`module:Env-v0` is an id that a module registers, `module:Class` a class, or a function, that is
called. Modules of environments and wrappers are imported here and nowhere else; whether a person
has named them is held before (`backbones/training/checks/trust.py`).
"""

import warnings
from collections.abc import Callable
from importlib import metadata
from typing import Any

import gymnasium

from backbones.training.errors import UserError, nearest
from backbones.training.jobs import import_own
from rl.games.foreign.asked import Called, keyword_values
from rl.games.foreign.blame import reason
from rl.games.foreign.older import Older
from rl.games.options import EnvOptions

# The ids that a user's module registered when it was imported here.
REGISTERED: dict[str, list[str]] = {}


def opened(env: str, options: EnvOptions, *, draws: bool) -> gymnasium.Env:
    """Return an environment, wrapped; with `draws` it can render pictures.

    UserError for what its own code fails with.
    """
    kwargs = keyword_values(options.env_kwargs)
    if draws:
        kwargs["render_mode"] = "rgb_array"
    maker = maker_of(env)
    try:
        if maker is not None:
            made = maker(**kwargs)
        else:
            with warnings.catch_warnings():
                # Of a render mode that it does not have: that is said by whoever wants it.
                warnings.simplefilter("ignore", UserWarning)
                # Its checker only warns of what is held here, and looks at the first step alone.
                made = gymnasium.make(env, disable_env_checker=True, **kwargs)
    except MemoryError:
        raise
    except Exception as error:
        raise UserError(f"{env} could not be made: {reason(error)}") from error
    if options.old_api:
        made = Older(made)
    if not isinstance(made, gymnasium.Env):
        raise UserError(
            f"{env} is a {type(made).__name__}, no gymnasium.Env; one of the interface before "
            "Gymnasium 0.26 is played with --old-api"
        )
    for text in options.wrapper:
        made = wrapped(env, made, Called.read(text), text)
    return made


def maker_of(env: str) -> Callable[..., Any] | None:
    """Return the class or function that `module:Class` names; None for a registered id."""
    module, _, name = env.rpartition(":")
    if not module or not name.isidentifier() or name in gymnasium.registry:
        return None
    found = getattr(imported(module), name, None)
    return found if callable(found) else None


def wrapped(env: str, made: gymnasium.Env, called: Called, text: str) -> gymnasium.Env:
    """Return an environment in a wrapper; UserError if there is none of that name."""
    try:
        module = imported(called.module)
    except ModuleNotFoundError as error:
        raise UserError(f"--wrapper {text}: {error}") from None
    kind = getattr(module, called.name, None)
    if not (isinstance(kind, type) and issubclass(kind, gymnasium.Wrapper)):
        names = [
            name
            for name, value in vars(module).items()
            if isinstance(value, type) and issubclass(value, gymnasium.Wrapper)
        ]
        found = "is no gymnasium.Wrapper" if kind is not None else "is not there"
        raise UserError(
            f"--wrapper {text}: {called.name} {found}"
            + (nearest(called.name, names) if names else f"; {called.module} has none")
        )
    try:
        return kind(made, **called.kwargs)
    except MemoryError:
        raise
    except Exception as error:
        raise UserError(f"--wrapper {text} could not wrap {env}: {reason(error)}") from error


def imported(module: str) -> object:
    """Import and return a user's own module; UserError, with the place, for an error in its code.

    ModuleNotFoundError if there is none of that name, or if it is no name. What the packages of
    that name want to have registered with Gymnasium is registered too.
    """
    if not all(map(str.isidentifier, module.split("."))):
        raise ModuleNotFoundError(f"{module!r} is no name of a Python module")
    before = set(gymnasium.registry)
    try:
        found = import_own(module)
        if module not in REGISTERED:
            register_plugins(module)
    except MemoryError:
        raise
    except Exception as error:
        parts = module.split(".")
        names = [".".join(parts[:n]) for n in range(1, len(parts) + 1)]
        if isinstance(error, ModuleNotFoundError) and error.name in names:
            raise
        raise UserError(f"{module} could not be imported: {reason(error)}") from error
    new = [name for name in gymnasium.registry if name not in before]
    REGISTERED.setdefault(module, []).extend(new)
    return found


def register_plugins(module: str) -> None:
    """Call what an installed package of this name declares as the entry point `gymnasium.envs`,
    which Gymnasium itself no longer does, unless it has registered something by itself."""
    package = module.split(".")[0]
    entries = [str(spec.entry_point) for spec in gymnasium.registry.values()]
    if any(entry.startswith((f"{package}.", f"{package}:")) for entry in entries):
        return
    for point in metadata.entry_points(group="gymnasium.envs"):
        if point.module.split(".")[0] == package:
            point.load()()
