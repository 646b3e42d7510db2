"""Levels: how much each searches, that a higher one wins, and those that are none."""

import json
from itertools import pairwise

import pytest

import arcadia
from rl.go import play
from rl.go.engine import Limits
from rl.go.gtp.serve import Config as GtpConfig
from rl.go.gtp.serve import build_engine
from rl.go.levels import MOST_LEVEL, leaves_of, limits_of
from rl.go.network.go_network import build_network, save_network


def test_a_level_searches_twice_as_much_as_the_one_below():
    visits = [limits_of(level, visits=7, seconds=1.0).visits for level in range(1, MOST_LEVEL + 1)]
    assert visits[0] == 10 and all(b == 2 * a for a, b in pairwise(visits))
    assert limits_of(3, visits=7, seconds=1.0).seconds == 0
    assert limits_of(0, visits=7, seconds=1.0) == Limits(visits=7, seconds=1.0)
    assert [leaves_of(level) for level in (0, 1, 4, 5)] == [8, 1, 1, 8]


def test_an_engine_of_a_level_searches_just_so_much(tmp_path):
    save_network(build_network("b2c32", 5, 5), tmp_path / "five.safetensors")
    for who in ("playouts", str(tmp_path / "five.safetensors")):
        engine = build_engine(GtpConfig(run=who, size=5, level=2, memory_mb=8.0))
        engine.search(engine.limits)
        assert engine.player.thoughts(engine.position).visits == 20
    table = play.Table(play.Config(size=5, level=1), input, print)
    assert table.engine.limits == Limits(visits=10)


def test_a_higher_level_wins(capsys):
    flags = "--games 12 --size 7 --opening 2 --visits 640 --opponent-visits 10 --json"
    assert arcadia.main(["arena", "playouts", "--opponent", "playouts", *flags.split()]) == 0
    assert json.loads(capsys.readouterr().out)["score"] > 0.7


@pytest.mark.parametrize("words", [["play", "go"], ["gtp"]])
@pytest.mark.parametrize("level", ["-1", "11"])
def test_a_level_that_is_none_is_told_in_a_line(words, level, capsys):
    assert arcadia.main([*words, "--level", level]) == 2
    error = capsys.readouterr().err
    assert "levels go from 1, the weakest, to 10" in error and error.count("\n") == 1
