"""BLEU and chrF of sums equal sacrebleu's own, however the texts are cut into batches."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU, CHRF

from backbones.training.distributed import World
from tasks.scores.sums import add
from tasks.scores.text import signature, text_scores, text_sums

SAID = ["The cat sat on the mat.", "a dog, a dog", "", "It is 3:15 pm and it rains in Münster", "x"]
TRUE = [
    "The cat sat on a mat.",
    "the dog barks",
    "nothing",
    "It's 3:15 and raining in Münster",
    "x",
]


def scores(said, true, tokenised=False):
    parts = [text_sums(said[:2], true[:2], tokenised), text_sums(said[2:], true[2:], tokenised)]
    return text_scores(add(parts, World()))


@pytest.mark.parametrize("tokenised", [False, True])
def test_sums_of_batches_score_as_sacrebleu_does_on_the_whole(tokenised):
    ours = scores(SAID, TRUE, tokenised)
    bleu = BLEU(tokenize="none" if tokenised else "13a", force=True)
    assert ours["bleu"] == pytest.approx(bleu.corpus_score(SAID, [TRUE]).score)
    assert ours["chrf"] == pytest.approx(CHRF().corpus_score(SAID, [TRUE]).score)
    assert ours["exact"] == 20


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.text("ab c.é", max_size=12), st.text("ab c.é", max_size=12)),
        min_size=3,
        max_size=6,
    )
)
def test_any_texts_score_as_sacrebleu_does(pairs):
    said, true = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    ours = scores(said, true)
    assert ours["chrf"] == pytest.approx(CHRF().corpus_score(said, [true]).score, abs=1e-3)
    assert ours["bleu"] == pytest.approx(BLEU(force=True).corpus_score(said, [true]).score)


def test_the_score_is_that_of_sacrebleus_command(tmp_path):
    (tmp_path / "said").write_text("\n".join(SAID) + "\n")
    (tmp_path / "true").write_text("\n".join(TRUE) + "\n")
    command = [sys.executable, "-m", "sacrebleu", "true", "-i", "said", "-b", "-w", "6"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert scores(SAID, TRUE)["bleu"] == pytest.approx(float(told.stdout), abs=1e-5)


def test_the_signature_tells_how_it_was_tokenised():
    assert "tok:13a" in signature(False) and "tok:none" in signature(True)


def test_exact_matches_are_counted_by_letter():
    sums = text_sums(["a b", "A b"], ["a b", "a b"], tokenised=False)
    assert text_scores(sums)["exact"] == 50
    assert isinstance(sums["exact"], torch.Tensor)


@pytest.mark.parametrize(
    ("language", "text", "tokeniser"),
    [
        ("zh", "今天天气很好我们去公园。", "zh"),
        ("zh-CN", "今天天气很好我们去公园。", "zh"),
        ("cmn", "今天天气很好我们去公园。", "zh"),
        ("ja", "今日は天気がとても良いです。", "char"),
        ("tha", "วันนี้อากาศดีมาก", "char"),
        ("de", "das Haus ist sehr alt", "13a"),
    ],
)
def test_texts_without_blanks_are_scored_by_what_they_are_written_in(language, text, tokeniser):
    assert text_scores(text_sums([text], [text], False, language))["bleu"] == pytest.approx(100)
    half = text_scores(text_sums([text[:-2]], [text], False, language))["bleu"]
    assert 20 < half < 100
    assert f"tok:{tokeniser}" in signature(False, language)
    assert "tok:none" in signature(True, language)
