"""What writes a text word by word: an LSTM, attention after it, one matrix for words in and out.

Letters: B texts, T words, M texts or pictures read, S places of each, V words of the vocabulary,
D units, L layers.

A translator and a captioner write alike and read differently. Nothing that was looked at goes back
into the LSTM (Luong et al. 2015, https://arxiv.org/abs/1508.04025), so that a whole target is one
fused call; searching steps the same weights. One matrix embeds the words and scores the answers
(Press and Wolf 2017, https://arxiv.org/abs/1608.05859).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from backbones.attention import Attention
from backbones.decoding import Decoded, State, beam_search
from backbones.lstm import LSTM, SequenceDropout
from backbones.output import output_cross_entropy
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
    """The part of a model that writes; a model adds how it reads."""

    embedding: nn.Embedding
    bias: nn.Parameter
    attention: Attention | None
    dropout: SequenceDropout

    @property
    @abstractmethod
    def writer(self) -> LSTM:
        """The LSTM that writes, under whatever name of a backbone the model has it."""

    def follow(
        self,
        tokens: Int64[Tensor, "B T"],
        state: State,
        memory: Float[Tensor, "S M D"],
        inside: Bool[Tensor, "S M"],
    ) -> tuple[Float[Tensor, "T B D"], State, Float[Tensor, "B T S"] | None]:
        """Return what the writer makes of each token, the state after them, and where it looked.

        Several texts that stand side by side may look at the same places: B is so many times M.
        """
        embedded = self.dropout(self.embedding(tokens).transpose(0, 1))
        hidden, cell = (part.contiguous() for part in state)
        out, after = self.writer(embedded, (hidden, cell))
        out, weights = self.dropout(out), None
        if self.attention is not None:
            several = len(tokens) // memory.shape[1]
            # To the places, a text is as good as more steps of the one before it.
            query = out.unflatten(1, (-1, several)).movedim(2, 0).flatten(0, 1)
            seen, weights = self.attention(query, memory, inside)
            out = seen.unflatten(0, (several, -1)).movedim(0, 2).flatten(1, 2)
            weights = weights.unflatten(1, (several, -1)).flatten(0, 1)
            out = self.dropout(out)
        return out, after, weights

    def write(
        self,
        tokens: Int64[Tensor, "B T"],
        state: State,
        memory: Float[Tensor, "S B D"],
        inside: Bool[Tensor, "S B"],
    ) -> tuple[Float[Tensor, "T B V"], State, Float[Tensor, "B T S"] | None]:
        """Return the logits of what follows each token, the state after them, and where the
        writer looked."""
        out, after, weights = self.follow(tokens, state, memory, inside)
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
        memory: Float[Tensor, "S B D"],
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
