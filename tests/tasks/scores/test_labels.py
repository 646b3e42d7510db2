"""Scores are sums: by hand, against torchmetrics' definitions, and however a set was cut."""

import pytest
import torch

from backbones.training.distributed import ALONE
from tasks.scores.labels import (
    classification_scores,
    classification_sums,
    presence_scores,
    presence_sums,
)
from tasks.scores.sums import add

torchmetrics = pytest.importorskip("torchmetrics", reason="torchmetrics is the oracle here")


def test_error_and_loss_by_hand():
    log_probs = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.5, 0.3, 0.2]]).log()
    scores = classification_scores(classification_sums(log_probs, torch.tensor([0, 1, 2])))
    assert scores["error"] == pytest.approx(100 / 3)
    assert scores["loss"] == pytest.approx(-(torch.tensor([0.7, 0.8, 0.2]).log().mean()))
    assert "top5_error" not in scores  # of three classes it would say nothing


def test_the_confusion_matrix_has_the_truth_in_its_rows():
    log_probs = torch.tensor([[0.9, 0.1], [0.9, 0.1]]).log()
    sums = classification_sums(log_probs, torch.tensor([0, 1]))
    assert sums["confusion"].tolist() == [[1, 0], [1, 0]]


def test_classification_agrees_with_torchmetrics():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(500, 10, generator=generator)
    label = torch.randint(10, (500,), generator=generator)
    scores = classification_scores(classification_sums(logits.log_softmax(-1), label))
    functional = torchmetrics.functional.classification
    accuracy = functional.multiclass_accuracy(logits, label, 10, average="micro")
    top5 = functional.multiclass_accuracy(logits, label, 10, average="micro", top_k=5)
    assert scores["error"] == pytest.approx(100 * (1 - float(accuracy)), abs=1e-4)
    assert scores["top5_error"] == pytest.approx(100 * (1 - float(top5)), abs=1e-4)


def test_presence_agrees_with_torchmetrics():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(300, 6, generator=generator)
    present = torch.randint(2, (300, 6), generator=generator)
    scores = presence_scores(presence_sums(logits, present.float()))
    functional = torchmetrics.functional.classification
    hamming = functional.multilabel_hamming_distance(logits, present, 6, average="micro")
    f1 = functional.multilabel_f1_score(logits, present, 6, average="macro")
    exact = functional.multilabel_exact_match(logits, present, 6)
    assert scores["error"] == pytest.approx(100 * float(hamming), abs=1e-4)
    assert scores["f1"] == pytest.approx(float(f1), abs=1e-5)
    assert scores["picture_error"] == pytest.approx(100 * (1 - float(exact)), abs=1e-4)


def test_any_cut_of_a_set_gives_the_same_scores():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(101, 10, generator=generator).log_softmax(-1)
    label = torch.randint(10, (101,), generator=generator)
    whole = classification_scores(add([classification_sums(logits, label)], ALONE))
    for size in (1, 7, 100):
        parts = [
            classification_sums(a, b)
            for a, b in zip(logits.split(size), label.split(size), strict=True)
        ]
        assert classification_scores(add(parts, ALONE)) == pytest.approx(whole, abs=1e-9)
