"""What a network learns of a batch, and what is left out of it."""

import pytest
import torch
from torch.testing import assert_close

from rl.go.learning.learn import FIGURES, SCORE, VALUE, go_loss
from rl.go.learning.replay import GoBatch
from rl.go.network.features import PLANES
from rl.go.network.go_network import GoJudgement, build_network


def batch_of(**changes):
    """Return four positions of a 3 x 3 board, won by who is to move."""
    fields = {
        "planes": torch.full((4, PLANES, 3, 3), 255, dtype=torch.uint8),
        "policy": torch.eye(10)[:4],
        "searched": torch.ones(4),
        "value": torch.ones(4),
        "score": torch.full((4,), 5.0),
        "ownership": torch.ones(4, 3, 3),
        "ended": torch.ones(4),
    }
    return GoBatch(**{**fields, **changes})


def judged(value=0.0, score=0.0):
    zeros = torch.zeros(4, 10)
    owned = torch.zeros(4, 3, 3)
    return GoJudgement(zeros, torch.full((4,), value), owned, torch.full((4,), score))


def test_a_network_that_knows_nothing_is_as_surprised_as_chance():
    loss, figures = go_loss(judged(), batch_of())
    named = dict(zip(FIGURES, figures.tolist(), strict=True))
    half, tenth = torch.tensor(2.0).log().item(), torch.tensor(10.0).log().item()
    assert named == pytest.approx(
        {
            "policy_loss": tenth,
            "value_loss": half,
            "ownership_loss": half,
            "score_error": 5.0,
            "policy_kl": tenth,
        }
    )
    assert loss.item() == pytest.approx(tenth + 2 * VALUE * half + SCORE * 12.5)


def test_a_fast_search_teaches_no_policy_and_a_game_cut_off_no_outcome():
    fast = go_loss(judged(), batch_of(searched=torch.zeros(4)))[1]
    assert fast[0] == 0 and fast[1] > 0
    cut = go_loss(judged(value=-0.999), batch_of(ended=torch.tensor([1.0, 0, 0, 0])))[1]
    alone = go_loss(judged(value=-0.999), batch_of())[1]
    assert_close(cut, alone)  # of four alike, one counts as four do
    none = go_loss(judged(), batch_of(ended=torch.zeros(4)))[1]
    assert none[1] == none[2] == none[3] == 0


def test_moves_off_the_board_cost_nothing_and_give_no_nan():
    off = torch.zeros(4, 10)
    off[:, 8] = -torch.inf
    network = judged()
    loss, _ = go_loss(
        GoJudgement(off.requires_grad_(), network.value, network.ownership, network.score),
        batch_of(),
    )
    loss.backward()
    assert loss.isfinite() and off.grad.isfinite().all()


def test_a_network_learns_a_batch_by_heart():
    torch.manual_seed(0)
    network, batch = build_network("b2c32", 3, 3), batch_of()
    adam = torch.optim.Adam(network.parameters(), 1e-2)
    losses = []
    for _ in range(30):
        adam.zero_grad()
        loss, _ = go_loss(network(batch.planes), batch)
        loss.backward()
        adam.step()
        losses.append(loss.item())
    # The four have one board and four answers, so that much surprise stays.
    assert losses[-1] < 1.6 < losses[0]
