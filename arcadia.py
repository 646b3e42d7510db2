"""The front door: a table of jobs and of verbs, each loaded only when it is asked for.

`--help` needs no torch. A verb that works on a run is found in the package of the run's job: `rl`
for agents, `tasks` for what learns from examples. Mistakes come out as one line on standard error
with exit status 2.
"""

import io
import os
import sys

if __name__ == "__main__" and sys.path[0] != os.path.dirname(os.path.abspath(__file__)):
    # `python -m` looks in the working folder first, where a `rl` or a `numpy` of the user's may
    # lie. Whoever names a module of their own has it imported from there, behind all others.
    sys.path[:] = [place for place in sys.path if os.path.abspath(place) != os.path.abspath("")]

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from backbones.training.errors import MistakeOfAll, PeerLost, Stopped, UserError
from backbones.training.jobs import JOBS, package_of
from backbones.training.streams import LOST, open_streams, printable, silence, takes_writing

if TYPE_CHECKING:
    from rl.agent import Agent
    from tasks.predictor import Predictor

__version__ = "0.1.0"

# verb: (module with Config and main, arguments, what it does)
VERBS = {
    "train": ("", "JOB [--preset NAME] [--flags]", "train a model; JOB is one of `arcadia jobs`"),
    "resume": ("", "[RUN] [--extend N]", "continue a run where its last checkpoint stands"),
    "eval": ("rl.evaluate", "[RUN] [--games N] [--json]", "score a run by a stated protocol"),
    "predict": ("tasks.predict", "RUN INPUT...", "say what a trained model makes of files"),
    "watch": ("rl.watch", "[RUN|F.sgf] [--window|--video F]", "watch an agent play; --follow"),
    "play": ("rl.play", "GAME|RUN|go", "play yourself, alone or against an agent's score"),
    "gtp": ("rl.go.gtp.serve", "[PLAYER]", "the Go engine, for any program that speaks GTP"),
    "arena": ("rl.go.arena", "[PLAYER] --opponent P", "Go engine against Go engine, with Elo"),
    "export": ("rl.export", "[RUN] --sb3 F|--onnx F|--folder D", "write it for other programs"),
    "data": ("tasks.data.download", "NAME", "fetch a public dataset with its checksum"),
    "board": ("backbones.training.board", "[--port N]", "TensorBoard on all runs"),
    "runs": ("", "", "list the runs"),
    "jobs": ("", "", "list the jobs and their presets"),
    "bench": ("", "NAME [--json]", "measure ours and its peer in turn, in one run"),
}

# verb: the module for runs of `tasks`, where VERBS has that for agents
OF_TASKS = {"eval": "tasks.evaluate", "export": "tasks.export"}

# bench: module with Config and main
BENCHES = {
    "ppo": "rl.bench",
    "ppo-lstm": "rl.bench_lstm",
    "classify": "tasks.bench",
    "translate": "tasks.bench_translate",
    "go": "rl.go.bench",
}

ABOUT = """Train agents, watch them play, monitor runs in TensorBoard.

usage: arcadia VERB [ARGUMENTS]        arcadia VERB --help

{verbs}

RUN is a run's name, a path, zoo/NAME, or last. Start with:
  arcadia train ppo --env ALE/Pong-v5      then      arcadia watch last
"""


def usage() -> str:
    """Return the text of `arcadia --help`."""
    rows = [f"  {verb} {args}".rstrip() for verb, (_, args, _) in VERBS.items()]
    width = max(map(len, rows)) + 2
    about = [what for _, _, what in VERBS.values()]
    return ABOUT.format(
        verbs="\n".join(f"{row:{width}}{what}" for row, what in zip(rows, about, strict=True))
    )


def pick(name: str, table: dict[str, Any], kind: str) -> Any:
    """Return a table's entry; UserError, with the nearest name, if there is none."""
    if name in table:
        return table[name]
    import difflib

    close = difflib.get_close_matches(name, table, 1)
    hint = f"; did you mean {close[0]}?" if close else f"; choose one of {', '.join(table)}"
    raise UserError(f"{kind} {name!r} is unknown{hint}" if name else f"which {kind}?{hint[1:]}")


