"""One frozen dataclass per job: the config, the flags, the help text, the file beside the run."""

import contextlib
import dataclasses
import io
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Annotated, Any, TypeVar

import tyro

from backbones.training.checks.limits import (
    FLAGS,
    MOST_NAME_BYTES,
    MOST_SEED,
    MOST_THREADS,
    require_at_most,
    shortened,
)
from backbones.training.checks.typed import (
    OtherNames,
    field_types,
    in_our_names,
    in_our_words,
    take_flag,
)
from backbones.training.device.precision import PrecisionName
from backbones.training.errors import UserError, nearest

T = TypeVar("T")
NO_OTHERS: OtherNames = {}
NO_WORDS: Mapping[str, str] = {}
# The run that a command works on, as its first argument.
RunName = tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="RUN")]]
# Where a model starts from, and an environment's id.
StartName = Annotated[str, tyro.conf.arg(metavar="RUN|FILE")]
GameName = Annotated[str, tyro.conf.arg(metavar="ID")]


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What every training run has, whatever it trains."""

    name: str = ""
    """Name of the run's folder; empty: after what is trained, with a number."""
    seed: int = 1
    """Seed of everything random in the run."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu, cuda or cuda:N."""
    precision: PrecisionName = "auto"
    """Number format of the trunk: bf16 on a GPU; on a CPU that has it a short timing decides."""
    threads: int = 1
    """Threads of torch's arithmetic on a CPU. Two busy pools on two cores are slower than one."""
    graphs: bool = False
    """Record PPO's acting step and update as CUDA graphs (on one GPU, without an LSTM)."""
    checkpoint_every_s: float = 60.0
    """Seconds between two checkpoints."""

    def __post_init__(self) -> None:
        require_positive(self, "threads", "checkpoint_every_s")
        require_not_negative(self, "seed")
        require_at_most(self, threads=MOST_THREADS, seed=MOST_SEED)
        plain = self.name.isprintable() and not self.name.startswith(".") and "/" not in self.name
        if not plain or self.name == "last" or len(self.name.encode()) > MOST_NAME_BYTES:
            raise ValueError(
                f"name = {shortened(self.name)!r} must be a plain folder name of at most "
                f"{MOST_NAME_BYTES} bytes, such as pong-lr3"
            )


@dataclass(frozen=True, kw_only=True)
class ResumeConfig:
    """Continue a stopped or killed run where its newest checkpoint stands."""

    run: RunName = "last"
    """A run: its name, a path or last."""
    extend: int = 0
    """Lengthen the run by this much of its unit (env steps for agents), finished or not."""
    device: str = ""
    """Continue on another device: cpu, cuda, cuda:N or auto; default: as before."""
    threads: int = 0
    """Continue with so many threads of torch's arithmetic; 0: as before."""
    env: GameName = ""
    """The game, once more, of a run that was not trained here and whose game is a module."""

    def __post_init__(self) -> None:
        if self.extend < 0 or self.threads < 0:
            raise ValueError("extend and threads must be 0 or above")
        require_at_most(self, threads=MOST_THREADS)

    def applied_to(self, run: RunConfig) -> RunConfig:
        """Return a run's config with what was given here."""
        given = {"device": self.device, "threads": self.threads}
        return dataclasses.replace(run, **{k: v for k, v in given.items() if v})  # type: ignore[arg-type]


