"""Judging a rollout once more: with the weights that played it, what was noted; else what they
are now, which is what PPO then clips around."""

import dataclasses

import pytest
import torch
from torch.testing import assert_close

from backbones.training.config import RunConfig, changed
from backbones.training.distributed import World
from rl import ppo
from rl.experience.judge_again import judge_again
from rl.training import Training

TINY = changed(
    ppo.CATCH,
    total_steps=4096,
    num_envs=8,
    num_steps=32,
    minibatch_size=64,
    eval_games=0,
    env_options=dataclasses.replace(ppo.CATCH.env_options, max_frames=9),
    run=RunConfig(precision="fp32"),
)


def played(**changes):
    training = Training(ppo.JOB, changed(TINY, **changes), World())
    training.start()
    rollout = training.pipeline.rollout
    assert (rollout.done & ~rollout.terminated).any()  # the clock cuts games off
    return training.learner, rollout


@pytest.mark.parametrize("memory", ["none", "lstm"])
def test_the_weights_that_played_say_what_they_noted(memory):
    learner, rollout = played(memory=memory)
    prepared = learner.network.cnn.prepare(rollout.all_obs())
    again = judge_again(learner.network, rollout, prepared)
    assert again.keys() == rollout.noted.keys()
    for name, values in again.items():
        assert_close(values, rollout.noted[name], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("memory", ["none", "lstm"])
def test_ppo_clips_around_the_policy_of_now_and_weighs_by_how_far_it_went(memory):
    learner, rollout = played(memory=memory, proximal=True)
    with torch.no_grad():
        for parameter in learner.network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    learner.load(rollout)
    index = torch.arange(rollout.action.numel())
    _, figures = learner.loss(index)
    parts = dict(zip(ppo.FIGURES, figures.tolist(), strict=True))
    # Nothing has been learnt since: every ratio to the proximal policy is 1.
    assert parts["clip_fraction"] == 0 and parts["kl"] == pytest.approx(0, abs=1e-4)
    behind = learner.data["old_log_prob"] - rollout.noted["log_prob"].flatten()
    assert behind.abs().max() > 0.1
    assert_close(learner.data["weight"], behind.exp().clamp(max=2.0))
    assert not torch.equal(learner.data["value"], rollout.noted["value"].flatten())


def test_without_lag_proximal_learning_is_plain_learning():
    ends = []
    for proximal in (False, True):
        learner, rollout = played(proximal=proximal)
        learner.learn(rollout)
        ends.append(learner.network.state_dict())
    for name, tensor in ends[0].items():
        assert_close(tensor, ends[1][name], atol=2e-4, rtol=1e-3)
