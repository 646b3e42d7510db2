"""Flags as people type them: other libraries' names, booleans with a value, numbers such as 1e6."""

from dataclasses import dataclass, field

import pytest

from backbones.training.checks.typed import Meaning, in_our_names
from backbones.training.config import RunConfig, parse, with_values
from backbones.training.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Toy:
    """A toy."""

    num_steps: int = 8
    """Steps."""
    anneal_from: float = 0.5
    """Where it falls."""
    sync: bool = False
    """In turn."""
    clip: bool | None = None
    """Found out later."""
    run: RunConfig = field(default_factory=RunConfig)


OTHERS = {
    "n_steps": Meaning("num_steps"),
    "anneal_lr": Meaning("anneal_from", switch=(0.0, 1.0)),
    "in_turn": Meaning("sync"),
    "vf": Meaning("anneal_from", note="halved there"),
    "parts": Meaning(why_not="give --num-steps"),
    "sde": Meaning("sde_every"),
}


def read(*args: str) -> Toy:
    return parse(Toy, args, prog="toy", other_names=OTHERS)


@pytest.mark.parametrize(
    ("args", "values"),
    [
        (["--n-steps", "4"], {"num_steps": 4}),
        (["--n_steps=4"], {"num_steps": 4}),
        (["--num-steps", "1e3"], {"num_steps": 1000}),
        (["--num-steps", "2.5e1"], {"num_steps": 25}),
        (["--sync"], {"sync": True}),
        (["--sync", "True"], {"sync": True}),
        (["--sync=false"], {"sync": False}),
        (["--no-sync", "false"], {"sync": True}),
        (["--in-turn", "true", "--n-steps", "4"], {"sync": True, "num_steps": 4}),
        (["--clip"], {"clip": True}),
        (["--no-clip"], {"clip": False}),
        (["--clip", "FALSE"], {"clip": False}),
        ([], {"clip": None}),
        (["--anneal-lr"], {"anneal_from": 0.0}),
        (["--no-anneal-lr"], {"anneal_from": 1.0}),
        (["--anneal-lr", "False"], {"anneal_from": 1.0}),
    ],
)
def test_what_people_type_is_read_as_our_settings(args, values):
    config = read(*args)
    assert {name: getattr(config, name) for name in values} == values


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--parts", "4"], "^--parts is not taken: give --num-steps$"),
        (["--sde", "4"], "^--sde is not taken: this job has no --sde-every$"),
        (["--sync=yes"], "^--sync = 'yes' must be true or false, or stand alone$"),
        (["--clip", "maybe"], "Unrecognized options: maybe"),
        (["--num-steps", "1.5"], "1.5 is no whole number"),
        (["--num-steps", "1e999999999"], "beyond 64 bits"),
        (["--num-steps", "many"], "'many' is no whole number"),
        (["--n-step", "4"], "Unrecognized options: --n-step, 4"),
        (["--", "4"], "4"),
    ],
)
def test_what_cannot_be_read_is_one_line(args, words):
    with pytest.raises(UserError, match=words) as error:
        read(*args)
    assert "\n" not in str(error.value)


def test_a_name_of_two_meanings_says_which_it_has(capsys):
    assert read("--vf", "0.25").anneal_from == 0.25
    assert capsys.readouterr().err == "--vf: halved there\n"


def test_in_python_the_names_of_others_mean_the_same():
    config = with_values(Toy(), {"n_steps": 4, "anneal_lr": False, "seed": 3}, OTHERS)
    assert (config.num_steps, config.anneal_from, config.run.seed) == (4, 1.0, 3)
    with pytest.raises(UserError, match=r"^parts is not taken: give --num-steps$"):
        with_values(Toy(), {"parts": 4}, OTHERS)
    with pytest.raises(UserError, match="n_stepz is no setting here"):
        with_values(Toy(), {"n_stepz": 4}, OTHERS)
    assert in_our_names(Toy, {"num_steps": 4}, OTHERS) == {"num_steps": 4}
