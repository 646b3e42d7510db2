"""The network of classification: a trunk, global average pooling, one linear layer.

Letters: B pictures, C channels, H rows, W columns, A classes, D features, M networks.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from backbones.trunk import Trunk


class Classifier(nn.Module):
    """A trunk, global average pooling, a linear layer; several of them for an ensemble."""

    def __init__(self, trunks: list[Trunk], classes: int, dropout: float) -> None:
        super().__init__()
        self.cnn = trunks[0]
        self.others = nn.ModuleList(trunks[1:])
        channels = trunks[0].channels[trunks[0].stages[-1]]
        self.heads = nn.ModuleList([nn.Linear(channels, classes) for _ in trunks])
        self.dropout = dropout

    def features(self, picture: Shaped[Tensor, "B C H W"]) -> Float[Tensor, "B D"]:
        """Return the pooled maps of the first network."""
        return self.cnn(picture)[self.cnn.stages[-1]].mean((2, 3))

    def forward(self, picture: Shaped[Tensor, "B C H W"]) -> Float[Tensor, "M B A"]:
        """Return every network's logits, in fp32."""
        logits = []
        for trunk, head in zip([self.cnn, *self.others], self.heads, strict=True):
            pooled = trunk(picture)[trunk.stages[-1]].mean((2, 3))
            with torch.autocast(pooled.device.type, enabled=False):
                kept = F.dropout(pooled.float(), self.dropout, self.training)
                logits.append(head(kept))
        return torch.stack(logits)
