"""Order and chance are functions of seed, epoch and sample; batches come ahead, in order."""

import numpy as np
import pytest
import torch

from backbones.training.distributed import ALONE, World
from backbones.training.errors import UserError
from tasks.data.columns import Rows
from tasks.data.feeder import Feeder
from tasks.data.samples import Generated, InMemory, moved, uniforms

CPU = torch.device("cpu")


def feeder(count=10, batch_size=4, world=ALONE, seed=1, prepare=lambda batch, epoch: batch, **more):
    samples = InMemory({"value": torch.arange(count) * 10})
    return Feeder(
        samples, prepare, seed=seed, batch_size=batch_size, world=world, device=CPU, **more
    )


def test_chance_belongs_to_the_sample():
    index = torch.tensor([3, 8, 1_000_000])
    whole = uniforms(1, 2, index, 5)
    assert torch.equal(uniforms(1, 2, index[[2, 0]], 5), whole[[2, 0]])
    assert not torch.equal(uniforms(1, 3, index, 5), whole)
    assert not torch.equal(uniforms(2, 2, index, 5), whole)


def test_chance_is_uniform_and_independent():
    numbers = uniforms(7, 0, torch.arange(20_000), 4).numpy()
    assert 0 <= numbers.min() and numbers.max() < 1
    counts = np.histogram(numbers, 20, (0, 1))[0]
    # Chi squared with 19 degrees of freedom: 43.8 is passed once in a thousand.
    assert ((counts - 4000) ** 2 / 4000).sum() < 43.8
    assert np.abs(np.corrcoef(numbers.T) - np.eye(4)).max() < 0.03
    assert abs(np.corrcoef(numbers[:-1, 0], numbers[1:, 0])[0, 1]) < 0.03


def test_an_epoch_shows_no_sample_twice_and_the_next_has_another_order():
    with feeder() as feed:
        assert feed.updates_an_epoch == 2
        epochs = [[feed.batch(2 * e + u)["index"].tolist() for u in range(2)] for e in range(3)]
    for epoch in epochs:
        seen = epoch[0] + epoch[1]
        assert len(set(seen)) == 8 and set(seen) <= set(range(10))
    assert epochs[0] != epochs[1] != epochs[2]


def test_a_batch_is_the_same_ahead_or_out_of_order():
    with feeder() as feed:
        ahead = [feed.batch(u)["value"].tolist() for u in range(6)]
    with feeder() as feed:
        assert feed.batch(4)["value"].tolist() == ahead[4]
        assert feed.batch(1)["value"].tolist() == ahead[1]


@pytest.mark.parametrize("world", [ALONE, World(1, 3)])
def test_batches_made_at_once_are_those_made_one_by_one(world):
    """As on a GPU, in order, from the middle of an epoch, and back."""
    calls = []

    def prepare(batch, epoch):
        calls.append(len(batch["index"]))
        return {**batch, "chance": uniforms(1, epoch, batch["index"], 2)}

    def blend(batch, epoch):
        return {**batch, "mirror": batch["value"].flip(0) + epoch}

    def batches(order, at_once):
        with feeder(25, 4, world, prepare=prepare, blend=blend, at_once=at_once) as feed:
            return [feed.batch(update) for update in order]

    order = [*range(4, 14), 2]
    alone = batches(order, 1)
    calls.clear()
    together = batches(order, 4)
    assert max(calls) > 4 // world.size  # several batches in one call
    for ours, theirs in zip(together, alone, strict=True):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_numbers_and_lengths_stay_on_the_cpu_when_a_batch_moves():
    column = torch.zeros(2)
    batch = {"index": column, "text_length": column, "text": column}
    kinds = {name: c.device.type for name, c in moved(batch, torch.device("meta")).items()}
    assert kinds == {"index": "cpu", "text_length": "cpu", "text": "meta"}


def test_processes_share_a_batch_without_padding():
    with feeder() as whole:
        parts = [feeder(world=World(rank, 3)) for rank in range(3)]
        for update in range(4):
            shares = [part.indices(update).tolist() for part in parts]
            assert sorted(n for share in shares for n in share) == sorted(
                whole.indices(update).tolist()
            )
        for part in parts:
            part.pool.shutdown()


def test_a_set_smaller_than_a_batch_is_one_batch():
    with feeder(count=3, batch_size=8) as feed:
        assert sorted(feed.batch(0)["value"].tolist()) == [0, 10, 20]


def test_a_fault_in_the_thread_reaches_the_loop():
    def broken(batch, epoch):
        raise ValueError("cannot be prepared")

    with feeder(prepare=broken) as feed:
        try:
            feed.batch(0)
        except ValueError as error:
            assert "cannot be prepared" in str(error)
        else:
            raise AssertionError("the fault was swallowed")


def test_generated_samples_come_by_number():
    samples = Generated(5, lambda index: {"square": index * index})
    assert len(samples) == 5
    assert samples.batch(torch.tensor([3, 1]))["square"].tolist() == [9, 1]


