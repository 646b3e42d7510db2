"""The pen: stepped as fused, its window, a line alone as among others; written, read, refused."""

import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.testing import assert_close

import arcadia
from backbones.training.config import RunConfig, changed
from backbones.training.errors import UserError
from backbones.training.run import find_run
from tasks.pictures import handwriting
from tasks.pictures.pen import given_letters
from tasks.words import read_handwriting
from tasks.worlds import pens
from tests.tasks.killed import assert_same, whole_and_killed

pytestmark = pytest.mark.usefixtures("few_pens")
SMOKE = changed(
    handwriting.SMOKE,
    samples=20,
    units=12,
    fit=changed(handwriting.SMOKE.fit, batch_size=300, eval_every=1),
    run=RunConfig(precision="fp32", checkpoint_every_s=1e-6),
)


@pytest.fixture(scope="module")
def smoke(tmp_path_factory, few_pens):
    """A run that has learnt little, and its runs folder."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCADIA_RUNS", str(folder))
        handwriting.train(changed(SMOKE, run=changed(SMOKE.run, name="pen")))
    return folder


@pytest.fixture
def trained(smoke, monkeypatch):
    monkeypatch.setenv("ARCADIA_RUNS", str(smoke))
    return find_run("pen")


def made(**changes):
    task = handwriting.Write.of(changed(SMOKE, **changes))
    torch.manual_seed(1)
    return task, task.model().eval()


def test_stepped_writing_equals_fused():
    task, model = made()
    batch = task.data("train").batch(torch.arange(3))
    moves, letters = (
        batch["moves"],
        given_letters(batch["text"], batch["text_length"], task.source.size),
    )
    fused, weights, after = model(moves, letters, model.begin(3))
    pen = model.begin(3)
    for t in range(moves.shape[1]):
        outputs, weight, pen = model(moves[:, t : t + 1], letters, pen)
        assert_close(outputs[:, 0], fused[:, t], atol=1e-5, rtol=1e-5)
        assert_close(weight[:, 0], weights[:, t], atol=1e-5, rtol=1e-5)
    assert_close(pen.kappa, after.kappa)


def test_the_window_moves_forward_only_and_sees_what_it_lies_on():
    task, model = made()
    batch = task.data("train").batch(torch.arange(2))
    letters = given_letters(batch["text"], batch["text_length"], task.source.size)
    pen, before = model.begin(2), torch.zeros(2, 3)
    for move in batch["moves"].unbind(1):
        _, weight, pen = model.step_window(move, letters, pen)
        assert (pen.kappa > before).all()
        before = pen.kappa
        assert_close(pen.window.sum(-1), (weight * letters.sum(-1)).sum(-1))


def test_a_line_costs_alone_what_it_costs_among_others():
    task, model = made()
    samples = task.data("train")
    together = task.loss(model, samples.batch(torch.arange(6)))
    alone = [task.loss(model, samples.batch(torch.tensor([n]))) for n in range(6)]
    assert_close(together, torch.cat(alone))


def test_the_text_is_looked_at():
    task, model = made()
    batch = task.data("train").batch(torch.arange(4))
    other = {**batch, "text": batch["text"].roll(1, 1)}
    assert not torch.allclose(task.loss(model, batch), task.loss(model, other))


def test_a_killed_run_ends_the_same_bit_for_bit(runs):
    config = changed(SMOKE, samples=10, fit=changed(SMOKE.fit, num_epochs=2, eval_every=0))
    assert_same(
        *whole_and_killed(handwriting.JOB, config), ("encoder", "decoder", "heads", "state")
    )


@pytest.mark.parametrize("suffix", [".svg", ".png", ".gif"])
def test_a_line_is_written_in_three_forms(trained, tmp_path, capsys, suffix):
    place = tmp_path / f"line{suffix}"
    assert arcadia.main(["predict", "pen", "ab c", "-o", str(place)]) == 0
    assert f"ab c: ab c ({place})" in capsys.readouterr().out
    if suffix == ".svg":
        ElementTree.parse(place)
    else:
        with Image.open(place) as picture:
            assert (np.asarray(picture.convert("L")) < 128).any()
    assert arcadia.main(["predict", "pen", "ab c", "-o", str(place)]) == 2
    assert "exists" in capsys.readouterr().err


def test_where_the_window_lay_is_a_picture_beside_the_line(trained, tmp_path, capsys):
    place = tmp_path / "line.svg"
    assert arcadia.main(["predict", "pen", "ab c", "-o", str(place), "--explain"]) == 0
    assert f"where it looked: {tmp_path}/ab-c-attention.png" in capsys.readouterr().out
    with Image.open(tmp_path / "ab-c-attention.png") as picture:
        # A row of 16 px a letter and one for the end, a column of 4 px a point.
        assert picture.height == 16 * 5 and picture.width % 4 == 0
        assert (np.asarray(picture) == 0).any()


def test_a_seed_repeats_a_line_and_another_varies_it(trained, tmp_path):
    drawn = []
    for number, seed in enumerate(["1", "1", "2"]):
        place = tmp_path / f"{number}.svg"
        words = ["predict", "pen", "hello", "-o", str(place), "--write-seed", seed, "--bias", "0"]
        assert arcadia.main(words) == 0
        drawn.append(place.read_bytes())
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_line_goes_on_in_the_hand_it_is_given(trained, tmp_path, capsys):
    row = {"metadata": {"asciiSequence": "ab"}, "points": [[0, 0, 1], [1, 2, 0], [2, 0, 0]]}
    (tmp_path / "own.json").write_text(json.dumps(row))
    words = ["predict", "pen", "hello", "--bias", "0"]
    for name, more in (("plain", []), ("primed", ["--prime", str(tmp_path / "own.json")])):
        assert arcadia.main([*words, *more, "-o", str(tmp_path / f"{name}.svg")]) == 0
    assert (tmp_path / "plain.svg").read_bytes() != (tmp_path / "primed.svg").read_bytes()
    capsys.readouterr()
    place = str(tmp_path / "more.svg")
    for wrong in ("missing.json", "plain.svg"):
        assert arcadia.main([*words, "--prime", str(tmp_path / wrong), "-o", place]) == 2
        assert wrong in capsys.readouterr().err


def test_lines_become_files_named_after_them(trained, tmp_path, capsys):
    words = ["predict", "pen", "ab", "c d!", "漢", "-o", f"{tmp_path}/", "--json"]
    assert arcadia.main(words) == 2
    out, err = capsys.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["text"] for row in rows] == ["ab", "c d"] and rows[0]["points"] > 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ab.svg", "c-d.svg"]
    assert "!: letters that nobody wrote, left out" in err
    assert "漢: none of its letters was learnt; this pen knows" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ab"], "this model answers with strokes; say where to: --output FOLDER or NAME.svg"),
        (["ab", "-o", "x.pdf"], "give a folder, or a name in .svg or .png or .gif"),
        (["-o", "x.svg"], "needs something to look at: a line of text"),
        ([" ", "-o", "x.svg"], "none of its letters was learnt"),
        (["a" * 201, "-o", "x.svg"], "a line of 201 letters is too long"),
    ],
)
def test_what_cannot_be_written_is_one_line(trained, tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    assert arcadia.main(["predict", "pen", *words]) == 2
    assert said in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_text_longer_than_any_that_was_learnt_is_said(trained):
    predictor = arcadia.load("pen")
    assert "longer than any line that was learnt" in predictor.task.doubts("ab " * 20)
    assert predictor.predict("ab")[0]["points"] > 1
    assert predictor.task.to_try(2) == [pens.line(3, n).text for n in range(2)]


def test_a_reader_says_how_legible_it_is(trained, capsys, monkeypatch):
    fit = changed(read_handwriting.SMOKE.fit, batch_size=300)
    read_handwriting.train(
        changed(read_handwriting.SMOKE, samples=20, fit=fit, run=changed(SMOKE.run, name="reader"))
    )
    capsys.readouterr()
    assert arcadia.main(["eval", "pen", "--reader", "reader", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result["baselines"]) == {"cer_of_the_writer", "cer_of_this_pen"}
    assert result["protocol"]["unit"] and result["score"] < 20


def test_people_see_lines_beside_the_writer_s(trained):
    tags = EventAccumulator(str(trained.folder)).Reload().Tags()
    assert {"val/written", "val/by_the_writer", "val/window"} <= set(tags["images"])


def test_lines_too_long_or_wrong_configs_are_refused(runs):
    with pytest.raises(UserError, match="no train line has at most longest = 2 points"):
        handwriting.train(changed(SMOKE, longest=2))
    with pytest.raises(ValueError, match="mixtures"):
        changed(SMOKE, mixtures=0)
    with pytest.raises(ValueError, match="bias"):
        handwriting.PenConfig(bias=-1.0)
