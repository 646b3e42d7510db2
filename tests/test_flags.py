"""Every flag of every verb and job with odd values: a value, or one line about what is wrong."""

import dataclasses
import typing
from importlib import import_module
from pathlib import Path

import pytest

import arcadia
from backbones.training.config import ResumeConfig, parse, parse_job
from backbones.training.errors import UserError
from backbones.training.find_job import load_job

LONG = "x" * 300
ODD = ("0", "-1", "inf", "-inf", "nan", "", LONG, "1e400", "99999999999999999999", "9" * 5000, "/")
FEW = ("-1", "inf")
MODULES = {
    **{
        f"{verb} {kind}".strip(): module
        for verb, entry in arcadia.VERBS.items()
        for kind, module in entry.modules.items()
    },
    **{f"bench {name}": module for name, module in arcadia.BENCHES.items()},
}
JOBS = [name for name in arcadia.JOBS if not name.startswith("sb3")]


def flags_of(kind: type) -> list[str]:
    """Return the flags of a config, those of its groups included; no switches."""
    flags, hints = [], typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(hints[field.name]):
            flags += flags_of(hints[field.name])
        elif hints[field.name] is not bool:
            flags.append("--" + field.name.replace("_", "-"))
    return flags


def one_line_or_value(
    read: typing.Callable[[list[str]], object], flag: str, values: typing.Sequence[str] = ODD
) -> None:
    for value in values:
        try:
            read([f"{flag}={value}"])
        except UserError as error:
            assert "\n" not in str(error)
            assert "Traceback" not in str(error)


@pytest.mark.slow
@pytest.mark.parametrize("verb", MODULES)
def test_odd_values_of_a_verb_are_values_or_one_line(verb):
    kind = import_module(MODULES[verb]).Config
    # A bench has a job's flags, which are tried below.
    for flag in flags_of(kind) if not hasattr(kind, "job") else ["--updates", "--rounds"]:
        one_line_or_value(lambda args: parse(kind, args, prog="arcadia"), flag)


@pytest.mark.slow
@pytest.mark.parametrize("job", JOBS)
def test_odd_values_of_a_job_are_values_or_one_line(job):
    kind, presets = load_job(job).config_type, load_job(job).presets
    for flag in flags_of(kind):
        one_line_or_value(lambda args: parse_job(kind, presets, args, prog="arcadia"), flag)


def test_odd_values_of_resume_and_of_an_evaluation_are_values_or_one_line():
    for kind in (ResumeConfig, import_module("rl.evaluate").Config):
        for flag in flags_of(kind):
            one_line_or_value(lambda args, kind=kind: parse(kind, args, prog="arcadia"), flag, FEW)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--width", "inf"], "--width: inf must be a finite number"),
        (["--sticky", "nan"], "--sticky: nan must be a finite number"),
        (["--seed", "18446744073709551616"], "beyond 64 bits"),
        (["--seed", "5000000000"], "--seed = 5000000000 must be at most 4,294,967,295"),
        (["--threads", "1000000"], "--threads = 1000000 must be at most 1,024"),
        (["--size-px", "100000"], "--size-px = 100000 must be at most 2,048"),
        (["--hidden", "1000000000000"], "--hidden = 1000000000000 must be at most 16,384"),
        (["--name", LONG], "at most 255 bytes"),
        (["--name", "a\nb"], r"'a\nb'"),
        (["--learning-rate", "-1"], "--learning-rate = -1.0 must be above 0"),
        (["--trunk", "impala", "--width", "64", "--hidden", "16384"], "GB are free"),
    ],
)
def test_a_message_names_the_flag_and_what_it_may_be(runs, capsys, args, words):
    words_before = ["train", "ppo", "--preset", "smoke", "--env", "Arcadia/Catch-v0"]
    assert arcadia.main([*words_before, *args]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not list(runs.glob("*/*"))


@pytest.mark.parametrize(
    "args",
    [
        ["eval", LONG],
        ["predict", "zoo/mnist", LONG],
        ["export", "zoo/pong", "--folder", "/"],
        ["eval", "zoo/translate-en-de", "--beam", "-5"],
        ["eval", "zoo/pong", "--games", "1", "--noop-max", "1000000000000"],
        ["watch", "zoo/pong", "--video", f"{LONG}.mp4"],
        ["gtp", "--memory-mb", "65535999"],
        ["train", "classify", "--preset", "smoke", "--crop-px", "28"],
        ["watch", "zoo/pong", "--video", "."],
        ["eval", "**"],
        ["eval", ""],
    ],
)
def test_mistakes_that_once_gave_a_traceback_are_one_line(runs, capsys, args):
    assert arcadia.main(args) == 2
    error = capsys.readouterr().err
    assert error.startswith("arcadia: ")
    assert error.count("\n") == 1


def test_a_path_of_a_name_that_no_disk_takes_is_refused_where_it_is_parsed():
    module = import_module("rl.go.arena")
    with pytest.raises(UserError, match="longer than 255 bytes"):
        parse(module.Config, ["--out", str(Path("games") / LONG)], prog="arcadia arena")
