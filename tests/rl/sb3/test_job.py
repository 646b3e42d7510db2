"""The stock jobs: what is saved and resumed is what SB3 trained, --init, wrong flags, figures."""

import json
import shutil
import signal

import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, DQN, PPO

import arcadia
from backbones.training.config import changed
from backbones.training.errors import Stopped
from backbones.training.log import read_metrics
from backbones.training.run import all_runs, find_run
from backbones.training.runs_table import row_of
from rl.agent import load_agent
from rl.find_agent import agent_of
from rl.sb3 import dqn as sb3_dqn
from rl.sb3 import job as sb3_train
from rl.sb3 import ppo as sb3_ppo
from rl.sb3.environments import SB3Environments
from rl.sb3.job import StockLoop

CATCH = "Arcadia/Catch-v0"
STEPS = {"sb3-ppo": 256, "sb3-a2c": 320, "sb3-dqn": 320}


@pytest.fixture
def begun(monkeypatch):
    """A list of (SB3's model, its policy's weights before it learns) of every sitting."""
    sittings, run = [], StockLoop.run

    def watched(loop, *rest):
        weights = {name: tensor.clone() for name, tensor in loop.model.policy.state_dict().items()}
        sittings.append((loop.model, weights))
        return run(loop, *rest)

    monkeypatch.setattr(StockLoop, "run", watched)
    return sittings


def train(job, *flags):
    words = ["train", job, "--preset", "smoke", "--env", CATCH, "--eval-games", "0", *flags]
    return arcadia.main(words)


def as_ours(weights, job):
    """Return weights of SB3's policy under our names; of DQN's two networks the one that learns."""
    if job == "sb3-dqn":
        named = {"q_net.features_extractor.": "", "q_net.q_net.0.": "q."}
    else:
        named = {"features_extractor.": "", "action_net.": "policy.", "value_net.": "value."}
    return {
        ours + name.removeprefix(theirs): tensor
        for theirs, ours in named.items()
        for name, tensor in weights.items()
        if name.startswith(theirs)
    }


def differing(first, second):
    assert set(first) == set(second)
    return {name for name in first if not torch.equal(first[name], second[name])}


def trained_names(network):
    return {name for name, _ in network.named_parameters()}


@pytest.mark.parametrize("job", STEPS)
def test_what_is_saved_is_what_sb3_trained(job, runs, begun):
    assert train(job) == 0
    network = load_agent("last").network
    [(model, before)] = begun
    saved = network.state_dict()
    assert not differing(saved, as_ours(model.policy.state_dict(), job))
    # Of the first weights nothing is left, except in DQN's target network.
    assert differing(saved, as_ours(before, job)) == trained_names(network)


@pytest.mark.parametrize("job", STEPS)
def test_a_resumed_job_begins_with_the_saved_weights(job, runs, begun):
    assert train(job) == 0
    saved = load_agent("last").network.state_dict()
    assert arcadia.main(["resume", "last", "--extend", "300"]) == 0
    model, before = begun[1]
    assert model is not begun[0][0]
    assert not differing(saved, as_ours(before, job))
    assert differing(saved, load_agent("last").network.state_dict())


def test_a_resumed_dqn_fills_its_replay_before_it_learns_on(runs, begun, monkeypatch, capsys):
    sizes, train_dqn = [], sb3_dqn.DQN.train

    def noted(model, *rest):
        sizes.append((model.num_timesteps, model.replay_buffer.size()))
        return train_dqn(model, *rest)

    monkeypatch.setattr(sb3_dqn.DQN, "train", noted)
    assert train("sb3-dqn") == 0
    first = len(sizes)
    assert first and min(size for _, size in sizes) > 100
    assert arcadia.main(["resume", "last", "--extend", "300"]) == 0
    assert "plays 100 env steps (--learning-starts) to fill" in capsys.readouterr().err
    assert len(sizes) > first
    assert min(sizes[first:]) > (420, 100) and min(size for _, size in sizes[first:]) > 100
    # Shorter than that: nothing is learnt, and it is said.
    learnt = len(sizes)
    assert arcadia.main(["resume", "last", "--extend", "80"]) == 0
    assert "the 80 env steps that are left are too few" in capsys.readouterr().err
    assert len(sizes) == learnt


