"""Several processes equal one: the games of shares, one update, whole runs."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from backbones.training.distributed import World
from backbones.training.log import read_metrics
from rl.go.learning.learn import GoLearner
from rl.go.learning.replay import PositionReplay
from rl.go.learning.selfplay import SelfPlay
from rl.go.network.go_network import build_network
from rl.go.train_config import PRESETS
from tests.faults.trials import PATIENCE_S, ROOT, TWO_PROCESSES, arcadia, start, weights
from tests.rl.go.learning.test_replay import drawn
from tests.rl.go.learning.test_selfplay import SMALL, noisy


def shares_of(count):
    """Return self-play of all games, and of each share of them."""
    places = [World(rank, count).share(SMALL.games_at_a_time) for rank in range(count)]
    return [SelfPlay(4, SMALL, komi=0.5, seed=3, places=each) for each in (None, *places)]


def together(turns):
    """Return the turns of several processes as `gather_turn` does."""
    first = turns[0]
    parts = {name: np.concatenate([getattr(t, name) for t in turns]) for name in first._fields[:4]}
    return first._replace(**parts, moves=sum(t.moves for t in turns)).in_order()


@pytest.mark.parametrize("count", [2, 4])
def test_shares_play_the_games_that_one_process_would(count):
    whole, *parts = shares_of(count)
    for _ in range(3):
        alone = whole.turn(noisy, 150)
        shared = together([part.turn(noisy, 150) for part in parts])
        assert len(alone.rows) and alone.rows.tobytes() == shared.rows.tobytes()
        assert alone.numbers.tolist() == shared.numbers.tolist() and alone.moves == shared.moves
        scores = [each.end_turn(shared)["selfplay/mean_score"] for each in (whole, *parts)]
        assert len(set(scores)) == 1 and scores[0] != 0


def test_games_in_flight_are_shared_out_anew_among_another_number():
    whole, *parts = shares_of(2)
    for part in parts:
        part.turn(noisy, 100)
    whole.turn(noisy, 100)
    states = [part.state() for part in parts]
    tensors = {name: torch.cat([s[0][name] for s in states]) for name in states[0][0]}
    tensors["openings"] = states[0][0]["openings"]
    wholes, info = whole.state()
    for name in ("number", "moves", "plies", "opening", "komi", "rows"):
        assert torch.equal(tensors[name], wholes[name]), name
    again, *fewer = shares_of(3)
    for each in (again, *fewer):
        each.load(tensors, info)
    rows = whole.turn(noisy, 150).rows.tobytes()
    assert len(rows) and again.turn(noisy, 150).rows.tobytes() == rows
    assert together([each.turn(noisy, 150) for each in fewer]).rows.tobytes() == rows


def one_update(world, folder: Path | None = None):
    """Return a network's weights after one update on made-up positions."""
    torch.manual_seed(0)
    config = PRESETS["smoke"]
    learner = GoLearner(build_network("b2c32", 4, 4), config, torch.device("cpu"), world)
    ring = PositionReplay(4, 200, 200)
    ring.add(drawn(100, size=4)[1])
    figures = learner.learn(ring, 1, 1e-2)
    found = {**learner.network.state_dict(), "loss": torch.tensor(figures["train/policy_loss"])}
    if folder and world.is_first:
        torch.save(found, folder / "two.pt")
    return found


UPDATE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from backbones.training.distributed import join, leave
from tests.rl.go.learning.test_sharing import one_update
world = join()
assert world.size == 2
one_update(world, Path(sys.argv[1]))
leave(world)
"""


def test_an_update_of_two_processes_is_that_of_one(tmp_path):
    (tmp_path / "update.py").write_text(UPDATE)
    process = start(
        [*TWO_PROCESSES, str(tmp_path / "update.py"), str(tmp_path), str(ROOT)], tmp_path
    )
    assert process.wait(timeout=PATIENCE_S) == 0, (tmp_path / "said.txt").read_text()
    one, two = one_update(World()), torch.load(tmp_path / "two.pt", weights_only=True)
    before = build_network("b2c32", 4, 4).state_dict()
    assert any(not torch.equal(one[name], before[name]) for name in before)
    for name in one:
        assert_close(two[name], one[name], atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_a_run_of_two_processes_is_that_of_one_and_goes_on_in_one(tmp_path):
    flags = "train go --preset smoke --precision fp32 --eval-games 0 --total-moves 500".split()
    for name, torchrun in (("one", ()), ("two", TWO_PROCESSES)):
        process = arcadia(*flags, "--name", name, runs=tmp_path, torchrun=torchrun)
        assert process.wait(timeout=PATIENCE_S) == 0, (tmp_path / "said.txt").read_text()
    moves, one = weights(tmp_path, "one", "go")
    others, two = weights(tmp_path, "two", "go")
    assert moves == others and one["replay.rows"].shape == two["replay.rows"].shape
    first, second = (read_metrics(tmp_path / "go" / name) for name in ("one", "two"))
    for mine, theirs in zip(first, second, strict=True):
        for tag in mine:
            # What is counted of moves is counted by the first process of its own games.
            if tag.startswith(("train/", "new/", "replay/", "selfplay/games", "selfplay/mean")):
                assert math.isclose(mine[tag], theirs[tag], rel_tol=1e-2, abs_tol=1e-3), tag
    for torchrun in ((), TWO_PROCESSES):
        more = arcadia("resume", "two", "--extend", "200", runs=tmp_path, torchrun=torchrun)
        assert more.wait(timeout=PATIENCE_S) == 0, (tmp_path / "said.txt").read_text()
    assert weights(tmp_path, "two", "go")[0] > moves + 200
