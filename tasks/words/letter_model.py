"""What reads a text letter by letter and says which comes next.

Letters of dimensions: B texts, T letters of each, V letters there are, D units, L layers.

An embedding, the shared LSTM, a normalisation (Ba et al. 2016, https://arxiv.org/abs/1607.06450) of
what it gives, and one matrix. Learning and scoring are one fused call over T; writing steps the
same weights.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from backbones.lstm import LSTM, LSTMSpec, SequenceDropout, State
from backbones.sequences.sampling import sample


class LetterModel(nn.Module):
    """Letters in, logits of the next one out."""

    def __init__(self, size: int, *, units: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size, units)
        nn.init.normal_(self.embedding.weight, std=units**-0.5)
        self.norm_in = nn.LayerNorm(units)
        self.lstm = LSTM(LSTMSpec(inputs=units, units=units, layers=layers, dropout=dropout))
        self.norm_out = nn.LayerNorm(units)
        self.dropout = SequenceDropout(dropout)
        self.head = nn.Linear(units, size)

    def forward(
        self,
        text: Int64[Tensor, "B T"],
        state: State | None = None,
        reset: Bool[Tensor, "T B"] | None = None,
    ) -> tuple[Float[Tensor, "T B V"], State]:
        """Return the logits of what follows each letter, and the state after the last one; where
        `reset` is set, nothing was read before that letter."""
        inputs = self.dropout(self.norm_in(self.embedding(text.T)))
        state = self.lstm.initial_state(len(text)) if state is None else state
        out, after = self.lstm(inputs, state, reset)
        return self.head(self.dropout(self.norm_out(out))), after

    def losses(
        self,
        text: Int64[Tensor, "B T"],
        following: Int64[Tensor, "B T"],
        state: State | None = None,
        reset: Bool[Tensor, "T B"] | None = None,
    ) -> tuple[Float[Tensor, "B T"], State]:
        """Return the nats that each following letter costs, and the state after the last one."""
        logits, after = self(text, state, reset)
        target = following.T.flatten()
        loss = F.cross_entropy(logits.flatten(0, 1).float(), target, reduction="none")
        return loss.view(following.T.shape).T, after

    @torch.inference_mode()
    def write(
        self,
        prompt: Int64[Tensor, "T"],
        uniforms: Float[Tensor, "K"],
        *,
        temperature: float,
        top_k: int,
        never: Int64[Tensor, "_"],
    ) -> Iterator[int]:
        """Yield as many letters as there are numbers in [0, 1), one by one, none of `never`."""
        text, state = prompt[None], None
        for uniform in uniforms.split(1):
            logits, state = self(text, state)
            last = logits[-1].float().index_fill(-1, never, -torch.inf)
            text = sample(last, uniform, temperature, top_k)[None]
            yield int(text)
