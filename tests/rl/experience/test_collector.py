"""Rollouts against a slow collector written out by hand, policies that note nothing, and
continuing exactly."""

import numpy as np
import torch
from torch.testing import assert_close

from rl.experience.collector import Collector, uniforms
from rl.experience.pipeline import merge_shares, take_share
from rl.experience.rollout import Rollout
from rl.games.make import make_environments
from rl.games.options import EnvOptions
from rl.games.stacks import STACK
from rl.networks.acting import sample
from rl.networks.judgement import Choice

CPU = torch.device("cpu")


def envs_of(env="ALE/Breakout-v5", num_envs=3, **options):
    return make_environments(env, num_envs, seed=1, options=EnvOptions(**options))


def judge(obs):
    """Return logits and a value that depend on every frame of the stack, as a checksum does."""
    value = (obs.float().mean((2, 3)) * torch.tensor([1.0, 10, 100, 1000])).sum(1)
    return torch.stack([torch.sin(value * k) for k in range(1, 5)], dim=1), value


class ChecksumPolicy:
    notes = ("log_prob", "value")

    def begin_rollout(self, rollout):
        pass

    def choose(self, obs, memory, begins, uniform):
        logits, value = judge(obs)
        action, log_prob = sample(logits, uniform)
        return Choice(action, {"log_prob": log_prob, "value": value})


class EpsilonGreedyPolicy:
    """As a Q network's: the best action, or any with chance 1 / 4, and nothing to note."""

    notes = ()

    def begin_rollout(self, rollout):
        pass

    def choose(self, obs, memory, begins, uniform):
        q_value = judge(obs)[0]
        anyone = (uniform * 4 * q_value.shape[-1]).long()
        return Choice(torch.where(uniform < 0.25, anyone, q_value.argmax(-1)), {})


policy = ChecksumPolicy()


def slow_rollout(envs, steps, uniform):
    """One step at a time with whole stacks, as the textbook has it."""
    frame = envs.reset()
    stacks = np.zeros((envs.num_envs, STACK, 84, 84), np.uint8)
    stacks[:, -1] = frame[:, 0]
    rows = []
    for t in range(steps):
        logits, value = judge(torch.from_numpy(stacks))
        action, log_prob = sample(logits, uniform[t])
        step = envs.step(action.numpy())
        row = {"obs": torch.from_numpy(stacks.copy()), "action": action, "value": value}
        final = np.concatenate([stacks[:, 1:], step.final_frame], axis=1)
        stacks = np.concatenate([stacks[:, 1:], step.frame], axis=1)
        stacks[step.over, :-1] = 0
        cut = torch.from_numpy(step.truncated & ~step.terminated)
        after = judge(torch.from_numpy(stacks))[1]
        row["next_value"] = torch.where(cut, judge(torch.from_numpy(final))[1], after)
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
            assert_close(rollout.tensors()[name], values)


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


def greedy_rollout(numbers, max_frames=400):
    envs = make_environments(
        "ALE/Breakout-v5", numbers, seed=1, options=EnvOptions(max_frames=max_frames)
    )
    collector = Collector(envs, 250, 1, CPU)
    collector.reset()
    return collector.collect(EpsilonGreedyPolicy())


def test_without_a_value_the_last_frames_of_games_cut_off_are_kept():
    rollout = greedy_rollout(range(3))
    assert rollout.noted == {}
    envs, cuts, last = envs_of(max_frames=400), [], []
    envs.reset()
    for t, action in enumerate(rollout.action.numpy()):
        step = envs.step(action)
        for n in np.flatnonzero(step.truncated & ~step.terminated):
            cuts.append([t, int(n)])
            last.append(torch.from_numpy(step.final_frame[n].copy()))
    assert rollout.cuts.tolist() == cuts and len(cuts) >= 6
    assert torch.equal(rollout.cut_frames, torch.stack(last))


def test_a_rollout_of_such_a_policy_is_saved_and_shared_out_whole():
    shares = [greedy_rollout(numbers) for numbers in (range(1), range(1, 3))]
    states = [{f"rollout.{k}": v for k, v in share.tensors().items()} for share in shares]
    whole = merge_shares(states)
    for numbers, share in zip((range(1), range(1, 3)), shares, strict=True):
        part = {k.removeprefix("rollout."): v for k, v in take_share(whole, numbers).items()}
        again = Rollout.of(part, []).tensors()
        assert again.keys() == share.tensors().keys() and "cut_frames" in again
        assert all(torch.equal(tensor, again[name]) for name, tensor in share.tensors().items())
