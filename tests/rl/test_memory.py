"""Agents with a memory: the same judged step by step and in one go, exact resume, Recall learnt."""

import shutil

import pytest
import torch
from torch.testing import assert_close

from backbones.lstm import LSTM, LSTMSpec
from backbones.training.config import RunConfig, changed
from backbones.training.distributed import World
from rl import ppo
from rl.agent import load_agent
from rl.evaluate import evaluate
from rl.experience.collector import Collector
from rl.games.make import make_environments
from rl.games.options import EnvOptions
from rl.games.stacks import FrameStack
from rl.games.toys import RECALL
from rl.networks.acting import SamplingPolicy
from rl.networks.actor_critic import ActorCritic
from rl.networks.body import build_cnn
from rl.training import Training
from tests.faults.trials import differing

TINY = changed(
    ppo.CATCH,
    memory="lstm",
    lstm_units=32,
    num_envs=8,
    num_steps=32,
    minibatch_size=64,
    total_steps=1024,
    eval_games=0,
    run=RunConfig(precision="fp32", checkpoint_every_s=1e-6),
)


@pytest.mark.parametrize(
    ("env", "options"),
    [("Arcadia/Catch-v0", EnvOptions()), ("ALE/Breakout-v5", EnvOptions(max_frames=200))],
)
def test_what_was_judged_while_playing_is_judged_again_while_learning(env, options):
    config = changed(TINY, env=env, env_options=options)
    training = Training(ppo.JOB, config, World())
    training.start()
    collector, network = training.pipeline.collector, training.learner.network
    with torch.no_grad():
        for parameter in network.parameters():  # far from the almost uniform beginning
            parameter.add_(torch.randn_like(parameter) * 0.05)
    for _ in range(3):
        rollout = collector.collect(SamplingPolicy(network))
        assert rollout.done.any()
        n = torch.tensor([5, 0, 3])
        index = (torch.arange(32)[:, None] * 8 + n).flatten()
        with torch.no_grad():
            prepared = network.cnn.prepare(rollout.obs(index))
            begins = rollout.age[:-1, n] == 0
            memory = rollout.hidden[:, n], rollout.cell[:, n]
            logits, value, *_ = network.judge(prepared, begins, memory)
        log_prob = logits.log_softmax(-1).gather(1, rollout.action.flatten()[index][:, None])[:, 0]
        noted = {name: values.flatten()[index] for name, values in rollout.noted.items()}
        assert_close(value, noted["value"], atol=1e-5, rtol=1e-4)
        assert_close(log_prob, noted["log_prob"], atol=1e-5, rtol=1e-4)
    training.envs.close()


def test_values_are_those_of_a_network_that_sees_one_observation_after_another():
    options, lstm = EnvOptions(max_frames=120), LSTM(LSTMSpec(inputs=64, units=32))
    network = ActorCritic(build_cnn(ppo.CATCH.trunk, 1), 84, 4, 64, lstm)
    with torch.no_grad():
        for parameter in network.parameters():  # far from the almost uniform beginning
            parameter.add_(torch.randn_like(parameter) * 0.05)

    def games():
        return make_environments("ALE/Breakout-v5", 4, seed=1, options=options)

    collector = Collector(games(), 40, 1, torch.device("cpu"), network.initial_memory(4))
    collector.reset()
    policy = SamplingPolicy(network)
    rollouts = [collector.collect(policy) for _ in range(3)]
    envs = games()
    stacks, memory, cuts = FrameStack(envs.reset()), network.initial_memory(4), 0
    for rollout, t in ((rollout, t) for rollout in rollouts for t in range(40)):
        with torch.no_grad():
            _, value, memory, _ = network.step(stacks.obs(), memory, stacks.begins)
            assert_close(rollout.noted["value"][t], value, atol=1e-5, rtol=1e-4)
            step = envs.step(rollout.action[t].numpy())
            last = stacks.with_last(step.final_frame)
            _, of_last, *_ = network.step(last, memory, torch.zeros(4, dtype=torch.bool))
            stacks.push(step.frame, step.over)
            _, of_next, *_ = network.step(stacks.obs(), memory, stacks.begins)
        # Where time is up the return goes on from the last picture, not from the next game.
        cut = torch.from_numpy(step.truncated & ~step.terminated)
        cuts += int(cut.sum())
        assert_close(
            rollout.noted["next_value"][t], torch.where(cut, of_last, of_next), atol=1e-5, rtol=1e-4
        )
    assert cuts >= 8


def test_a_run_with_a_memory_resumes_exactly(runs):
    for name in ("whole", "cut"):
        run = ppo.train(changed(TINY, run=changed(TINY.run, name=name)))
    shutil.rmtree(sorted(run.checkpoints.iterdir())[-1])
    ppo.resume(run)
    assert differing(runs, "whole", "cut") == []


def test_an_agent_remembers_until_a_game_begins(runs):
    agent = load_agent(ppo.train(TINY))
    obs = torch.randint(0, 256, (2, 4, 84, 84), dtype=torch.uint8)
    first = agent.judge(obs)[1]
    second = agent.judge(obs)[1]
    assert not torch.equal(first, second)
    third = agent.judge(obs, torch.tensor([True, False]))[1]
    assert_close(third[0], first[0])
    assert not torch.equal(third[1], first[1])
    assert_close(agent.judge(obs[:1])[1], first[:1])  # another number of games: all are new


@pytest.mark.slow
@pytest.mark.learns
def test_recall_is_learnt_with_a_memory_and_cannot_be_without(runs, learning):
    config = changed(
        ppo.CATCH,
        env=RECALL,
        total_steps=40_000,
        memory="lstm",
        lstm_units=64,
        eval_games=0,
        run=learning,
    )
    assert evaluate(load_agent(ppo.train(config)), games=60, choice="greedy").mean >= 0.9
    without = changed(config, memory="none", total_steps=10_000)
    assert evaluate(load_agent(ppo.train(without)), games=60, choice="greedy").mean <= 0.4


def test_sequences_must_fit_the_minibatch():
    with pytest.raises(ValueError, match="multiple of --num-steps = 32: with a memory"):
        changed(TINY, minibatch_size=16)
