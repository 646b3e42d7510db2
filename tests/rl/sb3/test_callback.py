"""A person's own callbacks in the stock jobs: called, and never because a file says so."""

import sys

import pytest

import arcadia
from backbones.training.checks import trust
from backbones.training.errors import UserError
from backbones.training.run import find_run
from rl.sb3.callback import load_callback

MODULE = """
from stable_baselines3.common.callbacks import BaseCallback

SEEN = []


class StopSoon(BaseCallback):
    def _on_step(self):
        SEEN.append(self.num_timesteps)
        return self.num_timesteps < 160


class Needy(BaseCallback):
    def __init__(self, what):
        super().__init__()


class Other:
    pass
"""
TRAIN = ["train", "sb3-ppo", "--preset", "smoke", "--env", "Arcadia/Catch-v0", "--eval-games", "0"]


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module of callbacks in the working folder."""
    (tmp_path / "my_callbacks.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(trust, "typed", set())
    yield "my_callbacks"
    sys.modules.pop("my_callbacks", None)


def test_a_callback_is_called_and_may_stop_the_run(runs, module):
    assert arcadia.main([*TRAIN, "--callback", f"{module}:StopSoon"]) == 0
    assert sys.modules[module].SEEN == list(range(4, 161, 4))
    assert find_run("last").config["callback"] == "my_callbacks:StopSoon"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("StopSoon", "must be module:Class"),
        ("my_callbacks:", "must be module:Class"),
        ("my callbacks:X", "must be module:Class"),
        ("no_such_module:X", "there is no module no_such_module"),
        ("my_callbacks:StopSon", "called StopSon; it has StopSoon, Needy"),
        ("my_callbacks:Other", "has no BaseCallback of stable-baselines3 called Other"),
        ("my_callbacks:Needy", "must be made without arguments"),
    ],
)
def test_what_is_no_callback_is_one_line_before_anything_trains(runs, module, capsys, name, words):
    assert arcadia.main([*TRAIN, "--callback", name]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not list(runs.glob("*/*"))


def test_a_run_that_was_not_trained_here_imports_no_callback(runs, module, monkeypatch):
    assert arcadia.main([*TRAIN, "--callback", f"{module}:StopSoon"]) == 0
    run, name = find_run("last"), f"{module}:StopSoon"
    trust.typed.clear()
    assert load_callback(name, run) is not None  # remembered: it was trained here
    monkeypatch.setenv("ARCADIA_STATE", str(runs / "elsewhere"))
    with pytest.raises(UserError, match="is not imported because a file asks for it"):
        load_callback(name, run)
    trust.typed.add(module)
    assert load_callback(name, run) is not None
