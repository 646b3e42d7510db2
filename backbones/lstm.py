"""The LSTM: all steps in one call or step by step, with resets at the ends of games; equal results.

Letters: T steps, N sequences, I inputs, D outputs (units), L layers, S segments. An LSTM that reads
both ways has 2 L where L stands, and O = 2 D outputs: forward, then backward.

Hochreiter and Schmidhuber 1997, with a forget gate (Gers et al. 2000) as torch has it. One call
over time is faster than stepping. A reset before step t sets the state to zero there, so a sequence
with resets is several shorter ones: they are cut apart, run as one packed batch, and put back in
place. Both ways use the same weights and give the same outputs, up to rounding.

What surprises: on a GPU the LSTM computes in fp32 whatever autocast says, since cuDNN's under
autocast is fp16, without loss scaling. Give lengths and resets on the CPU: packing needs them
there, and copying them from a GPU would wait for it.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from backbones.training.device.graphs import upload
from backbones.training.errors import UserError

# Hidden and cell state, [L, N, D] each.
State = tuple[Float[Tensor, "L N D"], Float[Tensor, "L N D"]]
# Kinds of devices whose LSTM ignores autocast and computes in fp32.
FP32_DEVICES = ("cuda",)


@dataclass(frozen=True, kw_only=True)
class LSTMSpec:
    """What an LSTM is made of; saved in its card."""

    inputs: int
    units: int
    layers: int = 1
    bidirectional: bool = False
    dropout: float = 0.0
    """Chance that a number between two layers is dropped."""

    def __post_init__(self) -> None:
        for name in ("inputs", "units", "layers"):
            value = getattr(self, name)
            if value < 1:
                raise UserError(f"an LSTM's {name} = {value} must be at least 1")
        if not 0 <= self.dropout < 1:
            raise UserError(f"an LSTM's dropout = {self.dropout} must lie between 0 and 1")

    @property
    def outputs(self) -> int:
        """Size of the output of a step."""
        return self.units * (2 if self.bidirectional else 1)


class LSTM(nn.Module):
    """Sequences in, sequences out, time first."""

    def __init__(self, spec: LSTMSpec) -> None:
        super().__init__()
        self.spec = spec
        # torch warns of a dropout that has no two layers to stand between.
        dropout = spec.dropout if spec.layers > 1 else 0.0
        self.lstm = nn.LSTM(
            spec.inputs, spec.units, spec.layers, dropout=dropout, bidirectional=spec.bidirectional
        )
        for name, parameter in self.lstm.named_parameters():
            # Gains as in the networks around it; biases zero, as in baselines.
            if "weight" in name:
                nn.init.orthogonal_(parameter)
            else:
                nn.init.zeros_(parameter)

    def initial_state(self, count: int) -> State:
        """Return the state of sequences that have just begun: zeros."""
        weight, spec = next(self.parameters()), self.spec
        zeros = weight.new_zeros(spec.layers * (1 + spec.bidirectional), count, spec.units)
        return zeros, zeros.clone()

    def forward(
        self, inputs: Float[Tensor, "T N I"], state: State, reset: Bool[Tensor, "T N"] | None = None
    ) -> tuple[Float[Tensor, "T N D"], State]:
        """Return outputs and the state after the last step.

        Where `reset` is set, the state is zero before that step.
        """
        if reset is not None and len(inputs) == 1:
            # Without asking whether any is set, which would wait for a GPU.
            return self.run(inputs, clear(state, reset[0]))
        begins = None if reset is None else reset.cpu()
        if begins is None or not begins.any():
            return self.run(inputs, state)
        return self.segments(inputs, state, begins)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over the state of a copy. A copy's weights lie apart, and cuDNN would join them
        anew, with a warning, at every call."""
        super().__setstate__(state)
        self.lstm.flatten_parameters()

    def run(self, inputs: Any, state: State | None = None) -> tuple[Any, State]:
        """Run torch's LSTM on a tensor or on packed sequences."""
        data = inputs if isinstance(inputs, Tensor) else inputs.data
        kind = data.device.type
        if kind not in FP32_DEVICES or not torch.is_autocast_enabled(kind):
            return self.lstm(inputs, state)  # type: ignore[no-any-return]
        if state is not None:
            state = (state[0].float(), state[1].float())
        with torch.autocast(kind, enabled=False):
            return self.lstm(inputs.to(torch.float32), state)  # type: ignore[no-any-return]

    def run_packed(
        self, inputs: Float[Tensor, "T N I"], length: Int64[Tensor, "N"], state: State | None = None
    ) -> tuple[Float[Tensor, "T N O"], State]:
        """Return outputs, 0 behind the ends, and the states at the ends, of sequences whose
        `length` lies on the CPU.

        As torch does for unsorted sequences, but that its way back asks the GPU for their order.
        """
        length, order = length.sort(descending=True)
        there, back = (upload(index, inputs.device) for index in (order, order.argsort()))
        if state is not None:
            state = (state[0].index_select(1, there), state[1].index_select(1, there))
        packed = pack_padded_sequence(inputs.index_select(1, there), length)
        packed_out, (hidden, cell) = self.run(packed, state)
        out, _ = pad_packed_sequence(packed_out, total_length=len(inputs))
        after = hidden.index_select(1, back), cell.index_select(1, back)
        return out.index_select(1, back), after

    def read(
        self, inputs: Float[Tensor, "T N I"], length: Int64[Tensor, "N"]
    ) -> tuple[Float[Tensor, "T N O"], State]:
        """Read whole sequences of several lengths, at least 1 each, from a state of zeros.

        Steps after a sequence's end have no effect; its outputs there are 0, and the state is that
        after its own last step (reading backward, after its first).

        Sequences of one length need no packing: on a CPU torch then has one call for all steps, and
        forward and backward take 113 ms instead of 195 (159 sequences of 19, 2 x 192 units, bf16).
        """
        length = length.cpu()
        if bool((length == len(inputs)).all()):
            return self.run(inputs)
        return self.run_packed(inputs, length)

    def segments(
        self, inputs: Float[Tensor, "T N I"], state: State, reset: Bool[Tensor, "T N"]
    ) -> tuple[Float[Tensor, "T N D"], State]:
        """Cut sequences apart at their resets, run all parts in one packed call, put them back.

        `reset` lies on the CPU, and all that follows from it is worked out there.
        """
        (steps, count, _), device = inputs.shape, inputs.device
        begins = reset.clone()
        begins[0] = True
        # Segments in the order (sequence, time): number, first step and length of each.
        n, t = begins.T.nonzero(as_tuple=True)
        flat = n * steps + t
        ends = torch.cat([flat[1:], flat.new_tensor([count * steps])])
        length = ends - flat
        offset = torch.arange(int(length.max()))[:, None]
        inside = offset < length
        source = (flat + offset).clamp(max=count * steps - 1)
        by_sequence = inputs.transpose(0, 1).reshape(count * steps, -1)
        # Only what begins with the rollout, and not with a game, goes on from the given state.
        goes_on = upload(((t == 0) & ~reset[0, n])[:, None], device)
        number = upload(n, device)
        padded, (last_hidden, last_cell) = self.run_packed(
            by_sequence[upload(source, device)],
            length,
            (state[0][:, number] * goes_on, state[1][:, number] * goes_on),
        )
        out = padded.new_empty(count * steps, self.spec.units)
        place = upload(inside.flatten().nonzero()[:, 0], device)
        out = out.index_put((upload(source[inside], device),), padded.flatten(0, 1)[place])
        final = upload((ends % steps == 0).nonzero()[:, 0], device)
        after = last_hidden[:, final], last_cell[:, final]
        return out.view(count, steps, -1).transpose(0, 1), after


class SequenceDropout(nn.Module):
    """Dropout with the same mask at every step of a sequence.

    Gal and Ghahramani 2016 (https://arxiv.org/abs/1512.05287), who found it better for LSTMs than a
    new choice at each step; and T times fewer random numbers, which were a tenth of a translator's
    update on two CPU cores.
    """

    def __init__(self, chance: float) -> None:
        super().__init__()
        self.chance = chance

    def forward(self, inputs: Float[Tensor, "T N D"]) -> Float[Tensor, "T N D"]:
        """Return the inputs, while training with some of D set to 0 and the others grown."""
        if not self.training or not self.chance:
            return inputs
        return inputs * F.dropout(torch.ones_like(inputs[:1]), self.chance)


def clear(state: State, reset: Bool[Tensor, "N"]) -> State:
    """Return a state with zeros where `reset` is set."""
    keep = (~reset)[:, None]
    hidden, cell = state
    return hidden * keep, cell * keep
