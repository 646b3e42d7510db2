"""Agents: what they take, how they choose, and their newest weights."""

import numpy as np
import pytest
import torch

from rl.agent import load_agent


def test_an_agent_acts_on_one_observation_and_on_many(smoke):
    agent = load_agent("ppo/pong-1")
    one = agent.act(np.zeros((4, 84, 84), np.uint8))
    assert isinstance(one, int)
    assert 0 <= one < 6
    many = agent.act(torch.zeros(5, 4, 84, 84, dtype=torch.uint8), choice="greedy")
    assert many.shape == (5,)
    assert len(set(many.tolist())) == 1
    for shape, dtype in [((84, 84), np.uint8), ((4, 90, 90), np.uint8), ((4, 84, 84), np.float32)]:
        with pytest.raises(ValueError, match=r"expected uint8 \[4, 84, 84\]"):
            agent.act(np.zeros(shape, dtype))


def test_epsilon_one_is_random_play_and_greedy_is_the_likeliest(smoke):
    agent = load_agent("ppo/pong-1")
    probabilities = torch.tensor([[0.1, 0.9]]).expand(4000, 2)
    assert agent.choose(probabilities, "greedy").float().mean() == 1
    assert abs(agent.choose(probabilities, "greedy", 1.0).float().mean() - 0.5) < 0.05
    assert abs(agent.choose(probabilities, "sampled").float().mean() - 0.9) < 0.05


def test_a_followed_agent_takes_the_newest_weights(runs):
    from backbones.training.config import RunConfig, changed
    from rl import ppo

    run = ppo.train(
        changed(ppo.SMOKE, env="Arcadia/Catch-v0", eval_games=0, run=RunConfig(precision="fp32"))
    )
    newest, agent = sorted(run.checkpoints.iterdir())[-1], load_agent(run)
    weights = agent.network.policy.weight.clone()
    agent.network.policy.weight.data.zero_()
    assert agent.reload() == int(newest.name)
    assert torch.equal(agent.network.policy.weight, weights)
