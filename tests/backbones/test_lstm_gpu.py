"""The LSTM on a GPU: as on a CPU, in fp32 under autocast, never repacked, not waited for."""

import copy
import warnings

import pytest
import torch
from torch.testing import assert_close

from backbones.lstm import LSTM, LSTMSpec
from backbones.sequences.attention import Attention
from backbones.sequences.output import output_cross_entropy
from backbones.training.optim import Average

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.fixture
def exact(monkeypatch):
    """cuDNN multiplies in fp32 proper, not in TF32."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture
def no_waiting():
    """A function that begins to refuse calls that wait for the GPU."""
    yield lambda: torch.cuda.set_sync_debug_mode("error")
    torch.cuda.set_sync_debug_mode("default")


def make(both=False):
    torch.manual_seed(0)
    return LSTM(LSTMSpec(inputs=5, units=8, layers=2, bidirectional=both))


def test_equals_the_cpu_fused_stepped_and_packed_under_autocast_too(exact):
    ours, theirs = make().cuda(), make()
    inputs, reset = torch.randn(9, 4, 5), torch.rand(9, 4) < 0.3
    length = torch.tensor([9, 3, 5, 3])
    there, state = inputs.cuda(), ours.initial_state(4)
    for autocast in (False, True):
        with torch.autocast("cuda", torch.bfloat16, enabled=autocast):
            found = [
                ours(there, state)[0],
                ours(there, state, reset.cuda())[0],
                ours(there[:1], state, reset[:1].cuda())[0],
                ours.read(there, length)[0],
            ]
        zero = theirs.initial_state(4)
        expected = [
            theirs(inputs, zero)[0],
            theirs(inputs, zero, reset)[0],
            theirs(inputs[:1], zero, reset[:1])[0],
            theirs.read(inputs, length)[0],
        ]
        for mine, other in zip(found, expected, strict=True):
            assert mine.dtype == torch.float32
            assert_close(mine.cpu(), other, atol=1e-5, rtol=1e-4)


def test_copies_and_averages_keep_their_weights_in_one_piece():
    lstm = make(both=True).cuda().to(memory_format=torch.channels_last)
    inputs, average = torch.randn(4, 3, 5, device="cuda"), Average(lstm, 0.9)
    average.update(lstm)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for each in (lstm, copy.deepcopy(lstm), average.model):
            each.read(inputs, torch.tensor([4, 2, 1]))
            with torch.no_grad():
                each.read(inputs, torch.tensor([4, 4, 4]))


def test_reading_stepping_and_attending_wait_for_nothing(no_waiting):
    encoder, decoder = make(both=True).cuda(), LSTM(LSTMSpec(inputs=5, units=8)).cuda()
    attention = Attention(8, 16).cuda()
    inputs, length = torch.randn(6, 3, 5, device="cuda"), torch.tensor([6, 2, 4])
    inside = torch.ones(6, 3, dtype=torch.bool, device="cuda")
    begins = torch.zeros(1, 3, dtype=torch.bool, device="cuda")
    weight, bias = torch.randn(11, 8, device="cuda", requires_grad=True), torch.zeros(11).cuda()
    target = torch.randint(0, 11, (18,), device="cuda")

    def pass_once():
        with torch.autocast("cuda", torch.bfloat16):
            memory, _ = encoder.read(inputs, length)
            out, _ = decoder(inputs, decoder.initial_state(3))
            decoder(inputs[:1], decoder.initial_state(3), begins)
            seen, _ = attention(out, memory, inside)
            loss = output_cross_entropy(seen.flatten(0, 1), weight, bias, target, ignore=0)
        loss.sum().backward()

    pass_once()
    no_waiting()
    pass_once()


def test_the_loss_of_words_is_that_of_the_cpu():
    rows, weight, bias = torch.randn(700, 8), torch.randn(11, 8), torch.randn(11)
    target = torch.randint(0, 11, (700,))
    found = []
    for device in ("cpu", "cuda"):
        given = [t.to(device).requires_grad_() for t in (rows, weight, bias)]
        loss = output_cross_entropy(*given, target.to(device), ignore=0, smoothing=0.1)
        loss.sum().backward()
        found.append([loss.detach().cpu(), *(t.grad.cpu() for t in given)])
    for ours, theirs in zip(*found, strict=True):
        assert_close(ours, theirs, atol=1e-3, rtol=1e-3)
