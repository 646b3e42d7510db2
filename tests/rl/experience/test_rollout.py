"""Rollouts against a slow collector written out by hand, sampling, and continuing exactly."""

import numpy as np
import torch
from torch.testing import assert_close

from rl.experience.rollout import Collector, sample, uniforms
from rl.games.contract import STACK
from rl.games.make import EnvOptions, make_environments

CPU = torch.device("cpu")


def envs_of(env="ALE/Breakout-v5", num_envs=3, **options):
    return make_environments(env, num_envs, seed=1, options=EnvOptions(**options))


def policy(obs, memory=None, begins=None):
    """A policy that depends on every frame of the stack: its value is a checksum."""
    value = (obs.float().mean((2, 3)) * torch.tensor([1.0, 10, 100, 1000])).sum(1)
    logits = torch.stack([torch.sin(value * k) for k in range(1, 5)], dim=1)
    return logits, value, None


def slow_rollout(envs, steps, uniform):
    """One step at a time with whole stacks, as the textbook has it."""
    frame = envs.reset()
    stacks = np.zeros((envs.num_envs, STACK, 84, 84), np.uint8)
    stacks[:, -1] = frame[:, 0]
    rows = []
    for t in range(steps):
        logits, value, _ = policy(torch.from_numpy(stacks))
        action, log_prob = sample(logits, uniform[t])
        step = envs.step(action.numpy())
        row = {"obs": torch.from_numpy(stacks.copy()), "action": action, "value": value}
        final = np.concatenate([stacks[:, 1:], step.final_frame], axis=1)
        stacks = np.concatenate([stacks[:, 1:], step.frame], axis=1)
        stacks[step.over, :-1] = 0
        cut = torch.from_numpy(step.truncated & ~step.terminated)
        after = policy(torch.from_numpy(stacks))[1]
        row["next_value"] = torch.where(cut, policy(torch.from_numpy(final))[1], after)
        row |= {"log_prob": log_prob, "reward": torch.from_numpy(step.reward)}
        row["terminated"] = torch.from_numpy(step.terminated)
        row["done"] = row["terminated"] | torch.from_numpy(step.truncated)
        rows.append(row)
    return {key: torch.stack([row[key] for row in rows]) for key in rows[0]}


def test_rollouts_equal_those_of_a_slow_collector_over_lives_games_and_the_clock():
    options = {"max_frames": 700}
    collector = Collector(envs_of(**options), 100, 1, CPU)
    collector.reset()
    rollouts = [collector.collect(policy) for _ in range(4)]
    uniform = torch.cat([uniforms(1, range(3), k, 100) for k in range(4)])
    expected = slow_rollout(envs_of(**options), 400, uniform)
    assert expected["done"].sum() > expected["terminated"].sum() > 3
    for k, rollout in enumerate(rollouts):
        part = {name: values[100 * k : 100 * k + 100] for name, values in expected.items()}
        assert torch.equal(rollout.obs(torch.arange(300)), part.pop("obs").flatten(0, 1))
        for name, values in part.items():
            assert_close(getattr(rollout, name), values)


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


def test_random_numbers_belong_to_an_environment_and_a_rollout():
    few, many = uniforms(3, range(2), 5, 8), uniforms(3, range(4), 5, 8)
    assert torch.equal(few, many[:, :2])
    assert not torch.equal(few, uniforms(3, range(2), 6, 8))
    assert not torch.equal(few, uniforms(4, range(2), 5, 8))


def test_a_collector_restored_in_the_middle_of_games_plays_on_as_if_never_stopped():
    collector = Collector(envs_of(), 150, 1, CPU)
    collector.reset()
    for _ in range(2):
        collector.collect(policy)
    state = {name: tensor.clone() for name, tensor in collector.state_dict().items()}
    expected = [collector.collect(policy) for _ in range(2)]

    other = Collector(envs_of(), 150, 1, CPU)
    assert other.load_state_dict(state)
    for rollout in expected:
        again = other.collect(policy)
        for name, tensor in rollout.tensors().items():
            assert torch.equal(tensor, again.tensors()[name]), name
        assert again.games == rollout.games


def test_games_that_do_not_repeat_themselves_are_noticed():
    collector = Collector(envs_of(), 20, 1, CPU)
    collector.reset()
    collector.collect(policy)
    state = collector.state_dict()
    state["envs.actions"] = state["envs.actions"] * 0 + 1
    state["recent"] = state["recent"] * 0
    assert not Collector(envs_of(), 20, 1, CPU).load_state_dict(state)
