"""What is worth knowing of this project on a GPU, in a quarter of an hour: `python -m tests.gpu`.

Parts run in order of worth, each in a process and with a time limit of its own. After every part
the results so far are written to `gpu.json` in --out, so a cut loses nothing. It runs in a checkout
and installs nothing. Data sets are read from $ARCADIA_DATA; a part whose set is missing says so. On
a machine without a GPU, and with --small, all parts run in seconds, to show that they work.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from rl import dqn, pqn
from tests.gpu import agents, others


@dataclass(frozen=True)
class Part:
    """One measurement: its name, the seconds it may take, and the function that returns figures.

    The function is called with whether to be small and the folder for what it leaves.
    """

    name: str
    limit_s: float
    measure: Callable[[bool, Path], dict[str, Any]]


PARTS = [
    Part("machine", 20, others.machine),
    Part("tests", 60, others.tests),
    Part("same numbers", 60, agents.same_numbers),
    Part("ppo gpu, graphs", 75, agents.speed("gpu", graphs=True)),
    Part("pong", 200, agents.pong),
    Part("go evaluations", 60, others.go_evaluations),
    Part("cifar10", 90, others.classify("cifar10", "cifar10_jpeg")),
    Part("ppo gpu, eager", 60, agents.speed("gpu", graphs=False)),
    Part("ppo fast, graphs", 40, agents.speed("fast", graphs=True)),
    Part("ppo reference, graphs", 40, agents.speed("reference", graphs=True)),
    Part("mnist", 60, others.classify("mnist", "mnist")),
    Part("dqn", 60, agents.trained(dqn, 60_000)),
    Part("pqn", 60, agents.trained(pqn, 60_000)),
    Part("translate", 60, others.task("words.translate", num_epochs=2)),
    Part("caption", 90, others.task("words.caption", samples=20_000, num_epochs=1)),
    Part("vqa", 90, others.task("words.answer", samples=10_000, num_epochs=1)),
    Part("sound", 90, others.task("sounds.film_sound", samples=300, num_epochs=2)),
    Part("text", 60, others.task("words.text", num_epochs=1)),
    Part("detect", 90, others.task("labels.detect", samples=3_000, num_epochs=1)),
    Part("glimpse", 60, others.task("labels.glimpse", num_epochs=2)),
    Part("segment", 90, others.task("labels.segment", samples=1_000, num_epochs=1)),
    Part("handwriting", 90, others.task("pictures.handwriting", samples=500, num_epochs=1)),
    Part("read-handwriting", 60, others.task("words.read_handwriting", num_epochs=2)),
    Part("go self-play", 120, others.go_selfplay),
    Part("emulators", 60, agents.emulators),
    Part("seeding", 60, agents.seeding),
]


def main() -> int:
    """Run the parts; return 0 if all gave figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("gpu-results"), help="folder for results")
    parser.add_argument(
        "--small",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="seconds only, to see that all works; default: where there is no GPU",
    )
    parser.add_argument("--seconds", type=float, default=840, help="for all parts together")
    parser.add_argument("--only", nargs="*", metavar="PART", help=", ".join(p.name for p in PARTS))
    flags = parser.parse_args()
    unknown = set(flags.only or ()) - {part.name for part in PARTS}
    if unknown:
        parser.error(f"no part is called {', '.join(sorted(unknown))}; see --help")
    # Asking the driver for a device would make this process unfit to fork from.
    no_gpu = not torch.cuda._is_compiled() or not Path("/dev/nvidia0").exists()
    small = no_gpu if flags.small is None else flags.small
    flags.out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("ARCADIA_RUNS", str(flags.out / "runs"))
    results: dict[str, Any] = {}
    end = time.monotonic() + flags.seconds
    for part in PARTS:
        if flags.only and part.name not in flags.only:
            continue
        limit = min(part.limit_s, end - time.monotonic())
        begin = time.monotonic()
        figures = (
            measured(part, small, flags.out, limit) if limit > 5 else {"failed": "no time left"}
        )
        results[part.name] = {**figures, "took_s": round(time.monotonic() - begin, 1)}
        text = json.dumps(results, indent=1)
        (flags.out / "gpu.json").write_text(text + "\n")
        row = ", ".join(f"{key} {value}" for key, value in results[part.name].items())
        print(f"{part.name:24}{row}", flush=True)
    return int(any("failed" in figures for figures in results.values()))


def measured(part: Part, small: bool, out: Path, limit_s: float) -> dict[str, Any]:
    """Return what a part measures, in a process of its own; `failed` says why there is nothing."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=in_child, args=(part, small, out, sender))
    process.start()
    sender.close()
    try:
        if not receiver.poll(limit_s):
            return {"failed": f"over its limit of {limit_s:.0f} s"}
        figures: dict[str, Any] = receiver.recv()
        return figures
    except EOFError:
        return {"failed": f"the process ended with status {process.exitcode}"}
    finally:
        process.join(5)
        process.kill()
        process.join()


def in_child(part: Part, small: bool, out: Path, sender: Connection) -> None:
    """Measure and send the figures; a failure is one too, its traceback goes to standard error."""
    try:
        sender.send(part.measure(small, out))
    except BaseException as error:
        traceback.print_exc()
        sender.send({"failed": f"{type(error).__name__}: {error}"[:300]})


if __name__ == "__main__":
    sys.exit(main())
