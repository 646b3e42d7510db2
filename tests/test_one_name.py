"""`arcadia.rl` and its like are the packages of the checkout, never second copies."""

import importlib
import sys

import arcadia.tasks.task
import pytest
from arcadia.rl.games.contract import Step

import tasks.task


@pytest.mark.parametrize("name", ["rl.games.contract", "tasks.task", "backbones.lstm", "rl"])
def test_both_names_give_one_module(name):
    ours = importlib.import_module(name)
    assert importlib.import_module(f"arcadia.{name}") is ours
    assert ours.__name__ == name and ours.__spec__.name == name


def test_types_are_the_same():
    assert arcadia.tasks.task.Task is tasks.task.Task
    assert Step is sys.modules["rl.games.contract"].Step


@pytest.mark.parametrize("name", ["arcadia.nothing", "arcadia.rl.nothing", "arcadia.tests"])
def test_what_is_not_there_is_not_found(name):
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(name)
