"""Captioning: batches and steps change nothing; learnt, resumed, asked of photos, explained."""

import io
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.testing import assert_close

import arcadia
from backbones.training.config import ResumeConfig, RunConfig, changed
from backbones.training.errors import UserError
from backbones.training.run import find_run
from backbones.transfer import TrunkConfig
from tasks.data.augment import AugmentConfig
from tasks.data.vocabulary import BEGIN, END, PAD
from tasks.predictor import load_predictor
from tasks.words import caption, captions
from tasks.words.captions import one_by_one
from tasks.words.nearest import nearest_captions
from tasks.words.writer import SearchConfig
from tests.tasks.killed import assert_same, everything, whole_and_killed

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (40, 40, 230)}
TINY = TrunkConfig(trunk="plain", norm="batch", width=0.125)
TOY = changed(
    caption.SMOKE,
    samples=0,
    size_px=16,
    units=32,
    dropout=0.0,
    run=RunConfig(precision="fp32"),
    trunk=TINY,
    fit=changed(
        caption.FIT, num_epochs=10, batch_size=16, learning_rate=1e-2, ema=0.0, eval_every=5
    ),
)


@pytest.fixture(autouse=True)
def few_scenes(monkeypatch):
    """Scenes are drawn one by one: few of them do."""
    for split, count in {"train": 64, "val": 12, "test": 20}.items():
        monkeypatch.setitem(captions.WORLD_SIZES, split, count)