def job_module(name: str) -> Any:
    """Import a job's module; UserError if there is none, or if what it needs is not installed."""
    module = pick(name, JOBS, "job")[0]
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "stable_baselines3":
            raise
        raise UserError(
            f"{name} needs stable-baselines3; `pip install -e .[sb3]` brings it"
        ) from None


def train(args: Sequence[str]) -> int:
    """The command `arcadia train`."""
    name = args[0] if args else ""
    if name in ("-h", "--help"):
        print(
            f"usage: arcadia train JOB [--preset NAME] [--flags]\n\nJOB: {', '.join(JOBS)}; "
            "`arcadia train JOB --help` lists its flags"
        )
        return 0
    from backbones.training.config import parse_job

    job = job_module(name)
    config, preset = parse_job(job.Config, job.PRESETS, args[1:], prog=f"arcadia train {name}")
    job.train(config, preset)
    return 0


def resume(args: Sequence[str]) -> int:
    """The command `arcadia resume`."""
    from backbones.training.config import ResumeConfig, parse

    flags = parse(ResumeConfig, args, prog="arcadia resume")
    from backbones.training.distributed import join
    from backbones.training.run import find_run, shared_run

    run = shared_run(join(), lambda: find_run(flags.run))
    job_module(run.job).resume(run, flags)
    return 0


def takes_nothing(verb: str, args: Sequence[str]) -> bool:
    """Refuse arguments; say whether only help was asked for, and give it."""
    if args and args[0] not in ("-h", "--help"):
        raise UserError(f"{verb} takes no arguments, not {' '.join(args)}")
    if args:
        print(f"usage: arcadia {verb}\n\n{VERBS[verb][2]}")
    return bool(args)


def jobs(args: Sequence[str]) -> int:
    """The command `arcadia jobs`."""
    if takes_nothing("jobs", args):
        return 0
    for name, (_, what) in JOBS.items():
        try:
            presets = f"presets: {', '.join(job_module(name).PRESETS)}"
        except UserError as error:
            presets = str(error)
        print(f"{name:12}{what}\n{'':12}{presets}")
    return 0


def runs(args: Sequence[str]) -> int:
    """The command `arcadia runs`."""
    if takes_nothing("runs", args):
        return 0
    from backbones.training.runs_table import print_runs

    print_runs()
    return 0


def bench(args: Sequence[str]) -> int:
    """The command `arcadia bench`."""
    name = args[0] if args else ""
    if name in ("-h", "--help"):
        print(f"usage: arcadia bench NAME [--json]\n\nNAME: {', '.join(BENCHES)}")
        return 0
    return run_module(pick(name, BENCHES, "bench"), args[1:], f"arcadia bench {name}")


def run_module(module_name: str, args: Sequence[str], prog: str) -> int:
    """Parse the flags of a module's Config and call its main."""
    from backbones.training.config import parse

    module = import_module(module_name)
    return int(module.main(parse(module.Config, args, prog=prog)))


OWN: dict[str, Callable[[Sequence[str]], int]] = {
    "train": train,
    "resume": resume,
    "jobs": jobs,
    "runs": runs,
    "bench": bench,
}


def dispatch(verb: str, args: Sequence[str]) -> int:
    """Run one verb; return the exit status."""
    module, _, _ = pick(verb, VERBS, "verb")
    if verb in OWN:
        return OWN[verb](args)
    if verb == "play" and args[:1] == ["go"]:
        return run_module("rl.go.play", args[1:], "arcadia play go")
    if verb == "watch" and any(arg.lower().endswith(".sgf") for arg in args):
        return run_module("rl.go.watch", args, "arcadia watch")
    if verb in OF_TASKS and package_of_run(args) == "tasks":
        # With the run in its name, since the help of the verb alone is that of agents.
        return run_module(OF_TASKS[verb], args, f"arcadia {verb} RUN")
    return run_module(module, args, f"arcadia {verb}")


