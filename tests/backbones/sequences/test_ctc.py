"""CTC against sums over all paths: the loss, the likeliest path, the texts that a beam follows."""

import itertools
import math

import pytest
import torch

from backbones.sequences.ctc import best_path, ctc_loss, needed, prefix_beam


def collapsed(path):
    return tuple(s for s, _ in itertools.groupby(path) if s)


def texts_of(log_prob):
    """The log probability of every text, by going through all paths."""
    sums = {}
    for path in itertools.product(range(log_prob.shape[1]), repeat=len(log_prob)):
        chance = math.exp(sum(log_prob[t, s].item() for t, s in enumerate(path)))
        sums[collapsed(path)] = sums.get(collapsed(path), 0.0) + chance
    return {text: math.log(chance) for text, chance in sums.items()}


def some(seed, places=5, symbols=3):
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(places, symbols, generator=generator)).log_softmax(-1)


@pytest.mark.parametrize("seed", range(5))
def test_the_loss_is_the_sum_over_all_paths_of_a_text(seed):
    log_prob = some(seed)
    every = texts_of(log_prob)
    for text in [(1,), (1, 2), (1, 1), (2, 1, 2)]:
        loss = ctc_loss(
            log_prob[:, None], torch.tensor([5]), torch.tensor([text]), torch.tensor([len(text)])
        )
        assert loss.item() == pytest.approx(-every[text], rel=1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_a_wide_beam_finds_the_likeliest_text_of_all(seed):
    log_prob = some(seed)
    every = texts_of(log_prob)
    found = tuple(prefix_beam(log_prob, 100))
    assert every[found] == pytest.approx(max(every.values()), rel=1e-6)


def test_the_likeliest_text_may_not_be_that_of_the_likeliest_path():
    log_prob = torch.tensor([[0.6, 0.4], [0.6, 0.4]]).log()
    assert best_path(log_prob) == [] and prefix_beam(log_prob, 5) == [1]


def test_repeats_are_taken_together_unless_a_blank_parts_them():
    path = torch.tensor([1, 1, 0, 1, 2, 2, 0])
    log_prob = torch.nn.functional.one_hot(path, 3).float().mul(20).log_softmax(-1)
    assert best_path(log_prob) == prefix_beam(log_prob, 3) == [1, 1, 2]


def test_a_text_that_no_path_is_long_enough_for_costs_nothing():
    assert needed([1, 1, 2]) == 4
    loss = ctc_loss(
        some(1, places=3)[:, None].requires_grad_(),
        torch.tensor([3]),
        torch.tensor([[1, 1, 2]]),
        torch.tensor([3]),
    )
    loss.sum().backward()
    assert loss.item() == 0
