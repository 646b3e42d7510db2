"""Image classification through the command: learnt, scored, asked, shown, refused."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.testing import assert_close

import arcadia
from backbones.cnn import build_trunk
from backbones.training.config import RunConfig, changed
from backbones.training.errors import UserError
from backbones.training.run import find_run
from tasks.data.augment import AugmentConfig
from tasks.evaluate import load_model
from tasks.fit_config import FitConfig
from tasks.labels import classify
from tasks.labels.views import views
from tasks.predict import sources
from tasks.predictor import load_predictor
from tasks.worlds.digits import digits

FP32 = ("--precision", "fp32")
SMOKE = changed(classify.SMOKE, run=RunConfig(precision="fp32"))
MNIST = Path(os.environ.get("ARCADIA_DATA", "/nowhere")) / "mnist"


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """A runs folder with classify/smoke, trained by the smoke preset through the command."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCADIA_RUNS", str(folder))
        words = ["train", "classify", "--preset", "smoke", "--name", "smoke"]
        assert arcadia.main([*words, *FP32]) == 0
    return folder


@pytest.fixture
def trained(smoke, monkeypatch):
    monkeypatch.setenv("ARCADIA_RUNS", str(smoke))
    return find_run("smoke")


@pytest.mark.slow
@pytest.mark.learns
def test_digits_are_learnt_from_the_command_to_a_few_per_cent(runs, learning):
    config = changed(
        classify.PRESETS["default"],
        samples=6_000,
        fit=FitConfig(num_epochs=3),
        trunk=changed(classify.SMOKE.trunk, width=0.5),
        run=learning,
    )
    run = classify.train(config)
    result = json.loads((run.folder / "eval.json").read_text())
    assert result["score"] < 8 < 80 < result["baseline"]


