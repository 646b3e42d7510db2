"""Sums and kept rows are the same however samples were cut into batches and shares."""

import torch

from backbones.training.distributed import ALONE
from tasks.scores.sums import Kept, add, appended, emptied

CHANCE = torch.tensor([0.9, 0.2, 0.6, 0.4, 0.7])
RIGHT = torch.tensor([True, False, False, True, True])


def counts(index):
    """What a ranking needs of some samples: all chances, and a count that adds up."""
    rows = torch.stack([CHANCE[index], RIGHT[index].float()], 1)
    return {"ranked": Kept(rows), "right": RIGHT[index].sum()}


def average_precision(ranked):
    """The mean, over those that are right, of the share of right ones down to each."""
    right = ranked[ranked[:, 0].argsort(descending=True), 1]
    precision = right.cumsum(0) / torch.arange(1, len(right) + 1)
    return float((precision * right).sum() / right.sum())


def test_rows_of_batches_are_appended_beside_sums_that_add():
    whole = add([counts(torch.arange(5))], ALONE)
    parts = add([counts(torch.tensor([4, 0])), counts(torch.tensor([2, 1, 3]))], ALONE)
    # In order 0.9 right, 0.7 right, 0.6 wrong, 0.4 right: (1 + 1 + 3 / 4) / 3.
    assert average_precision(whole["ranked"]) == average_precision(parts["ranked"])
    assert abs(average_precision(whole["ranked"]) - 2.75 / 3) < 1e-6
    assert parts["ranked"].shape == (5, 2) and float(parts["right"]) == 3


def test_two_shares_one_of_them_empty_have_all_rows_between_them():
    for cut in (2, 5):
        shares = [
            {"ranked": counts(torch.arange(5)[part])["ranked"].rows}
            for part in (slice(cut), slice(cut, None))
        ]
        assert torch.equal(appended(shares)["ranked"], counts(torch.arange(5))["ranked"].rows)
    assert appended([]) == {}


def test_a_share_without_samples_adds_nothing_under_the_same_names():
    nothing = emptied(counts(torch.tensor([3])))
    whole = add([counts(torch.arange(5)), nothing], ALONE)
    assert whole["ranked"].shape == (5, 2) and float(whole["right"]) == 3
    assert {"ranked", "right"} == nothing.keys()
