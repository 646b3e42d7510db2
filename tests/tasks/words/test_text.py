"""Text letter by letter: scored once each, carried on exactly, learnt, written on, refused."""

import gzip
import io
import json
import math
import sys

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.testing import assert_close

import arcadia
from backbones.training.config import RunConfig, changed
from backbones.training.errors import UserError
from backbones.training.run import find_run
from tasks.words import text
from tasks.words.letters import CONTEXT, OTHER, PASSAGE
from tests.tasks.killed import assert_same, whole_and_killed

# After each pair of letters two pairs are as likely: half a bit a letter is all that can be known.
ENTROPY = math.log(2) / 2
TINY = changed(
    text.SMOKE, units=16, window=16, run=RunConfig(precision="fp32", checkpoint_every_s=1e-6)
)


def coins(count=12_000):
    """A text of "ab" and "cd" by the toss of a coin."""
    return "".join(np.random.default_rng(1).choice(["ab", "cd"], count // 2))


def made(tmp_path, content=None, **changes):
    """A task on a text, and an untrained model."""
    (tmp_path / "some.txt").write_text(coins(4_000) if content is None else content)
    task = text.Text.of(changed(TINY, data=str(tmp_path / "some.txt"), **changes))
    torch.manual_seed(1)
    return task, task.model().eval()


@pytest.fixture(scope="module")
def toy(tmp_path_factory, learning):
    """A run that has learnt tosses, and its runs folder."""
    folder = tmp_path_factory.mktemp("toy")
    (folder / "coins.txt").write_text(coins())
    fit = changed(TINY.fit, num_epochs=6, batch_size=512, learning_rate=1e-2, ema=0.9, eval_every=3)
    run = changed(learning, name="toy")
    config = changed(TINY, data=str(folder / "coins.txt"), fit=fit, run=run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCADIA_RUNS", str(folder / "runs"))
        text.train(config)
    return folder


@pytest.fixture
def trained(toy, monkeypatch):
    monkeypatch.setenv("ARCADIA_RUNS", str(toy / "runs"))
    return find_run("toy")


@pytest.mark.learns
def test_what_can_be_known_is_learnt_and_no_more(trained):
    result = json.loads((trained.folder / "eval.json").read_text())
    scores, lowest = result["scores"], ENTROPY - 0.02
    assert lowest < scores["nats"] < ENTROPY + 0.03 and lowest < scores["nats_alone"] < 0.4
    assert scores["bits"] == pytest.approx(scores["nats"] / math.log(2))
    assert result["baseline"] == pytest.approx(math.log(4), abs=0.01)
    assert result["protocol"]["context"] == CONTEXT


def test_a_state_that_is_carried_is_that_of_one_long_pass(tmp_path):
    task, model = made(tmp_path)
    samples = task.data("train")
    plan = samples.plan(seed=1, epoch=0, batch_size=64)
    parts = [task.loss(model, samples.batch(index)) for index in plan[:5]]
    rows = samples.batch(torch.arange(4) * len(plan))["text"][:, :1]
    places = (plan[0] * 16)[:, None] + torch.arange(5 * 16 + 1)
    whole = samples.columns["text"][places]
    assert torch.equal(whole[:, :1], rows)
    losses, _ = model.losses(whole[:, :-1], whole[:, 1:])
    assert_close(torch.stack(parts).sum(0), losses.sum(1))


def test_stepped_reading_equals_fused(tmp_path):
    task, model = made(tmp_path)
    letters = task.source.encode(task.source.texts["val"])[None, :50]
    fused, after = model(letters)
    state = None
    for t in range(50):
        stepped, state = model(letters[:, t : t + 1], state)
        assert_close(stepped[0], fused[t], atol=1e-5, rtol=1e-5)
    assert_close(state[0], after[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_every_letter_is_scored_once_after_those_before_it(tmp_path, size):
    task, model = made(tmp_path, coins(24_000))
    letters = task.source.encode(task.source.texts["test"])
    passages = task.to_score("test")
    assert len(passages) == 3
    sums = []
    for index in passages.in_order().split(size):
        batch = passages.batch(index)
        sums.append(task.score(task.predict(model, batch), batch))
    total = {name: sum(part[name] for part in sums) for name in sums[0]}
    assert total["letters"] == len(letters) - 1
    # By hand: each passage after its context; the first begins with nothing.
    wanted = 0.0
    for begin in range(0, len(letters) - 1, PASSAGE):
        before = min(begin, CONTEXT)
        row = letters[None, begin - before : begin + PASSAGE + 1]
        wanted += model.losses(row[:, :-1], row[:, 1:])[0][0, before:].sum().item()
    assert total["read"].item() == pytest.approx(wanted, rel=1e-5)


def test_a_killed_run_ends_the_same_bit_for_bit(runs):
    fit = changed(TINY.fit, num_epochs=2, batch_size=256, eval_every=0)
    config = changed(TINY, samples=40, layers=2, dropout=0.2, fit=fit)
    assert_same(*whole_and_killed(text.JOB, config), ("lstm", "heads", "state"))


def test_a_line_is_written_on_and_a_seed_repeats_it(trained, capsys):
    words = ["predict", "toy", "abab", "--length", "60"]
    said = []
    for more in ([], [], ["--write-seed", "2"], ["--temperature", "0"]):
        assert arcadia.main([*words, *more]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] != said[2]
    for each in said:
        assert each.startswith("abab") and len(each) == 4 + 60 + 1
        pairs = [each[n : n + 2] for n in range(0, 64, 2)]
        assert set(pairs) <= {"ab", "cd"}
    (answer,) = arcadia.load("toy").predict(["abab"])
    assert answer["text"].startswith("abab") and len(answer["text"]) == 4 + 40


def test_lines_come_from_files_and_pipes_too(trained, tmp_path, monkeypatch, capsys):
    (tmp_path / "in").write_text("ab\ncd\n")
    assert arcadia.main(["predict", "toy", str(tmp_path / "in"), "--json", "--length", "6"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["input"] for row in rows] == ["ab", "cd"]
    assert [row["text"][:2] for row in rows] == ["ab", "cd"] and len(rows[0]["text"]) == 8
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"cd\n")))
    assert arcadia.main(["predict", "toy", "--length", "6"]) == 0
    assert capsys.readouterr().out == rows[1]["text"] + "\n"


def test_letters_that_training_never_had_are_left_out_and_named(trained, capsys):
    assert arcadia.main(["predict", "toy", "aéb\x1b", "--length", "4"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("ab") and len(out) == 7
    assert r"é, \x1b: letters that training never had, left out" in err
    with pytest.raises(UserError, match="a line of text"):
        arcadia.load("toy").predict([3])


def test_what_cannot_be_explained_is_said_rather_than_left_away(trained, capsys):
    assert arcadia.main(["predict", "toy", "ab", "--explain"]) == 2
    assert "this model explains nothing" in capsys.readouterr().err


def test_beginnings_of_the_test_text_are_there_to_try(tmp_path):
    lines = "".join(f"line {n} is here to be begun, and ends\n" for n in range(300))
    task, _ = made(tmp_path, lines)
    assert task.to_try(2) == ["line 271 is here to", "line 272 is here to"]


def test_bytes_take_any_file_and_write_whole_letters(tmp_path, runs):
    content = "é漢".encode() * 400 + bytes(range(256))
    (tmp_path / "any").write_bytes(content)
    task = text.Text.of(changed(TINY, data=str(tmp_path / "any"), letters="bytes"))
    assert task.source.size == 256 and task.doubts("never had: ж") == ""
    model = task.model().eval()
    pieces = list(task.write_on(model, "é漢"))
    assert pieces[0] == "é漢" and len("".join(pieces).encode(errors="replace")) >= 5


def test_a_folder_is_read_in_order_or_by_splits(tmp_path):
    (tmp_path / "b.txt").write_text("b" * 500)
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"a" * 500))
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    task = text.Text.of(changed(TINY, data=str(tmp_path)))
    whole = np.concatenate([task.source.texts[split] for split in ("train", "test")])
    assert "".join(map(chr, whole)) == "a" * 500 + "\n" + "b" * 500 + "\n"
    assert any("1 files that are no text" in note for note in task.source.notes())
    (tmp_path / "ptb.train.txt").write_text("c" * 300)
    (tmp_path / "ptb.valid.txt").write_text("cd" * 100)
    source = text.Text.of(changed(TINY, data=str(tmp_path))).source
    assert len(source.texts["train"]) == 301 and len(source.texts["test"]) == 201
    assert (source.encode(source.texts["val"]) == OTHER).sum() == 100
    assert source.protocol("test")["unknown_letters"] == 100


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("short.txt", b"abc", "has 4 letters; at least 17 are needed: give more text"),
        ("empty.txt", b"", "at least 17 are needed"),
        ("mixed.txt", b"good\n" * 9 + b"b\xe9se\n" * 9, "line 10: byte 0xe9 is no UTF-8"),
        ("wide.txt", "abc".encode("utf-16") * 9, "begins as UTF-16 does"),
        ("binary.txt", b"a\0b" * 99, "has zero bytes"),
        ("packed.txt", b"PK\x03\x04" + b"x" * 99, "is a zip file, no text"),
    ],
)
def test_what_is_no_text_is_refused_with_the_remedy(tmp_path, runs, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=words):
        text.train(changed(TINY, data=str(tmp_path / name)))
    assert not runs.exists()


def test_folders_without_texts_and_impossible_configs_are_refused(tmp_path, runs):
    with pytest.raises(UserError, match=r"has no texts .*; it is empty"):
        text.train(changed(TINY, data=str(tmp_path)))
    (tmp_path / "one.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"has no texts .* only files in \.png"):
        text.train(changed(TINY, data=str(tmp_path)))
    with pytest.raises(ValueError, match="must be at least --window"):
        changed(TINY, window=2_048)
    with pytest.raises(ValueError, match="temperature"):
        text.WriteConfig(temperature=-1.0)


def test_people_see_samples_and_the_curve(trained):
    events = EventAccumulator(str(trained.folder)).Reload()
    shown = events.Tensors("val/text_2/text_summary")[0].tensor_proto.string_val[0].decode()
    assert shown.startswith("    ") and ("ab" in shown or "cd" in shown)
    assert {"val/nats", "val/bits", "val/nats_alone"} <= set(events.Tags()["scalars"])


def test_another_run_gives_all_its_weights_or_its_lstm(trained, toy, tmp_path):
    config = changed(
        TINY,
        data=str(toy / "coins.txt"),
        init="toy",
        fit=changed(TINY.fit, learning_rate=1e-6, eval_every=0),
    )
    run = text.train(config)
    assert json.loads((run.folder / "eval.json").read_text())["score"] < ENTROPY + 0.03
    (tmp_path / "other.txt").write_text("xyz" * 500)
    run = text.train(changed(config, data=str(tmp_path / "other.txt")))
    assert "the heads start anew" in (run.folder / "log.txt").read_text()
