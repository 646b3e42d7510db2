"""Attention: weights are shares of the real places, and what lies outside changes nothing."""

import torch
from torch.testing import assert_close

from backbones.attention import Attention


def made(seed=0, steps=3, places=6, count=4):
    torch.manual_seed(seed)
    length = torch.tensor([1, 6, 3, 4])
    inside = torch.arange(places)[:, None] < length
    return Attention(5, 7), torch.randn(steps, count, 5), torch.randn(places, count, 7), inside


def test_weights_sum_to_one_over_real_places_and_are_zero_elsewhere():
    attention, query, memory, inside = made()
    _, weights = attention(query, memory, inside)
    assert_close(weights.sum(-1), torch.ones(4, 3))
    assert (weights.transpose(1, 2).transpose(0, 1)[~inside] == 0).all()
    assert_close(weights[0, :, 0], torch.ones(3))


def test_what_lies_outside_changes_nothing():
    attention, query, memory, inside = made()
    other = torch.where(inside[..., None], memory, torch.tensor(1e4))
    longer = torch.cat([other, torch.full((2, 4, 7), -1e4)])
    ours, _ = attention(query, memory, inside)
    theirs, weights = attention(query, longer, torch.cat([inside, torch.zeros(2, 4).bool()]))
    assert_close(ours, theirs)
    assert (weights[..., 6:] == 0).all()


def test_one_query_by_hand():
    attention, query, memory, inside = made(steps=1, count=4)
    out, weights = attention(query, memory, inside)
    scores = memory[:4, 3] @ attention.score.weight @ query[0, 3]
    share = scores.softmax(0)
    assert_close(weights[3, 0, :4], share)
    seen = share @ memory[:4, 3]
    expected = torch.tanh(attention.join.weight @ torch.cat([seen, query[0, 3]]))
    assert_close(out[0, 3], expected)
