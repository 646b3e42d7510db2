"""The command `arcadia gtp`: the Go engine, for any program that speaks GTP."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import tyro

from backbones.training.checks.limits import MOST_SEED, require_at_most
from backbones.training.config import require_positive
from backbones.training.device.memory import require_memory
from backbones.training.errors import UserError
from backbones.training.files import check_plain, standard_input
from backbones.training.run import Run
from rl.go.engine import MOST_SECONDS, Engine, Limits
from rl.go.gtp.interrupt import Interrupt
from rl.go.gtp.protocol import Session
from rl.go.levels import check_level, leaves_of, limits_of
from rl.go.player import Player, PlayoutPlayer, RandomPlayer
from rl.go.rules.position import Position, check_komi, check_size, named_rules
from rl.go.trained import load_trained, run_of, with_size_of

PLAYERS = ("playouts", "uct", "random")
LONGEST_LINE = 2**16  # characters of a command
MOST_MEMORY_MB = 65_536.0  # nodes are numbered with 32 bits


@dataclass(frozen=True, kw_only=True)
class Config:
    """Serve a Go engine on standard input and output."""

    run: tyro.conf.Positional[str] = "playouts"
    """playouts (tree search without a network), uct (the same without heuristics), random, a run
    of Go, or a network's .safetensors."""
    size: int = 9
    """Points on a side, until the client says."""
    komi: float = 7.0
    """White's compensation, until the client says."""
    rules: str = "chinese-ogs"
    """Rules by name, until the client says: tromp-taylor, chinese, chinese-ogs (with superko),
    cgos, aga, japanese..."""
    visits: int = 0
    """Simulations of a move at most; 0: as many as there is time for."""
    seconds: float = 1.0
    """Seconds of a move, where no clock runs."""
    level: int = 0
    """Strength, 1 (weakest) to 10, whatever the machine; 0: as --visits and --seconds say."""
    resign_below: float = 0.05
    """Resign when the chance to win stays below this; 0: never."""
    ponder: bool = False
    """Think in the other's time."""
    memory_mb: float = 256.0
    """Memory of the search tree."""
    device: str = "auto"
    """Where a network computes: auto (a GPU if there is one), cpu, cuda or cuda:N."""
    seed: int = 0
    """Of the playouts; -1: another each time."""
    name: str = "Arcadia"
    """What the client is told; Lizzie wants KataGo."""
    override_version: str = ""
    """A version for clients that expect that of another engine, such as 1.15 for Lizzie."""
    quiet_stderr: bool = False
    """Say nothing on standard error; Lizzie reads it as answers."""

    def __post_init__(self) -> None:
        require_positive(self, "memory_mb", "seconds")
        Limits(visits=self.visits)  # ValueError below 0
        check_level(self.level)
        require_at_most(self, memory_mb=MOST_MEMORY_MB, seconds=MOST_SECONDS, seed=MOST_SEED)
        require_memory(1e6 * self.memory_mb, "the search tree", "--memory-mb")
        check_size(self.size)
        check_komi(self.komi)
        named_rules(self.rules)
        check_player(self.run)


def check_player(name: str) -> None:
    """UserError if a name is neither a player's nor that of a run of Go or a network's file."""
    if not is_player(name):
        raise UserError(
            f"{name!r} plays no Go; choose one of {', '.join(PLAYERS)}, a run of Go, or a "
            "network's .safetensors"
        )
    if name.endswith(".safetensors") and Path(name).exists():
        check_plain(Path(name))


def is_player(name: str) -> bool:
    """Say whether a name is that of a player of ours; UserError for a run that learnt no Go."""
    return name in PLAYERS or name.endswith(".safetensors") or run_of(name) is not None


def build_player(
    name: str, *, seed: int = 0, memory_mb: float = 256.0, device: str = "auto", leaves: int = 8
) -> Player:
    """Return a player by its name, or of a run or a network's file, which computes on a device,
    `leaves` positions at a time; UserError if that cannot be read."""
    check_player(name)
    if name == "random":
        return RandomPlayer(seed)
    if name not in PLAYERS:
        # Only who plays with a network waits for torch.
        from backbones.training.device.precision import choose_device
        from rl.go.network.go_network import load_network
        from rl.go.search.mcts import NetworkPlayer

        run = None if name.endswith(".safetensors") else run_of(name)
        network = load_trained(run)[0] if run else load_network(Path(name))
        network = network.to(choose_device(device))
        return NetworkPlayer(network, seed=seed, leaves=leaves, memory_mb=memory_mb)
    return PlayoutPlayer(seed=seed, memory_mb=memory_mb, heuristics=name == "playouts")


def ready_engine(
    name: str,
    position: Position,
    limits: Limits,
    *,
    seed: int = 0,
    memory_mb: float = 256.0,
    resign_below: float = 0.05,
    device: str = "auto",
    leaves: int = 8,
) -> Engine:
    """Return an engine with the player of a name at a position, compiled and ready."""
    if name == "random":
        limits = Limits(visits=1)  # it would wait for its time to be over
    player = build_player(name, seed=seed, memory_mb=memory_mb, device=device, leaves=leaves)
    engine = Engine(player, limits, position, resign_below=resign_below)
    with Interrupt():  # the compiler swallows what is raised within it
        engine.warm_up()
    engine.new_game(position)
    return engine


def build_engine(config: Config) -> Engine:
    """Return an engine as the flags want it."""
    seed = config.seed if config.seed >= 0 else int.from_bytes(os.urandom(4), "little")
    return ready_engine(
        config.run,
        Position(config.size, config.komi, named_rules(config.rules)),
        limits_of(config.level, visits=config.visits, seconds=config.seconds),
        seed=seed,
        memory_mb=config.memory_mb,
        resign_below=config.resign_below,
        device=config.device,
        leaves=leaves_of(config.level),
    )


def config_for(run: Run) -> type[Config]:
    """Return the settings of `arcadia gtp` for a run: its board is the one that it has learnt."""
    return with_size_of(run, Config)


def load_commands() -> None:
    """Fill the table of commands: each module adds its own."""
    for module in ("commands", "analyze", "extensions"):
        import_module(f"rl.go.gtp.{module}")


def main(config: Config) -> int:
    """The command `arcadia gtp`."""
    load_commands()
    standard_input()  # UserError for a device that never ends
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    with quiet_if(config.quiet_stderr), Interrupt() as interrupt:
        session = Session(
            build_engine(config),
            sys.stdout,
            name=config.name,
            ponder=config.ponder,
            version=config.override_version or installed_version(),
        )
        interrupt.when_asked(session.stop)
        session.serve(commands())
    return 0


@contextmanager
def quiet_if(asked: bool) -> Iterator[None]:
    """Drop what is said on standard error, if that is asked for, until the session ends."""
    if not asked:
        yield
        return
    with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):
        yield


def commands() -> Iterator[str]:
    """Yield the lines of standard input, of endless ones the beginning."""
    while line := sys.stdin.readline(LONGEST_LINE):
        yield line
        while line and not line.endswith("\n"):
            line = sys.stdin.readline(LONGEST_LINE)


def installed_version() -> str:
    """Return Arcadia's version."""
    try:
        return version("arcadia")
    except PackageNotFoundError:
        return "0"
