"""Checking what a run's folder says before anything is built from it.

A folder may be damaged, edited, or sent by somebody. Its config is checked as flags are, its game's
module is imported only if a person named it (`trust.py`), it is compared with what the checkpoint
was trained with, and a network may only take the memory that the checkpoint's weights account for.
"""

import math
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from torch.overrides import TorchFunctionMode

from backbones.training.checkpoint import Checkpoint
from backbones.training.checks import trust
from backbones.training.checks.received import is_sealed
from backbones.training.checks.values import from_dict, shown
from backbones.training.errors import PeerLost, UserError
from backbones.training.run import Run

T = TypeVar("T")

# What reading something that is not what it says ends in.
MALFORMED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    SafetensorError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
)

# For pictures that a network is tried on while it is built.
SLACK_BYTES = 2**25


def config_of(
    run: Run,
    kind: type[T],
    found: Checkpoint | None,
    *,
    env: str = "",
    changes: Mapping[str, Any] | None = None,
) -> T:
    """Return the config of a run: the only way to one, from a file to a dataclass.

    `found` is its checkpoint, if it has one; `env` is the game if a person typed it, `changes` are
    fields that a person typed instead of the run's. UserError, with the run's name and the field,
    if a value cannot be, if it is not what the checkpoint was trained with, or if the game is a
    module that nobody has named.
    """
    require_module(run, env)
    try:
        config = from_dict(kind, {**run.config, **(changes or {})})
    except ValueError as error:
        raise UserError(f"{run.name}: config.json cannot be used: {error}") from None
    require_unchanged(run, found, env)
    return config


def require_module(run: Run, env: str) -> None:
    """UserError if the run's game needs a module that no person has named, or if `env`, which a
    person typed, is another game."""
    theirs = run.config.get("env")
    if env and env != theirs:
        raise UserError(
            f"--env {env}: a run knows its game, and {run.name} plays {shown(theirs)}; --env only "
            "repeats it, where it is a module and the run comes from somebody else"
        )
    trust.allow(env)
    # The first of several processes has looked already.
    if (
        isinstance(theirs, str)
        and not run.silent
        and not trust.is_remembered(run.folder, run.about)
    ):
        trust.require_typed(theirs, run.name)
        trust.require_typed_wrappers(run.config, run.name)


def require_unchanged(run: Run, found: Checkpoint | None, env: str) -> None:
    """UserError if config.json is not what Arcadia wrote, and the checkpoint was trained with.

    After `arcadia resume` with flags the newest checkpoint may still be of the config before. Runs
    of earlier versions say nothing of it.
    """
    now, then = run.config, found.info.get("config") if found else None
    if then is not None:
        typed = {"env": env} if env else {}
        if now == {**then, **typed}:
            return
        if then not in [change.get("from") for change in run.about.get("changes", [])]:
            raise UserError(
                f"{run.name}: {difference(now, then)} when its checkpoint was saved: config.json "
                "was changed by hand or damaged. Put it back; settings change by flags of "
                f"`arcadia resume`, or in a new run with --init {run.name}"
            )
    if not is_sealed(run.about):
        raise UserError(
            f"{run.name}: config.json is not as Arcadia wrote it (its SHA-256 does not fit): it "
            "was changed by hand or damaged. Put it back as it was, or begin a new run with "
            f"--init {run.name}"
        )


def difference(now: Any, then: Any, name: str = "") -> str:
    """Return the first field that differs between two configs, and both values."""
    if isinstance(now, dict) and isinstance(then, dict):
        for key in [*now, *then]:
            if now.get(key) != then.get(key):
                return difference(now.get(key), then.get(key), f"{name}.{key}".strip("."))
    return f"{name} = {shown(now)} in config.json was {shown(then)}"


@contextmanager
def restoring(run: Run) -> Iterator[None]:
    """Turn what reading a malformed checkpoint ends in into a UserError with the run's name."""
    try:
        yield
    except PeerLost:
        raise
    except UserError as error:
        known = str(error).startswith(run.name)
        raise UserError(str(error) if known else f"{run.name}: {error}") from None
    except MALFORMED as error:
        lines = [line.strip() for line in str(error).splitlines()] or [""]
        # torch says in the first line only that something did not fit.
        reason = lines[1] if len(lines) > 1 else lines[0]
        raise UserError(
            f"{run.name}: its checkpoint does not fit its config, or is malformed "
            f"({type(error).__name__}: {reason[:200]})"
        ) from None


@contextmanager
def rebuilding(run: Run, found: Checkpoint | None) -> Iterator[None]:
    """Return a context in which what a checkpoint describes is built: see `restoring`, `Room`."""
    with restoring(run), room_for(run, found):
        yield


class Room(TorchFunctionMode):
    """Context in which all new tensors together may take only so many bytes; checked beforehand."""

    def __init__(self, most_bytes: int, why: str) -> None:
        super().__init__()
        self.left, self.why = most_bytes, why

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (torch.empty, torch.zeros, torch.ones):
            shape = kwargs.get("size", args[0] if args else ())
            shape = shape if isinstance(shape, Sequence) else args
            dtype = kwargs.get("dtype") or torch.get_default_dtype()
            self.left -= math.prod(shape) * dtype.itemsize
            if self.left < 0:
                raise UserError(self.why)
        return func(*args, **kwargs)


def room_for(run: Run, found: Checkpoint | None) -> AbstractContextManager[object]:
    """Return a context in which a network of a checkpoint is built: one of other sizes than its
    weights is a UserError before memory is taken for it."""
    if found is None:
        return nullcontext()
    # Weights may have been rounded to half of what they take in a network.
    most = 2 * found.weight_bytes + SLACK_BYTES
    return Room(
        most,
        f"{run.name}: the network of its config.json takes more than {most >> 20} MiB, its "
        "checkpoint's weights do not: a size in config.json, such as hidden, units or width, is "
        "not the one that it was trained with",
    )
