"""The front door: verbs by the kind of what they are given, each loaded only when it is asked for.

`--help` needs no torch. A verb that works on a run first finds the run, then reads the flags that
its kind of job has. Mistakes come out as one line on standard error with exit status 2. In Python,
`train`, `resume`, `evaluate` and `load` do what the verbs do: docs/python.md.
"""

import os
import sys

if __name__ == "__main__" and sys.path[0] != os.path.dirname(os.path.abspath(__file__)):
    # `python -m` looks in the working folder first, where a `rl` or a `numpy` of the user's may
    # lie. Whoever names a module of their own has it imported from there, behind all others.
    sys.path[:] = [place for place in sys.path if os.path.abspath(place) != os.path.abspath("")]

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from backbones.training.ending import status_of
from backbones.training.errors import UserError, nearest
from backbones.training.jobs import JOBS

if TYPE_CHECKING:
    from backbones.training.run import Run
    from backbones.training.session import OnUpdate
    from rl.agent import Agent
    from tasks.predictor import Predictor

__version__ = "0.1.0"

if __name__ == "arcadia" and "__path__" not in globals():  # in a checkout: see setup.py
    from backbones.training.one_name import parts_of

    __path__ = parts_of("arcadia", ["backbones", "rl", "tasks", "suites", "web"])


class Verb(NamedTuple):
    """One row of `arcadia --help`."""

    args: str
    about: str
    modules: dict[str, str]
    """Kind of what is named: the module with its Config and main. Of several the first is for what
    is of no other kind, such as a game."""


VERBS = {
    "train": Verb("JOB [--preset NAME] [--flags]", "train a model; `arcadia jobs` lists JOB", {}),
    "resume": Verb("[RUN] [--extend N]", "continue a run where its last checkpoint stands", {}),
    "eval": Verb(
        "[RUN] [--games N] [--json]",
        "score a run by a stated protocol",
        {"agent": "rl.evaluate", "task": "tasks.evaluate", "go": "rl.go.evaluate"},
    ),
    "predict": Verb("RUN INPUT...", "run a trained model on files", {"task": "tasks.predict"}),
    "watch": Verb(
        "[RUN|F.sgf] [--window|--video F]",
        "watch an agent play; --follow",
        {"agent": "rl.watch", "go": "rl.go.watch"},
    ),
    "play": Verb(
        "GAME|RUN|go",
        "play yourself, alone or against an agent's score",
        {"agent": "rl.play", "go": "rl.go.play"},
    ),
    "check": Verb("GAME [-o F.png]", "what agents will see of a game", {"": "rl.check"}),
    "gtp": Verb("[PLAYER]", "the Go engine, for any GTP program", {"go": "rl.go.gtp.serve"}),
    "arena": Verb(
        "[PLAYER] --opponent P", "Go engine against Go engine, with Elo", {"go": "rl.go.arena"}
    ),
    "review": Verb(
        "F.sgf [RUN]",
        "judge the moves of a game of Go; writes SGF and a picture",
        {"go": "rl.go.review.command"},
    ),
    "export": Verb(
        "[RUN] --sb3 F|--onnx F|--folder D|--web D",
        "write it for other programs",
        {"agent": "rl.export", "task": "tasks.export", "go": "rl.go.export", "page": "web.export"},
    ),
    "report": Verb("[RUN...]", "scores over several agents' runs", {"": "suites.report"}),
    "suite": Verb("--games G,...", "games by jobs by seeds, then the report", {"": "suites.suite"}),
    "data": Verb("NAME", "fetch a public dataset with its checksum", {"": "tasks.data.download"}),
    "board": Verb("[--port N]", "TensorBoard on all runs", {"": "backbones.training.board"}),
    "serve": Verb("[--port N]", "a page to watch, compare and try runs", {"": "web.serve"}),
    "runs": Verb("", "list the runs", {}),
    "jobs": Verb("", "list the jobs and their presets", {}),
    "bench": Verb("NAME [--json]", "compare speed with others', in turn, in one run", {}),
}

# bench: module with Config and main
BENCHES = {
    **{name: f"rl.bench.{name.replace('-', '_')}" for name in ("ppo", "ppo-lstm", "dqn", "pqn")},
    "classify": "tasks.bench",
    "translate": "tasks.bench_translate",
    "caption": "tasks.bench_caption",
    "go": "rl.go.bench",
    "go-selfplay": "rl.go.bench_selfplay",
    "page": "web.bench",
    "go-tactics": "rl.go.problems.bench",
}

# What `arcadia VERB --help` says before the flags of each kind.
HELP_OF = {
    "agent": "Where RUN is an agent, such as a run of ppo:",
    "task": "Where RUN is of a task, such as classify (its own flags: add RUN before --help):",
    "go": "Go:",
    "page": "With --web, as a page of static files:",
}

