"""The LSTM: fused, stepped and split give the same; a reset forgets everything; gradients agree."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from backbones import lstm as lstm_module
from backbones.lstm import LSTM, LSTMSpec, SequenceDropout
from backbones.sequences.attention import Attention
from backbones.training.errors import UserError


def make(inputs=5, units=7, layers=1, seed=0):
    torch.manual_seed(seed)
    return LSTM(LSTMSpec(inputs=inputs, units=units, layers=layers))


def stepped(lstm, inputs, state, reset):
    """The obvious way: one step at a time, zeros where the mask says."""
    outputs = []
    for t in range(len(inputs)):
        out, state = lstm(inputs[t : t + 1], state, reset[t : t + 1])
        outputs.append(out)
    return torch.cat(outputs), state


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 12),
    st.integers(1, 5),
    st.integers(1, 2),
    st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)
def test_fused_equals_stepped_with_any_resets(seed, steps, count, layers, chance):
    lstm = make(layers=layers, seed=seed)
    inputs = torch.randn(steps, count, 5)
    reset = torch.rand(steps, count) < chance
    state = tuple(torch.randn(2, layers, count, 7))
    expected, expected_state = stepped(lstm, inputs, state, reset)
    out, after = lstm(inputs, state, reset)
    assert_close(out, expected, atol=1e-6, rtol=1e-5)
    for ours, theirs in zip(after, expected_state, strict=True):
        assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def test_a_sequence_in_two_calls_equals_one():
    lstm, inputs = make(), torch.randn(10, 3, 5)
    reset = torch.rand(10, 3) < 0.2
    whole, end = lstm(inputs, lstm.initial_state(3), reset)
    first, state = lstm(inputs[:4], lstm.initial_state(3), reset[:4])
    second, split_end = lstm(inputs[4:], state, reset[4:])
    assert_close(torch.cat([first, second]), whole, atol=1e-6, rtol=1e-5)
    assert_close(split_end, end, atol=1e-6, rtol=1e-5)


def test_one_step_by_hand():
    lstm = make(1, 1)
    with torch.no_grad():
        for parameter in lstm.parameters():
            parameter.fill_(0.5)
    out, (_, cell) = lstm(torch.tensor([[[2.0]]]), lstm.initial_state(1))
    gate = torch.sigmoid(torch.tensor(0.5 * 2 + 0.5 + 0.5))
    expected = gate * torch.tanh(torch.tensor(2.0))
    assert_close(cell[0, 0, 0], expected)
    assert_close(out[0, 0, 0], gate * expected.tanh())


def test_nothing_from_before_a_reset_reaches_what_comes_after():
    lstm, inputs = make(), torch.randn(6, 2, 5)
    reset = torch.zeros(6, 2, dtype=torch.bool)
    reset[3, 0] = True
    before = inputs.clone().requires_grad_()
    out, _ = lstm(before, lstm.initial_state(2), reset)
    out[3:].sum().backward()
    assert before.grad[:3, 0].abs().sum() == 0
    assert before.grad[:3, 1].abs().sum() > 0


def test_gradients_of_fused_and_stepped_agree():
    lstm, inputs = make(), torch.randn(8, 4, 5)
    reset, weight = torch.rand(8, 4) < 0.3, torch.randn(8, 4, 7)
    gradients = []
    for run in (lstm, lambda *args: stepped(lstm, *args)):
        lstm.zero_grad()
        (run(inputs, lstm.initial_state(4), reset)[0] * weight).sum().backward()
        gradients.append([p.grad.clone() for p in lstm.parameters()])
    for ours, theirs in zip(*gradients, strict=True):
        assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("field", ["inputs", "units", "layers"])
def test_sizes_below_one_are_refused(field):
    with pytest.raises(UserError, match=f"{field} = 0 must be at least 1"):
        LSTMSpec(**{"inputs": 3, "units": 3, field: 0})


@pytest.mark.parametrize("both", [False, True])
def test_what_stands_behind_a_sequences_end_changes_nothing(both):
    torch.manual_seed(0)
    lstm = LSTM(LSTMSpec(inputs=5, units=4, layers=2, bidirectional=both))
    inputs, length = torch.randn(6, 3, 5), torch.tensor([2, 6, 1])
    out, (hidden, cell) = lstm.read(inputs, length)
    longer = torch.cat([inputs, torch.randn(2, 3, 5)])
    again, _ = lstm.read(longer, length)
    assert_close(again[:6], out)
    assert (again[6:] == 0).all()
    for n, steps in enumerate(length.tolist()):
        alone, (own_hidden, own_cell) = lstm.lstm(inputs[:steps, n : n + 1])
        assert_close(out[:steps, n], alone[:, 0])
        assert (out[steps:, n] == 0).all()
        assert_close(hidden[:, n], own_hidden[:, 0])
        assert_close(cell[:, n], own_cell[:, 0])
    assert out.shape[-1] == lstm.spec.outputs == (8 if both else 4)


@pytest.mark.parametrize("both", [False, True])
def test_sequences_of_one_length_are_read_the_same_without_packing(both):
    torch.manual_seed(0)
    lstm = LSTM(LSTMSpec(inputs=5, units=4, layers=2, bidirectional=both))
    inputs = torch.randn(6, 4, 5)
    out, state = lstm.read(inputs[:, :3], torch.tensor([6, 6, 6]))
    packed, packed_state = lstm.read(inputs, torch.tensor([6, 6, 6, 2]))
    assert_close(out, packed[:, :3])
    for ours, theirs in zip(state, packed_state, strict=True):
        assert_close(ours, theirs[:, :3])


def test_dropout_outside_its_range_is_refused():
    with pytest.raises(UserError, match=r"dropout = 1\.0 must lie between"):
        LSTMSpec(inputs=1, units=1, dropout=1.0)


def test_dropout_of_a_sequence_drops_the_same_numbers_at_every_step_and_keeps_the_mean():
    dropout, inputs = SequenceDropout(0.25), torch.ones(5, 300, 40)
    torch.manual_seed(0)
    out = dropout(inputs)
    assert torch.equal(out, out[:1].expand_as(out))
    assert out.unique().tolist() == pytest.approx([0, 4 / 3])
    assert abs(out.mean() - 1) < 0.02
    assert torch.equal(dropout.eval()(inputs), inputs)


@pytest.fixture
def like_a_gpu(monkeypatch):
    """The CPU's LSTM treats autocast as a GPU's does."""
    monkeypatch.setattr(lstm_module, "FP32_DEVICES", ("cpu",))


def test_where_autocast_would_be_fp16_the_lstm_computes_in_fp32(like_a_gpu):
    lstm, inputs = make(), torch.randn(6, 3, 5)
    state, reset = tuple(torch.randn(2, 1, 3, 7)), torch.rand(6, 3) < 0.3
    length = torch.tensor([6, 2, 4])
    calls = (
        lambda x: lstm(x, state)[0],
        lambda x: lstm(x, state, reset)[0],
        lambda x: lstm.read(x, length)[0],
        lambda x: lstm.read(x, torch.full((3,), 6))[0],
    )
    for call in calls:
        expected = call(inputs)
        with torch.autocast("cpu", torch.bfloat16):
            # As they come out of a layer that autocast rounds.
            rounded, whole = call(inputs.bfloat16()), call(inputs)
        assert rounded.dtype == whole.dtype == torch.float32
        assert torch.equal(whole, expected)
        assert_close(rounded, call(inputs.bfloat16().float()), atol=0, rtol=0)


def test_attention_joins_what_an_lstm_of_another_format_asks():
    attention, inside = Attention(4, 6), torch.ones(5, 2, dtype=torch.bool)
    query, memory = torch.randn(3, 2, 4), torch.randn(5, 2, 6)
    expected, _ = attention(query, memory, inside)
    for ours, theirs in ((torch.float32,) * 2, (torch.float16, torch.bfloat16)):
        with torch.autocast("cpu", torch.bfloat16):
            out, weights = attention(query.to(ours), memory.to(theirs), inside)
        assert weights.dtype == torch.float32
        assert_close(out.float(), expected, atol=0.05, rtol=0.05)


def test_one_step_asks_nothing_of_its_resets():
    class Silent(torch.Tensor):
        """A tensor that a GPU would have to be waited for to read."""

        def __bool__(self):
            raise AssertionError("the reset was read")

        any = cpu = tolist = item = __bool__

    lstm, state = make(), tuple(torch.randn(2, 1, 2, 7))
    reset = torch.tensor([[True, False]])
    expected, _ = lstm(torch.ones(1, 2, 5), state, reset)
    out, _ = lstm(torch.ones(1, 2, 5), state, reset.as_subclass(Silent))
    assert_close(out.as_subclass(torch.Tensor), expected)


def test_packing_gives_what_torch_gives_of_unsorted_sequences():
    lstm, inputs = make(layers=2), torch.randn(6, 4, 5)
    length = torch.tensor([3, 6, 1, 3])
    packed = nn.utils.rnn.pack_padded_sequence(inputs, length, enforce_sorted=False)
    theirs, their_state = lstm.lstm(packed)
    out, state = lstm.read(inputs, length)
    assert torch.equal(out, nn.utils.rnn.pad_packed_sequence(theirs, total_length=6)[0])
    assert all(torch.equal(a, b) for a, b in zip(state, their_state, strict=True))
