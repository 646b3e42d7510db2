"""Attention: weights are shares of the real places, and what lies outside changes nothing."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from backbones.sequences.attention import Attention, KeyValueAttention


def made(kind=Attention, seed=0, steps=3, places=6, count=4):
    torch.manual_seed(seed)
    length = torch.tensor([1, 6, 3, 4])
    inside = torch.arange(places)[:, None] < length
    attention, numbers = (Attention(5, 7), 7) if kind is Attention else (kind(5), 10)
    query, memory = torch.randn(steps, count, 5), torch.randn(places, count, numbers)
    return attention, query, memory, inside


both = pytest.mark.parametrize("kind", [Attention, KeyValueAttention])


@both
def test_weights_sum_to_one_over_real_places_and_are_zero_elsewhere(kind):
    attention, query, memory, inside = made(kind)
    _, weights = attention(query, memory, inside)
    assert_close(weights.sum(-1), torch.ones(4, 3))
    assert (weights.transpose(1, 2).transpose(0, 1)[~inside] == 0).all()
    assert_close(weights[0, :, 0], torch.ones(3))


@both
def test_what_lies_outside_changes_nothing(kind):
    attention, query, memory, inside = made(kind)
    other = torch.where(inside[..., None], memory, torch.tensor(1e4))
    longer = torch.cat([other, torch.full((2, 4, memory.shape[2]), -1e4)])
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


def test_keys_and_values_are_those_of_torch():
    attention, query, memory, inside = made(KeyValueAttention)
    key, value = memory.transpose(0, 1).split(5, -1)
    asked = attention.query(query).transpose(0, 1)
    mask = inside.T[:, None].expand(-1, 3, -1)
    seen = F.scaled_dot_product_attention(asked, key, value, attn_mask=mask)
    assert_close(attention(query, memory, inside)[0], attention.out(seen.transpose(0, 1)))