ABOUT = """Train agents, watch them play, monitor runs in TensorBoard.

usage: arcadia VERB [ARGUMENTS]        arcadia VERB --help

{verbs}

RUN is a run's name, a path, zoo/NAME, or last. --module NAME lets a run that somebody sent import
that Python module. Start with:
  arcadia train ppo --env ALE/Pong-v5      then      arcadia watch last
"""


def usage() -> str:
    """Return the text of `arcadia --help`."""
    rows = [f"  {verb} {entry.args}".rstrip() for verb, entry in VERBS.items()]
    width = max(map(len, rows)) + 2
    entries = zip(rows, VERBS.values(), strict=True)
    return ABOUT.format(verbs="\n".join(f"{row:{width}}{entry.about}" for row, entry in entries))


def pick(name: str, table: dict[str, Any], kind: str) -> Any:
    """Return a table's entry; UserError, with the nearest name, if there is none."""
    if name in table:
        return table[name]
    raise UserError(
        f"{kind} {name!r} is unknown{nearest(name, table)}"
        if name
        else f"which {kind}?{nearest(name, table)[1:]}"
    )


def train_command(args: Sequence[str]) -> int:
    """The command `arcadia train`."""
    name = args[0] if args else ""
    if name in ("-h", "--help"):
        print(
            "usage: arcadia train JOB [--preset NAME] [--flags]\n\n"
            f"JOB: {', '.join(JOBS)}, or module:JOB of your own; `arcadia train JOB --help` lists "
            "its flags"
        )
        return 0
    from backbones.training.checks.typed import take_flag
    from backbones.training.find_job import parse_flags, typed_job

    job = typed_job(name)
    seeds, rest = take_flag(args[1:], "--seeds")
    if seeds is not None:
        from suites.seeds import train_seeds

        return train_seeds(name, rest, seeds)
    config, preset = parse_flags(job, rest, f"arcadia train {name}")
    job.train(config, preset)
    return 0


def resume_command(args: Sequence[str]) -> int:
    """The command `arcadia resume`."""
    from backbones.training.config import ResumeConfig, parse

    resume_run(parse(ResumeConfig, args, prog="arcadia resume"))
    return 0


def resume_run(flags: Any, on_update: "OnUpdate | None" = None) -> "Run":
    """Continue the run that flags name."""
    from backbones.training.distributed import join
    from backbones.training.find_job import job_of
    from backbones.training.run import find_run, shared_run

    run = shared_run(join(), lambda: find_run(flags.run))
    return job_of(run).resume(run, flags, on_update)


def takes_nothing(verb: str, args: Sequence[str]) -> bool:
    """Refuse arguments; say whether only help was asked for, and give it."""
    if args and args[0] not in ("-h", "--help"):
        raise UserError(f"{verb} takes no arguments, not {' '.join(args)}")
    if args:
        print(f"usage: arcadia {verb}\n\n{VERBS[verb].about}")
    return bool(args)


def jobs_command(args: Sequence[str]) -> int:
    """The command `arcadia jobs`."""
    if takes_nothing("jobs", args):
        return 0
    from backbones.training.find_job import print_jobs

    print_jobs()
    return 0


def runs_command(args: Sequence[str]) -> int:
    """The command `arcadia runs`."""
    if takes_nothing("runs", args):
        return 0
    from backbones.training.runs_table import print_runs

    print_runs()
    return 0


def bench_command(args: Sequence[str]) -> int:
    """The command `arcadia bench`."""
    name = args[0] if args else ""
    if name in ("-h", "--help"):
        print(f"usage: arcadia bench NAME [--json]\n\nNAME: {', '.join(BENCHES)}")
        return 0
    return run_module(pick(name, BENCHES, "bench"), args[1:], f"arcadia bench {name}")


def run_module(module_name: str, args: Sequence[str], prog: str, run: "Run | None" = None) -> int:
    """Parse the flags of a module's Config, or of its `config_for` a run, and call its main."""
    from backbones.training.config import parse

    module = import_module(module_name)
    return int(module.main(parse(settings_of(module, run), args, prog=prog)))


def settings_of(module: Any, run: "Run | None") -> Any:
    """Return the config of a verb's module, with what the run that it works on adds."""
    return module.config_for(run) if run and hasattr(module, "config_for") else module.Config


OWN: dict[str, Callable[[Sequence[str]], int]] = {
    "train": train_command,
    "resume": resume_command,
    "jobs": jobs_command,
    "runs": runs_command,
    "bench": bench_command,
}


def dispatch(verb: str, args: Sequence[str]) -> int:
    """Run one verb; return the exit status."""
    modules = pick(verb, VERBS, "verb").modules
    args = without_modules(args)
    if verb in OWN:
        return OWN[verb](args)
    if "" in modules:
        return run_module(modules[""], args, f"arcadia {verb}")
    if args and not set(args) - {"-h", "--help"}:
        return help_of_kinds(verb)
    kind, run = named(args)
    if "page" in modules and any(arg.partition("=")[0] == "--web" for arg in args):
        kind = "page"
    module = modules.get(kind) or next(iter(modules.values()))
    if args[:1] == ["go"]:
        return run_module(module, args[1:], f"arcadia {verb} go")
    return run_module(module, args, f"arcadia {verb} {run.name if run else ''}".strip(), run)


