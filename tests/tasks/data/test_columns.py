"""Columns of every kind in one set: ragged boxes and frames, captions of a picture kept once."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from backbones.training.distributed import ALONE, World
from backbones.training.errors import UserError
from tasks.data.columns import Lookup, Rows, column
from tasks.data.decode import read_picture
from tasks.data.feeder import Feeder
from tasks.data.samples import InMemory, OnDisk, Streams

CPU = torch.device("cpu")


def mixed():
    """Four captions of two pictures, with boxes and frames."""
    photo = torch.arange(2, dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 4, 4)
    boxes = [np.full((n, 4), n, np.float32) for n in (2, 0, 1, 3)]
    frames = [np.full((n, 1, 2, 2), 9, np.uint8) for n in (1, 2, 1, 3)]
    columns = {
        "photo": Lookup(column(photo), torch.tensor([1, 1, 0, 1])),
        "boxes": Rows.of(boxes, np.float32),
        "frames": Rows.of(frames, np.uint8),
        "caption": Rows.of([[5, 6], [7], [8, 9, 10], [11]]),
        "number": torch.arange(4),
    }
    return InMemory(columns, ("caption",)), boxes


def test_columns_of_all_kinds_stand_side_by_side():
    samples, boxes = mixed()
    batch = samples.batch(torch.tensor([3, 1, 0]))
    assert batch["photo"].shape == (3, 3, 4, 4) and batch["photo"][:, 0, 0, 0].tolist() == [1, 1, 1]
    assert batch["boxes"].shape == (3, 3, 4) and batch["boxes"].dtype == torch.float32
    for row, number in zip(batch["boxes"], (3, 1, 0), strict=True):
        assert row[: len(boxes[number])].numpy().tolist() == boxes[number].tolist()
        assert not row[len(boxes[number]) :].any()
    assert batch["boxes_length"].tolist() == [3, 0, 2]
    assert batch["frames"].shape == (3, 3, 1, 2, 2) and batch["frames"].dtype == torch.uint8
    assert batch["caption"].tolist() == [[11, 0], [7, 0], [5, 6]]
    assert batch["caption"].dtype == torch.int64 and batch["number"].tolist() == [3, 1, 0]


def test_a_part_of_a_set_and_no_samples_at_all_keep_its_kinds():
    samples, _ = mixed()
    part = samples.part(torch.tensor([2, 0]))
    assert len(part) == 2 and part.total == 5 and samples.total == 7
    batch = part.batch(torch.tensor([0]))
    assert batch["photo"][0, 0, 0, 0] == 0 and batch["caption"].tolist() == [[8, 9, 10]]
    none = samples.batch(torch.empty(0, dtype=torch.int64))
    assert none["boxes"].shape == (0, 0, 4) and none["photo"].shape == (0, 3, 4, 4)
    captions = Lookup(Rows.of([[5, 6], [7]]), torch.tensor([1, 0, 1]))
    assert not InMemory({"caption": captions}).alike and InMemory({"n": torch.arange(3)}).alike
    empty = Rows.of([[], []]).batch("text", torch.tensor([0, 1]))
    assert empty["text"].shape == (2, 0) and empty["text_length"].tolist() == [0, 0]


def test_files_are_read_by_threads_when_they_are_asked_for(tmp_path):
    read = []
    for n in range(20):
        Image.fromarray(np.full((6, 6), 10 * n, np.uint8)).save(tmp_path / f"{n}.png")

    def reader(number):
        read.append(number)
        picture = read_picture(tmp_path / f"{number}.png", size_px=6, channels=1)
        return {"picture": picture.numpy(), "label": np.int64(number)}

    samples = OnDisk(20, reader, threads=3)
    with Feeder(
        samples, lambda batch, epoch: batch, seed=1, batch_size=4, world=ALONE, device=CPU
    ) as feed:
        batches = [feed.batch(update) for update in range(3)]
    # Three batches, and the one that is made ahead: no more than that is in memory.
    assert len(read) <= 16 and samples.total == 20
    for batch, index in zip(batches, samples.plan(1, 0, 4), strict=False):
        assert torch.equal(batch["label"], index)
        assert torch.equal(batch["picture"][:, 0, 0, 0].long(), 10 * index)
    (tmp_path / "7.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"7\.png is not a PNG"):
        samples.batch(torch.tensor([6, 7]))


def test_streams_go_on_where_the_batch_before_ended():
    samples = Streams({"text": torch.arange(101)}, window=5)
    assert len(samples) == 20 and samples.total == 100 and samples.fitted(43) == 40
    plan = samples.plan(1, 0, 40)
    assert len(plan) == 100 // 40 and all(len(index) == 8 for index in plan)
    first, second = (samples.batch(index)["text"] for index in plan)
    assert first.shape == (8, 6) and torch.equal(first[:, -1], second[:, 0])
    assert first[:, 0].tolist() == [10 * stream for stream in range(8)]


def test_a_stream_stays_with_its_process():
    samples = Streams({"text": torch.arange(101)}, window=5)
    shares = [
        Feeder(samples, lambda b, epoch: b, seed=1, batch_size=20, world=World(rank, 3), device=CPU)
        for rank in range(3)
    ]
    for feed in shares:
        rows = [feed.make(update)["text"] for update in range(5)]
        assert all(torch.equal(a[:, -1], b[:, 0]) for a, b in pairwise(rows))
    assert sorted(int(n) for feed in shares for n in feed.indices(0)) == [0, 5, 10, 15]
    with pytest.raises(UserError, match="a sample counts 5 and 3 of them do not fit"):
        Feeder(samples, lambda b, epoch: b, seed=1, batch_size=12, world=World(0, 3), device=CPU)
