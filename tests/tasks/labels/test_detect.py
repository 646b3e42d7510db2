"""Detection: learnt from files in seconds, batches and pieces change nothing, asked, drawn."""

import io
import json

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.testing import assert_close

import arcadia
from backbones.media import Frame, film_bytes, read_frames
from backbones.training.config import RunConfig, changed
from backbones.training.errors import UserError
from backbones.training.run import find_run
from backbones.transfer import TrunkConfig
from tasks.data.formats.rle import mask_of, runs_in
from tasks.labels import boxed, dense, detect
from tasks.labels.bits import packed, unpacked
from tasks.labels.detector import Objects, cut_out, matched
from tasks.labels.finding import truth_of
from tasks.labels.proposals import windows
from tasks.predictor import load_predictor
from tasks.scores.detection import overlaps
from tasks.worlds import scene_files, scenes
from tasks.worlds.chance import SEEDS
from tests.tasks.killed import assert_same, whole_and_killed

COLOURS = {"red": (220, 40, 40), "blue": (40, 60, 230)}
TOY = changed(
    detect.SMOKE,
    samples=0,
    size_px=48,
    num_proposals=12,
    channels=16,
    fit=changed(
        detect.FIT, num_epochs=14, batch_size=16, learning_rate=1e-2, ema=0.0, eval_every=14
    ),
    trunk=TrunkConfig(trunk="plain", norm="batch", width=0.25),
    run=RunConfig(precision="fp32"),
)


@pytest.fixture(autouse=True)
def few_scenes(monkeypatch):
    """Scenes are drawn one by one: few of them do."""
    for split, count in {"train": 48, "val": 12, "test": 16}.items():
        monkeypatch.setitem(boxed.WORLD_SIZES, split, count)


