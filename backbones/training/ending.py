"""How a command ends: an exit status, and mistakes as one line on standard error.

0 done, 1 failed, 2 a mistake, 130 stopped. Under torchrun a run that was stopped and saved ends
with 0, since torchrun would take anything else for a death and start the run again.
"""

import io
import os
import sys
from collections.abc import Callable

from backbones.training.errors import MistakeOfAll, PeerLost, Stopped, UserError
from backbones.training.streams import LOST, open_streams, printable, silence, takes_writing


def status_of(command: Callable[[], int]) -> int:
    """Run a command; return its exit status, whatever becomes of standard output."""
    open_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name or text that the terminal's encoding lacks is shown with ?, and ends nothing.
        sys.stdout.reconfigure(errors="replace")
    try:
        try:
            status = without_traceback(command)
        finally:
            sys.stdout.flush()
        if LOST:
            raise LOST[0]
        if status and "backbones.training.distributed" in sys.modules:
            sys.modules["backbones.training.distributed"].end_unless_left(status)
        return status
    except BrokenPipeError:
        # The reader of a pipe has left, as `arcadia runs | head` does.
        silence(sys.stdout)
        return 0
    except OSError as error:
        place = printable(error.filename) if error.filename else "standard output or a file"
        if LOST or not takes_writing(sys.stdout):
            place = "standard output"
            silence(sys.stdout)
        complain(f"{place}: {error.strerror or error}; what was to be written there is not whole")
        return 0 if "TORCHELASTIC_RUN_ID" in os.environ else 1


def without_traceback(command: Callable[[], int]) -> int:
    """Run a command; return its exit status, with a mistake as one line."""
    try:
        return command()
    except UserError as error:
        complain(error, in_all=not isinstance(error, MistakeOfAll), below=error.below)
        return 2
    except PeerLost as error:
        complain(f"{error}; `arcadia resume` goes on from the last checkpoint")
        return 1
    except (MemoryError, RuntimeError) as error:
        from backbones.training.device.memory import out_of_memory

        if not out_of_memory(error):
            raise
        complain(out_of_memory(error), in_all=True)
        return 2
    except KeyboardInterrupt as stop:
        complain("interrupted")
        # torchrun would take anything else for a death and start the run again.
        return 0 if isinstance(stop, Stopped) and "TORCHELASTIC_RUN_ID" in os.environ else 130


def complain(what: object, in_all: bool = False, below: str = "") -> None:
    """Print a line on standard error, and other lines below it.

    Of several processes on a machine the first does, and with `in_all` any that fails by itself,
    once they are joined: before, all make the same mistakes.
    """
    rank, joined = os.environ.get("LOCAL_RANK", "0"), False
    if rank != "0" and in_all and "torch.distributed" in sys.modules:
        from torch.distributed import is_initialized

        joined = is_initialized()
    if rank == "0" or joined:
        from backbones.training.progress import say

        say(f"arcadia: {what}" + (f" (process {rank})" if joined else ""), sys.stderr)
        for line in below.splitlines():
            say(line, sys.stderr)
