"""The folder of a run: `runs/<job>/<name>/`, and how to find one.

It holds config.json (the config, the exact command, versions, hardware and commit), metrics.jsonl,
TensorBoard events, checkpoints/, videos/ and log.txt. While a run trains, it holds a lock on its
folder: `arcadia runs` and `--follow` ask the lock, so a killed run is never shown as running.
"""

import errno
import fcntl
import glob
import json
import math
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from backbones.training.checks import trust
from backbones.training.checks.limits import shortened
from backbones.training.checks.received import CONFIG_BYTES, read_json, refuse_strange, sealed
from backbones.training.checks.values import checked
from backbones.training.config import command_line, to_dict
from backbones.training.device.machine import CHECKOUT, commit, hardware, versions
from backbones.training.distributed import World, launch, restarts
from backbones.training.errors import NewerFormat, UserError
from backbones.training.files import Appender, write_atomically
from backbones.training.progress import say
from backbones.training.streams import printable

FORMAT = 1
# What a run must say of itself, and the types of it.
KNOWN: dict[str, Any] = {"format": int, "job": str, "config": dict, "started_s": float}


def runs_folder() -> Path:
    """Return where runs live: $ARCADIA_RUNS, else `runs/` of the checkout, else `runs/` here."""
    if os.environ.get("ARCADIA_RUNS"):
        return Path(os.environ["ARCADIA_RUNS"])
    return (CHECKOUT if (CHECKOUT / "pyproject.toml").exists() else Path.cwd()) / "runs"


