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
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backbones.training.config import require_positive
from backbones.training.device.machine import CHECKOUT
from backbones.training.errors import UserError
from backbones.training.progress import say
from web.serve import require_packages

GAME = "zoo/pong"
STEPS = 20  # key presses whose pictures are waited for
PATIENCE_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Config:
    """Measure the page: seconds until it answers, pictures a second, processor time, delay."""

    watchers: int = 20
    """Browsers that watch at once."""
    seconds: float = 10.0
    """How long they watch."""
    json: bool = False
    """Print a list of JSON objects instead of lines."""

    def __post_init__(self) -> None:
        require_positive(self, "watchers", "seconds")


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

    async with connect(f"ws://{place}/api/watch/{GAME}", max_size=2**24) as socket:
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
    async with connect(f"ws://{place}/api/play/{GAME}", max_size=2**24) as socket:
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
            asyncio.wait_for(measure(config, process.pid, place), PATIENCE_S + 4 * config.seconds)
        )
    finally:
        process.terminate()
        process.wait(10)
    rows = [figure("ready_s", ready_s, "s"), *rows]
    if config.json:
        say(json.dumps(rows))
        return 0
    for row in rows:
        say(f"{row['name']:40}{row['ours']:10,.2f} {row['unit']}")
    return 0
