"""Semantic segmentation by the command: learnt, scored, drawn on pictures and films, refused."""

import json

import av
import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.testing import assert_close

import arcadia
from backbones import soundtrack
from backbones.decoders import enlarged
from backbones.media import Frame, film_bytes, read_frames
from backbones.training.config import RunConfig, changed
from backbones.training.errors import UserError
from backbones.training.log import Board
from backbones.training.run import find_run
from tasks.data.formats.class_maps import CAMVID, VOID
from tasks.evaluate import evaluate, load_model
from tasks.labels import masked, segment
from tasks.labels.mask_augment import MaskAugmentConfig, augment_masks
from tasks.labels.masked import Masked, squeezed_labels
from tasks.labels.segment import Config, DrawnConfig, Segment, labels_of
from tasks.looks.masks import laid_over, legend, shares_of
from tasks.predictor import load_predictor
from tasks.worlds.roads import road
from tests.tasks.data.formats.test_masks import save
from tests.tasks.killed import assert_same, whole_and_killed

FP32 = ("--precision", "fp32")
SMOKE = changed(segment.SMOKE, run=RunConfig(precision="fp32"))


@pytest.fixture(autouse=True)
def few_scenes(small_unless_slow, monkeypatch):
    """Fewer than in other tests: every call that draws a road is checked for its types here."""
    monkeypatch.setitem(masked.WORLD_SIZES, "test", 12)
    monkeypatch.setitem(masked.WORLD_SIZES, "val", 6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A runs folder with segment/smoke, trained by the smoke preset through the command."""
    path = tmp_path_factory.mktemp("segment")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCADIA_RUNS", str(path))
        patch.setitem(masked.WORLD_SIZES, "test", 12)
        patch.setitem(masked.WORLD_SIZES, "val", 6)
        words = ["train", "segment", "--preset", "smoke", "--name", "smoke", *FP32]
        assert arcadia.main(words) == 0
    return path


@pytest.fixture
def trained(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("ARCADIA_RUNS", str(folder))
    monkeypatch.chdir(tmp_path)
    return "smoke"


@pytest.fixture
def camvid(tmp_path):
    """A folder of CamVid with ten training pictures of 40 x 60, two that validate, three that
    test."""
    for split, count in (("train", 10), ("val", 2), ("test", 3)):
        for n in range(count):
            picture, label = road(len(split), n, 40, 60)
            save(tmp_path / "set" / split / f"{n}.png", picture.transpose(1, 2, 0))
            label = np.where(label == VOID, 11, label)
            save(tmp_path / "set" / f"{split}annot" / f"{n}.png", label)
    return tmp_path / "set"


def drawing(path, height=45, width=61):
    """Write a road scene; return its pixels."""
    pixels = road(9, 1, height, width)[0].transpose(1, 2, 0)
    save(path, pixels)
    return pixels


def test_eval_prints_the_mean_iou_of_all_classes_and_a_baseline(trained, capsys):
    assert arcadia.main(["eval", trained, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    ious = [value for name, value in result["scores"].items() if name.startswith("iou_")]
    assert result["metric"] == "miou" and result["score"] == pytest.approx(np.mean(ious))
    assert len(ious) == 11 and 5 < result["baseline"] < 40
    assert result["protocol"]["answered_at"] == "64 x 48"


def test_predict_draws_classes_onto_a_picture_of_any_size(trained, tmp_path, capsys):
    pixels = drawing(tmp_path / "a.png")
    assert arcadia.main(["predict", trained, "a.png", "-o", "out/"]) == 0
    assert " %" in capsys.readouterr().out
    drawn = np.asarray(Image.open(tmp_path / "out" / "a.png"))
    assert drawn.shape == pixels.shape and (drawn != pixels).any()
    words = ["predict", trained, "a.png", "-o", "numbers.png", "--draw", "numbers"]
    assert arcadia.main(words) == 0
    label = np.asarray(Image.open(tmp_path / "numbers.png"))
    assert label.shape == pixels.shape[:2] and label.max() < 11
    expected = laid_over(pixels, label, CAMVID.palette, 0.5)
    assert np.array_equal(drawn, expected)


def film(frames, sound=None):
    return film_bytes(
        (Frame(k / 10, (k + 1) / 10, one) for k, one in enumerate(frames)), sound, 48_000
    )


def test_a_film_is_drawn_picture_by_picture_and_keeps_its_sound(trained, tmp_path, capsys):
    frames = [road(9, 2, 46, 62)[0].transpose(1, 2, 0)] * 12
    tone = np.sin(np.arange(48_000 * 12 // 10) * 0.1).astype(np.float32) * 0.3
    (tmp_path / "a.mp4").write_bytes(film(frames, tone))
    save(tmp_path / "b.png", frames[0])
    assert arcadia.main(["predict", trained, "a.mp4", "b.png", "-o", "out/", "--opacity", "1"]) == 0
    assert "a.mp4: 1.2 s (out/a.mp4)" in capsys.readouterr().out
    still = np.asarray(Image.open(tmp_path / "out" / "b.png")).astype(int)
    with av.open(str(tmp_path / "out" / "a.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
        heard = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
    assert 1.1 * 48_000 < len(heard) < 1.35 * 48_000 and 0.15 < np.abs(heard).max() < 0.5
    with av.open(str(tmp_path / "out" / "a.mp4")) as container:
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(shown) == 12
    # The encoder blurs colours; where it does not, they are those of the picture alone.
    assert np.median(np.abs(shown[5].astype(int) - still)) < 12


def test_a_film_may_be_named_and_a_wrong_ending_is_refused(trained, tmp_path, capsys):
    (tmp_path / "a.mp4").write_bytes(film([road(9, 2, 46, 62)[0].transpose(1, 2, 0)] * 2))
    drawing(tmp_path / "a.png")
    assert arcadia.main(["predict", trained, "a.mp4", "-o", "b.mp4"]) == 0
    assert arcadia.main(["predict", trained, "a.mp4", "-o", "b.png"]) == 2
    assert "the answer is written as .mp4; b.png ends otherwise" in capsys.readouterr().err
    assert arcadia.main(["predict", trained, "a.png", "-o", "b.avi"]) == 2
    assert "give a folder, or a name in .png or .mp4" in capsys.readouterr().err
    assert arcadia.main(["predict", trained, "a.mp4", "-o", "o/", "--draw", "numbers"]) == 2
    (tmp_path / "text.mp4").write_text("hello")
    assert arcadia.main(["predict", trained, "text.mp4", "-o", "o/"]) == 2
    assert "is not a PNG" in capsys.readouterr().err


def test_a_long_film_is_drawn_as_it_is_read(trained, tmp_path, monkeypatch):
    predictor = load_predictor(find_run(trained))
    (tmp_path / "a.mp4").write_bytes(film([road(9, 2, 46, 62)[0].transpose(1, 2, 0)] * 20))
    read, waiting, drawn = 0, [], predictor.redrawn

    def counted(given):
        nonlocal read
        for frame in read_frames(given):
            read += 1
            yield frame

    def redrawn(frame):
        waiting.append(read - len(waiting))
        return drawn(frame)

    monkeypatch.setattr(soundtrack, "read_frames", counted)
    monkeypatch.setattr(predictor, "redrawn", redrawn)
    (answer,) = predictor.answer(tmp_path / "a.mp4")
    assert read == 0  # nothing is read before it is written
    answer.medium.encoded()
    assert waiting == [1] * 20  # never more than one picture at a time


def test_a_run_killed_and_resumed_ends_with_the_same_weights(runs):
    config = changed(
        SMOKE,
        fit=changed(SMOKE.fit, num_epochs=2, eval_every=0),
        run=changed(SMOKE.run, checkpoint_every_s=1e-6),
    )
    assert_same(*whole_and_killed(segment.JOB, config))


def test_a_model_alone_answers_the_same(trained, tmp_path):
    assert arcadia.main(["export", trained, "--folder", str(tmp_path / "small")]) == 0
    pixels = drawing(tmp_path / "a.png").transpose(2, 0, 1)
    whole, alone = (load_predictor(find_run(name)) for name in (trained, str(tmp_path / "small")))
    assert whole.predict([pixels]) == alone.predict([pixels])


@pytest.mark.parametrize("decode", ["fcn", "segnet"])
def test_one_by_one_and_in_batches_the_answers_agree(decode):
    config = changed(SMOKE, decode=decode, samples=4)
    task = Segment(config, Masked(config))
    model = task.model().eval()
    batch = task.data("train").batch(torch.arange(4))
    with torch.no_grad():
        together = task.predict(model, batch)
        alone = [task.predict(model, {"picture": one[None]}) for one in batch["picture"]]
    assert_close(together, torch.cat(alone), atol=1e-4, rtol=1e-4)


def test_both_decoders_learn_one_batch_by_heart():
    for decode in ("fcn", "segnet"):
        config = changed(SMOKE, decode=decode, samples=4)
        config = changed(config, trunk=changed(config.trunk, width=0.5))
        task = Segment(config, Masked(config))
        torch.manual_seed(0)
        model = task.model()
        batch = task.data("train").batch(torch.arange(4))
        optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
        losses = []
        for _ in range(40):
            loss = task.loss(model, batch).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        assert losses[-1] < 0.35 * losses[0], decode


def test_void_teaches_nothing_even_where_it_is_everywhere():
    config = changed(SMOKE, samples=2)
    task = Segment(config, Masked(config))
    model = task.model()
    batch = task.data("train").batch(torch.arange(2))
    label = batch["label"].clone()
    label[0] = VOID
    label[1, :24] = VOID
    loss = task.loss(model, {**batch, "label": label})
    assert loss[0] == 0 and loss[1] > 0
    loss[0].backward()
    assert all(not p.grad.any() for p in model.parameters())


def test_class_weights_are_taken_back_in_answers_as_far_as_asked():
    config = changed(SMOKE, samples=2, answer=DrawnConfig(prior=0.0))
    task, back = (
        Segment(changed(config, answer=DrawnConfig(prior=prior)), Masked(config))
        for prior in (0.0, 1.0)
    )
    model = task.model().eval()
    batch = task.data("train").batch(torch.arange(2))
    with torch.no_grad():
        plain, taken = task.predict(model, batch), back.predict(model, batch)
    assert_close(plain.exp().sum(1), torch.ones(2, 48, 64))
    assert_close((plain - taken)[0, :, 3, 5], task.weights.log())


def test_pictures_and_labels_are_mirrored_and_cut_out_together():
    rows, columns = torch.meshgrid(torch.arange(24), torch.arange(32), indexing="ij")
    label = (rows // 3 * 11 + columns // 3).to(torch.uint8)[None].repeat(6, 1, 1)
    picture = label[:, None].repeat(1, 3, 1, 1)
    config = MaskAugmentConfig(flip=True, zoom=0.6, light=0.0)
    index = torch.arange(6)
    seen, labels = augment_masks(picture, label, index, 1, 0, config)
    # Inside of every patch of one label the picture has the label's value.
    inner = (seen[:, 0] - labels.float()).abs()
    assert (inner < 0.01).float().mean() > 0.2 and (labels != label).any()
    again, same = augment_masks(picture[3:], label[3:], index[3:], 1, 0, config)
    assert_close(again, seen[3:]) and torch.equal(same, labels[3:])
    other, mirrored = augment_masks(picture, label, index, 1, 1, changed(config, zoom=0.0))
    first, kept = augment_masks(picture, label, index, 1, 0, changed(config, zoom=0.0))
    assert torch.equal(mirrored, kept.flip(-1)) and torch.equal(other, first.flip(-1))


def test_labels_of_another_size_take_the_nearest_and_are_never_mixed():
    label = np.array([[0, 0, 7, 7], [0, 0, 7, 7], [3, 3, VOID, VOID], [3, 3, VOID, VOID]], np.uint8)
    assert squeezed_labels(label, (2, 2)).tolist() == [[0, 7], [3, VOID]]
    assert set(np.unique(squeezed_labels(label, (3, 5)))) <= {0, 3, 7, VOID}
    assert np.array_equal(squeezed_labels(squeezed_labels(label, (8, 8)), (4, 4)), label)


def test_camvid_is_learnt_scored_at_its_own_size_and_starts_from_the_world(
    trained, camvid, runs, folder, capsys, monkeypatch
):
    start = str(folder / "segment" / trained)
    words = ["train", "segment", "--preset", "smoke", "--data", str(camvid), *FP32]
    assert arcadia.main([*words, "--init", start, "--name", "whole"]) == 0
    log = capsys.readouterr().out
    assert "cnn starts from" in log and "heads start from segment/smoke too" in log
    assert arcadia.main([*words, "--init", f"{start}:cnn"]) == 0
    assert "heads start from" not in capsys.readouterr().out
    result = json.loads((runs / "segment" / "whole" / "eval.json").read_text())
    assert result["protocol"]["set"].endswith("set") and result["protocol"]["pictures"] == 3
    task, model = load_model(find_run("whole"))
    sums = evaluate(task, model, task.to_score("test"))
    labels = [np.asarray(Image.open(camvid / "testannot" / f"{n}.png")) for n in range(3)]
    assert int(sums["confusion"].sum()) == sum(int((label < 11).sum()) for label in labels)


def test_pictures_of_several_sizes_are_scored_each_at_its_own(camvid):
    picture, label = road(3, 7, 50, 43)
    save(camvid / "test" / "9.png", picture.transpose(1, 2, 0))
    save(camvid / "testannot" / "9.png", np.where(label == VOID, 11, label))
    config = changed(SMOKE, data=str(camvid))
    task = Segment(config, Masked(config))
    confusion = evaluate(task, task.model(), task.to_score("test"))["confusion"]
    labels = [np.asarray(Image.open(path)) for path in (camvid / "testannot").iterdir()]
    true = sum(np.bincount(each.reshape(-1), minlength=12)[:11] for each in labels)
    assert confusion.sum(1).tolist() == true.tolist()


def test_labels_of_a_larger_picture_are_those_of_all_scores_enlarged():
    answers = torch.randn(2, 5, 7, 9, generator=torch.Generator().manual_seed(1))
    expected = enlarged(answers, (31, 40)).argmax(1)
    assert (labels_of(answers, (31, 40)) == expected).float().mean() > 0.999
    assert torch.equal(labels_of(answers, (7, 9)).long(), answers.argmax(1))


def test_what_validates_is_held_out_where_there_is_no_split_for_it(camvid):
    for split in ("val", "test"):
        (camvid / f"{split}annot").rename(camvid / f"{split}-hidden")
    (camvid / "val-hidden").rename(camvid / "valannot")
    config = changed(SMOKE, data=str(camvid))
    source = Masked(config)
    assert len(source.samples("train")) == 8 and len(source.samples("val")) == 2
    names = {path.name for split in ("train", "val") for path, _ in source.files_of(split).pairs}
    assert len(names) == 10 and len(source.scored("test")) == 2
    assert source.protocol("test")["from"] == "the split val"


def test_labels_that_cannot_be_scored_are_found_before_anything_is_learnt(camvid, runs, capsys):
    words = ["train", "segment", "--preset", "smoke", "--data", str(camvid), *FP32]
    save(camvid / "testannot" / "1.png", np.full((40, 60), 77))
    assert arcadia.main(words) == 2
    assert "1.png has the numbers 77" in capsys.readouterr().err
    for path in (camvid / "testannot").iterdir():
        save(path, np.full((40, 60), 11))
    assert arcadia.main(words) == 2
    assert "all labels of test are void" in capsys.readouterr().err
    assert not runs.exists() or not list((runs / "segment").glob("*"))


def test_void_everywhere_is_noted_and_where_all_is_void_refused(camvid):
    save(camvid / "trainannot" / "3.png", np.full((40, 60), 11))
    source = Masked(changed(SMOKE, data=str(camvid)))
    (note,) = source.notes()
    assert "1 label pictures are void everywhere (3.png)" in note
    for path in (camvid / "trainannot").iterdir():
        save(path, np.full((40, 60), 11))
    with pytest.raises(UserError, match="all training labels are void"):
        Masked(changed(SMOKE, data=str(camvid)))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: save(path, np.zeros((40, 61))), "has 61 x 40 pixels and its picture 60 x 40"),
        (lambda path: save(path, np.full((40, 60), 99)), "has the numbers 99"),
        (lambda path: save(path, np.zeros((40, 60, 3))), "a picture in colour"),
        (lambda path: path.unlink(), "1 of 10 pictures are missing"),
        (lambda path: path.write_bytes(b""), "is no PNG"),
    ],
)
def test_mistakes_in_the_files_are_one_line_and_leave_no_run(camvid, runs, spoil, reason, capsys):
    (camvid / "train.txt").write_text("\n".join(f"{n}.png" for n in range(10)))
    spoil(camvid / "trainannot" / "4.png")
    words = ["train", "segment", "--preset", "smoke", "--data", str(camvid), *FP32]
    assert arcadia.main(words) == 2
    said = capsys.readouterr().err
    assert reason in said and said.count("\n") == 1
    assert not runs.exists() or not list((runs / "segment").glob("*"))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--set", "nowhere"], "no such folder in \\$ARCADIA_DATA|--set nowhere"),
        (["--decode", "segnet", "--trunk", "nature", "--norm", "none"], "--decode segnet"),
        (["--height-px", "16"], "too few for a road"),
        (["--stages", "s7"], "--stages s7"),
        (["--opacity", "2"], "opacity"),
    ],
)
def test_mistakes_in_flags_are_one_line(runs, words, reason, capsys, monkeypatch):
    monkeypatch.delenv("ARCADIA_DATA", raising=False)
    assert arcadia.main(["train", "segment", "--preset", "smoke", *FP32, *words]) == 2
    said = capsys.readouterr().err
    assert any(part in said for part in reason.split("|"))


def test_people_see_answers_beside_the_truth_the_worst_and_confusions(trained, tmp_path):
    task, model = load_model(find_run(trained))
    board = Board(tmp_path)
    sums = evaluate(task, model, task.to_score("val"))
    task.show(board, 1, model, sums)
    tags = EventAccumulator(str(tmp_path)).Reload().Tags()["images"]
    assert {"val/answers", "val/worst", "val/confusion_percent"} <= set(tags)


def test_a_drawn_picture_is_the_mean_of_picture_and_colour_and_shares_are_said():
    picture = np.full((2, 3, 3), 100, np.uint8)
    label = np.array([[0, 0, 1], [1, 1, VOID]], np.uint8)
    drawn = laid_over(picture, label, ((200, 0, 0), (0, 100, 50)), 0.5)
    assert drawn[0, 0].tolist() == [150, 50, 50] and drawn[0, 2].tolist() == [50, 100, 75]
    assert shares_of(label, ("a", "b", "c")) == {"b": 0.5, "a": 0.3333}
    assert legend(CAMVID.palette, CAMVID.classes, 200).shape[1] == 200


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="prior = 2"):
        DrawnConfig(prior=2.0)
    with pytest.raises(ValueError, match="samples"):
        Config(samples=-1)
