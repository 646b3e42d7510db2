"""Sampling by inversion, and the copy that acts."""

import torch
from torch.testing import assert_close

from backbones.transfer import TrunkConfig
from rl.networks.acting import SamplingPolicy, acting_copy, copy_weights_, sample
from rl.networks.actor_critic import ActorCritic
from rl.networks.body import build_cnn


def test_sampling_follows_the_probabilities():
    logits = torch.tensor([0.1, 0.2, 0.7]).log().expand(60_000, 3)
    uniform = torch.rand(60_000, generator=torch.Generator().manual_seed(0))
    action, log_prob = sample(logits, uniform)
    assert_close(action.bincount() / 60_000, torch.tensor([0.1, 0.2, 0.7]), atol=0.01, rtol=0)
    assert_close(log_prob.exp(), torch.tensor([0.1, 0.2, 0.7])[action])


def test_sampling_never_leaves_the_actions_at_the_edges():
    logits = torch.full((2, 6), -3.0)
    action, _ = sample(logits, torch.tensor([0.0, 0.99999994]))
    assert action.tolist() == [0, 5]


def test_the_acting_copy_follows_the_network_only_when_its_weights_are_copied():
    network = ActorCritic(build_cnn(TrunkConfig(width=0.25, pool=2), 1), 84, 3, 16)
    acting = acting_copy(network, torch.float32)
    obs, begins = network.blank_obs(2) + 100, torch.zeros(2, dtype=torch.bool)
    uniform = torch.tensor([0.1, 0.9])
    before = SamplingPolicy(acting).choose(obs, None, begins, uniform)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05)
    same = SamplingPolicy(acting).choose(obs, None, begins, uniform)
    assert torch.equal(same.noted["value"], before.noted["value"])
    copy_weights_(acting, network)
    after = SamplingPolicy(acting).choose(obs, None, begins, uniform)
    assert not torch.equal(after.noted["value"], before.noted["value"])
    assert torch.equal(after.noted["value"], network(obs)[1])