def toy_photos(folder, count=96, wide=60):
    """Photos, wider than tall, with a red or a blue board or both, in COCO's form."""
    random = np.random.default_rng(0)
    (folder / "photos").mkdir(parents=True)
    images, annotations = [], []
    for n in range(count):
        pixels = random.integers(90, 130, (40, wide, 3)).astype(np.uint8)
        for side in range(int(random.integers(0, 3))):  # a third of them has none
            name = list(COLOURS)[int(random.integers(2))]
            width, height = random.integers(10, 20, 2).tolist()
            x = side * 30 + int(random.integers(0, 29 - width))
            y = int(random.integers(0, 40 - height))
            pixels[y : y + height, x : x + width] = COLOURS[name]
            corners = [x, y, x + width, y, x + width, y + height, x, y + height]
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": n,
                    "category_id": 10 * (1 + list(COLOURS).index(name)),
                    "bbox": [x, y, width, height],
                    "segmentation": [corners],
                }
            )
        Image.fromarray(pixels).save(folder / "photos" / f"{n:03}.png")
        images.append({"id": n, "file_name": f"{n:03}.png", "width": wide, "height": 40})
    kinds = [{"id": 10 * (1 + n), "name": name} for n, name in enumerate(COLOURS)]
    found = {"images": images, "annotations": annotations, "categories": kinds}
    (folder / "instances_train.json").write_text(json.dumps(found))
    return folder


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A run that has learnt to find boards, and its runs folder."""
    folder = tmp_path_factory.mktemp("toy")
    data = toy_photos(folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCADIA_RUNS", str(folder / "runs"))
        detect.train(changed(TOY, data=str(data), run=changed(TOY.run, name="toy")))
    return folder


@pytest.fixture
def trained(toy, monkeypatch):
    monkeypatch.setenv("ARCADIA_RUNS", str(toy / "runs"))
    return find_run("toy")


def made(**changes):
    """A task on few scenes and an untrained model in eval mode."""
    task = detect.Detect.of(changed(detect.SMOKE, **changes))
    torch.manual_seed(1)
    return task, task.model().eval()


def test_the_toy_is_learnt_from_files(trained):
    result = json.loads((trained.folder / "eval.json").read_text())
    assert result["metric"] == "ap" and result["score"] > 25 > 5 > result["baseline"]
    assert result["scores"]["ap50"] > 80 and result["scores"]["mask_ap50"] > 80
    assert result["scores"]["voc_ap"] == pytest.approx(result["scores"]["ap50"], abs=15)
    log = (trained.folder / "log.txt").read_text()
    assert "no lists of splits: the last 10 photos by name are the test" in log
    assert "6 of the training photos validate" in log


def test_a_picture_alone_costs_and_gets_what_it_does_in_a_batch():
    task, model = made()
    samples = task.data("train")
    batch = samples.batch(torch.arange(7))
    alone = [samples.batch(torch.tensor([n])) for n in range(7)]
    losses = torch.cat([task.loss(model, one) for one in alone])
    assert_close(task.loss(model, batch), losses, atol=1e-4, rtol=1e-4)
    together = task.predict(model, batch)
    for one, found in zip(alone, together, strict=True):
        (mine,) = task.predict(model, one)
        assert mine.label.tolist() == found.label.tolist() and mine.masks == found.masks
        assert np.allclose(mine.boxes, found.boxes, atol=1e-3)
        assert np.allclose(mine.score, found.score, atol=1e-5)


def test_many_objects_are_assigned_in_pieces_to_the_same_places(monkeypatch):
    task, model = made()
    batch = task.data("train").batch(torch.arange(5))
    whole = task.loss(model, batch)
    monkeypatch.setattr(dense, "MOST_PAIRS", 1)
    assert torch.equal(task.loss(model, batch), whole)


def test_a_picture_without_objects_is_learnt_from():
    task, model = made()
    batch = task.data("train").batch(torch.arange(4))
    empty = {**batch, "label": batch["label"] * 0, "box": batch["box"] * 0}
    none = {**empty, "label": empty["label"][:, :0], "box": empty["box"][:, :0]}
    none |= {"crowd": empty["crowd"][:, :0], "mask": batch["mask"][:, :0]}
    model.train()
    losses = [task.loss(model, each) for each in (empty, none)]
    assert_close(losses[0], losses[1], atol=1e-5, rtol=1e-5)
    losses[1].sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_what_lies_in_a_crowd_is_no_mistake_and_no_object():
    boxes = torch.tensor([[[0.0, 0, 10, 10], [20, 20, 30, 30], [0, 0, 9, 10]]])
    crowds = torch.tensor([[[0.0, 0, 40, 12], [20, 20, 30, 31]]])
    objects = Objects(crowds, torch.tensor([[1, 2]]), torch.tensor([[True, False]]))
    label, which, counts, _ = matched(boxes, torch.ones(1, 3, dtype=torch.bool), objects)
    assert label.tolist() == [[0, 2, 0]] and counts.tolist() == [[False, True, False]]
    assert which[0, 1] == 1


def test_a_mask_s_target_is_its_part_in_the_region():
    masks = torch.zeros(1, 1, 32, 32)
    masks[0, 0, 4:18, 2:16] = 1
    target = cut_out(masks, torch.tensor([[[2.0, 4, 30, 32]]]))
    expected = torch.zeros(28, 28)
    expected[:14, :14] = 1
    assert_close(target[0, 0], expected)


def test_boxes_and_masks_are_mirrored_with_their_picture():
    task, _ = made(flip=True)
    batch = {**task.data("train").batch(torch.arange(6)), "index": torch.arange(6)}
    epochs = [task.prepare(batch, epoch) for epoch in (0, 1)]
    turned = torch.stack([each["mirrored"] for each in epochs])
    assert (turned[0] ^ turned[1]).all()
    for each in epochs:
        masks = task.drawn(each, torch.arange(each["label"].shape[1]).expand(6, -1))
        for n in range(6):
            for box, label, mask in zip(each["box"][n], each["label"][n], masks[n], strict=True):
                if label:
                    rows, columns = mask.nonzero().T
                    found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
                    assert box.tolist() == [float(value) for value in found]
                else:
                    assert not box.any()


def test_bits_come_back_as_they_were():
    masks = np.random.default_rng(0).random((3, 13, 13)) < 0.5
    assert (unpacked(torch.from_numpy(packed(masks)), 13).numpy() == masks).all()


def test_an_object_in_several_pieces_is_one_with_one_box_round_them():
    found = []
    for number in range(20):
        _, masks, _ = scenes.objects(SEEDS["train"], number, 96)
        columns = boxed.world_columns("train", np.array([number]), 96, True)
        batch = {name: torch.from_numpy(column) for name, column in columns.items()}
        (truth,) = truth_of(batch, 96)
        assert len(truth.label) == len(masks) and truth.masks is not None
        for mask, text, box in zip(masks, truth.masks, truth.boxes, strict=True):
            assert (mask_of(runs_in(text), 96, 96) == mask).all()
            rows, columns_ = mask.nonzero()
            assert box.tolist() == [columns_.min(), rows.min(), columns_.max() + 1, rows.max() + 1]
            pieces = cv2.connectedComponents(mask.astype(np.uint8))[0] - 1
            found.append(pieces)
    assert max(found) > 1  # there are some


def test_scenes_are_the_same_from_coco_s_files(tmp_path, runs):
    config = scene_files.Config(folder=tmp_path / "s", train=6, val=2, test=3, proposals=True)
    scene_files.write_scenes(config)
    task = detect.Detect.of(changed(detect.SMOKE, data=str(tmp_path / "s"), size_px=96))
    world, _ = made()
    mine, theirs = (each.data("train").batch(torch.arange(6)) for each in (task, world))
    assert torch.equal(mine["picture"], theirs["picture"])
    most = mine["label"].shape[1]
    assert torch.equal(mine["box"], theirs["box"][:, :most])
    assert torch.equal(mine["label"], theirs["label"][:, :most])
    assert torch.equal(mine["mask"], theirs["mask"][:, :most])
    scored = truth_of(task.to_score("test").batch(torch.arange(3)), 96)
    for one, other in zip(
        scored, truth_of(world.data("test").batch(torch.arange(3)), 96), strict=True
    ):
        assert one.masks == other.masks and (one.boxes == other.boxes).all()
    with pytest.raises(UserError, match="is not empty"):
        scene_files.write_scenes(config)


@pytest.mark.parametrize("crops", [False, True])
@pytest.mark.parametrize("proposals", ["grid", "file"])
def test_the_same_heads_look_where_others_say(tmp_path, runs, proposals, crops):
    config = scene_files.Config(folder=tmp_path / "s", train=8, val=2, test=4, proposals=True)
    scene_files.write_scenes(changed(config, size_px=64))
    run = detect.train(
        changed(
            detect.SMOKE,
            data=str(tmp_path / "s"),
            size_px=64,
            samples=0,
            proposals=proposals,
            crops=crops,
            fit=changed(detect.SMOKE.fit, batch_size=4, eval_every=0),
            run=RunConfig(precision="fp32"),
        )
    )
    assert "ap" in json.loads((run.folder / "eval.json").read_text())["scores"]
    predictor = load_predictor(run)
    assert predictor.model.dense is None
    picture = tmp_path / "s" / "test" / "000000.png"
    if proposals == "grid":
        assert predictor.predict([picture])[0]["text"]
    else:
        with pytest.raises(UserError, match="looks where a file says"):
            predictor.predict([picture])


def test_windows_cover_the_picture():
    found = windows(96)
    assert found.min() >= 0 and found.max() <= 96 + 1e-3
    covered = torch.zeros(96, 96)
    for x0, y0, x1, y1 in found.round().long().tolist():
        covered[y0:y1, x0:x1] += 1
    assert covered.min() >= 2


def test_a_killed_run_ends_the_same_bit_for_bit(runs):
    config = changed(
        detect.SMOKE,
        samples=32,
        flip=True,
        fit=changed(detect.SMOKE.fit, num_epochs=2, batch_size=8, eval_every=0),
        run=RunConfig(precision="fp32", checkpoint_every_s=1e-6),
    )
    assert_same(*whole_and_killed(detect.JOB, config))


def test_predict_draws_what_it_found_and_says_it_in_coco_s_form(trained, toy, tmp_path, capsys):
    told = json.loads((toy / "data" / "instances_train.json").read_text())
    tested = [note for note in told["annotations"] if note["image_id"] >= 86]
    often = [note["image_id"] for note in tested]
    alone = next(note for note in tested if often.count(note["image_id"]) == 1)
    with Image.open(toy / "data" / "photos" / f"{alone['image_id']:03}.png") as small:
        small.resize((120, 80)).save(tmp_path / "a.png")
    (tmp_path / "none.txt").write_text("no picture")
    words = ["predict", "toy", str(tmp_path / "a.png"), "--json"]
    assert arcadia.main(words) == 0
    row = json.loads(capsys.readouterr().out)
    best = row["results"][0]
    name = list(COLOURS)[alone["category_id"] // 10 - 1]
    assert best["category"] == name and best["category_id"] == alone["category_id"]
    assert name in row["text"] and "output" not in row
    x, y, width, height = (2 * value for value in alone["bbox"])
    corners = np.array([x, y, x + width, y + height], float)
    answered = np.array(best["bbox"])
    answered[2:] += answered[:2]
    assert overlaps(answered, corners[None])[0] > 0.5
    mask = mask_of(runs_in(best["segmentation"]["counts"]), 80, 120)
    whole = np.zeros((80, 120), bool)
    whole[y : y + height, x : x + width] = True
    assert (mask & whole).sum() / (mask | whole).sum() > 0.5
    files = [str(tmp_path / "a.png"), str(tmp_path / "none.txt")]
    assert arcadia.main(["predict", "toy", *files, "-o", f"{tmp_path}/out/"]) == 2
    out, err = capsys.readouterr()
    assert name in out and "none.txt" in err
    drawn = np.asarray(Image.open(tmp_path / "out" / "a.png"))
    assert drawn.shape == (320, 480, 3) and len(np.unique(drawn.reshape(-1, 3), axis=0)) > 4


def test_a_film_is_drawn_picture_by_picture(trained, toy, tmp_path, capsys):
    with Image.open(toy / "data" / "photos" / "003.png") as photo:
        frames = [Frame(n / 10, (n + 1) / 10, np.array(photo)) for n in range(3)]
    (tmp_path / "a.mp4").write_bytes(film_bytes(iter(frames)))
    words = ["predict", "toy", str(tmp_path / "a.mp4")]
    assert arcadia.main(words) == 2
    assert "a film is drawn anew; say where to" in capsys.readouterr().err
    assert arcadia.main([*words, "-o", str(tmp_path / "out.mp4")]) == 0
    drawn = [frame.pixels for frame in read_frames(tmp_path / "out.mp4")]
    (answer,) = arcadia.load("toy").answer([frames[0].pixels.transpose(2, 0, 1)])
    assert len(drawn) == 3 and drawn[0].shape == answer.medium.pixels.shape
    assert np.abs(drawn[0].astype(int) - answer.medium.pixels).mean() < 12  # but for the encoder


def test_python_gets_answers_of_files_bytes_and_arrays(trained, toy):
    path = toy / "data" / "photos" / "003.png"
    pixels = torch.tensor(np.asarray(Image.open(path))).permute(2, 0, 1)
    said = load_predictor(trained).predict([path, path.read_bytes(), pixels])
    assert said[0] == said[1] == said[2]


def test_people_see_truth_answers_curves_and_mistakes(trained):
    events = EventAccumulator(str(trained.folder)).Reload()
    for tag in ("detections", "worst", "precision_recall", "mask_precision_recall"):
        picture = Image.open(io.BytesIO(events.Images(f"val/{tag}")[0].encoded_image_string))
        assert len(np.unique(np.asarray(picture))) > 10
    assert {"val/ap", "val/ap50", "val/mask_ap50"} <= set(events.Tags()["scalars"])


def test_photos_of_another_size_than_their_boxes_are_named(toy, tmp_path, runs):
    data = toy_photos(tmp_path / "data", 20)
    Image.new("RGB", (61, 40)).save(data / "photos" / "004.png")
    with pytest.raises(UserError, match=r"004.png is of 61 x 40 pixels, its boxes of 60 x 40"):
        detect.train(changed(TOY, data=str(data)))


def test_photos_without_any_object_are_no_set(tmp_path, runs):
    data = toy_photos(tmp_path / "data", 12)
    path = data / "instances_train.json"
    found = json.loads(path.read_text())
    path.write_text(json.dumps({**found, "annotations": []}))
    with pytest.raises(UserError, match="no training picture has an object"):
        detect.train(changed(TOY, data=str(data), masks=False))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, r"proposals_train.json does not exist; --proposals file reads"),
        ("[]", "is no object of photos"),
        ('{"000.png": [[1, 2, 3]]}', r"expected \[x, y, width, height\]|has no boxes for"),
        ("{", "is no JSON"),
    ],
)
def test_wrong_proposals_are_one_line(tmp_path, runs, text, words):
    data = toy_photos(tmp_path / "data", 12)
    if text is not None:
        (data / "proposals_train.json").write_text(text)
    with pytest.raises(UserError, match=words):
        detect.train(changed(TOY, data=str(data), proposals="file"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(crops=True), "crops need proposals from outside"),
        (dict(proposals="file"), "scene_files FOLDER --proposals"),
        (dict(num_proposals=0), "num-proposals"),
        (dict(num_proposals=10**6), "num-proposals"),
        (dict(size_px=-1), "size-px"),
        (dict(units=0), "units"),
    ],
)
def test_impossible_configs_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        changed(detect.SMOKE, **changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(set="nowhere"), "--set nowhere: no such folder"),
        (dict(size_px=16), "too small for five things"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(runs, changes, words):
    with pytest.raises(UserError, match=words):
        detect.train(changed(detect.SMOKE, **changes))
    assert not runs.exists()
