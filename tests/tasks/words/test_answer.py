"""Questions about pictures: batches change nothing; learnt, resumed, asked, explained."""

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
from tasks.data.vocabulary import PAD
from tasks.predictor import load_predictor
from tasks.words import answer, questions
from tests.tasks.killed import assert_same, whole_and_killed

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (40, 40, 230)}
TINY = TrunkConfig(trunk="plain", norm="batch", width=0.125)
TOY = changed(
    answer.SMOKE,
    samples=0,
    size_px=16,
    questions=0,
    units=32,
    dropout=0.0,
    run=RunConfig(precision="fp32"),
    trunk=TINY,
    fit=changed(
        answer.FIT, num_epochs=10, batch_size=16, learning_rate=5e-3, ema=0.0, eval_every=5
    ),
)


@pytest.fixture(autouse=True)
def few_scenes(monkeypatch):
    for split, count in {"train": 64, "val": 12, "test": 20}.items():
        monkeypatch.setitem(questions.WORLD_SIZES, split, count)


def photo(left, right, size=24):
    pixels = np.zeros((size, size, 3), np.uint8)
    pixels[:, : size // 2], pixels[:, size // 2 :] = COLOURS[left], COLOURS[right]
    return Image.fromarray(pixels)


def toy_photos(folder):
    """Photos of two colours, asked which is where: neither question nor photo is enough."""
    chosen = np.random.default_rng(0)
    for split, count in (("train", 160), ("test", 40)):
        place = folder / split / "images"
        place.mkdir(parents=True)
        rows = []
        for n, pair in enumerate(chosen.integers(0, 3, (count, 2)).tolist()):
            left, right = (list(COLOURS)[k] for k in pair)
            photo(left, right).save(place / f"{n}.png")
            rows += [["what is left?", left, n], ["what is right?", right, n]]
            rows += [["are both sides red?", "yes" if left == right == "red" else "no", n]]
        (folder / split / "questions.json").write_text(json.dumps(rows))
    return folder


@pytest.fixture(scope="module")
def toy(tmp_path_factory, learning):
    """A run that has learnt which colour is where, and its runs folder."""
    folder = tmp_path_factory.mktemp("toy")
    data = toy_photos(folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCADIA_RUNS", str(folder / "runs"))
        answer.train(changed(TOY, data=str(data), run=changed(learning, name="toy")))
    return folder


@pytest.fixture
def trained(toy, monkeypatch):
    monkeypatch.setenv("ARCADIA_RUNS", str(toy / "runs"))
    return find_run("toy")


def made(**changes):
    """A task on few scenes and an untrained model in eval mode."""
    task = answer.QuestionAnswering.of(changed(answer.SMOKE, **changes))
    torch.manual_seed(1)
    return task, task.model().eval()


@pytest.mark.learns
def test_the_toy_is_learnt_and_neither_half_of_it_is_enough(trained):
    result = json.loads((trained.folder / "eval.json").read_text())
    scores = result["scores"]
    assert result["metric"] == "accuracy" and result["score"] > 95 > result["baseline"]
    assert scores["question_only"] < 65 and scores["picture_only"] < 65
    assert scores["accuracy_yes_no"] > 90 and scores["question_only_yes_no"] < 100
    assert "look_1_on_it" not in scores, "of photos nobody knows where things are"


def test_a_picture_alone_costs_what_it_costs_in_a_batch():
    task, model = made()
    samples = task.data("train")
    batch = samples.batch(torch.arange(9))
    assert len({int(length) for length in batch["question_length"]}) > 2
    alone = [task.loss(model, samples.batch(torch.tensor([n]))) for n in range(9)]
    assert_close(task.loss(model, batch), torch.cat(alone), atol=1e-4, rtol=1e-4)


def test_questions_are_answered_in_a_batch_as_one_by_one_and_weights_sum_to_one():
    task, model = made()
    batch = task.to_score("test").batch(torch.arange(5))
    together = task.predict(model, batch)
    assert_close(together.weights.sum(-1), torch.ones(together.weights.shape[:3]))
    for row in range(5):
        for place in range(int(batch["question_length"][row])):
            question = batch["question"][row, place]
            alone = {
                "picture": batch["picture"][row : row + 1],
                "question": question[question != PAD].view(1, 1, -1),
            }
            found = task.predict(model, alone)
            assert_close(found.logits[0, 0], together.logits[row, place], atol=1e-4, rtol=1e-4)
            assert_close(found.weights[0, 0], together.weights[row, place], atol=1e-4, rtol=1e-3)


def test_a_slow_loop_gives_the_loss():
    task, model = made()
    batch = task.data("train").batch(torch.arange(4))
    found = model(batch["picture"], batch["question"])
    for row in range(4):
        losses = []
        for place in range(int(batch["question_length"][row])):
            target = torch.zeros(found.logits.shape[2])
            target[batch["answer"][row, place]] = batch["worth"][row, place]
            heads = (found.logits[row, place], found.question_only[row, place])
            for logits in (*heads, found.picture_only[row]):
                share = logits.sigmoid()
                losses.append(-(target * share.log() + (1 - target) * (1 - share).log()).sum())
        expected = torch.stack(losses).sum() / int(batch["question_length"][row])
        assert_close(task.loss(model, batch)[row], expected, atol=1e-3, rtol=1e-4)


def test_an_epoch_learns_from_some_questions_of_each_picture_and_the_next_from_others():
    task, _ = made(questions=3)
    batch = {**task.data("train").batch(torch.arange(12)), "index": torch.arange(12)}
    first, again, later = (task.prepare(dict(batch), epoch) for epoch in (0, 0, 1))
    assert torch.equal(first["question"], again["question"])
    assert first["question"].shape[1] == 3
    assert not torch.equal(first["question"], later["question"])
    for row in range(12):
        have = [
            (q.tolist(), a.tolist())
            for q, a in zip(batch["question"][row], batch["answer"][row], strict=True)
        ]
        for q, a in zip(later["question"][row], later["answer"][row], strict=True):
            assert (q.tolist(), a.tolist()) in have and int(q[0]) != PAD


def test_the_question_alone_teaches_the_rest_of_the_network_nothing():
    task, model = made()
    batch = task.data("train").batch(torch.arange(3))
    found = model(batch["picture"], batch["question"])
    found.question_only.sum().backward()
    touched = {name for name, p in model.named_parameters() if p.grad is not None}
    assert touched == {
        f"question_head.{name}" for name, _ in model.question_head.named_parameters()
    }


def test_attention_is_scored_on_scenes_only(runs):
    task, model = made()
    batch = task.to_score("test").batch(torch.arange(6))
    sums = task.score(task.predict(model, batch), batch)
    asked = [one for each in task.source.questioned("test").asked[:6] for one in each]
    assert int(sums["answers"][0].sum()) == len(asked)
    assert int(sums["looked"][0]) == sum(one.thing >= 0 for one in asked) > 0
    scores = task.scores(dict(sums))
    assert all(0 < scores[f"{each}_on_it"] < 100 for each in ("picture", "look_1", "look_2"))


def test_a_run_that_was_killed_ends_as_one_that_was_not(runs):
    config = changed(
        answer.SMOKE,
        samples=40,
        size_px=32,
        dropout=0.2,
        fit=changed(answer.FIT, num_epochs=2, batch_size=16, eval_every=0),
        run=RunConfig(precision="fp32", checkpoint_every_s=1e-6),
    )
    assert_same(*whole_and_killed(answer.JOB, config), ("cnn", "lstm", "heads", "state"))


def test_people_ask_from_the_command_line(trained, tmp_path, capsys):
    photo("green", "red", 200).save(tmp_path / "a.png")
    picture = str(tmp_path / "a.png")
    words = ["predict", "toy", picture, "What is left?", "what is right, please?"]
    assert arcadia.main([*words, "--explain", "--output", f"{tmp_path}/out/"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == f"{picture}: What is left? green"
    assert lines[2] == f"{picture}: what is right, please? red"
    assert "words that training never had, left out: please" in err
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["a-what-is-left-attention.png", "a-what-is-right-please-attention.png"]
    assert np.asarray(Image.open(tmp_path / "out" / names[0])).std() > 10
    assert arcadia.main([*words[:4], "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["question"], row["text"], row["input"]) == ("What is left?", "green", picture)
    assert next(iter(row["chances"])) == "green"


def test_questions_come_from_a_pipe_too(trained, tmp_path, capsys, monkeypatch):
    photo("green", "red", 200).save(tmp_path / "a.png")
    text = b"what is left?\n\nwo ist das?\nwhat is right?\n\xff what is left\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert arcadia.main(["predict", "toy", str(tmp_path / "a.png")]) == 2
    out, err = capsys.readouterr()
    assert [line.rsplit(" ", 1)[1] for line in out.splitlines()] == ["green", "red"]
    assert "the question has no words" in err and "training had no word of 'wo ist das?'" in err
    assert "UTF-8" in err


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ([], "a picture, and questions about it"),
        (["what is left?"], "no picture to ask about"),
        (["b.png", "what is left?"], "b.png does not exist"),
        (["-"], "standard input is the picture"),
        (["notes.txt", "what is left?"], "give a PNG"),
    ],
)
def test_what_cannot_be_asked_is_said(trained, tmp_path, monkeypatch, capsys, inputs, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("no picture")
    assert arcadia.main(["predict", "toy", *inputs]) == 2
    assert said in capsys.readouterr().err


def test_python_asks_pairs(trained, tmp_path):
    predictor = load_predictor(trained)
    photo("blue", "red").save(tmp_path / "a.png")
    pixels = torch.tensor(np.asarray(photo("blue", "red", 16))).permute(2, 0, 1)
    given = [(tmp_path / "a.png", "what is left?"), (pixels, "what is right?")]
    assert [found["text"] for found in predictor.predict(given)] == ["blue", "red"]
    assert predictor.predict(given[0])[0]["text"] == "blue"
    for wrong in ("what is left?", [tmp_path / "a.png"], [(pixels, 5)]):
        with pytest.raises(UserError, match="pairs of a picture and a question"):
            predictor.predict(wrong)
    with pytest.raises(UserError, match="takes 16 by 16"):
        predictor.predict((torch.zeros(3, 20, 16, dtype=torch.uint8), "what is left?"))


def test_examples_are_pictures_and_questions():
    found = made()[0].to_try(3)
    assert [isinstance(each, str) for each in found] == [False] * 3 + [True] * 3


def test_another_run_of_the_same_data_gives_all_its_weights_and_else_its_backbones(
    trained, toy, runs
):
    shutil.copytree(trained.folder, runs / "vqa" / "toy")
    config = changed(TOY, data=str(toy / "data"), trunk=changed(TINY, init="toy"))
    slow = changed(TOY.fit, num_epochs=1, learning_rate=1e-6)
    run = answer.train(changed(config, fit=slow))
    assert json.loads((run.folder / "eval.json").read_text())["score"] > 95
    scenes = changed(answer.SMOKE, size_px=32, units=32, run=RunConfig(precision="fp32"))
    other = answer.train(changed(scenes, trunk=changed(TINY, init="toy:cnn")))
    assert "starts from vqa/toy" in (other.folder / "log.txt").read_text()


def test_a_run_goes_on_with_the_questions_it_began_with_only(trained, toy):
    path = toy / "data" / "train" / "questions.json"
    before = path.read_text()
    path.write_text(before.replace("what is left?", "what is on the left?", 1))
    try:
        with pytest.raises(UserError, match="not those that this run began with"):
            answer.resume(trained, ResumeConfig(extend=1))
    finally:
        path.write_text(before)


def test_answers_that_training_never_had_are_said(toy):
    rare = changed(TOY, data=str(toy / "data"), answers=2)
    source = answer.QuestionAnswering.of(rare).source
    assert len(source.answers) == 2
    samples = source.samples("train")
    assert len(samples) <= 160
    source.samples("test")
    notes = " ".join(source.notes())
    assert "questions left out, none of whose answers is among --answers" in notes
    assert "of the questions have no answer that it knows" in notes


def test_a_set_whose_answers_are_all_empty_is_refused(tmp_path):
    data = toy_photos(tmp_path / "data")
    rows = [["what is left?", "the", n] for n in range(160)]  # an article alone is no answer
    (data / "train" / "questions.json").write_text(json.dumps(rows))
    with pytest.raises(UserError, match="all training questions are empty"):
        answer.QuestionAnswering.of(changed(TOY, data=str(data)))


def test_people_see_answers_and_looks(trained):
    events = EventAccumulator(str(trained.folder)).Reload()
    for tag in ("val/answers", "val/looks_0"):
        picture = Image.open(io.BytesIO(events.Images(tag)[0].encoded_image_string))
        assert len(np.unique(np.asarray(picture))) > 10
    assert {"val/accuracy", "val/question_only"} <= set(events.Tags()["scalars"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(units=0), "units"),
        (dict(dropout=1.5), "dropout"),
        (dict(looks=0), "looks"),
        (dict(answers=0), "answers"),
        (dict(longest=10**9), "longest"),
        (dict(questions=-1), "questions"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        answer.Config(**changes)


def test_pictures_are_not_shifted_by_their_side_nor_blended():
    shifted = changed(answer.SMOKE, size_px=32, augment=AugmentConfig(crop_px=32))
    with pytest.raises(UserError, match=r"--crop-px 32: pictures of 32 by 32"):
        answer.QuestionAnswering.of(shifted)
    with pytest.raises(ValueError, match="leave --mixup away"):
        answer.Config(augment=AugmentConfig(mixup=1.0))
