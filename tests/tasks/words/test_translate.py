"""Translation: padding, batches and steps change nothing; learnt, resumed, asked line by line."""

import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from subprocess import PIPE

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.testing import assert_close

import arcadia
from backbones.sequences.decoding import Decoded
from backbones.training.config import ResumeConfig, RunConfig, changed
from backbones.training.errors import UserError
from backbones.training.run import find_run
from tasks.data.samples import InMemory
from tasks.data.vocabulary import BEGIN
from tasks.predictor import load_predictor
from tasks.words import translate
from tests.tasks.killed import assert_same, whole_and_killed

WORDS = "zero one two three four five six seven eight nine".split()
TOY = changed(
    translate.SMOKE,
    set="",
    pieces=60,
    units=48,
    dropout=0.0,
    label_smoothing=0.0,
    samples=0,
    target="words",
    source="digits",
    run=RunConfig(precision="fp32"),
    fit=changed(
        translate.FIT, num_epochs=12, batch_size=256, learning_rate=1e-2, ema=0.98, eval_every=6
    ),
)


def toy_files(folder):
    """Digits and their names: what is learnt in seconds, if anything is."""
    folder.mkdir()
    torch.manual_seed(0)
    for split, count in (("train", 600), ("val", 20), ("test", 100)):
        rows = [torch.randint(10, (int(n),)).tolist() for n in torch.randint(1, 6, (count,))]
        digits, words = (
            [" ".join(say[d] for d in row) for row in rows] for say in (list("0123456789"), WORDS)
        )
        (folder / f"{split}.digits").write_text("\n".join(digits) + "\n")
        (folder / f"{split}.words").write_text("\n".join(words) + "\n")
    return folder


