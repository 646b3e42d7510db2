"""The network of captioning: an image trunk that looks, an LSTM that writes, attention between.

Letters: B pictures, K captions of each, C channels, H rows, W columns, S regions, T words, V words
of the vocabulary, D units, L layers.

See `tasks/words/caption.py` for papers. Every place of the trunk's last map is a region: what it
shows, and where it lies, are projected to D numbers. Their mean, projected once more, is the first
word that the LSTM reads. So the same network takes any trunk, and "left of" can be told from
"right of" although a mean has no order.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, Shaped
from torch import Tensor, nn

from backbones.attention import Attention
from backbones.decoding import State
from backbones.lstm import LSTM, LSTMSpec, SequenceDropout
from backbones.trunk import Trunk
from tasks.data.vocabulary import PAD
from tasks.words.writer import Writer, begun

Read = tuple[State, Float[Tensor, "S B D"], Shaped[Tensor, "S B"]]


class Captioner(Writer):
    """The trunk, the writer, and what lies between."""

    def __init__(
        self,
        trunk: Trunk,
        words: int,
        *,
        side_px: int,
        units: int,
        layers: int,
        attention: bool,
        dropout: float,
    ) -> None:
        """`trunk` is to see pictures of `side_px` by `side_px`; UserError if they are too small."""
        super().__init__()
        self.cnn = trunk
        channels, rows, columns = trunk.conv_output(side_px, side_px)
        self.embedding = nn.Embedding(words, units, padding_idx=PAD)
        nn.init.normal_(self.embedding.weight, std=units**-0.5)
        self.bias = nn.Parameter(torch.zeros(words))
        self.content = nn.Linear(channels, units)
        self.row = nn.Parameter(torch.randn(rows, 1, units) * 0.1)
        self.column = nn.Parameter(torch.randn(1, columns, units) * 0.1)
        self.first = nn.Linear(units, units)
        self.lstm = LSTM(LSTMSpec(inputs=units, units=units, layers=layers, dropout=dropout))
        self.attention = Attention(units, units) if attention else None
        self.dropout = SequenceDropout(dropout)

    @property
    def writer(self) -> LSTM:
        return self.lstm

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of regions."""
        return self.row.shape[0], self.column.shape[1]

    def features(self, picture: Shaped[Tensor, "B C H W"]) -> Float[Tensor, "B C2"]:
        """Return the mean of the trunk's last map, by which pictures are compared."""
        return self.cnn(picture)[self.cnn.stages[-1]].mean((2, 3))

    def regions(self, picture: Shaped[Tensor, "B C H W"]) -> Float[Tensor, "S B D"]:
        """Return what every region shows, and where it lies."""
        maps = self.cnn(picture)[self.cnn.stages[-1]].permute(0, 2, 3, 1)
        shown = F.relu(self.content(maps) + self.row + self.column)
        return shown.flatten(1, 2).transpose(0, 1)

    def read(self, picture: Shaped[Tensor, "B C H W"]) -> Read:
        """Return the writer's state after the picture, its regions, and that all are inside; no
        regions without attention."""
        regions = self.regions(picture)
        first = self.dropout(self.first(regions.mean(0))[None])
        _, state = self.lstm(first, self.lstm.initial_state(len(picture)))
        memory = self.dropout(regions) if self.attention is not None else regions[:0]
        inside = torch.ones(memory.shape[:2], dtype=torch.bool, device=picture.device)
        return state, memory, inside

    def forward(
        self, picture: Shaped[Tensor, "B C H W"], target: Int64[Tensor, "B K T"], smoothing: float
    ) -> Float[Tensor, "B K T"]:
        """Return the loss of every word of every picture's captions, 0 where they are over."""
        count, texts = target.shape[1], target.flatten(0, 1)
        (hidden, cell), memory, inside = self.read(picture)
        state = hidden.repeat_interleave(count, 1), cell.repeat_interleave(count, 1)
        out = self.follow(begun(texts), state, memory, inside)[0]
        return self.losses(out, texts, smoothing).view(target.shape)
