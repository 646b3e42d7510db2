"""Errors in somebody else's code, as one line with their place."""

import importlib
import traceback
from pathlib import Path

import gymnasium

from backbones.training.errors import UserError

# Folders of code that calls an environment's own: Gymnasium's, Python's for imports, and ours.
ROOT = Path(__file__).resolve().parents[3]
CALLERS = {Path(path) for module in (gymnasium, importlib) for path in module.__path__}
NOT_OWN = CALLERS | {ROOT / "rl", ROOT / "backbones"}


class GameFault(UserError):
    """An environment failed, or broke its word. `trace` is the traceback of its own code, if it
    raised something."""

    def __init__(self, text: str, trace: str = "") -> None:
        super().__init__(text)
        self.trace = trace
        self.number: int | None = None  # of the environment among those of a run


def reason(error: BaseException) -> str:
    """Return an error as one line, with the place in the environment's own code."""
    # What a SyntaxError says has its place.
    frames = [] if isinstance(error, SyntaxError) else traceback.extract_tb(error.__traceback__)
    places = [place for place in frames if is_own(place.filename)]
    where = f" ({Path(places[-1].filename).name}, line {places[-1].lineno})" if places else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{where}"


def trace_of(error: BaseException) -> str:
    """Return the traceback of an error, from the first line in the environment's own code on."""
    frames = traceback.extract_tb(error.__traceback__)
    first = next((i for i, place in enumerate(frames) if is_own(place.filename)), 0)
    lines = traceback.format_list(frames[first:]) + traceback.format_exception_only(error)
    return "".join(["Traceback of the environment:\n", *lines]).rstrip()


def wrong_form(error: Exception) -> bool:
    """Say whether an error may be of a method that takes or returns what it should not."""
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    return isinstance(error, TypeError | ValueError) and not is_own(last)


def is_own(file: str) -> bool:
    """Say whether a file may be the environment's own: neither Gymnasium's nor one of ours."""
    return not file.startswith("<") and not NOT_OWN & set(Path(file).parents)
