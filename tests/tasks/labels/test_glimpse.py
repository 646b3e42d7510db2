"""Looks at small patches: where they lie, what they teach, the command, what people see."""

import io
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.testing import assert_close

import arcadia
from backbones.training.config import RunConfig, changed
from backbones.training.run import find_run
from tasks.evaluate import load_model
from tasks.labels import glimpse
from tasks.labels.looker import Looker, Looks, pyramid
from tasks.labels.looker import glimpse as look_at
from tasks.worlds.digits import digits
from tests.tasks.killed import assert_same, whole_and_killed

FP32 = ("--precision", "fp32")
SMOKE = changed(glimpse.SMOKE, run=RunConfig(precision="fp32", checkpoint_every_s=1e-6))


def looker(**values):
    torch.manual_seed(1)
    spec = {"patch_px": 4, "scales": 2, "looks": 4, "units": 16} | values
    return Looker(3, mean=(30.0,), std=(70.0,), **spec)


def slow_patch(picture, x_px, y_px, patch_px, scale):
    """One patch, number by number: means of scale x scale pixels, bilinear between them."""
    height, width = picture.shape
    small = np.zeros((-(-height // scale), -(-width // scale)))
    for row in range(height):
        for column in range(width):
            small[row // scale, column // scale] += picture[row, column] / scale**2

    def value(row, column):
        inside = 0 <= row < small.shape[0] and 0 <= column < small.shape[1]
        return small[row, column] if inside else 0.0

    patch = np.zeros((patch_px, patch_px))
    for down in range(patch_px):
        for across in range(patch_px):
            # The middle of the number is so far from that of the look; that of pixel 0 is at 0.5.
            y = y_px / scale + down - (patch_px - 1) / 2 - 0.5
            x = x_px / scale + across - (patch_px - 1) / 2 - 0.5
            top, left = math.floor(y), math.floor(x)
            for row, tall in ((top, top + 1 - y), (top + 1, y - top)):
                for column, wide in ((left, left + 1 - x), (left + 1, x - left)):
                    patch[down, across] += tall * wide * value(row, column)
    return patch


@pytest.mark.parametrize(("height", "width"), [(28, 28), (11, 9)])
def test_a_look_is_what_a_slow_crop_of_means_gives(height, width):
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, (3, height, width)).astype(np.uint8)
    place = np.array([[0.0, 0.0], [0.31, -0.77], [-1.0, 1.0]], np.float32)
    levels = pyramid(torch.from_numpy(picture[:, None]), scales=3)
    seen = look_at(levels, torch.from_numpy(place), (height, width), patch_px=6)
    assert seen.shape == (3, 3, 1, 6, 6)
    for number, (x, y) in enumerate(place):
        x_px, y_px = (x + 1) / 2 * width, (y + 1) / 2 * height
        for level in range(3):
            slow = slow_patch(picture[number], x_px, y_px, 6, 2**level)
            assert_close(seen[number, level, 0].numpy(), slow, atol=2e-3, rtol=0, check_dtype=False)


def test_a_look_at_the_centre_is_the_pixels_there():
    picture = torch.arange(64.0).view(1, 1, 8, 8)
    (seen,) = look_at(pyramid(picture, 2), torch.zeros(1, 2), (8, 8), 4)
    assert_close(seen[0, 0], picture[0, 0, 2:6, 2:6])
    assert_close(seen[1, 0, 0, 0], picture[0, 0, :2, :2].mean())  # of 8 x 8 pixels, in 4 x 4


def test_reinforce_has_the_gradient_of_the_expected_reward_of_two_places():
    # Right of 0 is 1 to be had, left of it nothing: E = Phi(mean / std), so dE / dmean is the
    # normal density at mean / std, over std.
    std, mean = 0.2, torch.tensor([0.1, -0.3], requires_grad=True)
    torch.manual_seed(1)
    noise = std * torch.randn(1, 400_000, 2)
    meant = mean.expand(1, 400_000, 2)
    reward = (meant + noise)[..., 0].detach() > 0
    for baseline in (0.0, 0.7):
        loss = glimpse.reinforce(meant, noise, reward.float() - baseline, std).mean()
        (gradient,) = torch.autograd.grad(loss, mean)
        exact = math.exp(-0.5 * (0.1 / std) ** 2) / math.sqrt(2 * math.pi) / std
        assert_close(-gradient, torch.tensor([exact, 0.0]), atol=0.02, rtol=0)


def test_answers_teach_the_lstm_and_rewards_the_locator_alone():
    model, picture = looker(), torch.randint(0, 256, (5, 1, 12, 12), dtype=torch.uint8)
    noise = 0.1 * torch.randn(5, 3, 2)
    for dtype in (None, torch.bfloat16):
        with torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
            seen = model(picture, noise)
        names = {}
        for what, values in (
            ("answer", seen.logits),
            ("policy", seen.meant + seen.reward[..., None]),
        ):
            model.zero_grad()
            values.sum().backward(retain_graph=True)
            taught = {n.split(".")[0] for n, p in model.named_parameters() if p.grad is not None}
            names[what] = {n for n in taught if getattr(model, n) is not None}
        assert names["answer"] == {"what", "where", "lstm", "classify"}
        assert names["policy"] == {"locate", "expect"}


def test_all_looks_in_one_call_are_the_looks_one_by_one():
    model, picture = looker(), torch.randint(0, 256, (5, 1, 12, 12), dtype=torch.uint8)
    noise = 0.1 * torch.randn(5, 3, 2)
    together = model(picture, noise)
    with torch.no_grad():
        stepped = model(picture, noise)
    for mine, theirs in zip(together, stepped, strict=True):
        assert_close(mine.detach(), theirs, atol=1e-5, rtol=1e-5)
    # Where it looked is where it meant to, and the noise; nowhere do patches leave the picture.
    drawn = (stepped.meant + noise.transpose(0, 1)).clamp(-1 + 4 / 12, 1 - 4 / 12)
    assert_close(stepped.place[1:], drawn, atol=1e-5, rtol=1e-5)
    assert not stepped.place[0].any() and len({tuple(p) for p in stepped.place[:, 0].tolist()}) == 4


def test_a_picture_is_answered_alone_as_among_others():
    task = glimpse.Glimpse.of(changed(SMOKE, ground_px=40, clutter=3))
    torch.manual_seed(1)
    model, batch = task.model(), task.data("train").batch(torch.arange(7))
    batch = task.prepare({**batch, "index": torch.arange(7)}, 1)
    losses = task.loss(model, batch)
    alone = [task.loss(model, {k: v[n : n + 1] for k, v in batch.items()}) for n in range(7)]
    assert_close(losses, torch.cat(alone), atol=1e-4, rtol=1e-5)


def test_a_look_is_worth_what_is_known_after_it_or_after_all_of_them():
    batch = {"picture": torch.zeros(1, 1, 28, 28), "label": torch.tensor([2])}
    batch["noise"] = torch.tensor([[[0.1, 0.0], [0.0, 0.2]]])
    right = torch.tensor([0.2, 0.5, 0.8])  # after each of three looks
    logits = torch.full((3, 1, 4), -math.inf)
    logits[:, 0, 2], logits[:, 0, 3] = right.log(), (1 - right).log()
    meant = torch.zeros(2, 1, 2, requires_grad=True)
    expected = torch.tensor([[0.4], [0.9]])
    seen = Looks(logits, torch.zeros(3, 1, 2), torch.zeros(3, 1, 8), meant, expected)
    for reward, values in (("each", (0.5, 0.8)), ("end", (0.8, 0.8))):
        task = glimpse.Glimpse.of(changed(SMOKE, reward=reward, noise=0.5))
        losses = task.losses(seen, batch)
        (gradient,) = torch.autograd.grad(losses["policy_loss"].sum(), meant)
        # Less the noise, over its variance, times what was better than expected.
        better = torch.tensor(values)[:, None] - expected
        assert_close(gradient[:, 0], -batch["noise"][0] / 0.25 * better)
        assert_close(losses["value_loss"], better.square().mean(0))
        answers = -right.log()
        assert_close(losses["answer_loss"], (answers[-1] + answers.mean())[None])


def test_one_look_is_answered_without_a_policy():
    task = glimpse.Glimpse.of(changed(SMOKE, looks=1))
    batch = {**task.data("train").batch(torch.arange(3)), "index": torch.arange(3)}
    batch = task.prepare(batch, 0)
    losses = task.losses(task.model()(batch["picture"], batch["noise"]), batch)
    assert list(losses) == ["answer_loss"] and losses["answer_loss"].shape == (3,)


def test_what_training_draws_is_a_function_of_seed_epoch_and_sample():
    task = glimpse.Glimpse.of(changed(SMOKE, ground_px=40, clutter=2))
    index = torch.tensor([3, 200, 17])
    batch = {**task.data("train").batch(index), "index": index}
    one, same, other = (task.prepare(batch, epoch) for epoch in (1, 1, 2))
    last = task.prepare({name: rows[2:] for name, rows in batch.items()}, 1)
    for name in ("picture", "noise"):
        assert torch.equal(one[name], same[name]) and not torch.equal(one[name], other[name])
        assert torch.equal(last[name][0], one[name][2])
    noise = glimpse.normals(1, 0, torch.arange(20_000), 4)
    assert abs(float(noise.mean())) < 0.02 and abs(float(noise.std()) - 1) < 0.02


def test_what_is_scored_lies_at_the_same_place_whatever_the_seed():
    configs = [changed(SMOKE, ground_px=40, clutter=2, run=RunConfig(seed=s)) for s in (1, 2)]
    scored = [glimpse.Glimpse.of(config).to_score("test") for config in configs]
    mine, theirs = (each.batch(torch.arange(9))["picture"] for each in scored)
    assert mine.shape == (9, 1, 40, 40) and torch.equal(mine, theirs)
    assert torch.equal(scored[0].batch(torch.tensor([4]))["picture"][0], mine[4])
    assert len(scored[0]) == 200 and torch.equal(scored[0].in_order(), torch.arange(200))


def test_a_killed_run_ends_the_same_bit_for_bit(runs):
    config = changed(SMOKE, ground_px=40, clutter=1, fit=changed(SMOKE.fit, num_epochs=2))
    assert_same(*whole_and_killed(glimpse.JOB, config), ("lstm", "heads", "state"))


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """A runs folder with glimpse/smoke, trained by the smoke preset through the command."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCADIA_RUNS", str(folder))
        words = ["train", "glimpse", "--preset", "smoke", "--name", "smoke"]
        assert arcadia.main([*words, *FP32]) == 0
    return folder


@pytest.fixture
def trained(smoke, monkeypatch):
    monkeypatch.setenv("ARCADIA_RUNS", str(smoke))
    return find_run("smoke")


@pytest.mark.learns
def test_digits_are_learnt_and_later_looks_help(runs, learning):
    fit = changed(glimpse.DIGITS.fit, num_epochs=8, eval_every=0, ema=0.98)
    config = changed(glimpse.DIGITS, samples=3_000, ground_px=40, looks=4, units=64, fit=fit)
    run = glimpse.train(changed(config, augment=type(config.augment)(), run=learning))
    scores = json.loads((run.folder / "eval.json").read_text())["scores"]
    assert scores["error"] < 40 and scores["error"] < scores["first_look_error"] - 5


def test_eval_says_how_it_looked(trained, capsys):
    assert arcadia.main(["eval", "smoke", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["metric"] == "error" and result["score"] <= 100
    protocol = result["protocol"]
    assert protocol["looks"] == 3 and protocol["patches"] == "12 x 12 of 12, 24 px"
    assert arcadia.main(["eval", "smoke", "--split", "train"]) == 0


def test_predict_answers_and_explains_as_a_picture_or_an_animation(trained, tmp_path, capsys):
    png = tmp_path / "d.png"
    Image.fromarray(digits(9, np.arange(1), 28)[0][0, 0]).save(png)
    words = ["predict", "smoke", str(png), "--explain", "--output", f"{tmp_path}/seen/"]
    assert arcadia.main([*words, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert sum(answer["chances"].values()) == pytest.approx(1, abs=1e-3)
    explained = answer["explained"]
    assert explained["places_px"][0] == [14, 14] and len(explained["places_px"]) == 3
    assert explained["answers"][-1] == answer["text"].split()[0]
    with Image.open(explained["output"]) as image:
        assert image.format == "PNG" and image.width > 3 * 160
    assert arcadia.main([*words, "--draw", "animation"]) == 0
    with Image.open(tmp_path / "seen" / "d-attention.gif") as image:
        assert image.n_frames == 3
    assert "where it looked" in capsys.readouterr().out


def test_one_by_one_and_in_batches_the_answers_agree(trained):
    task, model = load_model(trained)
    picture = torch.from_numpy(digits(9, np.arange(40), 28)[0])
    with torch.no_grad():
        whole = task.predict(model, {"picture": picture}).logits
        single = [task.predict(model, {"picture": one[None]}).logits for one in picture]
    assert_close(torch.cat(single, 1), whole, atol=1e-5, rtol=1e-5)


def test_a_picture_is_put_in_the_middle_of_the_ground_unless_it_has_its_size(tmp_path):
    task = glimpse.Glimpse.of(changed(SMOKE, ground_px=40))
    digit = digits(9, np.arange(1), 28)[0][0]
    batch = task.ask([digit, np.zeros((1, 40, 40), np.uint8)])
    assert batch["picture"].shape == (2, 1, 40, 40)
    assert np.array_equal(batch["picture"][0, :, 6:34, 6:34], digit)
    assert not batch["picture"][0, :, :6].any()
    Image.fromarray(digit[0]).resize((280, 280), Image.Resampling.NEAREST).save(tmp_path / "d.png")
    (large,) = task.ask([tmp_path / "d.png"])["picture"]
    assert large.shape == (1, 40, 40) and not large[:, :6].any()
    assert_close(large[0, 6:34, 6:34].float(), torch.tensor(digit[0]).float(), atol=80, rtol=0)


def test_people_see_the_looks_the_confusions_and_the_mistakes(trained):
    events = EventAccumulator(str(trained.folder)).Reload()
    assert {"val/looks", "val/confusion", "val/worst"} <= set(events.Tags()["images"])
    with Image.open(io.BytesIO(events.Images("val/looks")[0].encoded_image_string)) as image:
        assert image.n_frames == 3
    assert {"train/policy_loss", "train/value_loss", "val/error"} <= set(events.Tags()["scalars"])


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--set", "scenes"], "one label a picture"),
        (["--ground-px", "20"], "28 or more"),
        (["--clutter", "4"], "--ground-px"),
        (["--looks", "0"], "--looks"),
        (["--noise", "0"], "--noise"),
        (["--mixup", "1"], "--mixup"),
        (["--crop-px", "28"], "less than their side"),
        (["--set", "nothing-here"], "no such folder"),
    ],
)
def test_mistakes_are_one_line_and_leave_no_run(runs, words, reason, capsys):
    assert arcadia.main(["train", "glimpse", "--preset", "smoke", *words]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and reason in said
    assert not runs.exists() or not list(runs.rglob("config.json"))
