"""What writes a text word by word, with one matrix for words in and out.

Letters: B texts, T words, S places of what was read, E numbers of each, V words of the vocabulary,
D units.

A translator and a captioner follow a text by LSTMs and attention of their own; how a text begins,
what it costs and how one is searched for is the same. Following is fused over a whole target, and
searching steps the same weights. One matrix embeds the words and scores the answers (Press and Wolf
2017, https://arxiv.org/abs/1608.05859).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from backbones.sequences.decoding import Decoded, State, beam_search
from backbones.sequences.output import output_cross_entropy
from backbones.training.checks.limits import require_at_most
from backbones.training.config import require_not_negative, require_positive
from tasks.data.vocabulary import BEGIN, END, PAD, UNKNOWN

MOST_BEAM = 1_000


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """How texts are searched for."""

    beam: int = 5
    """Texts that are followed side by side when one is searched for."""
    alpha: float = 1.0
    """Strength of the length's penalty in the search."""

    def __post_init__(self) -> None:
        require_positive(self, "beam")
        require_not_negative(self, "alpha")
        require_at_most(self, beam=MOST_BEAM)


class Writer(nn.Module, ABC):
    """The part of a model that writes; a model adds how it reads and how it follows a text."""

    embedding: nn.Embedding
    bias: nn.Parameter

    @abstractmethod
    def follow(
        self,
        words: Float[Tensor, "T B D"],
        state: State,
        memory: Float[Tensor, "S B E"],
        inside: Bool[Tensor, "S B"],
    ) -> tuple[Float[Tensor, "T B D"], State, Float[Tensor, "B T S"] | None]:
        """Return what the writer makes of each embedded word, the state after them, and where it
        looked, if it has attention."""

    def embed(self, tokens: Int64[Tensor, "B T"]) -> Float[Tensor, "T B D"]:
        """Return what `follow` is given of words."""
        return self.embedding(tokens).transpose(0, 1)  # type: ignore[no-any-return]

    def write(
        self,
        tokens: Int64[Tensor, "B T"],
        state: State,
        memory: Float[Tensor, "S B E"],
        inside: Bool[Tensor, "S B"],
    ) -> tuple[Float[Tensor, "T B V"], State, Float[Tensor, "B T S"] | None]:
        """Return the logits of what follows each token, the state after them, and where the
        writer looked."""
        out, after, weights = self.follow(self.embed(tokens), state, memory, inside)
        return F.linear(out, self.embedding.weight, self.bias), after, weights

    def losses(
        self, out: Float[Tensor, "T B D"], target: Int64[Tensor, "B T"], smoothing: float
    ) -> Float[Tensor, "B T"]:
        """Return the loss of every target word after what `follow` made, 0 where the target is
        over."""
        loss = output_cross_entropy(
            out.flatten(0, 1),
            self.embedding.weight,
            self.bias,
            target.T.flatten(),
            ignore=PAD,
            smoothing=smoothing,
        )
        return loss.view(target.T.shape).T

    def search(
        self,
        state: State,
        memory: Float[Tensor, "S B E"],
        inside: Bool[Tensor, "S B"],
        *,
        longest: Int64[Tensor, "B"],
        how: SearchConfig,
    ) -> list[Decoded]:
        """Return the best text of every state, at most `longest` words with its end."""

        def step(tokens: Tensor, state: State) -> tuple[Tensor, State]:
            hidden, cell, memory, inside = state
            logits, after, _ = self.write(tokens[:, None], (hidden, cell), memory, inside)
            log_prob = logits[0].float().log_softmax(-1)
            log_prob[:, [PAD, UNKNOWN, BEGIN]] = -torch.inf
            return log_prob, (*after, memory, inside)

        return beam_search(
            step,
            (*state, memory, inside),
            begin=BEGIN,
            end=END,
            width=how.beam,
            longest=longest,
            alpha=how.alpha,
        )


def begun(target: Int64[Tensor, "B T"]) -> Int64[Tensor, "B T"]:
    """Return what is written before each word of a target: its beginning, then the words."""
    return torch.cat([torch.full_like(target[:, :1], BEGIN), target], 1)[:, :-1]