def without_modules(args: Sequence[str]) -> list[str]:
    """Return arguments without `--module NAME`, each of which may now be imported for a run."""
    rest, words = list[str](), iter(args)
    for word in words:
        if word == "--module" or word.startswith("--module="):
            allow_module(word.partition("=")[2] or next(words, ""))
        else:
            rest.append(word)
    return rest


def allow_module(name: str) -> None:
    """Let runs import a module that a person named; UserError if that is no name of one."""
    from backbones.training.checks import trust

    if not all(map(str.isidentifier, name.split("."))):
        raise UserError(f"--module {name!r} is no name of a Python module")
    trust.typed.add(name)


def help_of_kinds(verb: str) -> int:
    """Print the help of a verb for every kind of run."""
    for kind, module in VERBS[verb].modules.items():
        print(f"{HELP_OF[kind]}\n" if len(VERBS[verb].modules) > 1 else "")
        try:
            run_module(
                module, ["--help"], f"arcadia {verb} go" if kind == "go" else f"arcadia {verb}"
            )
        except SystemExit:  # tyro has printed
            continue
    return 0


def named(args: Sequence[str]) -> "tuple[str, Run | None]":
    """Return the kind of what arguments name (go, agent, task; "" for nothing), and the run."""
    if args[:1] == ["go"] or any(arg.lower().endswith(".sgf") for arg in args):
        return "go", None
    # A .zip is an agent of stable-baselines3, whatever the last run is.
    if any(arg.lower().endswith(".zip") for arg in args):
        return "agent", None
    from backbones.training.find_job import kind_of
    from backbones.training.run import find_run

    for word in [*(arg for arg in args if not arg.startswith("-")), "last"]:
        try:
            run = find_run(word)
        except UserError:
            continue
        return kind_of(run), run
    return "", None


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; return its exit status: 0 done, 1 failed, 2 a mistake, 130 stopped."""
    args = list(sys.argv[1:] if argv is None else argv)
    return status_of(lambda: answer(args))


def answer(args: list[str]) -> int:
    """Run a command line; return the exit status."""
    if not args or args[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if args[0] == "--version":
        print(__version__)
        return 0
    return dispatch(args[0], args[1:])


def train(
    job: str, *, preset: str = "default", on_update: "OnUpdate | None" = None, **flags: Any
) -> "Run":
    """Train as `arcadia train JOB` does; return the run.

    `flags` are those of the command, `total_steps` for `--total-steps`. `on_update(progress,
    figures)` is called whenever figures are written, with their TensorBoard tags; what it raises
    ends the run. Raises UserError, a ValueError, for what cannot be.
    """
    from backbones.training.config import with_values
    from backbones.training.find_job import typed_job

    found = typed_job(job)
    config = with_values(pick(preset, dict(found.presets), "preset"), flags, found.other_names)
    return found.train(config, preset, on_update)  # type: ignore[no-any-return]


def resume(
    run: str = "last", *, on_update: "OnUpdate | None" = None, module: str = "", **flags: Any
) -> "Run":
    """Continue a run as `arcadia resume RUN` does; `flags` are those of the command."""
    if module:
        allow_module(module)
    from backbones.training.config import ResumeConfig, with_values

    return resume_run(with_values(ResumeConfig(run=run), flags), on_update)


def evaluate(run: str = "last", *, module: str = "", **flags: Any) -> dict[str, Any]:
    """Score a run; return the object that `arcadia eval RUN --json` prints.

    `flags` are those of the command for the run's kind, such as `games` or `split`.
    """
    if module:
        allow_module(module)
    from backbones.training.config import with_values

    kind, found = named([run])
    verb = import_module(VERBS["eval"].modules[kind or "agent"])
    settings = with_values(settings_of(verb, found)(run=run), flags)
    return verb.score(settings)  # type: ignore[no-any-return]


def load(
    run: str, device: str = "cpu", *, best: bool = False, env: str = "", module: str = ""
) -> "Agent | Predictor":
    """Return what a run has trained: `load("last").act(obs)`, `load("zoo/mnist").predict(path)`.

    `run` is a name, a path, zoo/NAME or last; `best` takes an agent's checkpoint of the highest
    score while training rather than the newest. Of a run that was not trained here, `env` repeats
    the game if it is a module, and `module` names the one that its job lives in. Raises UserError,
    a ValueError, if there is no such run.
    """
    if module:
        allow_module(module)
    if named([run])[0] == "task":
        from backbones.training.device.precision import choose_device
        from backbones.training.run import find_run
        from tasks.predictor import load_predictor

        return load_predictor(find_run(run), choose_device(device))
    from rl.agent import load_agent

    return load_agent(run, device, best=best, env=env)


if __name__ == "__main__":
    sys.exit(main())
