"""The agents that come with the project are small, whole, and play as their card says."""

import json
from pathlib import Path

import pytest

from backbones.training.checkpoint import size_bytes
from rl.agent import load_agent
from rl.evaluate import evaluate

ZOO = sorted(p.parent for p in (Path(__file__).parents[1] / "runs" / "zoo").glob("*/config.json"))


def test_there_is_an_agent_for_a_start():
    assert "pong" in [folder.name for folder in ZOO]


@pytest.mark.parametrize("folder", ZOO, ids=lambda p: p.name)
def test_an_agent_is_small_and_its_card_says_where_it_comes_from(folder):
    assert size_bytes(folder) < 3_000_000
    about = json.loads((folder / "config.json").read_text())
    assert about["command"].startswith("arcadia train") and about["commit"] and about["hardware"]


@pytest.mark.slow
@pytest.mark.parametrize("folder", ZOO, ids=lambda p: p.name)
def test_an_agent_plays_as_well_as_its_card_says(folder):
    card = json.loads((folder / "eval.json").read_text())
    result = evaluate(load_agent(folder), games=4)
    assert abs(result.mean - card["score"]) < 3 * card["standard_deviation"]