@pytest.mark.parametrize("source", ["nosuch", "last", "nosuch:cnn", "nosuch.safetensors"])
def test_a_job_that_cannot_start_from_its_init_leaves_no_run(source, runs, capsys):
    assert train("sb3-ppo", "--init", source) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not all_runs()


def test_a_trunk_that_does_not_fit_leaves_no_run(runs, capsys):
    assert train("sb3-ppo", "--name", "source") == 0
    assert train("sb3-ppo", "--name", "other", "--init", "source", "--width", "0.5") == 2
    assert "use the same --trunk, --width and --pool" in capsys.readouterr().err
    assert [run.name for run in all_runs()] == ["sb3-ppo/source"]


def test_a_job_starts_from_the_run_before_it_and_again_if_killed_at_once(runs, begun, capsys):
    assert train("sb3-ppo", "--name", "source") == 0
    weights = load_agent("source").network.state_dict()
    assert train("sb3-a2c", "--name", "killed", "--init", "last") == 0
    run = find_run("killed")
    assert run.config["trunk"]["init"] == "sb3-ppo/source"
    assert "the heads start from sb3-ppo/source too" in capsys.readouterr().out
    # As a process leaves it that is killed before its first checkpoint.
    shutil.rmtree(run.checkpoints)
    lines = len(read_metrics(run.folder))
    assert arcadia.main(["resume", "killed"]) == 0
    captured = capsys.readouterr()
    assert "no checkpoint yet: it begins anew" in captured.out
    assert "cnn starts from" in captured.out and "begin anew" not in captured.err
    for _, before in begun[1:]:
        assert not differing(weights, as_ours(before, "sb3-a2c"))
    # What the first sitting had logged is not there twice.
    assert len(read_metrics(run.folder)) == lines


def test_an_agent_that_learnt_otherwise_gives_its_trunk_alone(runs, begun, capsys):
    assert train("sb3-ppo", "--name", "source") == 0
    assert train("sb3-dqn", "--init", "last") == 0
    assert "the heads start anew" in capsys.readouterr().out
    weights, (_, before) = load_agent("source").network.state_dict(), begun[1]
    started = {k: v for k, v in weights.items() if k.startswith("cnn.")}
    assert started and not differing(started, {k: as_ours(before, "sb3-dqn")[k] for k in started})


def test_the_first_checkpoint_is_that_of_the_untrained_agent(runs, begun):
    assert train("sb3-ppo") == 0
    first, last = sorted(find_run("last").checkpoints.iterdir())
    assert (first / "cnn.safetensors").exists()
    assert [
        json.loads((path / "checkpoint.json").read_text())["progress"] for path in (first, last)
    ] == [0, 256]
    shutil.rmtree(last)
    saved = load_agent("last").network.state_dict()
    assert not differing(saved, as_ours(begun[0][1], "sb3-ppo"))


@pytest.mark.parametrize(("job", "steps"), STEPS.items())
def test_the_last_stretch_is_recorded(job, steps, runs):
    assert train(job) == 0
    row = row_of(find_run("last"))
    assert row[2] == f"{steps} / {steps} env steps" and row[-1] == "finished"
    *_, last = read_metrics(find_run("last").folder)
    assert "speed/env_steps_per_s" in last
    assert any(name.startswith("train/") for name in last)


@pytest.mark.parametrize(("job", "algorithm"), [("sb3-ppo", PPO), ("sb3-a2c", A2C)])
def test_a_stock_agent_goes_back_to_its_algorithm(job, algorithm, runs, tmp_path, capsys):
    assert train(job) == 0
    path = tmp_path / "agent.zip"
    assert arcadia.main(["export", "last", "--sb3", str(path)]) == 0
    assert f"for {algorithm.__name__}.load in" in capsys.readouterr().out
    model, agent = algorithm.load(path, device="cpu"), load_agent("last")
    obs = torch.randint(0, 256, (50, 4, 84, 84), dtype=torch.uint8)
    actions, _ = model.predict(obs.numpy(), deterministic=True)
    assert np.array_equal(actions, agent.act(obs, choice="greedy"))
    assert (model.n_steps, model.n_envs) == (agent.config.num_steps, agent.config.num_envs)
    assert torch.equal(agent_of(str(path)).judge(obs)[1], agent.judge(obs)[1])


