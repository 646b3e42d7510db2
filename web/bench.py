"""The command `arcadia bench page`: how soon the page is there, and what its games cost.

The page runs as people start it, in a process of its own; browsers are sockets that read what comes
and draw nothing. There is no peer: the figures stand for themselves.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backbones.training.config import require_positive
from backbones.training.device.machine import CHECKOUT
from backbones.training.errors import UserError
from backbones.training.progress import say
from web.listing import Listing, tail
from web.serve import require_packages

GAME = "zoo/pong"
STEPS = 20  # key presses whose pictures are waited for
RUNS = 2_000  # that are listed
TRAINING = ("train", "ppo", "--preset", "catch", "--total-steps", "100000000", "--eval-games", "0")
ROUNDS = 4  # of a training, without and with a browser that watches
PATIENCE_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Config:
    """Measure the page: seconds until it answers, pictures a second, processor time, delay."""

    watchers: int = 20
    """Browsers that watch at once."""
    seconds: float = 10.0
    """How long they watch."""
    beside: bool = True
    """Measure what a training beside loses, which takes eight times as long."""
    json: bool = False
    """Print a list of JSON objects instead of lines."""

    def __post_init__(self) -> None:
        require_positive(self, "watchers", "seconds")


async def loss_beside(place: str, seconds: float) -> float:
    """Return the percent of its env steps that a training loses to one browser that watches, in
    turn without and with it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "arcadia", *TRAINING]
        training = subprocess.Popen(
            command,
            cwd=CHECKOUT,
            env={**os.environ, "ARCADIA_RUNS": folder},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            rates: dict[bool, list[float]] = {False: [], True: []}
            for number in range(2 * ROUNDS):
                watched = number % 2 == 1
                watching = asyncio.create_task(watch(place, 10 * PATIENCE_S)) if watched else None
                rates[watched].append(await steps_a_second(Path(folder), training, seconds))
                if watching:
                    watching.cancel()
            return 100 * (1 - sum(rates[True]) / sum(rates[False]))
        finally:
            training.terminate()
            training.wait(30)


async def steps_a_second(
    folder: Path, training: "subprocess.Popen[bytes]", seconds: float
) -> float:
    """Return the env steps a second of the only run in a folder, from one line of its figures to
    another that is so many seconds later."""

    async def next_line() -> tuple[int, float]:
        before = newest_step(folder)
        for _ in range(int(PATIENCE_S / 0.02)):
            await asyncio.sleep(0.02)
            if training.poll() is not None:
                raise UserError("the training beside ended; try `arcadia train ppo --preset catch`")
            if (step := newest_step(folder)) > before:
                return step, time.perf_counter()
        raise UserError(f"the training beside wrote nothing for {PATIENCE_S:g} s")

    await next_line()  # What was before is not what is measured.
    first, begin = await next_line()
    await asyncio.sleep(seconds)
    last, end = await next_line()
    return (last - first) / (end - begin)


def newest_step(folder: Path) -> int:
    """Return how far the only run in a folder is; 0 before its first figures."""
    lines = [line for path in folder.glob("*/*/metrics.jsonl") for line in tail(path)]
    return max((int(json.loads(line)["step"]) for line in lines[-2:-1]), default=0)


def list_s() -> list[dict[str, Any]]:
    """Return what it costs to list many runs, the first time and every other, as processor time:
    copies of a small run, each with its config and some figures."""
    with tempfile.TemporaryDirectory() as folder:
        config = (CHECKOUT / "runs" / "zoo" / "pong" / "config.json").read_text()
        lines = [
            json.dumps({"step": n, "time/minutes": n / 60, "rollout/score": n, "train/loss": 1 / n})
            for n in range(1, 100)
        ]
        for number in range(RUNS):
            run = Path(folder, "ppo", f"run-{number}")
            run.mkdir(parents=True)
            (run / "config.json").write_text(config)
            (run / "metrics.jsonl").write_text("\n".join(lines) + "\n")
        before = os.environ.get("ARCADIA_RUNS")
        os.environ["ARCADIA_RUNS"] = folder
        try:
            listing, taken = Listing(), []
            for _ in range(2):
                begin = time.process_time()
                found = [row for row in listing.all_rows() if row["state"] != "zoo"]
                taken.append(time.process_time() - begin)
                assert len(found) == RUNS
        finally:
            os.environ.pop("ARCADIA_RUNS")
            if before is not None:
                os.environ["ARCADIA_RUNS"] = before
    names = (f"s to list {RUNS:,} runs first", f"s to list {RUNS:,} runs again")
    return [figure(name, spent, "s") for name, spent in zip(names, taken, strict=True)]


def started() -> tuple[subprocess.Popen[str], str, float]:
    """Start the page; return its process, its address and the seconds until it listened."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "arcadia", "serve", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)
    assert process.stdout
    line = process.stdout.readline()
    if "http://" not in line:
        raise UserError(f"the page did not start: {line.strip() or 'see above'}")
    return process, line.split("http://")[1].split("/")[0], time.perf_counter() - begin


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


async def watch(place: str, seconds: float) -> float:
    """Watch a game for some seconds from its first picture on; return pictures a second."""
    from websockets.asyncio.client import connect

    async with connect(
        f"ws://{place}/api/watch/{GAME}", max_size=2**24, ping_interval=None
    ) as socket:
        while not isinstance(await socket.recv(), bytes):
            pass
        count, begin = 0, time.perf_counter()
        while time.perf_counter() - begin < seconds:
            count += isinstance(await socket.recv(), bytes)
        return count / (time.perf_counter() - begin)


async def delays(place: str) -> list[float]:
    """Return, for some env steps that are asked for by hand, the milliseconds to the picture."""
    from websockets.asyncio.client import connect

    found = list[float]()
    async with connect(
        f"ws://{place}/api/play/{GAME}", max_size=2**24, ping_interval=None
    ) as socket:
        await socket.send(json.dumps({"paused": True}))
        await asyncio.sleep(1.0)
        for _ in range(STEPS):
            while await pending(socket):
                pass
            begin = time.perf_counter()
            await socket.send(json.dumps({"step": 1}))
            while not isinstance(await socket.recv(), bytes):
                pass
            found.append(1000 * (time.perf_counter() - begin))
    return found


async def pending(socket: Any) -> bool:
    """Take a message that is there already; say whether there was one."""
    try:
        await asyncio.wait_for(socket.recv(), 0.1)
    except TimeoutError:
        return False
    return True


async def measure(config: Config, process: int, place: str) -> list[dict[str, Any]]:
    """Return the figures of a page that runs."""
    rows = []
    for watchers in (1, config.watchers):
        before, begin = cpu_s(process), time.perf_counter()
        rates = await asyncio.gather(*(watch(place, config.seconds) for _ in range(watchers)))
        used = (cpu_s(process) - before) / (time.perf_counter() - begin)
        rows += [
            figure(f"pictures_per_s of each of {watchers}", min(rates), "pictures/s"),
            figure(f"cores with {watchers}", used, "cores"),
        ]
    rows.append(
        figure("ms from a key to its picture", statistics.median(await delays(place)), "ms")
    )
    if config.beside:
        lost = await loss_beside(place, config.seconds)
        rows.append(figure("% that a training beside loses", lost, "%"))
    return rows


def figure(name: str, ours: float, unit: str) -> dict[str, Any]:
    """Return a row of a benchmark that has no peer."""
    return {"name": f"page {name}", "ours": round(ours, 3), "unit": unit}


def main(config: Config) -> int:
    """The command `arcadia bench page`."""
    require_packages()
    process, place, ready_s = started()
    try:
        rows = asyncio.run(
            asyncio.wait_for(
                measure(config, process.pid, place), (20 + ROUNDS) * (PATIENCE_S + config.seconds)
            )
        )
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
    rows = [figure("ready_s", ready_s, "s"), *rows, *list_s()]
    if config.json:
        say(json.dumps(rows))
        return 0
    for row in rows:
        say(f"{row['name']:40}{row['ours']:10,.2f} {row['unit']}")
    return 0
