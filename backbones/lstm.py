"""The LSTM: fused over time or step by step, with resets at the ends of games; equal results.

Letters: T steps, N sequences, I inputs, D outputs (units), L layers, S segments. An LSTM that reads
both ways has 2 L where L stands, and O = 2 D outputs: forward, then backward.

Hochreiter and Schmidhuber 1997, with a forget gate (Gers et al. 2000) as torch has it. One call
over time is faster than stepping. A reset before step t means that the state is zero there, so a
sequence with resets is several shorter ones: they are cut apart, run as one packed batch, and put
back in place. Stepped or fused, the weights are the same and so are the outputs, to rounding.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from backbones.training.errors import UserError

# Hidden and cell state, [L, N, D] each.
State = tuple[Float[Tensor, "L N D"], Float[Tensor, "L N D"]]


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
        """Numbers that come out of a step."""
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

        Where `reset` is set, the state is zero before that step, whatever went before.
        """
        if reset is None or not reset.any():
            return self.lstm(inputs, state)  # type: ignore[no-any-return]
        if len(inputs) == 1:
            state = clear(state, reset[0])
            return self.lstm(inputs, state)  # type: ignore[no-any-return]
        return self.segments(inputs, state, reset)

    def read(
        self, inputs: Float[Tensor, "T N I"], length: Int64[Tensor, "N"]
    ) -> tuple[Float[Tensor, "T N O"], State]:
        """Read whole sequences of several lengths, at least 1 each, from a state of zeros.

        What stands behind a sequence's end changes nothing; its outputs there are 0, and the state
        is that after its own last step (reading backward, after its first).

        Sequences of one length need no packing: on a CPU torch then has one call for all steps, and
        forward and backward take 113 ms instead of 195 (159 sequences of 19, 2 x 192 units, bf16).
        """
        if bool((length == len(inputs)).all()):
            return self.lstm(inputs)  # type: ignore[no-any-return]
        packed = pack_padded_sequence(inputs, length.cpu(), enforce_sorted=False)
        out, state = self.lstm(packed)
        return pad_packed_sequence(out, total_length=len(inputs))[0], state

    def segments(
        self, inputs: Float[Tensor, "T N I"], state: State, reset: Bool[Tensor, "T N"]
    ) -> tuple[Float[Tensor, "T N D"], State]:
        """Cut sequences apart at their resets, run all parts in one packed call, put them back."""
        steps, count, _ = inputs.shape
        begins = reset.clone()
        begins[0] = True
        # Segments in the order (sequence, time): number, first step and length of each.
        n, t = begins.T.nonzero(as_tuple=True)
        flat = n * steps + t
        ends = torch.cat([flat[1:], flat.new_tensor([count * steps])])
        length = ends - flat
        offset = torch.arange(int(length.max()), device=inputs.device)[:, None]
        inside = offset < length
        source = (flat + offset).clamp(max=count * steps - 1)
        by_sequence = inputs.transpose(0, 1).reshape(count * steps, -1)
        # Only what begins with the rollout, and not with a game, goes on from the given state.
        goes_on = ((t == 0) & ~reset[0, n])[:, None]
        hidden, cell = (part[:, n] * goes_on for part in state)
        packed = pack_padded_sequence(by_sequence[source], length.cpu(), enforce_sorted=False)
        packed_out, (last_hidden, last_cell) = self.lstm(packed, (hidden, cell))
        padded, _ = pad_packed_sequence(packed_out)
        out = padded.new_empty(count * steps, self.spec.units)
        out = out.index_put((source[inside],), padded[inside])
        final = (ends % steps == 0).nonzero()[:, 0]
        after = last_hidden[:, final], last_cell[:, final]
        return out.view(count, steps, -1).transpose(0, 1), after


class SequenceDropout(nn.Module):
    """Drop the same numbers at every step of a sequence.

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
