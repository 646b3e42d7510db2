"""The network of captioning: an image trunk that looks, LSTMs that write, attention between.

Letters: B pictures, K captions of each, C channels, H rows, W columns, S regions, T words, V words
of the vocabulary, D units, L layers, E = 2 L D numbers of a region's keys and values.

See `tasks/words/caption.py` for papers. Every place of the trunk's last map is a region: what it
shows, and where it lies, are projected to D numbers. Their mean, projected once more, is the first
word that the LSTM reads. So the same network takes any trunk, and "left of" can be told from
"right of" although a mean has no order.

Each layer of the writer is an LSTM over the words and then attention to the regions. Both read what
a LayerNorm made of the words so far and are added to them, as in RNMT+ and in Transformers (Chen et
al. 2018, https://arxiv.org/abs/1804.09849; Xiong et al. 2020, https://arxiv.org/abs/2002.04745):
the LSTM of the second layer knows what the first one looked at for every word that is written, and
asks for what is not yet named.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor, nn

from backbones.lstm import LSTM, LSTMSpec, SequenceDropout
from backbones.sequences.attention import KeyValueAttention
from backbones.sequences.decoding import State
from backbones.trunk import Trunk
from tasks.data.vocabulary import PAD
from tasks.words.writer import Writer, begun

Read = tuple[State, Float[Tensor, "S B E"], Bool[Tensor, "S B"]]


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
        spec = LSTMSpec(inputs=units, units=units)
        self.lstm = LSTM(spec)
        self.further = nn.ModuleList(LSTM(spec) for _ in range(layers - 1))
        looks = layers if attention else 0
        self.looks = nn.ModuleList(KeyValueAttention(units) for _ in range(looks))
        self.places = nn.Linear(units, 2 * units * looks) if attention else None
        # Before every LSTM, before every look, and at the end.
        self.norms = nn.ModuleList(nn.LayerNorm(units) for _ in range(layers + looks + 1))
        self.dropout = SequenceDropout(dropout)

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
        """Return the writer's state after the picture, the keys and values of its regions, and
        that all are inside; no regions without attention."""
        regions = self.regions(picture)
        seen = self.dropout(regions)
        memory = seen[:0] if self.places is None else self.places(seen)
        inside = torch.ones(memory.shape[:2], dtype=torch.bool, device=picture.device)
        first = self.first(regions.mean(0))[None]
        begin = first.new_zeros(1 + len(self.further), len(picture), first.shape[-1])
        state = self.follow(first, (begin, begin), memory, inside)[1]
        return state, memory, inside

    def follow(
        self,
        words: Float[Tensor, "T B D"],
        state: State,
        memory: Float[Tensor, "S B E"],
        inside: Bool[Tensor, "S B"],
    ) -> tuple[Float[Tensor, "T B D"], State, Float[Tensor, "B T S"] | None]:
        """As `Writer.follow`; it is told where the last layer looked."""
        norms, places = iter(self.norms), memory.chunk(max(1, len(self.looks)), -1)
        out, weights, after = self.dropout(words), None, []
        for n, lstm in enumerate((self.lstm, *self.further)):
            hidden, cell = (part[n : n + 1].contiguous() for part in state)
            written, own = lstm(next(norms)(out), (hidden, cell))
            out = out + self.dropout(written)
            after.append(own)
            if self.looks:
                seen, weights = self.looks[n](next(norms)(out), places[n], inside)
                out = out + self.dropout(seen)
        hidden, cell = (torch.cat(parts) for parts in zip(*after, strict=True))
        return next(norms)(out), (hidden, cell), weights

    def forward(
        self, picture: Shaped[Tensor, "B C H W"], target: Int64[Tensor, "B K T"], smoothing: float
    ) -> Float[Tensor, "B K T"]:
        """Return the loss of every word of every picture's captions, 0 where they are over.

        The shortest captions of all pictures are followed together, then the second shortest, and
        so on: of the captions of scenes that leaves out a quarter of the steps.
        """
        state, memory, inside = self.read(picture)
        length = (target != PAD).sum(2)
        order = length.argsort(1)
        ranked = target.gather(1, order[..., None].expand_as(target))
        losses = []
        for k, longest in enumerate(length.gather(1, order).amax(0).clamp(min=1).tolist()):
            text = ranked[:, k, :longest]
            out = self.follow(self.embed(begun(text)), state, memory, inside)[0]
            loss = self.losses(out, text, smoothing)
            losses.append(F.pad(loss, (0, target.shape[2] - longest)))
        by_rank = torch.stack(losses, 1)
        return by_rank.gather(1, order.argsort(1)[..., None].expand_as(by_rank))
