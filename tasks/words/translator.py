"""The network of translation: a stacked LSTM that reads, one that writes, attention between them.

Letters: B pairs, S source pieces, T target pieces, V pieces of the vocabulary, D units, L layers.

See `tasks/words/translate.py` for papers. One matrix embeds both languages and scores the answers.
"""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from backbones.lstm import LSTM, LSTMSpec, SequenceDropout
from backbones.sequences.attention import Attention
from backbones.sequences.decoding import State
from backbones.training.device.graphs import upload
from tasks.data.vocabulary import PAD
from tasks.words.writer import Writer


class Translator(Writer):
    """The reader, the writer, and the matrix that both share."""

    def __init__(
        self, pieces: int, *, units: int, layers: int, attention: bool, dropout: float
    ) -> None:
        super().__init__()
        self.layers = layers
        self.embedding = nn.Embedding(pieces, units, padding_idx=PAD)
        nn.init.normal_(self.embedding.weight, std=units**-0.5)
        self.bias = nn.Parameter(torch.zeros(pieces))
        reads = units // 2 if attention else units
        self.encoder = LSTM(
            LSTMSpec(
                inputs=units, units=reads, layers=layers, bidirectional=attention, dropout=dropout
            )
        )
        self.decoder = LSTM(LSTMSpec(inputs=units, units=units, layers=layers, dropout=dropout))
        self.attention = Attention(units, units) if attention else None
        self.dropout = SequenceDropout(dropout)

    def read(
        self, source: Int64[Tensor, "B S"], length: Int64[Tensor, "B"]
    ) -> tuple[State, Float[Tensor, "S B D"], Bool[Tensor, "S B"]]:
        """Return the writer's first state, what was read, and which places are inside.

        `length` is best given on the CPU: see `backbones/lstm.py`.
        """
        place = torch.arange(source.shape[1], device=source.device)
        there = upload(length, source.device)[:, None]
        inside = place < there
        if self.attention is None:
            source = source.gather(1, (there - 1 - place).clamp(min=0)) * inside
        memory, state = self.encoder.read(self.dropout(self.embed(source)), length)
        if self.attention is not None:  # [2 L B D/2] to [L B D]: forward beside backward.
            state = tuple(
                part.unflatten(0, (self.layers, 2)).transpose(1, 2).flatten(2) for part in state
            )
        return state, self.dropout(memory), inside.T

    def follow(
        self,
        words: Float[Tensor, "T B D"],
        state: State,
        memory: Float[Tensor, "S B D"],
        inside: Bool[Tensor, "S B"],
    ) -> tuple[Float[Tensor, "T B D"], State, Float[Tensor, "B T S"] | None]:
        hidden, cell = (part.contiguous() for part in state)
        out, after = self.decoder(self.dropout(words), (hidden, cell))
        out, weights = self.dropout(out), None
        if self.attention is not None:
            # Nothing that was looked at goes back into the LSTM.
            out, weights = self.attention(out, memory, inside)
            out = self.dropout(out)
        return out, after, weights

    def forward(
        self,
        source: Int64[Tensor, "B S"],
        length: Int64[Tensor, "B"],
        tokens: Int64[Tensor, "B T"],
        target: Int64[Tensor, "B T"],
        smoothing: float,
    ) -> Float[Tensor, "B T"]:
        """Return the loss of every target piece after `tokens`, 0 where the target is over."""
        out = self.follow(self.embed(tokens), *self.read(source, length))[0]
        return self.losses(out, target, smoothing)