def photo(left, right, size=24):
    """A picture with two colours beside each other."""
    pixels = np.zeros((size, size, 3), np.uint8)
    pixels[:, : size // 2], pixels[:, size // 2 :] = COLOURS[left], COLOURS[right]
    return Image.fromarray(pixels)


def toy_photos(folder, count=160):
    """Photos whose captions say which colour is on which side: what is learnt in seconds."""
    folder.mkdir()
    chosen, lines = np.random.default_rng(0).integers(0, 3, (count, 2)), ["image,caption"]
    for n, pair in enumerate(chosen.tolist()):
        left, right = (list(COLOURS)[k] for k in pair)
        photo(left, right).save(folder / f"{n:03}.png")
        lines += [f"{n:03}.png,{left} is left of {right} .", f"{n:03}.png,{left} then {right} ."]
    (folder / "captions.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def toy(tmp_path_factory, learning):
    """A run that has learnt to name two colours, and its runs folder."""
    folder = tmp_path_factory.mktemp("toy")
    data = toy_photos(folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCADIA_RUNS", str(folder / "runs"))
        caption.train(changed(TOY, data=str(data), run=changed(learning, name="toy")))
    return folder


@pytest.fixture
def trained(toy, monkeypatch):
    monkeypatch.setenv("ARCADIA_RUNS", str(toy / "runs"))
    return find_run("toy")


def made(attention=True, **changes):
    """A task on few scenes and an untrained model in eval mode."""
    task = caption.Captioning.of(changed(caption.SMOKE, attention=attention, **changes))
    torch.manual_seed(1)
    return task, task.model().eval()


@pytest.mark.learns
def test_the_toy_is_learnt_and_held_against_two_baselines(trained):
    result = json.loads((trained.folder / "eval.json").read_text())
    assert result["metric"] == "cider" and result["score"] > 300 > result["baseline"]
    others = result["baselines"]
    low, high = others["cider_low"], others["cider_high"]
    assert low - 1e-6 <= result["score"] <= high + 1e-6
    assert others["above_always_low"] > 0 and "nearest_cider" in others
    log = (trained.folder / "log.txt").read_text()
    assert "held against: nearest_cider" in log and "always '" in log


@pytest.mark.parametrize("attention", [True, False])
def test_a_picture_alone_costs_what_it_costs_in_a_batch(attention):
    task, model = made(attention)
    samples = task.data("train")
    batch = samples.batch(torch.arange(9))
    assert len({int(length) for length in batch["caption_length"]}) > 2
    alone = [task.loss(model, samples.batch(torch.tensor([n]))) for n in range(9)]
    assert_close(task.loss(model, batch), torch.cat(alone), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("attention", [True, False])
def test_captions_of_one_picture_are_written_as_if_each_had_its_own(attention):
    task, model = made(attention)
    batch = task.data("train").batch(torch.arange(4))
    target = one_by_one(batch["caption"])
    together = model(batch["picture"], target, 0.0)
    for k in range(target.shape[1]):
        alone = model(batch["picture"], target[:, k : k + 1], 0.0)
        assert_close(together[:, k], alone[:, 0], atol=1e-4, rtol=1e-4)


def test_a_picture_with_fewer_captions_counts_as_much_as_others():
    task, model = made()
    batch = task.data("train").batch(torch.arange(3))
    target = one_by_one(batch["caption"])
    first = target[1, :2][target[1, :2] != PAD]
    fewer = {**batch, "caption": batch["caption"].clone()}
    fewer["caption"][1] = PAD
    fewer["caption"][1, : len(first)] = first
    loss, all_five = task.loss(model, fewer), task.loss(model, batch)
    assert_close(loss[[0, 2]], all_five[[0, 2]], atol=1e-4, rtol=1e-4)
    expected = model(batch["picture"][1:2], target[1:2, :2], 0.0).sum() / 2
    assert_close(loss[1], expected, atol=1e-4, rtol=1e-4)


def test_an_epoch_learns_from_some_captions_of_each_picture_and_the_next_from_others():
    task, _ = made(captions=2)
    batch = task.data("train").batch(torch.arange(12))
    third = int((batch["caption"][3] == END).nonzero()[2])
    batch["caption"][3, third + 1 :] = PAD
    have = [set(map(tuple, row)) for row in one_by_one(batch["caption"]).tolist()]
    drawn = [task.prepare({**batch, "index": torch.arange(12)}, epoch) for epoch in (0, 0, 1)]
    assert torch.equal(drawn[0]["caption"], drawn[1]["caption"])
    rows = [one_by_one(each["caption"]) for each in drawn]
    assert all(found.shape[1] == 2 for found in rows) and not torch.equal(rows[0], rows[2])
    for found, whole in zip(rows[2].tolist(), have, strict=True):
        padded = [tuple(row) + (PAD,) * (len(next(iter(whole))) - len(row)) for row in found]
        assert len(set(padded)) == 2 and set(padded) <= whole
    # One with fewer captions than the others of its batch, and then alone.
    one = {name: column[3:4] for name, column in batch.items()}
    alone = one_by_one(task.prepare({**one, "index": torch.tensor([3])}, 1)["caption"])
    longest = alone.shape[2]
    assert torch.equal(rows[2][3:4, :, :longest], alone) and not rows[2][3, :, longest:].any()


@pytest.mark.parametrize("attention", [True, False])
def test_stepped_writing_equals_fused(attention):
    task, model = made(attention)
    batch = task.data("train").batch(torch.arange(5))
    target = one_by_one(batch["caption"])[:, 0]
    tokens = torch.cat([torch.full((5, 1), BEGIN), target], 1)
    state, memory, inside = model.read(batch["picture"])
    fused, after, _ = model.write(tokens, state, memory, inside)
    for t in range(tokens.shape[1]):
        stepped, state, _ = model.write(tokens[:, t : t + 1], state, memory, inside)
        assert_close(stepped[0], fused[t], atol=1e-5, rtol=1e-5)
    assert_close(state[0], after[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [1, 5])
@pytest.mark.parametrize("attention", [True, False])
def test_a_picture_alone_is_captioned_as_in_a_batch(attention, size):
    task, model = made(attention, answer=SearchConfig(beam=3), longest=12)
    picture = task.data("val").batch(torch.arange(12))["picture"]
    together = task.search(model, {"picture": picture})
    parts = [task.search(model, {"picture": part}) for part in picture.split(size)]
    for ours, theirs in zip([each for part in parts for each in part], together, strict=True):
        assert ours.score == pytest.approx(theirs.score, abs=1e-4)
        assert ours.tokens == theirs.tokens


def test_attention_sums_to_one_over_the_regions_of_the_last_map():
    task, model = made()
    (seen,) = task.explain(model, {"picture": task.data("val").batch(torch.tensor([3]))["picture"]})
    weights = torch.tensor(seen.values["weights"])
    assert weights.shape == (len(seen.values["words"]), *model.grid) and model.grid == (8, 8)
    assert_close(weights.sum((1, 2)), torch.ones(len(weights)))


def test_without_attention_the_picture_is_the_first_word():
    task, model = made(attention=False)
    picture = task.data("val").batch(torch.arange(2))["picture"]
    state, memory, _ = model.read(picture)
    assert len(memory) == 0
    first = model.first(model.regions(picture).mean(0))[None]
    _, expected = model.lstm(model.norms[0](first), model.lstm.initial_state(2))
    assert_close(state[0][:1], expected[0])
    with pytest.raises(UserError, match="has no attention; train one with --attention"):
        task.explain(model, {"picture": picture})


def test_the_smoke_preset_goes_through_every_verb(runs, tmp_path, capsys):
    words = ["train", "caption", "--preset", "smoke", "--precision", "fp32", "--name", "smoke"]
    assert arcadia.main(words) == 0
    assert arcadia.main(["resume", "smoke", "--extend", "1"]) == 0
    capsys.readouterr()
    assert arcadia.main(["eval", "smoke", "--json", "--split", "train", "--beam", "1"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["metric"] == "right" and result["protocol"]["beam"] == 1
    assert {"grammatical", "true", "right", "claims", "bleu4", "cider"} <= set(result["scores"])
    folder = tmp_path / "photos"
    folder.mkdir()
    photo("red", "blue", 100).save(folder / "one.jpg")
    assert arcadia.main(["predict", "smoke", str(folder)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{folder / 'one.jpg'}: ") and said.count("\n") == 1
    export = ["export", "smoke", "--folder", str(tmp_path / "exported"), "--half"]
    assert arcadia.main(export) == 0
    assert arcadia.main(["predict", str(tmp_path / "exported"), str(folder)]) == 0
    assert arcadia.main(["runs"]) == 0
    assert "caption/smoke" in capsys.readouterr().out


def test_a_killed_run_ends_the_same_bit_for_bit(runs):
    config = changed(
        caption.SMOKE,
        samples=40,
        size_px=32,
        dropout=0.2,
        fit=changed(caption.FIT, num_epochs=2, batch_size=16, eval_every=0),
        run=RunConfig(precision="fp32", checkpoint_every_s=1e-6),
    )
    assert_same(*whole_and_killed(caption.JOB, config), ("cnn", "lstm", "heads", "state"))


def test_predict_says_what_is_seen_and_where_it_looked(trained, tmp_path, capsys):
    photo("green", "red", 200).save(tmp_path / "a.png")
    (tmp_path / "none.txt").write_text("no picture")
    names = [str(tmp_path / name) for name in ("a.png", "none.txt")]
    words = ["predict", "toy", *names, "--attention", "--output", str(tmp_path / "out") + "/"]
    assert arcadia.main(words) == 2
    out, err = capsys.readouterr()
    said, where = out.splitlines()
    assert said.endswith(("a.png: Green then red.", "a.png: Green is left of red."))
    assert "none.txt" in err and "give a PNG" in err
    path = where.removeprefix("where it looked: ")
    assert path == str(tmp_path / "out" / "a-attention.png")
    assert np.asarray(Image.open(path)).std() > 10
    assert arcadia.main(words) == 2
    assert "a-attention.png exists" in capsys.readouterr().err
    assert arcadia.main([*words[:3], "--explain", "--json", "--output", f"{tmp_path}/b/"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert len(row["explained"]["words"]) == len(row["explained"]["weights"])


def test_a_picture_larger_than_memory_allows_is_refused(trained, tmp_path, capsys):
    bomb = io.BytesIO()
    Image.new("1", (9_000, 9_000)).save(bomb, "PNG")
    (tmp_path / "bomb.png").write_bytes(bomb.getvalue())
    assert arcadia.main(["predict", "toy", str(tmp_path / "bomb.png")]) == 2
    assert "bomb.png" in capsys.readouterr().err


def test_python_gets_captions_of_files_bytes_and_arrays(trained, tmp_path):
    predictor = load_predictor(trained)
    photo("blue", "blue").save(tmp_path / "a.png")
    pixels = torch.tensor(np.asarray(photo("blue", "blue", 16))).permute(2, 0, 1)
    given = [tmp_path / "a.png", (tmp_path / "a.png").read_bytes(), pixels]
    said = {answer["text"] for answer in predictor.predict(given)}
    assert len(said) == 1 and "lue" in said.pop()
    for wrong in (torch.zeros(3, 20, 16, dtype=torch.uint8), torch.zeros(3, 16, 16)):
        with pytest.raises(UserError, match=r"takes 16 by 16|expected uint8"):
            predictor.predict([wrong])


def test_another_captioner_gives_its_words_and_weights(trained, toy, runs):
    shutil.copytree(trained.folder, runs / "caption" / "toy")
    config = changed(TOY, data=str(toy / "data"), fit=changed(TOY.fit, num_epochs=1))
    slow = changed(config.fit, learning_rate=1e-6)
    run = caption.train(changed(config, fit=slow, trunk=changed(TINY, init="toy")))
    log = (run.folder / "log.txt").read_text()
    assert "words, of caption/toy" in log
    assert "the heads start from caption/toy too, which learnt the same" in log
    assert json.loads((run.folder / "eval.json").read_text())["score"] > 300
    with pytest.raises(UserError, match=r"its vocabulary does not know .* of the words"):
        caption.train(changed(caption.SMOKE, trunk=changed(TINY, init="toy")))
    scenes = changed(caption.SMOKE, size_px=32, units=32, run=RunConfig(precision="fp32"))
    frozen = changed(TINY, init="toy:cnn", freeze=("cnn",))
    other = caption.train(changed(scenes, trunk=frozen))
    mine, theirs = (everything(each, ("cnn",)) for each in (trained, other))
    kept = {k for k, v in mine.items() if k.endswith("weight") and torch.equal(v, theirs[k])}
    assert len(kept) > 5 and "starts from caption/toy" in (other.folder / "log.txt").read_text()


def test_a_run_goes_on_with_the_captions_it_began_with_only(trained, toy, tmp_path, monkeypatch):
    with (toy / "data" / "captions.txt").open("a") as file:
        file.write("000.png,another one .\n")
    with pytest.raises(UserError, match="not those that this run began with"):
        caption.resume(trained, ResumeConfig(extend=1))


def test_the_nearest_photo_answers_and_never_for_itself(trained):
    predictor = load_predictor(trained)
    source = predictor.task.source
    assert nearest_captions(predictor.model, source, "test")[0] in {
        text for texts in source.captions("train") for text in texts
    }
    near = nearest_captions(predictor.model, source, "train")
    assert len(near) == len(source.captions("train"))


def test_people_see_captions_references_and_where_the_writer_looked(trained):
    events = EventAccumulator(str(trained.folder)).Reload()
    for tag in ("val/captions", "val/attention_0"):
        picture = Image.open(io.BytesIO(events.Images(tag)[0].encoded_image_string))
        assert len(np.unique(np.asarray(picture))) > 10
    assert {"val/cider", "val/bleu4", "val/distinct_words"} <= set(events.Tags()["scalars"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(units=0), "units"),
        (dict(dropout=1.5), "dropout"),
        (dict(longest=10**9), "longest"),
        (dict(size_px=-1), "size-px"),
    ],
)
def test_impossible_configs_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        changed(caption.SMOKE, **changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(set="nowhere"), "--set nowhere: no such folder"),
        (dict(longest=2), "have more than 1 words"),
        (dict(size_px=16), "too small for five things"),
        (dict(trunk=TrunkConfig(trunk="nature"), size_px=32), "too small for this nature trunk"),
        (dict(trunk=changed(TINY, init="zoo/translate-en-de")), "no two of the same name"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(runs, changes, words):
    with pytest.raises(UserError, match=words):
        caption.train(changed(caption.SMOKE, **changes))
    assert not runs.exists()


def test_the_bench_prints_one_comparison(runs, capsys):
    words = ["bench", "caption", "--updates", "6", "--rounds", "1", "--json", "--threads", "1"]
    words += ["--units", "16", "--batch-size", "4", "--width", "0.125", "--precision", "fp32"]
    words += ["--num-epochs", "3"]
    assert arcadia.main(words) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["ratio"] == pytest.approx(row["ours"] / row["peer"]) and row["ours"] > 0
    assert row["name"] == "caption samples_per_s" and not runs.exists()


def test_pictures_are_not_shifted_by_their_side_nor_blended():
    shifted = changed(caption.SMOKE, size_px=32, augment=AugmentConfig(crop_px=32))
    with pytest.raises(UserError, match=r"--crop-px 32: pictures of 32 by 32"):
        caption.Captioning.of(shifted)
    with pytest.raises(ValueError, match="leave --mixup away"):
        caption.Config(augment=AugmentConfig(mixup=1.0))
