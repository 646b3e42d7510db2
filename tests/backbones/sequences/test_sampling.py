"""Choosing at random: greedy at its ends, and as often as the chances say between them."""

import pytest
import torch
from torch.testing import assert_close

from backbones.sequences.sampling import sample

LOGITS = torch.tensor([[0.0, 2.0, 1.0, -1.0]])


def shares(count=20_000, **how):
    """How often each choice is made of evenly spread numbers."""
    uniform = (torch.arange(count) + 0.5) / count
    chosen = sample(LOGITS.expand(count, -1), uniform, **how)
    return torch.bincount(chosen, minlength=4) / count


@pytest.mark.parametrize("how", [dict(temperature=0.0), dict(temperature=5.0, top_k=1)])
def test_temperature_0_and_the_one_likeliest_are_greedy(how):
    assert shares(100, **how)[1] == 1


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_choices_are_made_as_often_as_the_chances_say(temperature):
    wanted = (LOGITS[0] / temperature).softmax(-1)
    assert_close(shares(temperature=temperature), wanted, atol=1e-3, rtol=0)


def test_of_the_k_likeliest_alone_chances_keep_their_ratio():
    found = shares(top_k=2)
    assert found[0] == found[3] == 0
    assert_close(found[1] / found[2], torch.tensor(1.0).exp(), atol=1e-2, rtol=0)


def test_a_number_next_to_1_and_impossible_choices_are_fine():
    uniform = torch.tensor([1 - 2**-24])
    assert sample(LOGITS, uniform).item() == 3
    never = LOGITS.index_fill(-1, torch.tensor([3]), -torch.inf)
    assert sample(never, uniform).item() == 0