def test_generated_samples_are_made_once_and_are_the_same_ever_after():
    asked = []

    def make(index):
        asked.extend(index.tolist())
        return {"value": index * 10, "picture": np.repeat(index[:, None], 3, 1).astype(np.uint8)}

    kept = Generated(9, make)
    first = kept.batch(torch.tensor([4, 1]))
    again = kept.batch(torch.tensor([1, 7, 4]))
    assert asked == [4, 1, 7]
    assert first["value"].tolist() == [40, 10] and again["value"].tolist() == [10, 70, 40]
    assert again["picture"].tolist() == [[1] * 3, [7] * 3, [4] * 3]
    large = Generated(9, make, most_bytes=10)
    assert [large.batch(torch.tensor([2, 5]))["value"].tolist() for _ in range(2)] == [[20, 50]] * 2
    assert asked[3:] == [2, 5, 2, 5]


def ragged(count=300, longest=40, seed=0):
    lengths = np.random.default_rng(seed).integers(1, longest + 1, count)
    rows = [[n + 1] * int(length) for n, length in enumerate(lengths)]
    return InMemory({"row": Rows.of(rows), "extra": Rows.of([[7]] * count)}, ("row",)), rows


def test_rows_of_several_lengths_come_padded_with_their_lengths():
    samples, rows = ragged()
    batch = samples.batch(torch.tensor([5, 0, 17]))
    for n, row in zip((5, 0, 17), batch["row"].tolist(), strict=True):
        assert row == rows[n] + [0] * (batch["row"].shape[1] - len(rows[n]))
    assert batch["row_length"].tolist() == [len(rows[n]) for n in (5, 0, 17)]
    assert batch["row"].shape[1] == max(len(rows[n]) for n in (5, 0, 17))
    assert samples.sizes.tolist() == [len(row) for row in rows]
    part = samples.part(torch.tensor([17, 2]))
    assert torch.equal(part.batch(torch.tensor([0]))["row"], torch.tensor([rows[17]]))


def test_the_first_epoch_may_begin_with_easy_samples():
    easy = torch.tensor([3, 5, 8])
    samples = InMemory({"a": torch.arange(20)}, easy=easy)
    first, second = (samples.plan(1, epoch, 5) for epoch in range(2))
    for plan in (first, second):
        assert [len(batch) for batch in plan] == [5, 5, 5, 5]
        assert sorted(torch.cat(plan).tolist()) == list(range(20))
    assert set(first[0][:3].tolist()) == {3, 5, 8} and first[0].tolist() != list(range(5))
    assert set(second[0].tolist()) & {3, 5, 8} != {3, 5, 8}
    assert torch.equal(torch.cat(first), torch.cat(samples.near(CPU).plan(1, 0, 5)))


def test_batches_by_size_hold_every_sample_once_and_are_of_like_size():
    samples, _ = ragged()
    with Feeder(
        samples, lambda batch, epoch: batch, seed=1, batch_size=400, world=ALONE, device=CPU
    ) as feed:
        assert feed.updates_an_epoch == samples.total // 400 and samples.unit == "tokens"
        epochs = [samples.plan(1, epoch, 400) for epoch in range(2)]
    for plan in epochs:
        assert len(plan) == feed.updates_an_epoch
        assert sorted(n for batch in plan for n in batch.tolist()) == list(range(300))
        for batch in plan:
            sizes = samples.sizes[batch]
            assert abs(int(sizes.sum()) - samples.total / len(plan)) <= 40
            assert int(sizes.max() - sizes.min()) <= 10
    assert [b.tolist() for b in epochs[0]] != [b.tolist() for b in epochs[1]]


def test_the_first_rows_of_a_batch_have_one_length_as_far_as_that_goes():
    rng = np.random.default_rng(0)
    first, second = ([[1] * int(n) for n in rng.integers(5, 9, 4_000)] for _ in range(2))
    samples = InMemory({"a": Rows.of(first), "b": Rows.of(second)}, ("a", "b"))
    lengths = [samples.lengths("a")[batch].unique() for batch in samples.plan(1, 0, 400)]
    assert sum(len(found) > 1 for found in lengths) <= 3 and len(lengths) > 50


def test_processes_share_each_batch_by_size_and_none_goes_without():
    samples, _ = ragged()
    shares = [
        Feeder(
            samples,
            lambda batch, epoch: batch,
            seed=1,
            batch_size=80,
            world=World(rank, 2),
            device=CPU,
        )
        for rank in range(2)
    ]
    whole = samples.plan(1, 0, 80)
    for update, batch in enumerate(whole):
        parts = [feed.indices(update).tolist() for feed in shares]
        assert all(parts) and sorted(parts[0] + parts[1]) == sorted(batch.tolist())


def test_a_sample_larger_than_its_share_of_a_batch_is_refused():
    samples, _ = ragged()
    with pytest.raises(UserError, match="a sample counts 40 and 3 of them do not fit"):
        Feeder(
            samples,
            lambda batch, epoch: batch,
            seed=1,
            batch_size=100,
            world=World(0, 3),
            device=CPU,
        )


def test_the_thread_that_makes_batches_has_no_helpers_and_takes_none_from_others():
    before, seen = torch.get_num_threads(), []

    def prepare(batch, epoch):
        seen.append(torch.get_num_threads())
        return batch

    torch.set_num_threads(2)
    try:
        with feeder(prepare=prepare) as feed:
            feed.batch(0)
        assert set(seen) == {1} and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
