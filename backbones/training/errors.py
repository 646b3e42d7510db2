"""Errors that a user can mend, and events that end a run from outside."""

from collections.abc import Iterable


class UserError(ValueError):
    """A user's mistake; the command prints its message, without a traceback, and exits with 2.

    The message says what was given, what was expected and what to do.
    """

    below = ""
    """Lines to print below the message, such as the traceback of somebody's own code."""


class MistakeOfAll(UserError):
    """A mistake that all processes of a run on a machine find: only the first says it."""


class NewerFormat(UserError):
    """A file was written by a newer version. It is not damaged, so no older one is used instead."""


class Stopped(KeyboardInterrupt):
    """A run was asked to stop, has saved, and can be resumed."""


class PeerLost(RuntimeError):
    """Another process of the same run has ended or cannot be reached."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return how a message about an unknown name goes on: the nearest known one, or all."""
    import difflib

    choices = list(known)
    close = difflib.get_close_matches(name, choices, 1)
    return f"; did you mean {close[0]}?" if close else f"; choose one of {', '.join(choices)}"