@dataclass(frozen=True)
class Run:
    """A run's folder and what its config.json says.

    `silent` copies, in all but the first process of several, say and write nothing.
    """

    folder: Path
    about: dict[str, Any]
    silent: bool = False

    @property
    def job(self) -> str:
        """Name of the job, such as ppo."""
        return str(self.about["job"])

    @property
    def name(self) -> str:
        """Job and name, as commands take it and `arcadia runs` shows it."""
        return printable(f"{self.folder.parent.name}/{self.folder.name}")

    @property
    def config(self) -> dict[str, Any]:
        """The job's config as saved."""
        return dict(self.about["config"])

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.folder / "checkpoints"

    @classmethod
    def create(
        cls, job: str, config: Any, name: str, base: str, preset: str, *, folder: str = ""
    ) -> "Run":
        """Make the folder of a new run; UserError if a run of this name is there already.

        It lies in `folder` of the runs folder, by default one of the job's name.
        """
        parent = runs_folder() / (folder or job)
        now = time.time()
        about = {
            "format": FORMAT,
            "job": job,
            "preset": preset,
            "config": to_dict(config),
            "command": command_line(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            # Later than every other run's, even if the clock was set back: `last` is the last.
            "started_s": max([now, *(start_s(path) + 1e-3 for path in config_files())]),
            "launch": launch(),
            "commit": commit(),
            "versions": versions(),
            "hardware": hardware(),
        }
        about = sealed(json.loads(json.dumps(about)))
        try:
            parent.mkdir(parents=True, exist_ok=True)
            made = new_folder(parent, name, base, about)
        except OSError as error:
            raise UserError(
                f"no run can be made in {parent}: {error.strerror}; set $ARCADIA_RUNS to a folder "
                "that can be written to"
            ) from None
        return cls(made, about).remembered()

    @classmethod
    def open(cls, folder: Path) -> "Run":
        """Read a run's folder; UserError if it is none."""
        folder = folder.resolve()
        try:
            about = read_json(folder / "config.json", CONFIG_BYTES, folder)
            for name, kind in KNOWN.items():
                checked(kind, about[name], name)
            for change in checked(list, about.get("changes", []), "changes"):
                checked(dict, change, "a change of the config")
        except (OSError, KeyError, UserError) as error:
            raise UserError(
                f"{folder} is not a run: config.json is missing or broken ({error}); "
                "`arcadia runs` lists the runs"
            ) from None
        if about["format"] > FORMAT:
            raise NewerFormat(
                f"{folder} has run format {about['format']}, this version reads up to "
                f"{FORMAT}; update Arcadia"
            )
        return cls(folder, about)

    def remembered(self) -> "Run":
        """Note, outside the folder, that this person trains the run; return it."""
        trouble = trust.remember(self.folder, self.about)
        if trouble:
            self.warn(trouble)
        return self

    @cached_property
    def log_file(self) -> Appender:
        """log.txt, whose lines wait in memory while the disk takes none."""
        return Appender(self.folder / "log.txt")

    def log(self, text: str) -> None:
        """Write a line to log.txt and to standard output."""
        self.write_log(text)
        if not self.silent:
            say(text)

    def warn(self, text: str) -> None:
        """Write a warning to log.txt and to standard error."""
        self.write_log(f"warning: {text}")
        if not self.silent:
            say(f"warning: {text}", sys.stderr)

    def write_log(self, text: str) -> None:
        """Write a line to log.txt alone."""
        if not self.silent:
            line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {printable(text)}\n"
            self.log_file.write(line.encode())

    def reconfigured(self, config: Any) -> "Run":
        """Return the run with another config from here on; config.json keeps what was changed."""
        new = json.loads(json.dumps(to_dict(config)))
        if new == json.loads(json.dumps(self.config)):
            return self if self.silent else self.remembered()
        change = {
            "command": command_line(),
            "launch": launch(),
            "time": time.time(),
            "from": self.config,
        }
        changes = [*self.about.get("changes", []), change]
        about = sealed({**self.about, "config": new, "changes": changes})
        if not self.silent:
            try:
                write_atomically(self.folder / "config.json", json.dumps(about, indent=2) + "\n")
            except OSError as error:
                raise UserError(f"{self.folder} takes no writing ({error.strerror})") from None
        run = Run(self.folder, about, self.silent)
        return run if run.silent else run.remembered()

    def was_changed_before_restart(self) -> bool:
        """Say whether this start had changed the config before torchrun restarted its processes."""
        launches = [change.get("launch") for change in self.about.get("changes", [])]
        return restarts() > 0 and launch() in launches

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder while training; UserError if another process does, or if the run was
        exported without what training needs."""
        if self.silent:
            yield
            return
        if "from" in self.about:
            raise UserError(
                f"{self.name} was exported without the state of its training and cannot go on; "
                f"begin anew from its weights: `arcadia train {self.job} --init {self.name}`"
            )
        try:
            # Not waiting for a reader, should there be a pipe of this name.
            file = open(self.folder / "lock", "a", opener=at_once)
        except OSError as error:
            raise UserError(f"{self.folder} takes no writing ({error.strerror})") from None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UserError(
                    f"{self.name} is being trained by another process; wait for it or stop it"
                ) from None
            yield

    def is_running(self) -> bool:
        """Say whether a process trains this run now."""
        try:
            with open(self.folder / "lock", opener=at_once) as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False


def at_once(path: str, flags: int) -> int:
    """Open a file, or fail: as `open` does, which waits for the other end of a pipe."""
    return os.open(path, flags | os.O_NONBLOCK, 0o666)


def new_folder(parent: Path, name: str, base: str, about: dict[str, Any]) -> Path:
    """Make and return a folder of this name, or `base` with the next free number.

    It appears with its config.json inside or not at all, whenever the process is killed.
    """
    ready = Path(tempfile.mkdtemp(".writing", ".", parent))
    ready.chmod(0o755)  # mkdtemp's folders are for one person only
    try:
        write_atomically(ready / "config.json", json.dumps(about, indent=2) + "\n")
        return renamed(ready, parent, name, base)
    finally:
        shutil.rmtree(ready, ignore_errors=True)


def slug(text: str) -> str:
    """Return the letters and digits of a text as part of a file's name, "" if it has none."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def renamed(ready: Path, parent: Path, name: str, base: str) -> Path:
    """Give a folder that is ready its name; return its path."""
    base = slug(base)
    number = 1
    while True:
        folder = parent / (name or f"{base}-{number}")
        try:
            # Onto an empty folder this succeeds, onto one with something inside it does not.
            ready.rename(folder)
            return folder
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        if name:
            raise UserError(
                f"a run named {name} exists in {parent}; choose another --name, or continue it "
                f"with `arcadia resume {parent.name}/{name}`"
            )
        number += 1


def config_files() -> list[Path]:
    """Return the config.json of every run of the runs folder."""
    return sorted(p for p in runs_folder().glob("*/*/config.json") if p.parent.name[0] != ".")


def start_s(path: Path) -> float:
    """Return when the run of a config.json began, in seconds since 1970; 0 if it does not say."""
    try:
        began = float(read_json(path, CONFIG_BYTES)["started_s"])
    except (OSError, KeyError, TypeError, ValueError, OverflowError):
        return 0.0
    return began if math.isfinite(began) else 0.0


def all_runs() -> list[Run]:
    """Return every run of the runs folder, the oldest first."""
    found = []
    for path in config_files():
        try:
            found.append(Run.open(path.parent))
        except UserError as error:
            say(f"skipped: {error}", sys.stderr)
    return sorted(found, key=lambda run: float(run.about["started_s"]))


def shared_run(world: World, make: Callable[[], Run]) -> Run:
    """Return the run that `make` gives in the first process; the others get a silent copy."""
    if world.size == 1:
        return make()
    made = make() if world.is_first else None
    folder, about = world.broadcast_json(
        lambda: (str(made.folder), made.about) if made else ("", {})
    )
    return made or Run(Path(folder), about, silent=True)


def begun_before(world: World, name: str) -> Run | None:
    """Return the run that this start had begun before torchrun restarted its processes, if any.

    Or before a batch system began the whole job again: torchrun's id, the run's `name` and the
    command are then the same.
    """
    runs: list[Run] = []
    if world.is_first and launch() and (restarts() or (name and ":" not in launch())):
        runs = [
            run
            for run in all_runs()
            if (run.about.get("launch"), run.about.get("command")) == (launch(), command_line())
        ]
    if not world.broadcast_json(lambda: bool(runs)):
        return None
    return shared_run(world, lambda: runs[-1])


def find_run(text: str) -> Run:
    """Return the run meant by a path, `job/name`, `name`, `zoo/name` or `last`.

    UserError if there is none, if a bare name fits several, or if something in its folder leads out
    of it: whoever sent it may have put it there.
    """
    run = named_run(text)
    refuse_strange(run.folder)
    return run


def named_run(text: str) -> Run:
    """Return the same, however its folder is."""
    if text == "last":
        runs = [run for run in all_runs() if run.folder.parent.name != "zoo"]
        if not runs:
            raise UserError(
                f"there is no run in {runs_folder()} yet; train one with `arcadia train ppo`"
            )
        return runs[-1]
    places = [runs_folder() / text, CHECKOUT / "runs" / text, Path(text)]
    for place in places:
        # Of a name that no file may have, this says that it is not there.
        if os.path.exists(place / "config.json"):
            return Run.open(place)
    # A name is a name, not a pattern: [red]x is one, and so is **.
    pattern = f"*/{glob.escape(text)}/config.json"
    matches = sorted(runs_folder().glob(pattern)) if text and "/" not in text else []
    if len(matches) > 1:
        names = ", ".join(f"{m.parents[1].name}/{text}" for m in matches)
        raise UserError(f"{text} names several runs: {names}; say which")
    if not matches:
        raise UserError(
            f"{shortened(text) or repr('')} is not a run, nor in {runs_folder()}; `arcadia runs` "
            "lists the runs"
        )
    return Run.open(matches[0].parent)
