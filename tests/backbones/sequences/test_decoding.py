"""Beam search: width 1 is greedy, a wide one finds the best of all, neighbours change nothing."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backbones.sequences.decoding import beam_search, penalty

BEGIN, END, PIECES = 0, 1, 5


def markov(seed, count=3):
    """A model whose next token depends on the last one and on its sequence."""
    torch.manual_seed(seed)
    table = torch.randn(count, PIECES, PIECES).log_softmax(-1)
    table[..., BEGIN] = -torch.inf

    def step(tokens, state):
        return table[state[0][0], tokens], state

    return table, step, (torch.arange(count)[None],)


def score_of(table, tokens, alpha, longest):
    """The log probability of a text with its end; what is forced at the longest has its price."""
    total, last = 0.0, BEGIN
    for token in (*tokens, END):
        total, last = total + float(table[last, token]), token
    length = torch.tensor(float(len(tokens) + 1))
    return total / float(penalty(length, alpha)) if len(tokens) < longest else -torch.inf


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.6, 1.0]))
def test_a_wide_beam_finds_the_best_of_all_texts(seed, alpha):
    table, step, state = markov(seed)
    longest = 4
    found = beam_search(
        step,
        state,
        begin=BEGIN,
        end=END,
        width=PIECES**3,
        alpha=alpha,
        longest=torch.full((3,), longest),
    )
    for n, best in enumerate(found):
        texts = [t for size in range(longest) for t in product(range(2, PIECES), repeat=size)]
        scores = [score_of(table[n], text, alpha, longest) for text in texts]
        assert best.score == pytest.approx(max(scores), abs=1e-5)
        assert score_of(table[n], best.tokens, alpha, longest) == pytest.approx(
            best.score, abs=1e-5
        )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_width_one_is_greedy(seed):
    table, step, state = markov(seed)
    found = beam_search(step, state, begin=BEGIN, end=END, width=1, longest=torch.tensor([9, 9, 9]))
    for n, best in enumerate(found):
        tokens, last = [], BEGIN
        while len(tokens) < 8 and (last := int(table[n, last].argmax())) != END:
            tokens.append(last)
        assert best.tokens == tokens


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_a_sequence_alone_gives_what_it_gives_beside_others(seed, width):
    _, step, state = markov(seed)
    longest = torch.tensor([3, 7, 12])
    together = beam_search(step, state, begin=BEGIN, end=END, width=width, longest=longest)
    for n in range(3):
        [alone] = beam_search(
            step,
            (state[0][:, n : n + 1],),
            begin=BEGIN,
            end=END,
            width=width,
            longest=longest[n : n + 1],
        )
        assert alone == together[n]
        assert END not in alone.tokens and len(alone.tokens) < longest[n]


def test_the_state_follows_the_beam_it_belongs_to():
    # The state counts what was written; a beam that took another's would count wrongly.
    table, _, state = markov(3)

    def step(tokens, state):
        sequence, sums = state
        sums = sums + tokens * (tokens != BEGIN)
        log_prob = table[sequence[0], tokens].clone()
        # 2 after an even sum, 3 after an odd one; nothing else but the end.
        even = sums[0] % 2 == 0
        log_prob[even, 3], log_prob[~even, 2], log_prob[:, 4] = -1e4, -1e4, -1e4
        return log_prob.log_softmax(-1), (sequence, sums)

    found = beam_search(
        step,
        (state[0], torch.zeros(1, 3, dtype=torch.int64)),
        begin=BEGIN,
        end=END,
        width=3,
        longest=torch.tensor([8, 8, 8]),
    )
    for best in found:
        for n, token in enumerate(best.tokens):
            assert token == (2 if sum(best.tokens[:n]) % 2 == 0 else 3)
