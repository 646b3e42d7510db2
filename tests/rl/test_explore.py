"""Exploration: where epsilon stands in each environment, and how often actions are random."""

import pytest
import torch
from torch.testing import assert_close

from backbones.transfer import TrunkConfig
from rl.explore import EpsilonGreedyPolicy, Exploration, epsilon_greedy
from rl.networks.body import build_cnn
from rl.networks.judgement import Policy
from rl.networks.q_network import QNetwork


def test_epsilon_falls_on_a_line_from_1_and_stays_where_it_ends():
    exploration = Exploration(epsilon=0.1, epsilon_fraction=0.5)
    found = [float(exploration.chances(p, range(1), 1)) for p in (0.0, 0.25, 0.5, 1.0, 3.0)]
    assert_close(torch.tensor(found), torch.tensor([1.0, 0.55, 0.1, 0.1, 0.1]))
    assert float(Exploration(epsilon_fraction=0.0).chances(0.0, range(1), 1)) == pytest.approx(0.01)


def test_with_a_spread_environments_end_as_in_ape_x():
    exploration = Exploration(epsilon=0.4, epsilon_spread=7.0)
    found = exploration.chances(1.0, range(8), 8)
    assert_close(found, torch.tensor([0.4 ** (1 + 7 * i / 7) for i in range(8)]))
    # By their numbers among all, whichever process they live in.
    assert torch.equal(found[2:5], exploration.chances(1.0, range(2, 5), 8))


def test_each_environment_has_its_own_coin_and_random_actions_are_uniform():
    count, actions = 200_000, 5
    generator = torch.Generator().manual_seed(0)
    q_value = torch.zeros(count, actions)
    q_value[:, 3] = 1.0
    epsilon = torch.where(torch.arange(count) % 2 == 0, 0.0, 0.3)
    action = epsilon_greedy(q_value, epsilon, torch.rand(count, generator=generator))
    assert (action[::2] == 3).all()
    rates = torch.bincount(action[1::2], minlength=actions) / (count / 2)
    assert_close(rates, torch.tensor([0.06, 0.06, 0.06, 0.76, 0.06]), atol=4e-3, rtol=0)


def test_the_largest_uniform_is_still_an_action():
    below_one = torch.tensor([1 - 2**-24])
    assert epsilon_greedy(torch.zeros(1, 3), torch.ones(1), below_one).tolist() == [2]


def test_the_policy_takes_the_epsilon_of_the_rollout_it_plays():
    network = QNetwork(build_cnn(TrunkConfig(width=0.25, pool=2), 1), 84, 3, 8)
    policy = EpsilonGreedyPolicy(network, lambda rollout: torch.tensor([0.5, 0.25]) * rollout, 2)
    assert isinstance(policy, Policy)
    policy.begin_rollout(2)
    obs = torch.zeros(2, 4, 84, 84, dtype=torch.uint8)
    uniform = torch.tensor([0.99, 0.99])
    choice = policy.choose(obs, None, torch.zeros(2, dtype=torch.bool), uniform)
    best = int(network.step(obs[:1], None, torch.ones(1, dtype=torch.bool)).q_value.argmax())
    assert choice.action.tolist() == [2, best] and choice.noted == {}


def test_what_is_no_chance_is_refused():
    with pytest.raises(ValueError, match="epsilon = 2"):
        Exploration(epsilon=2.0)
    with pytest.raises(ValueError, match="epsilon_spread"):
        Exploration(epsilon_spread=-1.0)