@pytest.fixture(scope="module")
def toy(tmp_path_factory, learning):
    """A run that has learnt to name digits, and its runs folder."""
    folder = tmp_path_factory.mktemp("toy")
    data = toy_files(folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCADIA_RUNS", str(folder / "runs"))
        translate.train(changed(TOY, data=str(data), run=changed(learning, name="toy")))
    return folder


@pytest.fixture
def trained(toy, monkeypatch):
    monkeypatch.setenv("ARCADIA_RUNS", str(toy / "runs"))
    return find_run("toy")


def made(attention=True, **changes):
    """A task on few phrases and an untrained model in eval mode."""
    config = changed(translate.SMOKE, samples=200, attention=attention, **changes)
    task = translate.Translate.of(config)
    torch.manual_seed(1)
    return task, task.model().eval()


@pytest.mark.learns
def test_the_toy_is_learnt(trained):
    result = json.loads((trained.folder / "eval.json").read_text())
    assert result["scores"]["exact"] > 90 and result["score"] > 90
    assert result["baseline"] < 20 and "tok:13a" in result["protocol"]["bleu"]


@pytest.mark.parametrize("attention", [True, False])
def test_padding_changes_no_loss(attention):
    task, model = made(attention)
    batch = task.data("train").batch(torch.arange(12))
    assert batch["source_length"].unique().numel() > 2
    together = task.loss(model, batch)
    alone = [task.loss(model, task.data("train").batch(torch.tensor([n]))) for n in range(12)]
    assert_close(together, torch.cat(alone))


@pytest.mark.parametrize("attention", [True, False])
def test_stepped_writing_equals_fused(attention):
    task, model = made(attention)
    batch = task.data("train").batch(torch.arange(5))
    state, memory, inside = model.read(batch["source"], batch["source_length"])
    tokens = torch.cat([torch.full((5, 1), BEGIN), batch["target"]], 1)
    fused, after, _ = model.write(tokens, state, memory, inside)
    for t in range(tokens.shape[1]):
        stepped, state, _ = model.write(tokens[:, t : t + 1], state, memory, inside)
        assert_close(stepped[0], fused[t], atol=1e-5, rtol=1e-5)
    assert_close(state[0], after[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [1, 3, 32])
@pytest.mark.parametrize("attention", [True, False])
def test_a_line_alone_is_translated_as_in_a_batch(attention, size):
    task, model = made(attention, answer=translate.SearchConfig(beam=4))
    samples = task.data("val")
    whole = samples.batch(torch.arange(32))
    together = task.search(model, whole["source"], whole["source_length"])
    parts: list[Decoded] = []
    for index in torch.arange(32).split(size):
        batch = samples.batch(index)
        parts += task.search(model, batch["source"], batch["source_length"])
    for ours, theirs in zip(parts, together, strict=True):
        assert ours.score == pytest.approx(theirs.score, abs=1e-4)
        assert ours.tokens == theirs.tokens


def test_without_attention_the_source_is_read_backward():
    _, model = made(attention=False)
    source, length = torch.tensor([[5, 6, 7, 0]]), torch.tensor([3])
    state, _, _ = model.read(source, length)
    embedded = model.embedding(torch.tensor([[7], [6], [5]]))
    _, expected = model.encoder.read(embedded, torch.tensor([3]))
    assert_close(state[0], expected[0])


def test_a_killed_run_ends_the_same_bit_for_bit(runs):
    config = changed(
        translate.SMOKE,
        samples=120,
        dropout=0.2,
        fit=changed(translate.FIT, num_epochs=2, batch_size=500, eval_every=0),
        run=RunConfig(precision="fp32", checkpoint_every_s=1e-6),
    )
    assert_same(*whole_and_killed(translate.JOB, config), ("heads", "state"))


def ask(monkeypatch, text, *words):
    data = text if isinstance(text, bytes) else text.encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    return arcadia.main(["predict", "toy", *words])


def test_predict_is_a_filter_that_keeps_every_line(trained, monkeypatch, capsys):
    assert ask(monkeypatch, "3 1 4\n\n2 7\n") == 0
    assert capsys.readouterr().out == "three one four\n\ntwo seven\n"
    assert ask(monkeypatch, "5\n", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"input": "5", "text": "five"}
    assert ask(monkeypatch, "5\n", "--json", "--explain", "--beam", "1") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["text"] == "five" and len(answer["explained"]["weights"][0]) >= 2


def test_predict_says_which_line_it_cannot_answer_and_keeps_its_place(trained, monkeypatch, capsys):
    assert ask(monkeypatch, "1\n" + "7 " * 10_000 + "\n2\n") == 2
    out, err = capsys.readouterr()
    assert out == "one\n\ntwo\n"
    assert "standard input, line 2: a line of 10,000 words has" in err
    assert ask(monkeypatch, "1 漢\x1b[31m字\n") == 0
    out, err = capsys.readouterr()
    assert r"line 1: 漢\x1b[31m字: with letters that training never had" in err
    assert out.count("\n") == 1
    assert ask(monkeypatch, b"1\n\xff\n2\n") == 2
    out, err = capsys.readouterr()
    assert "standard input, line 2: byte 0xff is no UTF-8" in err and out == "one\n\ntwo\n"


def test_predict_reads_what_a_shell_has_opened_and_nothing_endless(trained, monkeypatch, capsys):
    reading, writing = os.pipe()
    os.write(writing, gzip.compress(b"1\n2 7\n"))
    os.close(writing)
    assert arcadia.main(["predict", "toy", f"/dev/fd/{reading}"]) == 0  # as <(command) is named
    os.close(reading)
    assert capsys.readouterr().out == "one\ntwo seven\n"
    assert ask(monkeypatch, b"1\n" + b"7 " * 2**20 + b"\n2\n") == 2
    out, err = capsys.readouterr()
    assert out == "one\n\ntwo\n" and "line 2: more than 1 MiB; give one sentence a line" in err
    for name in ("/dev/zero", "/dev/random"):
        assert arcadia.main(["predict", "toy", name]) == 2
        assert f"{name} is a device; give a plain file" in capsys.readouterr().err
    with open("/dev/zero", "rb") as zeros:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(zeros))
        assert arcadia.main(["predict", "toy"]) == 2
        assert "standard input is a device" in capsys.readouterr().err


def test_python_gets_what_the_command_prints(trained):
    predictor = arcadia.load("toy")
    assert predictor.predict([]) == [] and predictor.predict("3") == [{"text": "three"}]
    answers = predictor.predict(["1", "", "  ", "2 7"])
    assert [answer["text"] for answer in answers] == ["one", "", "", "two seven"]
    for given in (["7 " * 10_000], [None], ["\ud800"]):
        with pytest.raises(UserError, match=r"at most|a line of text"):
            predictor.predict(given)


def test_data_that_is_wanting_is_told_before_a_run_begins(toy, tmp_path, runs):
    data = shutil.copytree(toy / "data", tmp_path / "data")
    (data / "test.words").write_text("one\n")
    with pytest.raises(UserError, match=r"test.digits has 100 lines and test.words 1"):
        translate.train(changed(TOY, data=str(data)))
    assert not runs.exists()
    with pytest.raises(UserError, match=r"has cnn, and this model has encoder, decoder"):
        translate.train(changed(TOY, data=str(toy / "data"), init="zoo/mnist"))


def test_a_run_goes_on_with_the_texts_it_began_with_only(toy, tmp_path, runs, monkeypatch):
    data = shutil.copytree(toy / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    fit = changed(TOY.fit, num_epochs=1)
    run = translate.train(changed(TOY, data="data", fit=fit))
    assert run.config["data"] == str(data)  # it can be scored from any folder
    result = json.loads((run.folder / "eval.json").read_text())
    assert result["protocol"]["set"].endswith("/data") and result["protocol"]["test_texts"]
    with (data / "train.words").open("a") as words, (data / "train.digits").open("a") as digits:
        words.write("one\n")
        digits.write("1\n")
    with pytest.raises(UserError, match="not those that this run began with"):
        translate.resume(run, ResumeConfig(extend=1))


def test_runs_are_listed_with_what_they_learn_and_how_far(trained, capsys):
    assert arcadia.main(["runs"]) == 0
    row = capsys.readouterr().out.splitlines()[1]
    done = json.loads((trained.folder / "metrics.jsonl").read_text().splitlines()[-1])["step"]
    assert row.split()[:5] == ["translate/toy", "data", "digits-words", f"{done:,}", "/"]
    assert f"{done:,} tokens" in row and " bleu " in row and row.split()[-1] == "finished"


def test_predict_reads_files_and_writes_new_ones_only(trained, tmp_path, capsys):
    (tmp_path / "in").write_text("8\n9\n")
    words = ["predict", "toy", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    assert arcadia.main(words) == 0
    assert (tmp_path / "out").read_text() == "eight\nnine\n"
    assert arcadia.main(words) == 2
    assert "out exists; give another name" in capsys.readouterr().err
    assert arcadia.main(["predict", "toy", str(tmp_path / "missing")]) == 2
    assert "missing is not a file" in capsys.readouterr().err


def test_the_alignment_is_drawn_where_it_looked(trained, monkeypatch, capsys):
    assert ask(monkeypatch, "4 2\n", "--explain") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "four two" and any("█" in line or "▓" in line for line in said)
    predictor = load_predictor(trained)
    (seen,) = predictor.explain(["4 2 9"])
    weights = torch.tensor(seen.values["weights"])
    assert weights.shape == (len(seen.values["target"]), len(seen.values["source"]))
    assert_close(weights.sum(1), torch.ones(len(weights)))


def test_another_run_gives_its_weights_and_vocabulary(trained, toy, tmp_path, monkeypatch):
    config = changed(
        TOY,
        data=str(toy / "data"),
        init="last",
        fit=changed(TOY.fit, num_epochs=1, learning_rate=1e-6),
    )
    run = translate.train(config)
    assert json.loads((run.folder / "eval.json").read_text())["scores"]["exact"] > 90
    log = (run.folder / "log.txt").read_text()
    assert "pieces, of translate/toy" in log
    assert "the heads start from translate/toy too" in log
    # Its own vocabulary and weights are what it goes on from, whatever `init` would mean by then.
    assert find_run(run.name).config["init"] == "translate/toy"
    shutil.move(trained.folder, tmp_path / "away")
    translate.resume(find_run(run.name), ResumeConfig(extend=1))
    shutil.move(tmp_path / "away", trained.folder)
    assert find_run(run.name).config["fit"]["num_epochs"] == 2
    with pytest.raises(
        UserError, match=r"encoder does not fit .* use the same .*--units and --layers"
    ):
        translate.train(changed(config, units=32))
    with pytest.raises(UserError, match=r"its vocabulary does not know .* of the words"):
        translate.train(changed(translate.SMOKE, init="toy"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(units=33), "units = 33 must be even"),
        (dict(target="en"), "source and target are both en"),
        (dict(dropout=1.5), "dropout"),
    ],
)
def test_impossible_configs_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        changed(translate.SMOKE, **changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(set="nowhere"), "--set nowhere: no such folder"),
        (dict(target="es"), "speaks en, de, fr, not es"),
        (dict(longest=1), "all pairs have more than longest = 1 pieces"),
        (dict(fit=changed(translate.FIT, batch_size=4)), "do not fit into a batch of 4"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(runs, changes, words):
    with pytest.raises(UserError, match=words):
        translate.train(changed(translate.SMOKE, **changes))


def test_long_pairs_are_left_out_and_counted(runs):
    task, _ = made(longest=12)
    kept = task.data("train")
    assert isinstance(kept, InMemory) and len(kept) < 200 and int(kept.sizes.max()) <= 12
    assert f"{200 - len(kept)} of more than 12 pieces left out" in task.source.notes()[0]


def test_people_see_translations_and_where_the_writer_looked(trained):
    events = EventAccumulator(str(trained.folder)).Reload()
    text = events.Tensors("val/translations/text_summary")[0].tensor_proto.string_val[0].decode()
    assert text.startswith("| source | reference | translation |") and text.count("\n") > 5
    picture = Image.open(io.BytesIO(events.Images("val/alignment")[0].encoded_image_string))
    assert len(np.unique(np.asarray(picture))) > 10
    assert {"val/bleu", "speed/tokens_per_s", "train/learning_rate"} <= set(
        events.Tags()["scalars"]
    )


def test_an_exported_model_is_half_the_size_and_as_good(trained, tmp_path, capsys):
    whole, half = tmp_path / "whole", tmp_path / "half"
    assert arcadia.main(["export", "toy", "--folder", str(whole)]) == 0
    assert arcadia.main(["export", "toy", "--folder", str(half), "--half"]) == 0
    older = half / "checkpoints" / "000000000001"
    shutil.copytree(next((half / "checkpoints").iterdir()), older)
    assert arcadia.main(["export", "toy", "--folder", str(half), "--half", "--force"]) == 0
    assert not older.exists() and len(list((half / "checkpoints").iterdir())) == 1
    sizes = [next(f.rglob("heads.safetensors")).stat().st_size for f in (whole, half)]
    assert sizes[1] < 0.6 * sizes[0]
    capsys.readouterr()
    assert arcadia.main(["eval", str(half), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["score"] == json.loads((half / "eval.json").read_text())["score"] > 90
    assert arcadia.main(["eval", "toy", "--beam", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["protocol"]["beam"] == 1
    assert arcadia.main(["eval", "zoo/mnist", "--beam", "1"]) == 2
    assert "Unrecognized options: --beam, 1" in capsys.readouterr().err
    assert arcadia.main(["eval", "toy", "--split", "val", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["protocol"]["beam"] == TOY.answer.beam


def test_an_exported_model_does_not_train_and_its_options_are_shown(capsys):
    zoo = find_run("zoo/translate-en-de")
    assert arcadia.main(["resume", "zoo/translate-en-de"]) == 2
    assert "begin anew from its weights" in capsys.readouterr().err
    assert not (zoo.folder / "lock").exists()
    with pytest.raises(SystemExit):
        arcadia.main(["export", "zoo/translate-en-de", "--help"])
    assert "--half" in capsys.readouterr().out


def test_the_bench_prints_one_comparison(runs, capsys):
    words = ["bench", "translate", "--updates", "40", "--rounds", "1", "--json", "--threads", "1"]
    words += ["--units", "16", "--batch-size", "200", "--pieces", "200", "--samples", "2000"]
    words += ["--precision", "fp32"]
    assert arcadia.main(words) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["ratio"] == pytest.approx(row["ours"] / row["peer"]) and row["ours"] > 0
    assert row["name"] == "translate tokens_per_s" and not runs.exists()


def test_a_filter_answers_a_line_before_the_next_one_comes(toy):
    words = [sys.executable, "-m", "arcadia", "predict", "toy", "--threads", "1"]
    env = {**os.environ, "ARCADIA_RUNS": str(toy / "runs")}
    with subprocess.Popen(words, stdin=PIPE, stdout=PIPE, env=env, text=True, bufsize=1) as process:
        for line, answer in (("1 2", "one two"), ("3", "three")):
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            assert process.stdout.readline().strip() == answer
        process.stdin.close()
        assert process.wait() == 0


def test_texts_come_from_a_zip_or_a_file_by_its_path(tmp_path):
    rows = "\n".join(f"Number {n}.\tNummer {n}.\tCC-BY" for n in range(2_000))
    (tmp_path / "deu.txt").write_text(rows)
    (tmp_path / "_about.txt").write_text("about\tit")
    with zipfile.ZipFile(tmp_path / "german-english.zip", "w") as archive:
        archive.writestr("deu.txt", rows)
    found = []
    for data in ("deu.txt", "german-english.zip"):
        config = changed(translate.SMOKE, set="", data=str(tmp_path / data), target="deu")
        found.append(translate.Translate.of(config).source.pairs("test").digest)
    (tmp_path / "german-english.zip").unlink()
    config = changed(translate.SMOKE, set="", data=str(tmp_path))
    found.append(translate.Translate.of(config).source.pairs("test").digest)
    assert len(set(found)) == 1
    with pytest.raises(ValueError, match="give two languages"):
        changed(translate.SMOKE, source="eng", target="English")
