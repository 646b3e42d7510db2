"""The updater's step against numbers by hand, and against shares of a minibatch."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from backbones.training.distributed import ALONE
from backbones.training.optim import Updater, with_rates

CPU = torch.device("cpu")


def updater(*weights: nn.Parameter, rate: float = 0.5, max_grad_norm: float = 1e9) -> Updater:
    groups = with_rates([{"params": list(weights), "scale": 1.0}], rate, CPU)
    return Updater(torch.optim.SGD(groups), ALONE, max_grad_norm)


def test_a_step_is_that_done_by_hand_and_forgets_the_gradient_of_the_last():
    weight = nn.Parameter(torch.tensor([3.0, 4.0]))
    steps = updater(weight)

    def work() -> str:
        weight.square().sum().backward()  # the gradient is [6, 8], of norm 10
        return "figures"

    result, norm = steps.step(work)
    assert result == "figures" and float(norm) == 10 and weight.tolist() == [0, 0]
    steps.set_rate(0.1)
    weight.data.fill_(1.0)
    steps.step(work)
    assert_close(weight.data, torch.tensor([0.8, 0.8]))


def test_gradients_longer_than_the_bound_are_scaled_down_to_it():
    weight = nn.Parameter(torch.tensor([3.0, 4.0]))
    _, norm = updater(weight, rate=1.0, max_grad_norm=1.0).step(
        lambda: weight.square().sum().backward()
    )
    assert float(norm) == pytest.approx(10)
    assert_close(weight.data, torch.tensor([2.4, 3.2]))


def test_halves_of_a_minibatch_on_two_threads_add_up_to_the_whole():
    torch.manual_seed(0)
    inputs = torch.randn(8, 3)
    first = nn.Linear(3, 1)
    second = nn.Linear(3, 1)
    second.load_state_dict(first.state_dict())

    def backward(model: nn.Module, part: torch.Tensor) -> None:
        (model(part).square().sum() / 8).backward()

    whole, halved = updater(*first.parameters()), updater(*second.parameters())
    with ThreadPoolExecutor(1) as pool:

        def work() -> None:
            other = pool.submit(backward, second, inputs[:4])
            other.result()
            backward(second, inputs[4:])

        whole.step(lambda: backward(first, inputs))
        halved.step(work)
    for ours, theirs in zip(first.parameters(), second.parameters(), strict=True):
        assert_close(ours, theirs)
