"""The network that answers questions about pictures: a trunk, an LSTM, looks at regions.

Letters: B pictures, K questions of each, C channels, H rows, W columns, S regions, T words,
G looks, D units, V answers.

The shared LSTM reads a question; its last state is what is asked. Every place of the trunk's last
map is a region: what all stages show there, the finer ones on average (hypercolumns: Hariharan et
al. 2015, https://arxiv.org/abs/1411.5752), and where it lies, are projected to D numbers. A look is
one layer of stacked attention (Yang et al. 2016, https://arxiv.org/abs/1511.02274, equations 15 to
21): what is seen is added to what is asked, and the next look asks with that.

What is ours: a look is a layer of a Transformer that has one query (Vaswani et al. 2017,
https://arxiv.org/abs/1706.03762): attention, then a hidden layer of gated units (Shazeer 2020,
https://arxiv.org/abs/2002.05202), each added to what is asked. Gates multiply, so "is there" and
"is there not" can be told apart of what was seen.

Two more heads see the question alone and the picture alone: the baselines that stand beside every
score. The first changes nothing of what it is given. The second does: from what is answered about a
picture, whatever was asked, the trunk learns sooner what to look for (docs/decisions.md).
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, Shaped
from torch import Tensor, nn

from backbones.lstm import LSTM, LSTMSpec
from backbones.sequences.attention import KeyValueAttention
from backbones.trunk import Trunk
from tasks.data.vocabulary import PAD


@dataclass(frozen=True)
class Answered:
    """What the network makes of all questions; logits of answers, each by itself."""

    logits: Float[Tensor, "B K V"]
    question_only: Float[Tensor, "B K V"]
    picture_only: Float[Tensor, "B V"]
    weights: Float[Tensor, "B K G S"]
    """Where each look was directed: 1 in all over the regions."""


class Look(nn.Module):
    """One look at the regions, and what is asked after it."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.before = nn.LayerNorm(units)
        self.attention = KeyValueAttention(units)
        self.after = nn.LayerNorm(units)
        self.hidden = nn.Linear(units, 4 * units)
        self.join = nn.Linear(2 * units, units)

    def forward(
        self, asked: Float[Tensor, "K B D"], places: Float[Tensor, "S B E"]
    ) -> tuple[Float[Tensor, "K B D"], Float[Tensor, "B K S"]]:
        """Return what is asked with what was seen, and the weights of the regions, in fp32; the
        E = 2 D numbers of a region are its key and its value."""
        inside = torch.ones(places.shape[:2], dtype=torch.bool, device=places.device)
        seen, weights = self.attention(self.before(asked), places, inside)
        asked = asked + seen
        gate, value = self.hidden(self.after(asked)).chunk(2, -1)
        return asked + self.join(F.relu(gate) * value), weights


class Answerer(nn.Module):
    """The trunk, the LSTM that reads, the looks, the answers."""

    def __init__(
        self,
        trunk: Trunk,
        words: int,
        answers: int,
        *,
        side_px: int,
        units: int,
        layers: int,
        looks: int,
        dropout: float,
    ) -> None:
        """`trunk` is to see pictures of `side_px` by `side_px`; UserError if they are too small."""
        super().__init__()
        self.cnn = trunk
        _, rows, columns = trunk.conv_output(side_px, side_px)
        self.embedding = nn.Embedding(words, units, padding_idx=PAD)
        self.lstm = LSTM(LSTMSpec(inputs=units, units=units, layers=layers))
        self.content = nn.Linear(sum(trunk.channels.values()), units)
        self.row = nn.Parameter(torch.randn(rows, 1, units) * 0.1)
        self.column = nn.Parameter(torch.randn(1, columns, units) * 0.1)
        self.asked = nn.LayerNorm(units)
        self.places = nn.Sequential(nn.LayerNorm(units), nn.Linear(units, 2 * units * looks))
        self.looks = nn.ModuleList(Look(units) for _ in range(looks))
        self.head = head(units, answers, dropout)
        self.question_head = head(units, answers, dropout)
        self.picture_head = head(units, answers, dropout)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of regions."""
        return self.row.shape[0], self.column.shape[1]

    def regions(self, picture: Shaped[Tensor, "B C H W"]) -> Float[Tensor, "B S D"]:
        """Return what every region shows, and where it lies."""
        maps = [F.adaptive_avg_pool2d(stage, self.grid) for stage in self.cnn(picture).values()]
        shown = self.content(torch.cat(maps, 1).permute(0, 2, 3, 1))
        return F.relu(shown + self.row + self.column).flatten(1, 2)

    def read(self, question: Int64[Tensor, "B K T"]) -> Float[Tensor, "B K D"]:
        """Return what each question asks; of one without words something that means nothing."""
        words = question.flatten(0, 1)
        length = (words != PAD).sum(1).clamp(min=1)
        out, _ = self.lstm.run(self.embedding(words.T))
        last = out[length - 1, torch.arange(len(words), device=words.device)]
        return self.asked(last).unflatten(0, question.shape[:2])  # type: ignore[no-any-return]

    def forward(
        self, picture: Shaped[Tensor, "B C H W"], question: Int64[Tensor, "B K T"]
    ) -> Answered:
        """Return the answers to every question of every picture."""
        regions, asked = self.regions(picture), self.read(question)
        question_only = self.question_head(asked.detach())
        places, weights = self.places(regions).transpose(0, 1).chunk(len(self.looks), -1), []
        by_question = asked.transpose(0, 1)
        for look, seen in zip(self.looks, places, strict=True):
            by_question, found = look(by_question, seen)
            weights.append(found)
        return Answered(
            self.head(by_question.transpose(0, 1)).float(),
            question_only.float(),
            self.picture_head(regions.mean(1)).float(),
            torch.stack(weights, 2),
        )


def head(units: int, answers: int, dropout: float) -> nn.Sequential:
    """Return what turns D numbers into logits of answers, all as unlikely as one of so many."""
    last = nn.Linear(2 * units, answers)
    nn.init.constant_(last.bias, -math.log(answers))
    return nn.Sequential(
        nn.LayerNorm(units), nn.Linear(units, 2 * units), nn.ReLU(), nn.Dropout(dropout), last
    )
