"""The reader of handwriting: learnt, the same alone and among others, resumed, asked of files."""

import json

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.testing import assert_close

import arcadia
from backbones.training.config import RunConfig, changed
from backbones.training.run import find_run
from tasks.words import read_handwriting
from tests.tasks.killed import assert_same, whole_and_killed

pytestmark = pytest.mark.usefixtures("few_pens")
SMOKE = changed(
    read_handwriting.SMOKE,
    samples=20,
    fit=changed(read_handwriting.SMOKE.fit, batch_size=300, eval_every=1),
    run=RunConfig(precision="fp32", checkpoint_every_s=1e-6),
)
SHAPES = {
    "v": [(0, 0), (1, 2), (2, 0)],
    "l": [(0, 0), (0, 3)],
    "z": [(0, 0), (1, 0), (0, 1), (1, 1)],
}


def written(text, rng):
    """A line of the three shapes, one a letter, as the JSON has it."""
    points = []
    for place, letter in enumerate(text):
        shape = np.array(SHAPES[letter]) * rng.uniform(0.8, 1.2, 2) + [3 * place, 0]
        points += [[*point.tolist(), 1] for point in shape]
        points[-1][2] = 0
    return {"metadata": {"asciiSequence": text}, "points": points}


@pytest.fixture(scope="module")
def toy(tmp_path_factory, learning, few_pens):
    """A run that has learnt to read three shapes, and its runs folder."""
    folder, rng = tmp_path_factory.mktemp("toy"), np.random.default_rng(1)
    texts = ["".join(rng.choice(list(SHAPES), rng.integers(1, 5))) for _ in range(500)]
    (folder / "lines.json").write_text(json.dumps([written(text, rng) for text in texts]))
    fit = changed(SMOKE.fit, num_epochs=16, learning_rate=1e-2, batch_size=300, eval_every=8)
    config = changed(SMOKE, data=str(folder / "lines.json"), samples=0, points=8, units=24, fit=fit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCADIA_RUNS", str(folder / "runs"))
        read_handwriting.train(changed(config, run=changed(learning, name="toy")))
    return folder


@pytest.fixture
def trained(toy, monkeypatch):
    monkeypatch.setenv("ARCADIA_RUNS", str(toy / "runs"))
    return find_run("toy")


@pytest.mark.learns
def test_three_shapes_are_read(trained):
    result = json.loads((trained.folder / "eval.json").read_text())
    assert result["score"] < 5 < 90 < result["scores"]["right"]
    assert result["baseline"] == 100 and result["protocol"]["beam"] == 1


def test_a_line_is_read_alone_as_among_others():
    task = read_handwriting.Read.of(SMOKE)
    torch.manual_seed(1)
    model, samples = task.model().eval(), task.data("train")
    batch = samples.batch(torch.arange(7))
    together = task.loss(model, batch)
    alone = [task.loss(model, samples.batch(torch.tensor([n]))) for n in range(7)]
    assert_close(together, torch.cat(alone), atol=1e-4, rtol=1e-5)
    first = model(batch["moves"], batch["moves_length"])[:, 0]
    one = samples.batch(torch.tensor([0]))
    single = model(one["moves"], one["moves_length"])[:, 0]
    assert_close(first[: len(single)], single, atol=1e-5, rtol=1e-5)


def test_bending_is_a_function_of_seed_epoch_and_sample():
    task = read_handwriting.Read.of(SMOKE)
    batch = task.data("train").batch(torch.arange(4)) | {"index": torch.arange(4)}
    one, same, other = (task.prepare(batch, epoch)["moves"] for epoch in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert torch.equal(one[..., 2], batch["moves"][..., 2])
    last = {name: rows[3:] for name, rows in batch.items()}
    assert_close(task.prepare(last, 1)["moves"][0], one[3])


def test_a_killed_run_ends_the_same_bit_for_bit(runs):
    config = changed(SMOKE, dropout=0.2, fit=changed(SMOKE.fit, num_epochs=2, eval_every=0))
    assert_same(*whole_and_killed(read_handwriting.JOB, config), ("lstm", "heads", "state"))


def test_predict_reads_files_of_one_line(trained, tmp_path, capsys):
    rng = np.random.default_rng(9)
    (tmp_path / "one.json").write_text(json.dumps(written("vlz", rng)))
    (tmp_path / "two.json").write_text("[]")
    assert arcadia.main(["predict", "toy", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out == f"{tmp_path}/one.json: vlz\n" and "two.json" in err and "expected" in err
    strokes = [np.array([[0.0, 0.0], [0.0, 3.0]])]
    assert arcadia.load("toy").predict([strokes]) == [{"text": "l"}]
    for beam in ("1", "3"):
        words = ["predict", "toy", str(tmp_path / "one.json"), "--beam", beam]
        assert arcadia.main(words) == 0
        assert capsys.readouterr().out.endswith(": vlz\n")


def test_lines_of_too_few_points_are_counted(runs, tmp_path):
    rng = np.random.default_rng(1)
    rows = [written("vlz", rng) for _ in range(40)]
    rows[0]["metadata"]["asciiSequence"] = "vlzvlzvlzvlzvlzvlzvlz"
    (tmp_path / "lines.json").write_text(json.dumps(rows))
    task = read_handwriting.Read.of(changed(SMOKE, data=str(tmp_path / "lines.json"), points=4))
    said = "1 lines have too few points for their text, and teach nothing"
    assert task.start(task.model()) == [said]


def test_people_see_what_was_written_and_read(trained):
    events = EventAccumulator(str(trained.folder)).Reload()
    shown = events.Tensors("val/read/text_summary")[0].tensor_proto.string_val[0].decode()
    rows = [line.split("`") for line in shown.split("\n")[2:]]
    assert shown.startswith("| written | read |") and len(rows) > 4
    assert sum(row[1] == row[3] for row in rows) >= len(rows) - 1  # each beside its own
