"""Talking to another engine over GTP: any program that reads commands and writes answers."""

import contextlib
import queue
import re
import shlex
import subprocess
import threading
import time

from backbones.training.errors import UserError

PATIENCE_S = 60.0
LEAVING_S = 10.0  # an interpreter with torch in it takes seconds to end beside other work


class EngineFailed(UserError):
    """The program died, did not answer, or answered with an error."""


class GtpEngine:
    """A GTP engine in a process of its own."""

    def __init__(self, line: str, patience_s: float = PATIENCE_S) -> None:
        """Start a command line; EngineFailed if there is no such program."""
        self.line, self.patience_s = line, patience_s
        if not line.strip():
            raise EngineFailed("no program is named: give one of ours, or a command line in quotes")
        try:
            self.process = subprocess.Popen(
                shlex.split(line),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                errors="replace",
                bufsize=1,
            )
        except (OSError, ValueError, IndexError) as error:
            raise EngineFailed(
                f"{line}: cannot be started: {error}; is it on $PATH, or given with its folder?"
            ) from None
        self.lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self) -> None:
        """Put what the program writes into a queue, None behind the last line."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\r\n"))
        self.lines.put(None)

    def ask(self, command: str, patience_s: float = 0.0) -> str:
        """Send a command and return its answer; EngineFailed if there is none, or an error."""
        assert self.process.stdin
        try:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
        except OSError:
            raise EngineFailed(f"{self.line}: died before {command!r}") from None
        answer: list[str] = []
        until = time.monotonic() + (patience_s or self.patience_s)
        while True:
            try:
                # One that talks for ever has not answered either.
                line = self.lines.get(timeout=max(until - time.monotonic(), 0.0))
            except queue.Empty:
                raise EngineFailed(
                    f"{self.line}: no answer to {command!r}; does it speak GTP?"
                ) from None
            if line is None:
                raise EngineFailed(f"{self.line}: died of {command!r}")
            if answer and not line.strip():
                break
            # What bridges print before an answer is not of it.
            if answer or re.match(r"[=?]", line):
                answer.append(line)
        text = "\n".join(answer)
        words = re.sub(r"^[=?]\d*\s*", "", text).strip()
        if text.startswith("?"):
            raise EngineFailed(f"{self.line}: {command!r} failed: {words}")
        return words

    def close(self) -> None:
        """Ask the program to quit; kill it if it does not."""
        try:
            self.ask("quit", LEAVING_S)
            # A program that answers and stays hears the end of its input.
            assert self.process.stdin
            self.process.stdin.close()
            self.process.wait(LEAVING_S)
        except (EngineFailed, OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                with contextlib.suppress(BrokenPipeError):  # what it never read
                    pipe.close()
