"""The window of positions: rows come back as they went in, whatever the ring has overwritten."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from backbones.training.errors import UserError
from rl.go.learning import replay
from rl.go.learning.replay import PositionReplay, pack, row_type, unpack
from rl.go.network.features import PLANES, turned, turned_moves


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(replay, "CHUNK", 8)


def drawn(count, size=3, seed=0):
    """Return planes and rows of made-up positions."""
    rng = np.random.default_rng(seed)
    planes = rng.integers(0, 2, (count, PLANES, size, size), np.uint8) * 255
    planes[:, replay.KOMI] = rng.integers(0, 256, count, np.uint8)[:, None, None]
    rows = np.zeros(count, row_type(size))
    pack(planes, rows)
    rows["policy"] = rng.dirichlet(np.ones(size * size + 1), count)
    rows["value"], rows["score"] = rng.integers(-1, 2, count), rng.integers(-9, 10, count)
    rows["ownership"] = rng.integers(-1, 2, (count, size * size))
    rows["searched"], rows["ended"] = rng.integers(0, 2, (2, count))
    return planes, rows


def test_planes_come_back_as_they_were_packed():
    planes, rows = drawn(20, size=5)
    np.testing.assert_array_equal(unpack(rows, 5), planes)


def test_a_ring_has_the_rows_of_a_list_that_forgets():
    _, rows = drawn(100)
    ring, kept = PositionReplay(3, 20, 20), []
    rng = np.random.default_rng(1)
    done = 0
    while done < len(rows):
        count = int(rng.integers(1, 9))
        ring.add(rows[done : done + count])
        kept = [*kept, *rows[done : done + count]]
        done += count
        newest = range(max(0, len(kept) - 20), len(kept))
        batch = ring.batch(np.array(newest), np.zeros(len(newest), int))
        want = np.array([kept[i]["score"] for i in newest], np.float32)
        assert_close(batch.score, torch.from_numpy(want))
        assert ring.window == len(newest)


def test_a_batch_is_its_rows_turned():
    planes, rows = drawn(8)
    ring = PositionReplay(3, 8, 8)
    ring.add(rows)
    batch = ring.batch(np.arange(8), np.arange(8))
    for way in range(8):
        np.testing.assert_array_equal(batch.planes[way], turned(planes[way], way))
        owned = rows[way]["ownership"].reshape(3, 3)
        np.testing.assert_array_equal(batch.ownership[way], turned(owned, way))
        policy = rows[way]["policy"].astype(np.float32)[turned_moves(3, way)]
        np.testing.assert_array_equal(batch.policy[way], policy)


def test_the_window_grows_more_slowly_than_the_rows_and_stops_at_its_capacity():
    ring = PositionReplay(3, 1_000, 100)
    windows = []
    for added in (50, 100, 200, 400, 800, 1_600, 100_000):
        ring.added = added
        windows.append(ring.window)
    assert windows[:2] == [50, 100] and windows[-1] == 1_000
    assert sorted(windows) == windows
    shares = np.array(windows[2:6]) / (200, 400, 800, 1_600)
    assert (np.diff(shares) < 0).all()


def test_samples_are_of_the_window_alone():
    ring = PositionReplay(3, 10, 10)
    _, rows = drawn(60)
    rows["score"] = np.arange(60)
    ring.add(rows[:30])
    ring.add(rows[30:])
    batch = ring.batch(*ring.draw(500, np.random.default_rng(0)))
    assert set(batch.score.tolist()) == set(range(50, 60))


@pytest.mark.parametrize("added", [0, 5, 8, 21, 40, 61])
def test_a_state_gives_the_same_samples(added):
    _, rows = drawn(61)
    ring, other = PositionReplay(3, 20, 10), PositionReplay(3, 20, 10)
    for row in range(added):
        ring.add(rows[row : row + 1])
    tensors, info, chunks = ring.state()
    other.load(tensors, info, lambda name: dict(chunks[name]()))
    assert other.window == ring.window
    if added:
        for a, b in zip(
            *(r.batch(*r.draw(64, np.random.default_rng(2))) for r in (ring, other)), strict=True
        ):
            assert torch.equal(a, b)


def test_a_chunk_is_named_by_what_is_in_it_and_never_changes():
    _, rows = drawn(61)
    ring, seen = PositionReplay(3, 20, 10), {}
    for row in range(61):
        ring.add(rows[row : row + 1])
        for name, tensors in ring.state()[2].items():
            bytes_now = tensors()["rows"]
            assert torch.equal(seen.setdefault(name, bytes_now), bytes_now)
    assert len(seen) == 7


def test_a_chunk_that_was_cut_short_is_refused():
    _, rows = drawn(20)
    ring = PositionReplay(3, 20, 20)
    ring.add(rows)
    tensors, info, chunks = ring.state()
    with pytest.raises(UserError, match=r"replay-0{12} holds positions \[3, .*cut short"):
        PositionReplay(3, 20, 20).load(
            tensors, info, lambda name: {"rows": chunks[name]()["rows"][:3]}
        )
    with pytest.raises(UserError, match="state holds positions"):
        PositionReplay(5, 20, 20).load(tensors, {"added": 4}, lambda name: {})


def test_a_window_larger_than_memory_says_how_much_it_needs():
    with pytest.raises(UserError, match=r"the window of positions.*--window"):
        PositionReplay(9, 10**12, 1_000)
