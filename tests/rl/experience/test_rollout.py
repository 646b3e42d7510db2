"""How a rollout is cut into minibatches."""

import numpy as np
import torch

from rl.experience.collector import uniforms
from rl.experience.rollout import epochs_of_minibatches
from rl.games.contract import game_seed


def order(seed):
    """The order in which an epoch of 64 positions is learnt from."""
    (epoch,) = epochs_of_minibatches(
        [seed], 64, (16, 4), range(4), torch.device("cpu"), columns=False
    )
    return epoch[0]


def test_the_generators_of_actions_orders_and_games_share_nothing():
    """All keys are three numbers: (seed, environment, rollout), (seed, rollout, epoch), (seed,
    environment, episode)."""
    for key in [(1, 0, 0), (1, 2, 3), (5, 3, 0)]:
        drawn = np.random.default_rng(key)
        assert torch.equal(
            uniforms(key[0], range(key[1], key[1] + 1), key[2], 8)[:, 0],
            torch.from_numpy(drawn.random(8, np.float32)),
        )
        assert order(key).tolist() != np.random.default_rng(key).permutation(64).tolist()
        assert sorted(order(key).tolist()) == list(range(64))
        of_game = np.random.default_rng(game_seed(*key)).random(8)
        assert not np.isin(of_game, np.random.default_rng(key).random(64)).any()
    # NumPy fills a key up with zeros: these are one.
    assert np.random.default_rng([1, 2]).random() == np.random.default_rng([1, 2, 0]).random()
    assert order((1, 2)).tolist() != order((1, 2, 1)).tolist()


def test_every_epoch_has_an_order_of_its_own_that_repeats():
    orders = [
        order((seed, rollout, epoch)).tolist()
        for seed in (1, 2)
        for rollout in (0, 1)
        for epoch in (0, 1)
    ]
    assert len(set(map(tuple, orders))) == len(orders)
    assert order((1, 0, 0)).tolist() == orders[0]
