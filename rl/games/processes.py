"""Environments in processes: each steps some of them, and all of a step meet in shared memory.

An environment's seeds are functions of its number, so its games are the same in any process, and a
run is the same with any number of them (`rl/games/worker.py` is the other side). Processes are
begun anew by their own command line, not forked: threads of torch and CUDA do not survive a fork.
So the environment must be one that an import finds: `module:Env-v0`, or a registered package's.
"""

import os
import socket
import subprocess
import sys
import tempfile
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from backbones.training.config import changed
from backbones.training.errors import UserError
from rl.games import worker
from rl.games.contract import Step
from rl.games.foreign.blame import GameFault
from rl.games.foreign.declared import DeclaredGame
from rl.games.gym import GymnasiumEnvironments, protocol_of, settled
from rl.games.history import History
from rl.games.options import EnvOptions
from rl.games.worker import STEP, Line, Shared, first_order

STOP_S = 5.0  # for a process to end by itself


class ProcessEnvironments:
    """N copies of a Gymnasium environment, stepped by some processes at once."""

    def __init__(
        self,
        env: str,
        numbers: range,
        *,
        seed: int,
        options: EnvOptions,
        end_games_every: int = 0,
        processes: int,
    ) -> None:
        """UserError as `GymnasiumEnvironments`, from whichever process met it."""
        self.env, self.numbers, self.seed = env, numbers, seed
        self.workers: list[Worker] = []
        self.num_envs, self.end_games_every, self.env_steps = len(numbers), end_games_every, 0
        game = DeclaredGame(env, options)
        self.options = options = settled(game, changed(options, env_processes=0))
        self.action_names, self.protocol = game.action_names, protocol_of(game, options)
        self.frame_shape = (options.frame_channels, options.size_px, options.size_px)
        game.close()
        self.history = History(self.num_envs, len(self.action_names))
        size = Shared(-1, self.num_envs, self.frame_shape).size
        with tempfile.TemporaryFile(prefix="arcadia-frames-", dir=memory_folder()) as file:
            file.truncate(size)
            self.shared = Shared(file.fileno(), self.num_envs, self.frame_shape)
            bounds = np.linspace(0, self.num_envs, min(processes, self.num_envs) + 1).astype(int)
            self.rows = [range(int(a), int(b)) for a, b in pairwise(bounds)]
            self.workers = [Worker(env, file.fileno()) for _ in self.rows]
        for each, rows in zip(self.workers, self.rows, strict=True):
            mine = numbers[rows.start : rows.stop]
            each.line.send(first_order(self, mine, rows, options, self.frame_shape))
        self.confirm()

    def confirm(self) -> None:
        """Wait until all processes have done what they were told; raise what any met."""
        answers = [each.answer() for each in self.workers]
        for answer, rows in zip(answers, self.rows, strict=True):
            if isinstance(answer, bytes) or "done" in answer:
                continue
            if "mistake" in answer:
                self.close()
                raise UserError(answer["mistake"])
            fault = GameFault(answer["fault"], answer.get("trace", ""))
            fault.number = answer.get("number")
            if fault.number is None:
                fault.number = self.numbers[rows.start]
            raise fault

    def order(self, orders: list[dict[str, Any]]) -> UInt8[np.ndarray, "N C H W"]:
        """Give each process an order; return the frames that the games show then."""
        for each, order in zip(self.workers, orders, strict=True):
            each.line.send({**order, "seed": self.seed})
        self.confirm()
        return self.shared["frame"].copy()

    def reset(self) -> UInt8[np.ndarray, "N C H W"]:
        self.history = History(self.num_envs, len(self.action_names))
        return self.order([{"do": "reset"} for _ in self.workers])

    def step(self, action: Int[np.ndarray, "N"]) -> Step:
        self.shared["action"][:] = action
        for each in self.workers:
            each.step()
        self.confirm()
        self.env_steps += 1
        step = Step(*(self.shared[name].copy() for name in Step._fields))
        self.history.record(action, step.over)
        return step

    def state_dict(self) -> dict[str, np.ndarray]:
        return {**self.history.state_dict(), "env_steps": np.array(self.env_steps)}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> UInt8[np.ndarray, "N C H W"]:
        self.env_steps = int(state["env_steps"])
        self.history.load_state_dict(state)
        parts = []
        for rows in self.rows:
            part = {
                "actions": state["actions"][:, rows.start : rows.stop].tolist(),
                "length": state["length"][rows.start : rows.stop].tolist(),
                "episode": state["episode"][rows.start : rows.stop].tolist(),
                "env_steps": self.env_steps,
            }
            parts.append({"do": "load", "state": part})
        return self.order(parts)

    def close(self) -> None:
        for each in self.workers:
            each.close()
        self.workers = []

    def __del__(self) -> None:
        """End processes that nobody has closed, after an error before training."""
        self.close()


class Worker:
    """A process that steps some environments, and our end of its socket."""

    def __init__(self, env: str, memory: int) -> None:
        self.env = env
        ours, theirs = socket.socketpair()
        places = [place or os.getcwd() for place in sys.path]
        # Whatever names an environment here is found there.
        command = f"import arcadia\nfrom {worker.__name__} import main\nmain()"
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", command, str(theirs.fileno()), str(memory)],
                pass_fds=(theirs.fileno(), memory),
                env={**os.environ, "PYTHONPATH": os.pathsep.join(places), "OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
            )
        self.line = Line(ours)

    def step(self) -> None:
        """Have it step; its end is met where its answer is waited for."""
        try:
            self.line.end.sendall(STEP)
        except OSError:
            return

    def answer(self) -> dict[str, Any] | bytes:
        """Return its next message; where it has died, that as a fault."""
        try:
            return self.line.receive()
        except (EOFError, OSError):
            try:
                status = self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                status = 0
            return {"fault": f"a process of {self.env} ended by itself (exit status {status})"}

    def close(self) -> None:
        """End it."""
        try:
            self.line.send({"do": "close"})
            self.line.receive()
        except (EOFError, OSError):
            pass  # It has ended already, which is what was wanted.
        self.line.end.close()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def memory_folder() -> str | None:
    """Return where files lie in memory; None: where temporary files do."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def environments(
    env: str, numbers: range, *, seed: int, options: EnvOptions, end_games_every: int = 0
) -> GymnasiumEnvironments | ProcessEnvironments:
    """Return copies of a Gymnasium environment, in processes where the options say so."""
    if options.env_processes and len(numbers) > 1:
        return ProcessEnvironments(
            env,
            numbers,
            seed=seed,
            options=options,
            end_games_every=end_games_every,
            processes=options.env_processes,
        )
    return GymnasiumEnvironments(
        env, numbers, seed=seed, options=options, end_games_every=end_games_every
    )