def package_of_run(args: Sequence[str]) -> str:
    """Return the package of the job of the run that arguments name, "" if they name none."""
    from backbones.training.run import find_run

    words = [arg for arg in args if not arg.startswith("-")]
    if not {"-h", "--help"} & set(args):
        words.append("last")
    # A .zip is an agent of stable-baselines3, whatever the last run is.
    for word in [] if any(word.lower().endswith(".zip") for word in words) else words:
        try:
            return package_of(find_run(word).job)
        except UserError:
            continue
    return ""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; return its exit status: 0 done, 1 failed, 2 a mistake, 130 stopped."""
    open_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name or text that the terminal's encoding lacks is shown with ?, and ends nothing.
        sys.stdout.reconfigure(errors="replace")
    try:
        try:
            status = answer(list(sys.argv[1:] if argv is None else argv))
        finally:
            sys.stdout.flush()
        if LOST:
            raise LOST[0]
        if status and "backbones.training.distributed" in sys.modules:
            sys.modules["backbones.training.distributed"].end_unless_left(status)
        return status
    except BrokenPipeError:
        # The reader of a pipe has left, as `arcadia runs | head` does.
        silence(sys.stdout)
        return 0
    except OSError as error:
        place = printable(error.filename) if error.filename else "standard output or a file"
        if LOST or not takes_writing(sys.stdout):
            place = "standard output"
            silence(sys.stdout)
        complain(f"{place}: {error.strerror or error}; what was to be written there is not whole")
        return 0 if "TORCHELASTIC_RUN_ID" in os.environ else 1


def answer(args: list[str]) -> int:
    """Run a command line whose mistakes come out as one line; return the exit status."""
    if not args or args[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if args[0] == "--version":
        print(__version__)
        return 0
    try:
        return dispatch(args[0], args[1:])
    except UserError as error:
        complain(error, in_all=not isinstance(error, MistakeOfAll))
        return 2
    except PeerLost as error:
        complain(f"{error}; `arcadia resume` goes on from the last checkpoint")
        return 1
    except (MemoryError, RuntimeError) as error:
        from backbones.training.device.memory import out_of_memory

        if not out_of_memory(error):
            raise
        complain(out_of_memory(error), in_all=True)
        return 2
    except KeyboardInterrupt as stop:
        complain("interrupted")
        # torchrun would take anything else for a death and start the run again.
        return 0 if isinstance(stop, Stopped) and "TORCHELASTIC_RUN_ID" in os.environ else 130


def complain(what: object, in_all: bool = False) -> None:
    """Print a line on standard error.

    Of several processes on a machine the first does, and with `in_all` any that fails by itself,
    once they are joined: before, all make the same mistakes.
    """
    rank, joined = os.environ.get("LOCAL_RANK", "0"), False
    if rank != "0" and in_all and "torch.distributed" in sys.modules:
        from torch.distributed import is_initialized

        joined = is_initialized()
    if rank == "0" or joined:
        from backbones.training.progress import say

        say(f"arcadia: {what}" + (f" (process {rank})" if joined else ""), sys.stderr)


def load(
    run: str, device: str = "cpu", *, best: bool = False, env: str = ""
) -> "Agent | Predictor":
    """Return what a run has trained: `load("last").act(obs)`, `load("zoo/mnist").predict(path)`.

    `run` is a name, a path, zoo/NAME or last; `best` takes an agent's checkpoint of the highest
    score while training rather than the newest; `env` repeats the game of a run that was not
    trained here, if it is a module. Raises UserError, a ValueError, if there is no such run.
    """
    if package_of_run([run]) == "tasks":
        from backbones.training.device.precision import choose_device
        from backbones.training.run import find_run
        from tasks.predictor import load_predictor

        return load_predictor(find_run(run), choose_device(device))
    from rl.agent import load_agent

    return load_agent(run, device, best=best, env=env)


if __name__ == "__main__":
    sys.exit(main())
