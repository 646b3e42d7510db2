"""A process that steps some of a run's environments, for `rl/games/processes.py`.

Orders come as JSON through a socket, one for one answer; frames, actions, rewards and flags lie in
a file of shared memory that both sides have mapped. Nothing is pickled. The process ends when the
socket does, so none outlives its run; ctrl-C is the run's, which stops after saving.
"""

import json
import mmap
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import cv2
import numpy as np

from backbones.training.checks.values import from_dict
from backbones.training.errors import UserError
from rl.games import toys
from rl.games.foreign.blame import GameFault
from rl.games.gym import GymnasiumEnvironments
from rl.games.options import EnvOptions

LENGTH_BYTES = 4
STEP, STEPPED = b"s", b"d"


class Shared:
    """Arrays of N environments in mapped memory: frames as `rl/games/contract.py` has them."""

    def __init__(self, descriptor: int, count: int, frame_shape: tuple[int, ...]) -> None:
        fields = {
            "frame": (np.uint8, frame_shape),
            "final_frame": (np.uint8, frame_shape),
            "action": (np.int64, ()),
            "reward": (np.float32, ()),
            "terminated": (np.bool_, ()),
            "truncated": (np.bool_, ()),
            "over": (np.bool_, ()),
        }
        places, end = {}, 0
        for name, (dtype, shape) in fields.items():
            places[name] = end
            size = count * int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
            end += -(-size // 64) * 64
        self.size = end
        self.memory = mmap.mmap(descriptor, end) if descriptor >= 0 else None
        self.arrays: dict[str, np.ndarray] = {}
        if self.memory is not None:
            for name, (dtype, shape) in fields.items():
                whole = (count, *shape)
                self.arrays[name] = np.ndarray(whole, dtype, self.memory, places[name])

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]


class Line:
    """One end of a socket: messages of JSON, or a single byte for a step."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message; OSError if the other side has ended."""
        text = json.dumps(message).encode()
        self.end.sendall(b"j" + len(text).to_bytes(LENGTH_BYTES, "little") + text)

    def receive(self) -> dict[str, Any] | bytes:
        """Return the next message, or the byte of a step; EOFError if the other side has ended."""
        kind = self.exactly(1)
        if kind != b"j":
            return kind
        size = int.from_bytes(self.exactly(LENGTH_BYTES), "little")
        found: dict[str, Any] = json.loads(self.exactly(size))
        return found

    def exactly(self, count: int) -> bytes:
        """Return so many bytes."""
        parts = []
        while count:
            part = self.end.recv(count)
            if not part:
                raise EOFError
            parts.append(part)
            count -= len(part)
        return b"".join(parts)


def start(order: Mapping[str, Any]) -> GymnasiumEnvironments:
    """Return the environments that the first order names."""
    toys.register()
    return GymnasiumEnvironments(
        order["env"],
        range(*order["numbers"]),
        seed=order["seed"],
        options=from_dict(EnvOptions, order["options"]),
        end_games_every=order["end_games_every"],
    )


def serve(line: Line, descriptor: int) -> None:
    """Answer orders until the other side ends."""
    first = line.receive()
    assert isinstance(first, dict)
    shared = Shared(descriptor, first["num_envs"], tuple(first["frame_shape"]))
    rows = slice(*first["rows"])
    envs = answered(line, lambda: start(first))
    if envs is None:
        return
    while True:
        order = line.receive()
        if order == STEP:
            if answered(line, lambda: step(envs, shared, rows), say=False):
                line.end.sendall(STEPPED)
            continue
        assert isinstance(order, dict)
        if order["do"] == "close":
            answered(line, envs.close)
            return
        envs.seed = order["seed"]
        answered(line, lambda: put(shared, rows, begin(envs, order)))  # noqa: B023


def begin(envs: GymnasiumEnvironments, order: Mapping[str, Any]) -> np.ndarray:
    """Begin the first games, or go on with those of a state; return the frames."""
    if order["do"] == "reset":
        return envs.reset()
    state = order["state"]
    actions = np.array(state["actions"], envs.history.dtype).reshape(-1, envs.num_envs)
    others = {name: np.array(state[name], np.int64) for name in ("length", "episode", "env_steps")}
    return envs.load_state_dict({"actions": actions, **others})


def put(shared: Shared, rows: slice, frame: np.ndarray) -> None:
    """Lay frames where the other side reads them."""
    shared["frame"][rows] = frame


def step(envs: GymnasiumEnvironments, shared: Shared, rows: slice) -> bool:
    """Take the actions that lie there; lay down what they led to."""
    for name, value in envs.step(shared["action"][rows])._asdict().items():
        shared[name][rows] = value
    return True


def answered(line: Line, call: Any, *, say: bool = True) -> Any:
    """Call something, and answer what became of it: done, or the fault of an environment."""
    try:
        found = call()
    except GameFault as fault:
        about = {"fault": str(fault), "trace": fault.trace, "number": fault.number}
        line.send(about)
        return None
    except UserError as error:
        line.send({"mistake": str(error)})
        return None
    if say:
        line.send({"done": True})
    return found


def first_order(
    envs: Any, numbers: range, rows: range, options: EnvOptions, frame_shape: tuple[int, ...]
) -> dict[str, Any]:
    """Return the first order for a process: its environments, and its rows of the shared memory."""
    return {
        "env": envs.env,
        "numbers": [numbers.start, numbers.stop],
        "rows": [rows.start, rows.stop],
        "num_envs": envs.num_envs,
        "frame_shape": list(frame_shape),
        "seed": envs.seed,
        "options": asdict(options),
        "end_games_every": envs.end_games_every,
    }


def main() -> None:
    """Serve the socket and the memory whose descriptors are the arguments."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    cv2.setNumThreads(1)
    descriptor, memory = map(int, sys.argv[1:3])
    try:
        serve(Line(socket.socket(fileno=descriptor)), memory)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
