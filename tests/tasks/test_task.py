"""The contract of a task: several optimisers, a carried state, answers that are pictures."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

import arcadia
from backbones.training.checks.values import from_dict
from backbones.training.config import changed, parse
from backbones.training.distributed import ALONE
from backbones.training.errors import UserError
from backbones.training.log import read_metrics
from backbones.training.run import Run, find_run
from tasks import predict
from tasks.answering import with_answer_flags
from tasks.evaluate import the_score
from tasks.fit import Fitting, interleaved
from tasks.fit_config import FitConfig
from tasks.job import TaskJob
from tasks.labels import classify
from tasks.predictor import load_predictor
from tasks.words import translate
from tests.faults.trials import PATIENCE_S, TWO_PROCESSES, start
from tests.tasks.killed import assert_same, everything, whole_and_killed
from tests.tasks.toys import GAN, LETTERS, Config, Letters


@pytest.mark.parametrize("job", [GAN, LETTERS])
def test_parts_and_what_is_carried_resume_bit_for_bit(runs, job):
    whole, killed = whole_and_killed(job, Config())
    assert_same(whole, killed, ("heads", "state"))
    mine = everything(whole, ("heads", "state"))
    saved = {".".join(name.split(".")[1:3]) for name in mine if name.startswith("state.")}
    if job is GAN:
        assert {"optimizer.generator", "optimizer.discriminator"} <= saved
    else:
        assert {"carried.hidden", "carried.cell"} <= saved and mine["state.carried.cell"].any()


def test_each_part_takes_its_own_step_at_its_own_rate(runs):
    fitting = Fitting("gan", GAN.make_task(Config()), ALONE)
    fitting.start()
    updaters = fitting.parts.updaters
    rates = {}
    with fitting.feeder as feeder:
        before = {name: p.clone() for name, p in fitting.model.named_parameters()}
        figures = fitting.update(feeder.batch(0))
        for part, updater in updaters.items():
            rates[part] = updater.optimizer.param_groups[0]["lr"]
    assert rates["discriminator"] == pytest.approx(rates["generator"] / 2)
    assert all(not torch.equal(p, before[name]) for name, p in fitting.model.named_parameters())
    names = ["discriminator_loss", "generator_loss", "generator_grad_norm"]
    assert fitting.names == [*names, "discriminator_grad_norm"] and (figures > 0).all()


def test_a_run_of_two_parts_writes_both_losses_and_norms(runs):
    rows = [
        row for row in read_metrics(GAN.train(Config()).folder) if "train/generator_loss" in row
    ]
    tags = {"train/discriminator_loss", "train/generator_grad_norm", "train/learning_rate"}
    assert len(rows) == 2 and tags <= rows[0].keys()


def test_a_carried_state_makes_windows_one_sequence():
    task = LETTERS.make_task(Config())
    torch.manual_seed(1)
    model, samples = task.model(), task.data("train")
    plan = samples.plan(1, 0, samples.fitted(32))
    parts = [task.loss(model, samples.batch(index)) for index in plan]
    first = int(plan[0][1])  # the second stream's first window
    text = samples.columns["text"][first * 5 : (first + len(plan)) * 5 + 1]
    whole, _ = Letters.losses(task, model, text[None])
    assert_close(sum(part[1] for part in parts), whole[0])


def test_what_processes_carry_is_put_together_and_shared_out_again():
    whole = torch.arange(10).view(5, 2)
    for size in (1, 2, 3):
        shares = [{"cell": whole[rank::size]} for rank in range(size)]
        assert torch.equal(interleaved(shares)["cell"], whole)
    assert interleaved([]) == {} and interleaved([{}, {}]) == {}


@pytest.mark.slow
def test_two_processes_carry_and_keep_what_one_does(tmp_path):
    for name, torchrun in (("one", ()), ("two", (*TWO_PROCESSES, "-m"))):
        process = start([*torchrun, "tests.tasks.toys", name], tmp_path)
        assert process.wait(timeout=PATIENCE_S) == 0, (tmp_path / "said.txt").read_text()
    one, two = (Run.open(tmp_path / "letters" / name) for name in ("one", "two"))
    mine, theirs = (everything(run, ("heads", "state")) for run in (one, two))
    assert mine.keys() == theirs.keys() and "state.carried.cell" in mine
    for name, tensor in mine.items():
        assert_close(theirs[name], tensor, atol=1e-5, rtol=1e-5)
    scores = [json.loads((run.folder / "eval.json").read_text())["scores"] for run in (one, two)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-4) and scores[0]["median"] > 0


def learn(fitting):
    """Take the first update."""
    with fitting.feeder as feeder:
        fitting.start()
        return fitting.update(feeder.batch(0))


def test_a_loss_that_is_no_number_a_sample_is_refused(runs):
    class Summed(Letters):
        def loss(self, model, batch):
            return super().loss(model, batch).mean()

    task = Summed.of(Config())
    with pytest.raises(UserError, match=r"has shape \(\); expected one number a sample"):
        learn(Fitting("summed", task, ALONE))


def test_a_metric_that_is_no_score_is_named(runs):
    class Misspelt(Letters):
        metric = "los"

    task = Misspelt.of(Config())
    with pytest.raises(UserError, match=r"Misspelt.metric = 'los' is none .* loss, median"):
        the_score(task, {"loss": 1.0, "median": 1.0})
    with pytest.raises(UserError, match="has no field 'fit'"):
        TaskJob("bare", {"default": FitConfig()}, Letters)


@pytest.fixture
def gan(runs):
    config = Config()
    return GAN.train(changed(config, run=changed(config.run, name="gan")))


def test_pictures_go_into_a_folder_or_a_new_file_and_overwrite_nothing(gan, tmp_path, capsys):
    folder = tmp_path / "drawn"
    asked = predict.Config(run="gan", output=f"{folder}/", json=True)
    capsys.readouterr()
    assert predict.main(asked) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    names = ["answer-1.png", "answer-2.png"]
    assert [row["output"] for row in rows] == [str(folder / name) for name in names]
    assert sorted(path.name for path in folder.iterdir()) == names
    answers = load_predictor(gan).answer()
    for name, answer in zip(names, answers, strict=True):
        with Image.open(folder / name) as image:
            assert np.array_equal(np.asarray(image), answer.medium.pixels)
    with pytest.raises(UserError, match=r"answer-1.png exists; give another"):
        predict.main(asked)
    assert sorted(path.name for path in folder.iterdir()) == names


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({}, "answers with a picture; say where to: --output FOLDER or NAME.png"),
        ({"output": "x.jpg"}, "give a folder, or a name in .png"),
        ({"output": "x.png", "inputs": ("a",)}, "answers by itself; leave the inputs away"),
        ({"output": "/dev/null/x.png"}, "cannot be written"),
        ({"output": "y.png", "explain": True}, "explains nothing"),
    ],
)
def test_what_a_drawing_model_cannot_be_asked_is_one_line(
    gan, tmp_path, monkeypatch, capsys, flags, words
):
    monkeypatch.chdir(tmp_path)
    try:
        status, said = predict.main(predict.Config(run="gan", **flags)), capsys.readouterr().err
    except UserError as error:
        status, said = 2, str(error)
    assert status == 2 and words in said and not list(tmp_path.glob("*.png"))


def test_runs_of_before_have_their_answers_flags_where_they_belong():
    old = {"beam": 3, "alpha": 0.5, "pieces": 300}
    assert from_dict(translate.Config, old).answer == translate.SearchConfig(beam=3, alpha=0.5)
    assert from_dict(classify.Config, {"tta": "flip"}).answer.tta == "flip"
    with pytest.raises(UserError, match=r"answer\.beam = 'x' must be a whole number"):
        from_dict(translate.Config, {"beam": "x"})


def test_the_flags_of_a_command_are_those_of_the_run_s_task(gan, capsys):
    texts = find_run("zoo/translate-en-de")
    flags = with_answer_flags(predict.Config, texts)
    assert flags(run="x").answer.beam == texts.config["beam"]
    asked = parse(flags, ["zoo/translate-en-de", "--beam", "2"], prog="arcadia predict")
    assert asked.answer.beam == 2 and asked.answer.alpha == flags(run="x").answer.alpha
    assert with_answer_flags(predict.Config, gan) is predict.Config
    for words in (["eval", "zoo/mnist", "--beam", "2"], ["predict", "zoo/mnist", "--beam", "2"]):
        assert arcadia.main(words) == 2
        assert "--beam" in capsys.readouterr().err
    assert arcadia.main(["predict", "zoo/translate-en-de", "--beam", "0"]) == 2
    assert "beam = 0 must be above 0" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        arcadia.main(["eval", "zoo/mnist", "--help"])
    assert "--tta" in capsys.readouterr().out
