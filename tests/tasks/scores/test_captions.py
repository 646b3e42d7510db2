"""Scores of captions: those of sacrebleu with all references, whatever the batches; truth."""

import numpy as np
import pytest
import torch
from sacrebleu.metrics import BLEU

from backbones.training.distributed import World
from tasks.scores.captions import (
    caption_scores,
    caption_sums,
    cider_of,
    most_frequent,
    texts_of,
    truth_scores,
    truth_sums,
)
from tasks.scores.cider import cider_d
from tasks.scores.sums import add, emptied
from tasks.worlds.scenes import told

ANSWERS = ["A dog runs on the grass.", "Two dogs.", "", "A café in the münster\nsquare."]
REFERENCES = [
    ["A dog is running on the green grass .", "the dog runs on grass", "a dog"],
    ["two dogs play in the water"],
    ["a man , a woman and a child", "three people"],
    ["a café in the square", "A CAFÉ!", "people sit in a café", "the square", "a square"],
]


def summed(order, size):
    parts = []
    for start in range(0, len(order), size):
        some = order[start : start + size]
        answers, references = [ANSWERS[k] for k in some], [REFERENCES[k] for k in some]
        parts.append(caption_sums(answers, references, torch.tensor(some)))
    parts.append(emptied(parts[0]))
    return add(parts, World())


@pytest.mark.parametrize(
    ("order", "size"), [([0, 1, 2, 3], 4), ([3, 1, 0, 2], 1), ([2, 3, 0, 1], 3)]
)
def test_scores_do_not_depend_on_the_batches(order, size):
    scores = caption_scores(summed(order, size))
    assert scores == pytest.approx(caption_scores(summed([0, 1, 2, 3], 2)))
    assert texts_of(summed(order, size)) == (ANSWERS, REFERENCES)


def test_bleu_is_sacrebleus_with_unequal_numbers_of_references():
    plain = ["a dog runs on the grass", "two dogs", "", "a café in the münster square"]
    streams = [
        [
            "a dog is running on the green grass",
            "two dogs play in the water",
            "a man a woman and a child",
            "a café in the square",
        ],
        ["the dog runs on grass", None, "three people", "a café"],
        ["a dog", None, None, "people sit in a café"],
        [None, None, None, "the square"],
        [None, None, None, "a square"],
    ]
    scores = caption_scores(summed([0, 1, 2, 3], 4))
    for n in range(1, 5):
        scorer = BLEU(tokenize="none", force=True, max_ngram_order=n)
        assert scores[f"bleu{n}"] == pytest.approx(scorer.corpus_score(plain, streams).score)
    assert scores["bleu1"] > scores["bleu2"] > scores["bleu3"] > scores["bleu4"] > 0


def test_cider_is_once_a_picture_in_the_order_of_their_numbers():
    assert cider_of(summed([3, 1, 0, 2], 2)) == pytest.approx(cider_d(ANSWERS, REFERENCES))
    scores = caption_scores(summed([0, 1, 2, 3], 4))
    assert scores["cider"] == pytest.approx(100 * np.mean(cider_d(ANSWERS, REFERENCES)))


def test_diversity_stands_beside_that_of_one_reference_each():
    sums = caption_sums(
        ["A dog.", "a dog", "a cat"], [["x y"], ["x", "z z"], ["x y"]], torch.arange(3)
    )
    scores = caption_scores(add([sums], World()))
    assert (scores["distinct_captions"], scores["distinct_words"], scores["words"]) == (2, 3, 2)
    assert (scores["reference_distinct_captions"], scores["reference_distinct_words"]) == (2, 3)


def test_captions_of_scenes_are_judged_by_the_scene():
    scenes = [told(4, number) for number in range(30)]
    scores = truth_scores(truth_sums(scenes, [scene.captions[2] for scene in scenes]))
    assert (scores["grammatical"], scores["true"], scores["right"]) == (100, 100, 100)
    assert 3 < scores["claims"] < 9
    little = [f"A {scene.objects[0].shape}." for scene in scenes]
    several = sum(len(scene.objects) > 1 for scene in scenes)
    scores = truth_scores(truth_sums(scenes, little))
    assert (scores["grammatical"], scores["true"], scores["claims"]) == (100, 100, 1)
    assert scores["right"] == pytest.approx(100 - 100 * several / 30)
    scores = truth_scores(truth_sums(scenes, ["A dog runs."] * 30))
    assert scores == {"grammatical": 0, "true": 0, "right": 0, "claims": 0}


def test_the_most_frequent_caption_is_that_of_most_pictures():
    captions = [["A dog.", "a dog", "a dog ."], ["A cat, a dog.", "A man"], ["a cat , a dog"]]
    assert most_frequent(captions) == "A cat, a dog."
    assert most_frequent([["b"], ["a"]]) == "A."
