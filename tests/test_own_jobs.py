"""Jobs in a module of one's own: trained, found again, never imported for a run that was sent."""

import json
import shutil
import sys

import pytest

import arcadia
from backbones.training.checks import trust
from backbones.training.errors import UserError

MODULE = """
import os
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from backbones.training.config import RunConfig
from tasks.data.samples import Generated
from tasks.data.source import Source
from tasks.fit_config import FitConfig
from tasks.job import TaskJob
from tasks.scores.labels import classification_scores, classification_sums
from tasks.task import Task

if os.environ.get("MARK"):
    open(os.environ["MARK"], "w").close()


@dataclass(frozen=True, kw_only=True)
class Config:
    \"\"\"Which of two halves of a row is brighter.\"\"\"

    samples: int = 256
    \"\"\"Rows to learn from.\"\"\"
    fit: FitConfig = field(default_factory=lambda: FitConfig(num_epochs=2, batch_size=32))
    run: RunConfig = field(default_factory=lambda: RunConfig(precision="fp32"))


class Rows(Source):
    def samples(self, split):
        def make(index):
            rows = np.stack([np.random.default_rng([len(split), int(i)]).random(8) for i in index])
            label = rows[:, :4].sum(1) > rows[:, 4:].sum(1)
            return {"row": rows.astype(np.float32), "label": label.astype(np.int64)}

        return Generated(self.config.samples, make)


class Halves(Task):
    metric = "error"
    source_type = Rows

    def model(self):
        return nn.Linear(8, 2)

    def loss(self, model, batch):
        return nn.functional.cross_entropy(model(batch["row"]), batch["label"], reduction="none")

    def predict(self, model, batch):
        return model(batch["row"]).log_softmax(-1)

    def score(self, answers, batch):
        return classification_sums(answers, batch["label"])

    def scores(self, sums):
        return classification_scores(sums)

    def baseline(self):
        return 50.0, "a guess"


JOB = TaskJob("halves", {"default": Config(), "smoke": Config(samples=64)}, Halves)
"""


@pytest.fixture
def module(tmp_path, runs, monkeypatch):
    """The name of a module with a job in the working folder, which nobody has named yet."""
    name = f"own_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trust, "typed", set())
    monkeypatch.setattr(sys, "path", list(sys.path))
    return name


def forget(module: str) -> None:
    """Be another process, in which no person has typed anything."""
    trust.typed.clear()
    sys.modules.pop(module, None)


def message(capsys, *words: str) -> str:
    assert arcadia.main(words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_it_trains_resumes_and_is_scored_where_it_was_trained(module, runs, capsys):
    assert arcadia.main(["train", f"{module}:JOB", "--samples", "512"]) == 0
    folder = runs / "halves" / "halves-1"
    assert json.loads((folder / "config.json").read_text())["job"] == f"{module}:JOB"
    forget(module)
    assert arcadia.main(["resume", "last", "--extend", "1"]) == 0
    forget(module)
    capsys.readouterr()
    assert arcadia.main(["eval", "halves-1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["score"] < 25
    assert arcadia.main(["runs"]) == 0
    assert "halves/halves-1" in capsys.readouterr().out


def test_a_run_that_was_sent_imports_nothing_until_a_person_names_its_module(
    module, runs, tmp_path, monkeypatch, capsys
):
    assert arcadia.main(["train", f"{module}:JOB", "--preset", "smoke"]) == 0
    shutil.move(runs / "halves" / "halves-1", tmp_path / "sent")
    mark = tmp_path / "imported"
    monkeypatch.setenv("MARK", str(mark))
    capsys.readouterr()
    for words in (
        ["eval", "sent"],
        ["predict", "sent", "x.png"],
        ["resume", "sent"],
        ["watch", "sent"],
        ["export", "sent", "--folder", "f"],
    ):
        forget(module)
        assert f"add --module {module}" in message(capsys, *words)
        assert not mark.exists()
    forget(module)
    assert "(you named another)" in message(capsys, "eval", "sent", "--module", "another")
    with pytest.raises(UserError, match=f"add --module {module}"):
        arcadia.load("sent")
    assert not mark.exists()
    forget(module)
    assert arcadia.main(["eval", "sent", "--module", module]) == 0
    assert mark.exists()
    forget(module)
    assert arcadia.evaluate("sent", module=module)["metric"] == "error"
    forget(module)
    assert arcadia.load("sent", module=module).config.samples == 64
    forget(module)
    monkeypatch.setenv("ARCADIA_MODULES", module)
    assert arcadia.main(["eval", "sent"]) == 0


def test_mistakes_say_what_there_is(module, tmp_path, capsys):
    assert "did you mean ppo?" in message(capsys, "train", "pppo")
    assert "there is no module nowhere for the job" in message(capsys, "train", "nowhere:JOB")
    for words in (module, f"{module}.py:JOB", f"{module}.py"):
        assert f"did you mean {module}:JOB?" in message(capsys, "train", words)
    assert "has no job TASK; it has JOB" in message(capsys, "train", f"{module}:TASK")
    assert "it has no job: see" in message(capsys, "train", "json:JOB")
    assert "--module 'a/b'" in message(capsys, "eval", "--module", "a/b")
    (tmp_path / "named_alike.py").write_text(MODULE.replace('TaskJob("halves"', 'TaskJob("ppo"'))
    assert "which is a job of Arcadia's" in message(capsys, "train", "named_alike:JOB")
    (tmp_path / "in_need.py").write_text("import a_module_that_is_missing\n")
    assert "needs the module a_module_that_is_missing" in message(capsys, "train", "in_need:JOB")


def test_a_run_of_an_unknown_job_says_so(smoke, tmp_path, capsys):
    shutil.copytree(smoke, tmp_path / "later")
    about = json.loads((tmp_path / "later" / "config.json").read_text())
    (tmp_path / "later" / "config.json").write_text(json.dumps({**about, "job": "ppoo"}))
    assert "the job 'ppoo'; did you mean ppo?" in message(capsys, "eval", str(tmp_path / "later"))