def test_eval_prints_score_baseline_and_protocol(trained, capsys):
    assert arcadia.main(["eval", "smoke"]) == 0
    said = capsys.readouterr().out
    assert "baseline" in said and "split test" in said
    assert arcadia.main(["eval", "smoke", "--split", "val", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["metric"] == "error" and result["protocol"]["split"] == "val"
    assert result["score"] == result["scores"]["error"] < result["baseline"] + 10


def test_predict_takes_files_folders_and_standard_input(trained, tmp_path, capsys, monkeypatch):
    pictures, _ = digits(9, np.arange(2), 28)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for n, picture in enumerate(pictures):
        Image.fromarray(picture[0]).save(folder / f"{n}.png")
    assert arcadia.main(["predict", "smoke", str(folder), str(folder / "1.png")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and lines[1].split(": ")[1] == lines[2].split(": ")[1]

    class Stdin:
        buffer = io.BytesIO((folder / "0.png").read_bytes())

    monkeypatch.setattr("sys.stdin", Stdin)
    assert arcadia.main(["predict", "smoke", "-", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["input"] == "standard input"
    assert sum(answer["chances"].values()) == pytest.approx(1, abs=1e-3)
    assert answer["text"] in lines[0]
    words = ["predict", "smoke", str(folder), "--output", str(tmp_path / "out"), "--tta", "flip"]
    assert arcadia.main(words) == 0 and capsys.readouterr().out == ""
    assert len((tmp_path / "out").read_text().splitlines()) == 2
    assert arcadia.main(words) == 2 and "out exists" in capsys.readouterr().err


def test_predict_names_what_it_cannot_read_and_goes_on(trained, tmp_path, capsys):
    text, good = tmp_path / "a.txt", tmp_path / "b.png"
    text.write_text("not a picture")
    Image.fromarray(digits(9, np.arange(1), 28)[0][0, 0]).save(good)
    assert arcadia.main(["predict", "smoke", str(text), str(good)]) == 2
    said = capsys.readouterr()
    assert str(text) in said.err and len(said.err.splitlines()) == 1
    assert str(good) in said.out
    (tmp_path / "empty").mkdir()
    missing = [str(tmp_path / name) for name in ("none.png", "empty")]
    assert arcadia.main(["predict", "smoke", *missing, str(good)]) == 2
    said = capsys.readouterr()
    gone, empty = said.err.splitlines()
    assert "none.png: does not exist" in gone and "empty: has no files" in empty
    assert str(good) in said.out


def test_predict_looks_into_folders_within_folders(trained, tmp_path, capsys):
    names = ["b/2.png", "a/1.png", "a/deep/3.png", "0.png"]
    hidden = ["a/.1.png", ".cache/4.png", ".DS_Store", "__MACOSX/5.png"]
    for name, picture in zip(names + hidden, digits(9, np.arange(8), 28)[0], strict=True):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[0]).save(tmp_path / name, "PNG")
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    assert arcadia.main(["predict", "smoke", str(tmp_path), "--threads", "1", "--json"]) == 0
    said = capsys.readouterr()
    asked = [json.loads(line)["input"] for line in said.out.splitlines()]
    assert asked == [str(tmp_path / name) for name in sorted(names)]
    assert said.err == f"arcadia: {tmp_path}: 4 hidden files or folders passed over\n"
    (tmp_path / "a" / "gone.png").symlink_to(tmp_path / "nowhere")
    assert arcadia.main(["predict", "smoke", str(tmp_path / "a" / "deep")]) == 0
    assert arcadia.main(["predict", "smoke", str(tmp_path / "a")]) == 2
    assert "gone.png does not exist" in capsys.readouterr().err
    (tmp_path / "a" / "gone.png").unlink()
    stems = [each.stem for each in sources([str(tmp_path), str(tmp_path / "0.png")])]
    assert stems == ["0", "a-1", "a-deep-3", "b-2", "0"]


@pytest.mark.parametrize("verb", ["eval", "predict"])
def test_threads_and_device_are_those_that_were_asked_for(trained, tmp_path, verb, capsys):
    Image.fromarray(digits(9, np.arange(1), 28)[0][0, 0]).save(tmp_path / "d.png")
    words = [verb, "smoke", *([str(tmp_path / "d.png")] if verb == "predict" else [])]
    before = torch.get_num_threads()
    try:
        assert arcadia.main([*words, "--threads", "2", "--device", "cpu"]) == 0
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    capsys.readouterr()
    for wrong in (["--threads", "-1"], ["--device", "gpu"], ["--device", "cuda:99"]):
        assert arcadia.main([*words, *wrong]) == 2
        said = capsys.readouterr().err
        assert len(said.splitlines()) == 1 and wrong[1] in said


def test_photos_are_seen_at_224_px_through_the_stem_of_imagenet():
    config = classify.PRESETS["photos"]
    trunk = build_trunk(config.trunk.spec(3))
    assert config.size_px == 224 and config.augment.flip and config.augment.zoom
    assert trunk.strides["s1"] == 4 and trunk.conv1.kernel_size == (7, 7)


def test_a_set_without_a_folder_says_what_can_be_done(runs, capsys, monkeypatch):
    monkeypatch.delenv("ARCADIA_DATA", raising=False)
    for name, fetched in (("photos", False), ("mnist", True)):
        assert arcadia.main(["train", "classify", "--set", name, "--data", ""]) == 2
        said = capsys.readouterr().err
        assert "give --data DIR" in said and ("arcadia data" in said) == fetched


def test_a_loaded_model_answers_arrays_as_files(trained, tmp_path):
    picture = digits(9, np.arange(1), 28)[0][0]
    Image.fromarray(picture[0]).save(tmp_path / "d.png")
    predictor = arcadia.load("smoke")
    assert predictor.predict(picture) == predictor.predict(str(tmp_path / "d.png"))
    assert predictor.config.set == "digits" and predictor.card["job"] == "classify"
    with pytest.raises(UserError, match=r"expected uint8 \[1, H, W\]"):
        predictor.predict(np.zeros((3, 28, 28), np.uint8))


def test_a_model_alone_is_small_and_answers_the_same(trained, tmp_path, capsys):
    folder, picture = tmp_path / "alone", digits(9, np.arange(1), 28)[0][0]
    assert arcadia.main(["export", "smoke", "--folder", str(folder)]) == 0
    assert "error" in capsys.readouterr().out
    assert not list(folder.rglob("state.safetensors"))
    assert arcadia.load(str(folder)).predict(picture) == arcadia.load("smoke").predict(picture)
    assert arcadia.main(["export", "smoke", "--folder", str(folder)]) == 2
    assert "exists" in capsys.readouterr().err
    assert arcadia.main(["export", "smoke", "--onnx", str(tmp_path / "x.onnx")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_bench_prints_one_comparison_and_nothing_else(runs, capsys):
    words = ["bench", "classify", "--updates", "30", "--rounds", "1", "--json", "--threads", "1"]
    assert arcadia.main([*words, *FP32, "--width", "0.125", "--batch-size", "16"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["ratio"] == pytest.approx(row["ours"] / row["peer"]) and row["ours"] > 0
    assert not runs.exists()


def test_one_by_one_and_in_batches_the_answers_agree(trained):
    task, model = load_model(trained)
    picture = torch.from_numpy(digits(9, np.arange(40), 28)[0])
    with torch.no_grad():
        whole = task.predict(model, {"picture": picture})
        single = [task.predict(model, {"picture": one[None]}) for one in picture]
    assert_close(torch.cat(single), whole, atol=1e-5, rtol=1e-5)


def test_people_see_confusions_mistakes_and_an_embedding(trained):
    events = EventAccumulator(str(trained.folder)).Reload()
    for tag in ("val/confusion", "val/worst"):
        picture = Image.open(io.BytesIO(events.Images(tag)[0].encoded_image_string))
        assert len(np.unique(np.asarray(picture))) > 2, tag
    inside = trained.folder / "embedding"
    head, *rows = [row.split("\t") for row in (inside / "words.tsv").read_text().splitlines()]
    points = np.loadtxt(inside / "tensors.tsv")
    assert head == ["class", "answer", "right"] and len(points) == len(rows) == 1_000
    assert {digit for digit, _, _ in rows} == set("0123456789")
    assert all((digit == answer) == (right == "yes") for digit, answer, right in rows)
    with Image.open(inside / "sprite.png") as sheet:
        assert sheet.size == (32 * 32, 32 * 32)  # 1,000 pictures need 32 a side
    assert (
        'tensor_path: "embedding/tensors.tsv"'
        in (trained.folder / "projector_config.pbtxt").read_text()
    )


def test_agents_and_models_are_told_apart(trained, capsys):
    assert arcadia.main(["watch", "smoke"]) == 2
    assert "plays no games" in capsys.readouterr().err


def test_an_ensemble_answers_with_the_mean_of_its_log_probabilities():
    config = changed(classify.SMOKE, ensemble=3)
    task = classify.Classify.of(config)
    logits = torch.randn(3, 5, 10)
    assert_close(task.mean_of(logits), logits.log_softmax(-1).mean(0))
    model = task.model()
    assert model(torch.zeros(2, 1, 28, 28, dtype=torch.uint8)).shape == (3, 2, 10)


def test_views_are_averaged():
    for kind, count in (("none", 1), ("flip", 2), ("shift", 5)):
        picture = torch.arange(9.0).view(1, 1, 3, 3)
        seen = views(picture, kind)
        assert len(seen) == count and all(view.shape == picture.shape for view in seen)
        assert torch.equal(seen[0], picture)


def test_mixed_labels_are_weighed_like_the_pictures():
    task = classify.Classify.of(changed(classify.SMOKE, label_smoothing=0.0))
    logits = torch.tensor([[2.0, 0, 0], [0, 1.0, 0]])
    label, own = torch.tensor([0, 2]), torch.tensor([0.75, 0.75])
    log_probs = logits.log_softmax(-1)
    loss = task.loss_of(logits, {"label": label, "own": own})
    assert float(loss[0]) == pytest.approx(
        -(0.75 * log_probs[0, 0] + 0.25 * log_probs[0, 2]).item()
    )


def test_labels_of_scenes_are_mixed_and_smoothed_too():
    config = changed(classify.SMOKE, set="scenes", label_smoothing=0.2)
    task = classify.Classify.of(config)
    logits = torch.randn(2, 6)
    label = torch.tensor([[True] * 6, [False, True] * 3])
    own = torch.tensor([0.75, 0.75])
    loss = task.loss_of(logits, {"label": label, "own": own})
    blended = 0.75 * label.float() + 0.25 * label.flip(0).float()
    target = blended * 0.8 + 0.1
    expected = -(target * logits.sigmoid().log() + (1 - target) * (-logits).sigmoid().log())
    assert_close(loss, expected.mean(1))
    assert classify.PRESETS["scenes"].label_smoothing == 0  # as its published figures were made


def test_the_scenes_ask_for_every_shape(runs, capsys):
    words = ["train", "classify", "--preset", "smoke", "--set", "scenes", "--samples", "128"]
    assert arcadia.main([*words, "--name", "scenes", *FP32]) == 0
    assert "f1" in capsys.readouterr().out
    answer = load_predictor(find_run("scenes")).predict(np.zeros((3, 64, 64), np.uint8))
    assert len(answer[0]["chances"]) == 6


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--set", "mnist", "--data", "/nowhere"], "/nowhere"),
        (["--set", "nothing-here"], "no such folder"),
        (["--label-smoothing", "1"], "between 0 and 1"),
        (["--crop-px", "-1"], "0 or above"),
        (["--num-epochs", "0"], "--num-epochs"),
        (["--trunk", "nature", "--norm", "none"], "too small"),
    ],
)
def test_mistakes_are_one_line_and_leave_no_run(runs, words, reason, capsys):
    assert arcadia.main(["train", "classify", "--preset", "smoke", *words]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and reason in said
    assert not runs.exists() or not list(runs.rglob("config.json"))


def test_a_run_of_the_same_set_gives_its_heads_too(trained):
    fit = changed(SMOKE.fit, num_epochs=1, learning_rate=1e-9, ema=0.0)
    trunk = changed(SMOKE.trunk, init=trained.name)
    run = classify.train(changed(SMOKE, samples=64, trunk=trunk, fit=fit))
    assert "the heads start from classify/" in (run.folder / "log.txt").read_text()
    mine, theirs = load_model(run)[1], load_model(trained)[1]
    assert_close(mine.heads[0].weight, theirs.heads[0].weight, atol=1e-6, rtol=0)


def test_a_trunk_goes_from_one_set_to_another_and_into_an_agent(runs, capsys):
    from rl import ppo

    source = changed(SMOKE, trunk=changed(SMOKE.trunk, norm="group"))
    trained = classify.train(changed(source, samples=64))
    plain = changed(source.trunk, init=trained.name, freeze=("s1",))
    config = changed(SMOKE, set="scenes", samples=64, trunk=plain, fit=FitConfig(num_epochs=1))
    run = classify.train(config)
    assert "had 1 input channels" in capsys.readouterr().out
    model = load_model(run)[1]
    mine, theirs = model.cnn.state_dict(), load_model(trained)[1].cnn.state_dict()
    first = [name for name in mine if name.startswith("s1.")]
    assert first and all(
        torch.equal(mine[name], theirs[name])
        for name in first
        if mine[name].shape == theirs[name].shape
    )
    last = [name for name in mine if name.startswith("s3.") and mine[name].ndim == 4]
    assert last and not any(torch.equal(mine[name], theirs[name]) for name in last)
    agent = changed(ppo.SMOKE, trunk=changed(plain, freeze=()), run=SMOKE.run)
    ppo.train(agent)
    assert "cnn starts from" in capsys.readouterr().out
    with pytest.raises(UserError, match="batch norm cannot play"):
        ppo.train(changed(ppo.SMOKE, trunk=changed(plain, norm="batch", freeze=())))


@pytest.mark.skipif(not MNIST.exists(), reason="$ARCADIA_DATA has no mnist")
@pytest.mark.slow
@pytest.mark.learns
def test_mnist_is_learnt_a_little(runs, learning):
    config = changed(
        classify.PRESETS["mnist"],
        samples=5_000,
        fit=FitConfig(num_epochs=5),
        ensemble=1,
        augment=AugmentConfig(),
        trunk=classify.SMOKE.trunk,
        run=learning,
    )
    run = classify.train(config)
    assert json.loads((run.folder / "eval.json").read_text())["score"] < 10


def test_names_that_are_no_utf8_are_learnt_asked_and_shown(tmp_path, runs, capsysbinary):
    pictures, _ = digits(9, np.arange(40), 28)
    kinds = [b"cat", b"k\xf6ter", "katt\u00e9".encode()]
    for n, picture in enumerate(pictures):
        kind = os.fsdecode(kinds[n % 3])
        folder = tmp_path / "set" / ("train" if n < 30 else "test") / kind
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[0]).save(folder / f"{n}.png")
    words = ["train", "classify", "--preset", "smoke", "--precision", "fp32", "--name", "latin"]
    assert arcadia.main([*words, "--data", str(tmp_path / "set"), "--grey"]) == 0
    run = find_run("latin")
    names = (run.folder / "embedding" / "words.tsv").read_text(encoding="utf-8").split()
    assert {"k?ter", "katt\u00e9"} <= set(names)
    asked = tmp_path / os.fsdecode(b"\xe9t\xe9\x1b[31m\n.png")
    Image.fromarray(pictures[0][0]).save(asked)
    capsysbinary.readouterr()
    for words in ([], ["--json"]):
        assert arcadia.main(["predict", "latin", str(asked), *words]) == 0
    plain, as_json = capsysbinary.readouterr().out.splitlines()
    assert rb"\udce9t\udce9\x1b[31m\n.png: " in plain
    answer = json.loads(as_json)
    assert answer["input"] == str(asked) and set(answer["chances"]) == {
        "cat",
        "k?ter",
        "katt\u00e9",
    }
    assert arcadia.main(["eval", "latin"]) == 0
