"""The loss of an output layer is torch's, and so are its gradients."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from backbones.sequences.output import ROWS_AT_A_TIME, output_cross_entropy


def made(rows=ROWS_AT_A_TIME + 40, width=12, words=31):
    torch.manual_seed(0)
    parts = [torch.randn(rows, width), torch.randn(words, width), torch.randn(words)]
    target = torch.randint(0, words, (rows,))
    target[::7] = 0
    return [part.requires_grad_() for part in parts], target, torch.rand(rows)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_losses_and_gradients_are_those_of_torch(smoothing):
    (rows, weight, bias), target, share = made()
    ours = output_cross_entropy(rows, weight, bias, target, ignore=0, smoothing=smoothing)
    theirs = F.cross_entropy(
        F.linear(rows, weight, bias),
        target,
        reduction="none",
        ignore_index=0,
        label_smoothing=smoothing,
    )
    assert_close(ours, theirs)
    assert (ours[::7] == 0).all()
    inputs = (rows, weight, bias)
    for got, wanted in zip(
        torch.autograd.grad((ours * share).sum(), inputs),
        torch.autograd.grad((theirs * share).sum(), inputs),
        strict=True,
    ):
        assert_close(got, wanted)


def test_a_slope_is_a_difference_of_losses():
    (rows, weight, bias), target, _ = made(5)
    inputs = [part.detach().double().requires_grad_() for part in (rows, weight, bias)]

    def total(*inputs):
        return output_cross_entropy(*inputs, target, ignore=0, smoothing=0.1).double()

    # The loss itself is fp32, so the differences are coarse.
    assert torch.autograd.gradcheck(total, inputs, eps=1e-2, atol=2e-2, rtol=2e-2)


def test_bf16_is_close_and_only_targets_are_paid_for():
    (rows, weight, bias), target, _ = made()
    exact = output_cross_entropy(rows, weight, bias, target, ignore=0)
    with torch.autocast("cpu", torch.bfloat16):
        rough = output_cross_entropy(rows, weight, bias, target, ignore=0)
    assert rough.dtype == torch.float32
    assert_close(rough, exact, atol=0.15, rtol=0.05)
    (slope,) = torch.autograd.grad(rough.sum(), rows)
    (wanted,) = torch.autograd.grad(exact.sum(), rows)
    assert slope[0].abs().sum() == 0
    assert F.cosine_similarity(slope.flatten(), wanted.flatten(), dim=0) > 0.999
    nothing = output_cross_entropy(rows, weight, bias, torch.zeros_like(target), ignore=0)
    assert nothing.sum() == 0
