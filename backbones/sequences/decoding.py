"""Beam search with a model that scores the next token; a width of 1 is greedy decoding.

Letters: N sequences, K beams of each, V tokens, T steps, R rows (a beam of a sequence each).

Beams are ranked by their log probability divided by ((5 + length) / 6) ** alpha (Wu et al. 2016,
https://arxiv.org/abs/1609.08144, equation 14). A beam that has ended stays among the candidates and
is only extended by more end tokens, at no cost; a sequence is finished when all its beams have
ended. Its result does not depend on the others in the batch: its longest length is its own.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

# Tensors with the rows in dimension 1, as an LSTM's state and what its encoder has read.
State = tuple[Tensor, ...]
# (last tokens [R], state) -> (log probabilities [R V], state).
Step = Callable[[Int64[Tensor, "R"], State], tuple[Float[Tensor, "R V"], State]]


@dataclass(frozen=True)
class Decoded:
    """The best text found for a sequence."""

    tokens: list[int]
    """Without its end."""
    score: float
    """Log probability, end included, divided by the length's penalty."""


def penalty(length: Tensor, alpha: float) -> Tensor:
    """Return the divisor of a log probability of so many tokens."""
    return ((5 + length) / 6) ** alpha


@dataclass
class Beams:
    """The beams of the sequences that are not finished."""

    sequence: Int64[Tensor, "N"]
    tokens: Int64[Tensor, "N K T"]
    total: Float[Tensor, "N K"]
    length: Int64[Tensor, "N K"]
    ended: Bool[Tensor, "N K"]

    def part(self, keep: Bool[Tensor, "N"]) -> "Beams":
        """Return the beams of some sequences."""
        return Beams(*(part[keep] for part in vars(self).values()))

    def extended(
        self, log_prob: Float[Tensor, "N K V"], last: Bool[Tensor, "N"], end: int, alpha: float
    ) -> tuple["Beams", Int64[Tensor, "N K"]]:
        """Return the best beams of one more token, and which beam each goes on from."""
        others = torch.arange(log_prob.shape[-1], device=log_prob.device) != end
        closed = (self.ended | last[:, None])[..., None] & others
        free = self.ended[..., None] & ~others
        log_prob = log_prob.masked_fill(closed, -torch.inf).masked_fill(free, 0)
        total = self.total[..., None] + log_prob
        length = self.length + ~self.ended
        ranked = (total / penalty(length, alpha)[..., None]).flatten(1)
        best = ranked.topk(self.total.shape[1], dim=1).indices
        beam, token = best // log_prob.shape[-1], best % log_prob.shape[-1]
        before = self.tokens.gather(1, beam[..., None].expand(-1, -1, self.tokens.shape[-1]))
        total = total.flatten(1).gather(1, best)
        # Where there are fewer texts than beams, some beams follow none.
        ended = (token == end) | (total == -torch.inf)
        tokens = torch.cat([before, token[..., None]], -1)
        return Beams(self.sequence, tokens, total, length.gather(1, beam), ended), beam


@torch.no_grad()
def beam_search(
    step: Step,
    state: State,
    *,
    begin: int,
    end: int,
    width: int,
    longest: Int64[Tensor, "N"],
    alpha: float = 1.0,
) -> list[Decoded]:
    """Return the best text of every sequence, at most `longest` tokens with its end.

    `state` has a row for every sequence; `step` is given `width` rows for each. `alpha` 0 ranks by
    log probability alone, which prefers short texts.
    """
    count, device = len(longest), longest.device
    rows = torch.arange(count, device=device).repeat_interleave(width)
    state = tuple(part[:, rows] for part in state)
    total = torch.full((count, width), -torch.inf, device=device)
    total[:, 0] = 0  # all beams of a sequence begin alike
    beams = Beams(
        torch.arange(count, device=device),
        torch.full((count, width, 1), begin, device=device),
        total,
        torch.zeros(count, width, dtype=torch.int64, device=device),
        torch.zeros(count, width, dtype=torch.bool, device=device),
    )
    decoded: dict[int, Decoded] = {}
    while len(beams.sequence):
        log_prob, state = step(beams.tokens[..., -1].flatten(), state)
        last = longest[beams.sequence] <= beams.tokens.shape[-1]
        log_prob = log_prob.float().view(*beams.total.shape, -1)
        beams, beam = beams.extended(log_prob, last, end, alpha)
        going = ~beams.ended.all(1)
        collect(beams.part(~going), end, alpha, decoded)
        rows = (torch.arange(len(beam), device=device)[:, None] * width + beam)[going].flatten()
        state = tuple(part[:, rows] for part in state)
        beams = beams.part(going)
    return [decoded[n] for n in range(count)]


def collect(beams: Beams, end: int, alpha: float, decoded: dict[int, Decoded]) -> None:
    """Note the best beam of each finished sequence."""
    scores = beams.total / penalty(beams.length, alpha)
    best = scores.argmax(1, keepdim=True)
    # All at once: each number alone would wait for a GPU.
    found = beams.tokens.gather(1, best[..., None].expand(-1, -1, beams.tokens.shape[-1]))[:, 0, 1:]
    best_scores = scores.gather(1, best)[:, 0].tolist()
    numbers = beams.sequence.tolist()
    for n, tokens, score in zip(numbers, found.tolist(), best_scores, strict=True):
        decoded[n] = Decoded(tokens[: tokens.index(end)] if end in tokens else tokens, score)
