"""The ladder's matches, and the rules that stop a run."""

import pytest
import torch

from rl.go.learning.failures import PATIENCE, RULES, Failures
from rl.go.learning.ladder import Ladder, match
from rl.go.network.go_network import build_network

GAME = {"size": 4, "komi": 1.5, "simulations": 8}


def network(seed):
    torch.manual_seed(seed)
    return build_network("b2c32", 4, 4).eval()


def passing():
    """Return a network that always wants to pass."""
    found = network(0)
    with torch.no_grad():
        found.whole.bias[0] = 50.0
    return found


def test_a_network_that_passes_loses_with_both_colours():
    points = match((network(1), passing()), games=8, seed=(1,), **GAME)
    assert len(points) == 8 and sum(points) >= 6
    swapped = match((passing(), network(1)), games=8, seed=(1,), **GAME)
    assert sum(swapped) <= 2


def test_a_match_repeats_itself():
    a, b = (match((network(1), network(2)), games=6, seed=(5, 3), **GAME) for _ in range(2))
    assert a == b


def test_a_rung_stands_on_the_one_below_and_a_state_goes_on():
    ladder = Ladder(passing(), **GAME)
    first = ladder.climb(network(1), 8, seed=1)
    assert first["ladder/elo_low"] < first["ladder/elo"] <= first["ladder/elo_high"]
    assert first["ladder/elo"] > 100
    other = Ladder(network(3), **GAME)
    other.load(*ladder.state())
    assert other.climb(network(2), 4, 1) == ladder.climb(network(2), 4, 1)


BAD = {
    "early-pass collapse": {"selfplay/early_pass_share": 0.4},
    "endless games": {"selfplay/capped_share": 0.6},
    "value overfit": {"train/value_loss": 0.2, "new/value_loss": 0.6},
    "games that repeat": {"selfplay/unique_openings": 0.01},
}


@pytest.mark.parametrize("name", BAD)
def test_a_failure_is_named_once_it_has_lasted(name):
    failures = Failures()
    said = [failures.named(BAD[name]) for _ in range(PATIENCE)]
    assert set(said[:-1]) == {""} and said[-1].startswith(name)


def test_one_good_turn_is_enough_to_go_on():
    failures = Failures()
    good = {key: 0.5 for bad in BAD.values() for key in bad} | {
        "selfplay/early_pass_share": 0.1,
        "selfplay/capped_share": 0.0,
    }
    for turn in range(3 * PATIENCE):
        bad = {key: value for each in BAD.values() for key, value in each.items()}
        assert failures.named(good if turn % PATIENCE == 0 else bad) == ""
    assert len(BAD) == len(RULES)
