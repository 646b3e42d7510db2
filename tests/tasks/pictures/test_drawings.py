"""A pen that learns from drawings without text: it draws by itself, and is told no text."""

import json

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.testing import assert_close

import arcadia
from backbones.training.config import RunConfig, changed
from backbones.training.errors import UserError
from backbones.training.run import find_run
from tasks.data.handwritten import Handwriting
from tasks.pictures import handwriting
from tasks.pictures.pen import given_letters
from tasks.predictor import load_predictor
from tasks.words import read_handwriting
from tests.tasks.data.formats.test_handwriting import drawings
from tests.tasks.killed import assert_same, whole_and_killed

SMOKE = changed(
    handwriting.SMOKE,
    samples=0,
    points=3,
    units=24,
    fit=changed(handwriting.SMOKE.fit, num_epochs=1, batch_size=300),
    run=RunConfig(precision="fp32", checkpoint_every_s=1e-6),
)
NEAT = handwriting.PenConfig(bias=8.0)


def squares(count, rng):
    """Squares of two strokes, down and right, right and down; every tenth is a dot besides."""
    rows = []
    for number in range(count):
        side = rng.integers(9, 12)
        row = [[0, 0, 0], [0, side, 0], [side, 0, 1], [-side, -side, 0], [side, 0, 0], [0, side, 1]]
        rows.append([*row, [5, 5, 0], [0, 0, 1]] if number % 10 == 0 else row)
    return rows


@pytest.fixture(scope="module")
def toy(tmp_path_factory, learning):
    """A run that has learnt to draw squares, its runs folder and its set."""
    folder, rng = tmp_path_factory.mktemp("toy"), np.random.default_rng(1)
    drawings(
        folder / "x.npz", train=squares(300, rng), valid=squares(20, rng), test=squares(30, rng)
    )
    fit = changed(SMOKE.fit, num_epochs=50, learning_rate=1e-2, ema=0.98, eval_every=15)
    config = changed(SMOKE, data=str(folder / "x.npz"), fit=fit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCADIA_RUNS", str(folder / "runs"))
        handwriting.train(changed(config, run=changed(learning, name="squares")))
    return folder


@pytest.fixture
def trained(toy, monkeypatch):
    monkeypatch.setenv("ARCADIA_RUNS", str(toy / "runs"))
    return find_run("squares")


@pytest.mark.learns
def test_squares_are_drawn(trained):
    result = json.loads((trained.folder / "eval.json").read_text())
    assert result["score"] < result["baseline"] - 2
    # Both strokes lead from one corner to the opposite one, a side of 1.6 units off.
    predictor, squares = load_predictor(trained, answer=NEAT), 0
    for seed in range(10):
        drawn = predictor.task.written(predictor.model, torch.zeros(0, dtype=torch.long), seed)
        first, second, *_ = [*drawn.strokes, drawn.strokes[0][:1]]
        apart = max(np.abs(first[n] - second[n]).max() for n in (0, -1))
        squares += apart < 0.5 and np.abs(first[-1] - first[0] - 1.6).max() < 0.5
    assert squares >= 4  # 6 to 8 with other seeds; the others end too early


def test_stepped_drawing_equals_fused_and_nothing_is_looked_at(toy):
    task = handwriting.Write.of(changed(SMOKE, data=str(toy)))
    torch.manual_seed(1)
    model = task.model().eval()
    batch = task.data("train").batch(torch.arange(3))
    letters = given_letters(batch["text"], batch["text_length"], task.source.size)
    fused, weights, after = model(batch["moves"], letters, model.begin(3))
    pen = model.begin(3)
    for t, move in enumerate(batch["moves"].split(1, 1)):
        outputs, _, pen = model(move, letters, pen)
        assert_close(outputs[:, 0], fused[:, t], atol=1e-5, rtol=1e-5)
    assert_close(pen.first[0], after.first[0], atol=1e-5, rtol=1e-5)
    assert weights.shape == (3, batch["moves"].shape[1], 1) and not weights.any()


def test_a_drawing_costs_alone_what_it_costs_among_others(toy):
    task = handwriting.Write.of(changed(SMOKE, data=str(toy)))
    torch.manual_seed(1)
    model, samples = task.model().eval(), task.data("train")
    together = task.loss(model, samples.batch(torch.arange(12)))
    alone = [task.loss(model, samples.batch(torch.tensor([n]))) for n in range(12)]
    assert_close(together, torch.cat(alone))


def test_a_killed_run_ends_the_same_bit_for_bit(runs, toy):
    fit = changed(SMOKE.fit, num_epochs=1, batch_size=900, eval_every=0)
    config = changed(SMOKE, data=str(toy), samples=100, fit=fit)
    assert_same(
        *whole_and_killed(handwriting.JOB, config), ("encoder", "decoder", "heads", "state")
    )


def test_predict_draws_from_nothing_and_explains_that(trained, tmp_path, capsys):
    for name, words in (("none", []), ("empty", [""]), ("other", ["--write-seed", "2"])):
        place = ["-o", str(tmp_path / f"{name}.svg"), "--bias", "0", "--explain"]
        assert arcadia.main(["predict", "squares", *words, *place]) == 0
        answer, explained = capsys.readouterr().out.splitlines()
        assert " strokes (" in answer and explained.startswith("no text was given")
    none, empty, other = ((tmp_path / f"{n}.svg").read_bytes() for n in ("none", "empty", "other"))
    assert none == empty != other
    predictor = arcadia.load("squares")
    assert predictor.predict()[0]["points"] > 1 and predictor.task.to_try(3) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["predict", "squares", "hello", "-o", "x.svg"], "answers by itself; leave the inputs"),
        (["predict", "squares", "-o", "x.svg", "--prime", "x.json"], "leads no pen that draws"),
        (["predict", "squares"], "say where to: --output FOLDER or NAME.svg"),
        (["eval", "squares", "--reader", "squares"], "no text is there to read"),
    ],
)
def test_what_a_drawing_cannot_be_asked_is_one_line(
    trained, tmp_path, monkeypatch, capsys, words, said
):
    monkeypatch.chdir(tmp_path)
    assert arcadia.main(words) == 2
    assert said in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_score_says_which_drawings_and_unit(trained, toy):
    protocol = json.loads((trained.folder / "eval.json").read_text())["protocol"]
    assert len(protocol["test_drawings"]) == 16 and "test_texts" not in protocol
    source = Handwriting(changed(SMOKE, data=str(toy)))
    said = "300 drawings of 2.1 strokes, without text; unit"
    assert source.notes()[0].startswith(said) and source.notes()[0].endswith("3 points a stroke")
    tags = EventAccumulator(str(trained.folder)).Reload().Tags()
    assert {"val/written", "val/by_the_writer"} <= set(tags["images"])
    assert "val/window" not in tags["images"]