def require_positive(config: object, *names: str) -> None:
    """Raise ValueError unless every named field is above 0, or None (found out later)."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not value > 0:
            raise ValueError(f"{name} = {value} must be above 0")


def require_not_negative(config: object, *names: str) -> None:
    """Raise ValueError unless every named field is 0 or above."""
    for name in names:
        if not getattr(config, name) >= 0:
            raise ValueError(f"{name} = {getattr(config, name)} must be 0 or above")


def require_fraction(config: object, *names: str) -> None:
    """Raise ValueError unless every named field lies in [0, 1]."""
    for name in names:
        if not 0 <= getattr(config, name) <= 1:
            raise ValueError(f"{name} = {getattr(config, name)} must lie between 0 and 1")


def parse(
    kind: type[T],
    args: Sequence[str],
    *,
    prog: str,
    default: T | None = None,
    about: str = "",
    other_names: OtherNames = NO_OTHERS,
) -> T:
    """Read a config from command-line flags; UserError, in one line, for a mistake.

    `other_names` are those that other libraries have for its settings.
    """
    args = in_our_words(kind, args, other_names)
    options = (tyro.conf.OmitArgPrefixes,)
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            return tyro.cli(  # type: ignore[return-value]
                kind,
                args=list(args),
                prog=prog,
                default=default,
                description=about or None,
                config=options,
                registry=FLAGS,
            )
    except SystemExit as error:
        if not error.code:
            raise
        raise UserError(with_flags(kind, one_line(box.getvalue()))) from None


def one_line(box: str) -> str:
    """Return tyro's framed explanation of a mistake as one plain line."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", box)
    # Frames are drawn with - and | where the output is not a terminal.
    ruled = re.sub(r"[╭╮╰╯│─┄]|-{3,}|(?m:^\| | \|$)", " ", plain)
    words = [line.strip() for line in ruled.splitlines()]
    text = " ".join(word for word in words if word)
    text = re.sub(r"For full helptext, (?:run|see):? (.*)$", r"(see `\1`)", text)
    text = re.sub(r" Argument helptext:.*?(?= \(see `|$)", "", text)
    # Of a value that may also be None, only the reason of the other type.
    text = re.sub(r"no type matching .*<class '[\w.]+'>: ", "", text)
    text = re.sub(
        r"^(?:Value error|Parsing error|Missing required options?|Invalid choice"
        r"|Unrecognized options)\s+(?!:)",
        "",
        text,
    )
    return re.sub(r"^Error parsing (?!--)[\w-]+: ?", "", text)


def with_flags(kind: type[Any], text: str) -> str:
    """Return a message with `--learning-rate` for `learning_rate`, which is what a person typed."""
    # A name without an underscore may be a word of the sentence, but for one that has a value.
    names = [name if "_" in name else rf"{name}(?= = )" for name in field_types(kind)]
    pattern = rf"(?<![-\w])(?:{'|'.join(sorted(names, reverse=True))})(?!\w)"
    return re.sub(pattern, lambda match: "--" + match[0].replace("_", "-"), text)


def parse_job(
    kind: type[T],
    presets: Mapping[str, T],
    args: Sequence[str],
    *,
    prog: str,
    other_names: OtherNames = NO_OTHERS,
    about_presets: Mapping[str, str] = NO_WORDS,
) -> tuple[T, str]:
    """Return a job's config and the preset's name; `--preset NAME` is where other flags start.

    `about_presets` says in a few words what a preset is.
    """
    given, args = take_flag(args, "--preset")
    name = "default" if given is None else given
    if name not in presets:
        raise UserError(f"--preset {name!r} is unknown; choose one of {', '.join(presets)}")
    rows = [f"  {each:10} {about_presets.get(each, '')}".rstrip() for each in presets]
    about = f"{(kind.__doc__ or '').strip()}\n\nPresets (--preset NAME), {', '.join(presets)}:\n"
    about += "\n".join(rows) + f"\n\nThe values below are those of {name}."
    about += " --seeds N trains N runs, NAME-1 to NAME-N, and says their mean and spread."
    if other_names:
        about += " Flags are also taken by the names of stable-baselines3, its zoo and CleanRL."
    return (
        parse(kind, args, prog=prog, default=presets[name], about=about, other_names=other_names),
        name,
    )


def to_dict(config: Any) -> dict[str, Any]:
    """Return a config as what JSON can hold."""
    return asdict(config)


def changed(config: Any, **values: Any) -> Any:
    """Return a config with some fields replaced; UserError if they do not fit."""
    try:
        return dataclasses.replace(config, **values)
    except UserError:
        raise
    except ValueError as error:
        raise UserError(with_flags(type(config), str(error))) from None


def with_values(config: T, values: Mapping[str, Any], other_names: OtherNames = NO_OTHERS) -> T:
    """Return a config with some fields replaced by name, those of its groups included.

    `other_names` are those that other libraries have for them.

    UserError, with the nearest name, for one that is unknown, or a value that does not fit.
    """
    from backbones.training.checks.values import from_dict

    values = in_our_names(type(config), values, other_names)
    known = field_types(type(config))
    for name in values:
        if name not in known:
            raise UserError(f"{name} is no setting here{nearest(name, known)}")
    try:
        return from_dict(type(config), merged(config, values))
    except UserError:
        raise
    except ValueError as error:
        raise UserError(str(error)) from None


def merged(config: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config as a table of tables, with some values replaced by name."""
    table = {}
    for field in fields(config):
        old = getattr(config, field.name)
        new = merged(old, values) if is_dataclass(old) else values.get(field.name, old)
        table[field.name] = new
    return table


def command_line() -> str:
    """Return the command that started this process, as a user would type it."""
    return shlex.join(["arcadia", *sys.argv[1:]])
