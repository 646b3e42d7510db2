"""Attention of a decoder to what an encoder has read, after its LSTM.

Letters: T target steps, S source places, N sequences, D numbers of a query, E of a place.

Two kinds, both without input feeding: no step needs another's answer, so a whole target is one
product. `Attention` is that of Luong et al. 2015 (https://arxiv.org/abs/1508.04025), `general`
scores (equation 8) and equation 5. `KeyValueAttention` is that of Vaswani et al. 2017
(https://arxiv.org/abs/1706.03762, section 3.2.1): what is compared and what is taken are two things
of a place, and what was seen is for the caller to add.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn


class Attention(nn.Module):
    """Dot-product attention: each query gets a weighted mean of the places."""

    def __init__(self, query: int, memory: int) -> None:
        """`query` and `memory` are the sizes D and E."""
        super().__init__()
        self.score = nn.Linear(query, memory, bias=False)
        self.join = nn.Linear(query + memory, query, bias=False)

    def forward(
        self,
        query: Float[Tensor, "T N D"],
        memory: Float[Tensor, "S N E"],
        inside: Bool[Tensor, "S N"],
    ) -> tuple[Float[Tensor, "T N D"], Float[Tensor, "N T S"]]:
        """Return the queries with what they saw, and their weights, in fp32: 1 in all over the
        places `inside`, of which every sequence must have one, 0 outside.
        """
        places = memory.transpose(0, 1)
        scores = self.score(query).transpose(0, 1) @ places.transpose(1, 2)
        scores = scores.float().masked_fill(~inside.T[:, None], -torch.inf)
        weights = F.softmax(scores, -1)
        seen = (weights.to(places.dtype) @ places).transpose(0, 1)
        # An LSTM may be in another format than what autocast computes in.
        return torch.tanh(self.join(torch.cat([seen, query.to(seen.dtype)], -1))), weights


class KeyValueAttention(nn.Module):
    """Scaled dot-product attention with one head, to places that come as keys and values."""

    def __init__(self, query: int) -> None:
        """`query` is the size D."""
        super().__init__()
        self.query = nn.Linear(query, query)
        self.out = nn.Linear(query, query)

    def forward(
        self,
        query: Float[Tensor, "T N D"],
        places: Float[Tensor, "S N K"],
        inside: Bool[Tensor, "S N"],
    ) -> tuple[Float[Tensor, "T N D"], Float[Tensor, "N T S"]]:
        """Return what the queries saw, and their weights, in fp32: 1 in all over the places
        `inside`, of which every sequence must have one, 0 outside.

        A place's K = 2 D numbers are its key, then its value.
        """
        key, value = places.transpose(0, 1).chunk(2, -1)
        asked = self.query(query).transpose(0, 1) * query.shape[-1] ** -0.5
        scores = (asked @ key.transpose(1, 2)).float()
        weights = F.softmax(scores.masked_fill(~inside.T[:, None], -torch.inf), -1)
        return self.out((weights.to(value.dtype) @ value).transpose(0, 1)), weights