def test_a_reader_of_drawings_is_refused_before_there_is_a_run(runs, toy, capsys):
    words = ["train", "read-handwriting", "--preset", "smoke", "--data", str(toy / "x.npz")]
    assert arcadia.main(words) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "holds drawings without text" in said
    assert not list(runs.rglob("*"))


def test_dots_alone_and_strokes_a_million_times_as_long_are_no_drawings(tmp_path):
    dots, path = [[[3, 4, 0], [0, 0, 1]]] * 5, tmp_path / "x.npz"
    drawings(path, train=dots, valid=dots, test=dots)
    with pytest.raises(UserError, match=r"x\.npz: all strokes are dots"):
        Handwriting(changed(SMOKE, data=str(path)))
    line, far = [[0, 0, 0], [9, 0, 1]], [[0, 0, 0], [900_000_000, 0, 1]]
    drawings(path, train=[line] * 5, valid=[line, far], test=[far])
    source = Handwriting(changed(SMOKE, data=str(path)))
    assert len(source.samples("val")) == 1 and "val: 1 lines too long" in source.notes()[1]
    with pytest.raises(UserError, match="no test line"):
        source.samples("test")
    with pytest.raises(UserError, match="over 65,536 points in the unit of this run"):
        source.moves(source.lines("test")[0])


def test_a_file_too_long_to_read_is_refused(runs, few_pens, tmp_path, capsys):
    fit = changed(read_handwriting.SMOKE.fit, batch_size=300)
    config = changed(read_handwriting.SMOKE, samples=20, fit=fit)
    read_handwriting.train(changed(config, run=changed(SMOKE.run, name="reader")))
    capsys.readouterr()
    row = {"metadata": {}, "points": [[0, 0, 1], [900_000_000, 0, 0]]}
    (tmp_path / "far.json").write_text(json.dumps(row))
    assert arcadia.main(["predict", "reader", str(tmp_path / "far.json")]) == 2
    assert "far.json: is too long: over 65,536 points" in capsys.readouterr().err
