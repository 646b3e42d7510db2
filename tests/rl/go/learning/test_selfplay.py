"""Self-play: budgets are kept, games depend on their numbers alone, a stop changes nothing."""

import numpy as np
import pytest
import torch

from rl.go.learning import flight
from rl.go.learning.replay import unpack
from rl.go.learning.selfplay import SelfPlay
from rl.go.learning.selfplay_config import SelfPlayConfig
from rl.go.network.features import NAMES, PLANES
from rl.go.search.mcts import completed_q, improved

SMALL = SelfPlayConfig(games_at_a_time=6, simulations=9, fast_simulations=4, considered=4)
WEIGHTS = np.random.default_rng(0).integers(1, 2**40, PLANES * 81, np.uint64)


def noisy(planes, way):
    """Answer by chance, but the same for the same planes, whatever is beside them."""
    size = planes.shape[-1]
    logits, values = [], []
    for plane in planes:
        rng = np.random.default_rng(int(plane.astype(np.uint64).ravel() @ WEIGHTS[: plane.size]))
        logits.append(2 * rng.normal(size=size * size + 1))
        values.append(rng.uniform(-0.9, 0.9))
    return np.array(logits, np.float32), np.array(values, np.float32)


class Noted(SelfPlay):
    """Self-play that keeps what was played."""

    def __init__(self, *args, **kwargs):
        self.games, self.visits = {}, []
        super().__init__(*args, **kwargs)
        self.flight.end = self.note(self.flight.end)

    def play(self, game):
        searched = self.flight.plies[game] >= self.flight.opening[game]
        wanted = SMALL.simulations if self.full[game] else SMALL.fast_simulations
        trees = self.search.forest
        self.visits.append((int(trees.visits[game, 1].sum()), wanted if searched else 0))
        super().play(game)

    def note(self, end):
        def noted(game):
            flight = self.flight
            moves = flight.moves[game, : flight.plies[game]].tolist()
            self.games[int(flight.number[game])] = moves
            return end(game)

        return noted


def played(config=SMALL, moves=400, size=4, **kwargs):
    games = Noted(size, config, komi=0.5, seed=3, **kwargs)
    return games, games.turn(noisy, moves)


def test_every_search_spends_exactly_its_budget():
    games, _ = played()
    assert len({wanted for _, wanted in games.visits}) == 3  # full, fast and none
    assert all(spent == wanted for spent, wanted in games.visits)


def test_a_game_depends_on_its_number_and_not_on_its_neighbours(monkeypatch):
    monkeypatch.setattr(flight, "SMOOTHING", 1.0)  # no komi that follows other games
    many, _ = played()
    alone, _ = played(SelfPlayConfig(**{**vars(SMALL), "games_at_a_time": 1}), moves=150)
    both = many.games.keys() & alone.games.keys()
    assert len(both) >= 3
    assert all(many.games[number] == alone.games[number] for number in both)


def test_threads_change_nothing():
    one, two = played()[1], played(threads=2)[1]
    assert one.rows.tobytes() == two.rows.tobytes()


def test_a_stop_between_turns_changes_nothing():
    games, _ = played(moves=150)
    tensors, info = games.state()
    other = Noted(4, SMALL, komi=0.5, seed=3)
    other.load(tensors, info)
    for _ in range(2):
        a, b = games.turn(noisy, 150), other.turn(noisy, 150)
        assert len(a.rows) and a.rows.tobytes() == b.rows.tobytes()
        assert a.figures == b.figures


def test_rows_say_what_became_of_the_game():
    _, turn = played()
    rows = turn.rows[turn.rows["ended"] == 1]
    planes = unpack(rows, 4).astype(np.float32)
    komi = (planes[:, NAMES.index("komi"), 0, 0] - 128) / 4
    np.testing.assert_array_equal(rows["score"], rows["ownership"].sum(1) + komi)
    np.testing.assert_array_equal(rows["value"], np.sign(rows["score"]))
    np.testing.assert_allclose(rows["policy"].astype(np.float32).sum(1), 1, atol=2e-3)
    # An illegal move, such as on a stone, has no probability.
    taken = planes[:, :2].max(1).reshape(len(rows), -1) > 0
    assert (rows["policy"][:, :-1][taken] == 0).all()
    assert set(rows["searched"].tolist()) == {0, 1}


def test_no_pass_comes_early_and_long_games_are_cut_off():
    config = SelfPlayConfig(**{**vars(SMALL), "no_pass_before": 0.7, "longest": 1.5})
    games, turn = played(config)
    early = [move for moves in games.games.values() for move in moves[:11]]
    assert games.games and 16 not in early
    lengths = [len(moves) for moves in games.games.values()]
    assert max(lengths) == 24
    assert turn.figures["selfplay/early_pass_share"] == 0
    assert turn.figures["selfplay/capped_share"] == pytest.approx(np.mean(np.array(lengths) == 24))
    assert (turn.rows["ended"] == 0).any()


def test_a_board_seen_turned_is_judged_as_if_it_were_not():
    def stones(planes, way):
        logits = planes[:, 0].reshape(len(planes), -1) - 2.0 * planes[:, 1].reshape(len(planes), -1)
        return np.pad(logits, ((0, 0), (0, 1))).astype(np.float32), planes[:, 0, 0, 0].astype(
            np.float32
        )

    games = Noted(4, SMALL, komi=0.5, seed=3)
    rng = np.random.default_rng(0)
    planes = rng.integers(0, 2, (6, PLANES, 4, 4), np.uint8) * 255
    games.search.forest.outcome[:] = 0  # all ask
    games.ways[:, 0] = [0, 1, 3, 4, 5, 7]
    games.network = stones
    logits, corner = games.evaluate(planes)
    np.testing.assert_array_equal(logits, stones(planes, 0)[0])
    assert not np.array_equal(corner, stones(planes, 0)[1])


def test_a_policy_improves_by_a_table_of_known_values():
    rng = np.random.default_rng(0)
    prior, q = rng.dirichlet(np.ones(10), 200), rng.uniform(-1, 1, (200, 10))
    before = (prior * q).sum(1)
    for tried in (10, 4, 2, 1):
        visits = np.zeros((200, 10), np.int64)
        np.put_along_axis(visits, np.argsort(rng.random((200, 10)), 1)[:, :tried], 3, 1)
        # Moves without visits are taken to be worth what the policy is.
        known = np.where(visits > 0, q, before[:, None])
        after = (improved(prior, visits, known) * known).sum(1)
        assert (after >= before - 1e-9 if tried == 10 else after >= (prior * known).sum(1)).all()
    total = (visits * q).astype(np.float32)
    completed = completed_q(prior, visits, total, before)
    np.testing.assert_allclose(completed[visits > 0], q[visits > 0], atol=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fast_simulations": 30}, "fast_simulations = 30 must be at most"),
        ({"considered": 1}, "considered = 1 must be 2"),
        ({"no_pass_before": 3.0}, "or no game ends"),
        ({"full_share": 1.5}, "full_share"),
    ],
)
def test_what_cannot_be_played_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        SelfPlayConfig(**change)


def test_a_checkpoint_of_other_games_is_refused():
    tensors, info = Noted(4, SMALL, komi=0.5, seed=3).state()
    with pytest.raises(ValueError, match="was changed since"):
        Noted(5, SMALL, komi=0.5, seed=3).load(tensors, info)
    assert isinstance(tensors["moves"], torch.Tensor)
