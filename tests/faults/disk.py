"""Take the disk away from a run in training, and give it back: nothing is lost.

    unshare --user --map-root-user --mount python -m tests.faults.disk full
    unshare --user --map-root-user --mount python -m tests.faults.disk read-only

`full` fills a small file system to the last byte, `read-only` puts one that takes no writing over
the run's folder. Both wait until the run has said so and has trained on, then mend it, and compare
the end with that of a run without trouble. `unshare` gives this process file systems of its own,
which need no rights.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from backbones.training import checkpoint
from backbones.training.log import read_metrics
from tests.faults.trials import FLAGS, arcadia, differing

STEPS = 3_840


def wait_for(what: Callable[[], bool], process: subprocess.Popen, limit_s: float = 120.0) -> None:
    """Wait until something is so; fail if the process ends first or it takes too long."""
    end = time.monotonic() + limit_s
    while not what():
        assert process.poll() is None, f"the run ended with status {process.returncode}"
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def take_disk(kind: str, runs: Path, folder: Path) -> None:
    """Let no more bytes be written to a run's folder."""
    if kind == "read-only":
        subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "arcadia", folder], check=True)
        return
    with (runs / "filler").open("ab", buffering=0) as file:
        for size in (2**16, 2**10, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def give_back(kind: str, runs: Path, folder: Path) -> None:
    """Let bytes be written again."""
    if kind == "read-only":
        subprocess.run(["umount", folder], check=True)
    else:
        (runs / "filler").unlink()


def trial(kind: str, runs: Path, say: Callable[[str], None]) -> None:
    """Run the trial; AssertionError where something was lost."""
    flags = ["train", "ppo", *FLAGS, "--total-steps", str(STEPS)]
    assert arcadia(*flags, "--name", "whole", runs=runs).wait() == 0
    said, folder = runs.with_suffix(".said"), runs / "ppo" / "troubled"
    process = arcadia(*flags, "--name", "troubled", runs=runs, said=said)
    wait_for(lambda: len(checkpoint.numbered(folder / "checkpoints")) > 1, process)
    take_disk(kind, runs, folder)
    wait_for(lambda: "no checkpoint at" in said.read_text(), process)
    wait_for(lambda: "takes no writing" in said.read_text(), process)
    begun = said.read_text().count("no checkpoint at")
    wait_for(lambda: said.read_text().count("no checkpoint at") > begun + 1, process)
    say("the run trains on and tries again")
    os.kill(process.pid, signal.SIGSTOP)
    give_back(kind, runs, folder)
    kept, passed_over = checkpoint.load_newest(folder / "checkpoints")
    say(f"disk {kind}: the checkpoint at {kept.info['progress']:,} is whole")
    os.kill(process.pid, signal.SIGCONT)
    assert passed_over == []
    assert process.wait() == 0, said.read_text()
    assert "Traceback" not in said.read_text(), said.read_text()
    log = (folder / "log.txt").read_text()
    assert "no checkpoint at" in log and "nothing is missing" in log, log
    steps = [line["step"] for line in read_metrics(folder)]
    assert steps == [line["step"] for line in read_metrics(runs / "ppo" / "whole")]
    assert differing(runs, "whole", "troubled") == []
    say("the log has no hole, and the ends are equal")


def main() -> int:
    """Mount a small file system and run the trial on it."""
    kind = sys.argv[1] if len(sys.argv) == 2 else ""
    if kind not in ("full", "read-only"):
        print(__doc__)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "runs"
        runs.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "arcadia", runs], check=True)
        trial(kind, runs, print)
        subprocess.run(["umount", "--lazy", runs], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