def test_an_agent_of_stock_dqn_is_exported_and_read_back(runs, tmp_path):
    assert train("sb3-dqn") == 0
    path, agent = tmp_path / "agent.zip", load_agent("last")
    assert arcadia.main(["export", "last", "--sb3", str(path)]) == 0
    obs = torch.randint(0, 256, (20, 4, 84, 84), dtype=torch.uint8)
    model = DQN.load(path)
    assert np.array_equal(model.predict(obs.numpy(), deterministic=True)[0], agent.act(obs))
    assert (model.batch_size, model.exploration_final_eps) == (32, 0.01)
    assert torch.equal(agent_of(str(path)).judge(obs)[1], agent.judge(obs)[1])


def test_ctrl_c_is_heard_at_the_next_env_step(runs, monkeypatch):
    step_wait, waits = SB3Environments.step_wait, []

    def interrupted(self):
        waits.append(1)
        if len(waits) == 10:
            signal.raise_signal(signal.SIGINT)
        return step_wait(self)

    monkeypatch.setattr(SB3Environments, "step_wait", interrupted)
    with pytest.raises(Stopped):
        sb3_ppo.train(changed(sb3_ppo.SMOKE, env=CATCH, eval_games=0))
    assert len(waits) == 10
    row = row_of(find_run("last"))
    assert row[2].startswith("40 / 256") and row[-1] == "stopped"
    assert arcadia.main(["resume", "last"]) == 0
    assert row_of(find_run("last"))[-1] == "finished"


def test_a_transition_takes_the_memory_that_the_help_says():
    config = changed(sb3_dqn.SMOKE, env=CATCH)
    model, envs = sb3_train.build_model(config, sb3_dqn.make_model)
    pictures = model.replay_buffer.observations, model.replay_buffer.next_observations
    assert sum(array.nbytes for array in pictures) == config.buffer_size * 56_448
    assert sum(len(array) for array in pictures) == config.storage[0]
    envs.close()


WRONG = [
    ("sb3-ppo", "--eval-games -1", "--eval-games = -1 must be 0 or above"),
    ("sb3-ppo", "--hidden 0", "hidden = 0 must be above 0"),
    ("sb3-ppo", "--gamma 1.5", "gamma = 1.5 must lie between 0 and 1"),
    ("sb3-ppo", "--minibatch-size 1", "--minibatch-size = 1 cannot be normalised over"),
    ("sb3-ppo", "--num-steps 1 --num-envs 1", "a rollout of one env step cannot be normalised"),
    ("sb3-ppo", "--clip 0", "clip = 0.0 must be above 0"),
    ("sb3-ppo", "--max-grad-norm 0", "--max-grad-norm = 0.0 must be above 0"),
    ("sb3-ppo", "--entropy-coef -1", "--entropy-coef = -1.0 must be 0 or above"),
    ("sb3-ppo", "--value-coef nan", "--value-coef: nan must be a finite number"),
    ("sb3-a2c", "--entropy-coef -1", "--entropy-coef = -1.0 must be 0 or above"),
    ("sb3-a2c", "--max-grad-norm -1", "--max-grad-norm = -1.0 must be above 0"),
    ("sb3-a2c", "--total-steps 0", "--total-steps = 0 must be above 0"),
    ("sb3-dqn", "--train-every 0", "--train-every = 0 must be above 0"),
    ("sb3-dqn", "--target-every 0", "--target-every = 0 must be above 0"),
    ("sb3-dqn", "--learning-starts -5", "--learning-starts = -5 must be 0 or above"),
    ("sb3-dqn", "--hidden -1", "hidden = -1 must be above 0"),
    ("sb3-dqn", "--buffer-size 100000000000", "5,644,800.0 GB, more than this machine gives"),
    ("sb3-dqn", "--buffer-size 1000000000000000", "use a smaller --buffer-size"),
    ("sb3-a2c", "--num-steps 100000000000", "use a smaller --num-steps"),
]


@pytest.mark.parametrize(("job", "flags", "message"), WRONG)
def test_wrong_flags_are_refused_in_a_line_before_a_run_is_made(job, flags, message, runs, capsys):
    assert arcadia.main(["train", job, "--preset", "smoke", "--env", CATCH, *flags.split()]) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not all_runs()
