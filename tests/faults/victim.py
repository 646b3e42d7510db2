"""A process that tries one mutant after another, watched and bounded, and says what each one did.

    python -m tests.faults.victim FOLDER FD        (tests/faults/mutants.py starts it)

It reads `[what, words, stop_s]` as a line of JSON and answers with one on the file descriptor FD:
what was said on the standard streams, the exit status (2 for a UserError), the traceback of
anything else, the growth of the memory at its peak, and what it reached for that no file may make
it reach for. Python's own auditing tells of every file opened for writing, every process and every
connection, and a finder of modules of every import; writing outside of FOLDER is refused as well.
"""

import ctypes
import gc
import importlib.metadata
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# On top of what the process has once everything is loaded.
ADDRESS_MIB = 4096
OURS = {"arcadia", "backbones", "rl", "tasks", "suites", "web"}
# They do something when they are imported, and nothing of ours needs them.
UNWANTED = {"antigravity", "this", "turtledemo", "idlelib", "evilpayload"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Events by where their arguments name files that change.
CHANGES = {
    "os.mkdir": 1,
    "os.rename": 2,
    "os.remove": 1,
    "os.rmdir": 1,
    "os.link": 2,
    "os.symlink": 2,
    "os.truncate": 1,
    "os.chmod": 1,
    "os.chown": 1,
    "shutil.rmtree": 1,
    "shutil.move": 2,
}
# What looks at the machine, for the log of a run: the commit, and platform.processor().
LOOKS = ("git", "uname")


class Watch:
    """Notes what happens between two answers."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.reached, self.on = os.path.realpath(folder), set[str](), False
        installed = set(importlib.metadata.packages_distributions())
        self.known = OURS | installed | set(sys.stdlib_module_names)
        self.known -= UNWANTED | {"tests"}

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "open" and is_writing(args):
            self.change(event, args[0])
        elif event in CHANGES:
            for path in args[: CHANGES[event]]:
                self.change(event, path)
        elif event == "subprocess.Popen" and Path(str(args[0])).name not in LOOKS:
            self.reached.add(f"process {args[0]}")
        elif event in ("os.system", "os.exec", "os.posix_spawn", "socket.connect", "socket.bind"):
            self.reached.add(f"{event} {args[1:2]}")
        elif event == "pickle.find_class" and "numba" not in caller():  # numba's own cache
            self.reached.add(f"pickle {args[0]}.{args[1]}")

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Note an import as the first to be asked for a module; others find it."""
        if self.on and name.split(".")[0] not in self.known and by_name(caller()):
            self.reached.add(f"import {name}")

    def change(self, event: str, path: object) -> None:
        """Note a change of a file, and refuse one outside of the folder."""
        if not isinstance(path, str | bytes | os.PathLike):
            return
        place = os.path.realpath(os.fsdecode(path))
        if place.startswith((self.folder, "/dev/null", "/dev/tty")) or "__pycache__" in place:
            return
        self.reached.add(f"{event} {place}")
        raise PermissionError(1, "outside of the folder that was given", place)


def is_writing(args: tuple[Any, ...]) -> bool:
    """Does an `open` event ask for more than reading?"""
    _, mode, flags = args
    return bool(set(mode or "") & set("wax+")) or bool((flags or 0) & WRITING)


def caller() -> str:
    """Return the file whose code led to an event: not importlib's, which imports for others."""
    frame = sys._getframe(2)
    while frame.f_back and "importlib" in frame.f_code.co_filename:
        frame = frame.f_back
    return frame.f_code.co_filename


def by_name(file: str) -> bool:
    """Is an import ours, or Gymnasium's for us, and not of what a library could use besides?"""
    return "gymnasium" in file or (file.startswith(str(ROOT)) and ".venv" not in file)


def run_command(words: list[str]) -> int:
    """The command, as if typed."""
    import arcadia

    try:
        return arcadia.main(words)
    except SystemExit as end:  # what --help ends with
        return int(end.code or 0)


def read_games(words: list[str]) -> int:
    """Every game of an SGF file, followed, written and read again."""
    from rl.go.games import sgf

    for root in sgf.read(words[0]):
        sgf.follow(root)
        sgf.parse(sgf.write(root))
    return 0


def read_pictures(words: list[str]) -> int:
    """Both splits of a folder of pictures."""
    from tasks.data.find import read_set

    for split in ("train", "test"):
        read_set(Path(words[0]), split, size_px=8, channels=3)  # type: ignore[arg-type]
    return 0


def read_drawings(words: list[str]) -> int:
    """All splits of a folder of drawings, as what a network reads."""
    from backbones.training.config import changed
    from tasks.data.handwritten import Handwriting, LinesConfig

    source = Handwriting(changed(LinesConfig(), data=words[0]))
    for split in ("train", "val", "test"):
        source.samples(split)  # type: ignore[arg-type]
        source.protocol(split)  # type: ignore[arg-type]
    return 0


def read_texts(words: list[str]) -> int:
    """The training texts of a folder."""
    from tasks.data.formats.text import read_pairs

    read_pairs(Path(words[0]), "train", "en", "de")
    return 0


def read_go_network(words: list[str]) -> int:
    """A network that plays Go."""
    from rl.go.network.go_network import load_network

    load_network(Path(words[0]))
    return 0


def read_trunk(words: list[str]) -> int:
    """A backbone with its card."""
    from backbones.transfer import load_backbone

    load_backbone(Path(words[0]))
    return 0


def answer_gtp(words: list[str]) -> int:
    """A session of GTP, on a small board and with little thought."""
    from rl.go.engine import Engine, Limits
    from rl.go.gtp import protocol as gtp
    from rl.go.gtp import serve
    from rl.go.player import PlayoutPlayer
    from rl.go.rules.position import Position

    serve.load_commands()
    engine = Engine(PlayoutPlayer(memory_mb=4.0), Limits(visits=8), Position(5))
    session = gtp.Session(engine, sys.stdout)
    session.lines.put("")  # who listens for another line has one: analyses end at once
    for line in words:
        session.answer(line)
    return 0


def do_mischief(words: list[str]) -> int:
    """What the watch must see: for the test of the watch itself."""
    mischief: dict[str, Callable[[], object]] = {
        "import": lambda: import_module("evilpayload"),
        "write": lambda: open("/proc/outside", "w"),
        "grow": lambda: bytearray(2**30),
        "burst": lambda: bytearray(2**36),
        "crash": lambda: os.abort(),
        "escape": lambda: print("arcadia: \x1b[31m", file=sys.stderr),
        "process": lambda: os.system("true"),
    }
    return int(mischief[words[0]]() is None)


DOINGS: dict[str, Callable[[list[str]], int]] = {
    "arcadia": run_command,
    "sgf": read_games,
    "pictures": read_pictures,
    "drawings": read_drawings,
    "texts": read_texts,
    "go-network": read_go_network,
    "trunk": read_trunk,
    "gtp": answer_gtp,
    "mischief": do_mischief,
}


def status_mib(name: str) -> float:
    """Return a line of this process's status in MiB."""
    text = Path("/proc/self/status").read_text()
    return int(text.split(f"{name}:")[1].split()[0]) / 1024


def trim() -> None:
    """Give freed memory back, so that the next mutant cannot use it unseen."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def stopped_after(seconds: float) -> Iterator[None]:
    """Press ctrl-C after so many seconds, but not within an import: half a module would stay."""

    def press(number: int, frame: FrameType | None) -> None:
        while frame and "importlib" not in frame.f_code.co_filename:
            frame = frame.f_back
        if not frame:
            os.kill(os.getpid(), signal.SIGINT)

    signal.signal(signal.SIGALRM, press)
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.2)  # 0: never
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def attempt(watch: Watch, what: str, words: list[str], stop_s: float) -> dict[str, Any]:
    """Do one thing; return what happened. A UserError is said by the command's own front door."""
    from backbones.training.ending import complain
    from backbones.training.errors import UserError

    trim()
    Path("/proc/self/clear_refs").write_text("5")  # the peak of memory begins here
    before_mib, cpu_s = status_mib("VmRSS"), time.process_time()
    watch.reached, watch.on, error = set(), True, ""
    try:
        with stopped_after(stop_s):
            status = DOINGS[what](words)
    except UserError as refusal:
        status = 2
        complain(refusal, in_all=True)
    except BaseException:
        status, error = -1, traceback.format_exc()
    finally:
        watch.on = False
        for name in sys.modules.keys() & UNWANTED:
            del sys.modules[name]
    sys.stdout.flush()
    sys.stderr.flush()
    return {
        "status": status,
        "error": error,
        "reached": sorted(watch.reached),
        "grown_mib": status_mib("VmHWM") - before_mib,
        "cpu_s": time.process_time() - cpu_s,
    }


def main() -> int:
    """Answer until standard input ends."""
    folder = Path(sys.argv[1]).resolve()
    asked, answers = os.fdopen(os.dup(0)), os.fdopen(int(sys.argv[2]), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    streams = {number: folder / f"said-{number}" for number in (1, 2)}
    for number, path in streams.items():
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    import torch

    torch.set_num_threads(1)
    watch = Watch(folder)
    sys.addaudithook(watch)
    sys.meta_path.insert(0, watch)  # type: ignore[arg-type]
    for line in asked:
        what, words, stop_s = json.loads(line)
        if what == "limit":
            gc.collect()
            gc.freeze()  # what is loaded by now stays, and need not be looked at again
            limit = int(status_mib("VmSize") + ADDRESS_MIB) << 20
            resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
            answers.write("{}\n")
        else:
            for path in streams.values():
                os.truncate(path, 0)
            found = attempt(watch, what, words, stop_s)
            said = [path.read_text(errors="replace")[-400_000:] for path in streams.values()]
            answers.write(json.dumps({**found, "out": said[0], "err": said[1]}) + "\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
