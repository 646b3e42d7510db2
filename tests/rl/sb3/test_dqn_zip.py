"""DQN files of stable-baselines3, read and written: the same Q values on both sides."""

import warnings

import pytest
import torch
from stable_baselines3 import DQN
from torch.testing import assert_close

import arcadia
from backbones.training.config import RunConfig, changed
from backbones.training.errors import UserError
from backbones.transfer import TrunkConfig
from rl import dqn
from rl.agent import load_agent
from rl.find_agent import agent_of
from rl.sb3.read_zip import import_sb3
from tests.rl.sb3.test_environments import CATCH, observations
from tests.rl.sb3.test_read_zip import files_of, saved, stock, zipped

SMALL = changed(dqn.SMOKE, env=CATCH, eval_games=0, run=RunConfig(precision="fp32"))
BIAS = "q_net.q_net.0.bias"
NATURE = changed(SMALL, hidden=512, trunk=TrunkConfig(), minibatch_size=8)


def q_values(agent, obs):
    begins = torch.zeros(len(obs), dtype=torch.bool)
    with torch.no_grad():
        return agent.network.step(obs, None, begins).q_value


def theirs(model, obs):
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.q_net(obs)


def test_a_stock_model_has_the_same_q_values_here(tmp_path):
    path, model = stock(DQN, tmp_path, buffer_size=10)
    obs = observations(50)
    agent = agent_of(str(path), CATCH)
    assert_close(q_values(agent, obs), theirs(model, obs), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "config",
    [SMALL, NATURE, changed(SMALL, dueling=True, prioritised=True)],
    ids=["small", "nature", "dueling"],
)
def test_our_agents_are_theirs_and_come_back(config, runs, tmp_path, capsys):
    dqn.train(config)
    path, agent, obs = tmp_path / "agent.zip", load_agent("last"), observations(50)
    assert arcadia.main(["export", "last", "--sb3", str(path)]) == 0
    where = "any installation" if config is NATURE else "stable-baselines3 where Arcadia is"
    assert f"for DQN.load in {where}" in capsys.readouterr().out
    model = DQN.load(path)
    ours = q_values(agent, obs)
    assert_close(theirs(model, obs), ours, atol=1e-5, rtol=1e-4)
    again = agent_of(str(path))
    assert_close(q_values(again, obs), ours, atol=1e-5, rtol=1e-4)
    # What a target is at first.
    for name, tensor in model.q_net.state_dict().items():
        assert torch.equal(model.q_net_target.state_dict()[name], tensor)
    assert (model.num_timesteps, model.n_envs) == (384, config.num_envs)
    assert (model.train_freq.frequency * model.n_envs, model.n_steps) == (config.train_every, 3)


def test_what_a_dqn_file_has_too_much_or_too_little_is_named(tmp_path):
    path, model = stock(DQN, tmp_path, buffer_size=10)
    tensors = model.policy.state_dict()
    cases = {
        "also has q_net.more": {**tensors, "q_net.more": torch.zeros(1)},
        "the heads of PPO and of DQN": {**tensors, "action_net.weight": torch.zeros(3, 512)},
        f"{BIAS} is missing": {k: v for k, v in tensors.items() if k != BIAS},
    }
    for words, wrong in cases.items():
        bad = zipped(tmp_path / "bad.zip", files_of(path) | {"policy.pth": saved(wrong)})
        with pytest.raises(UserError, match=words):
            import_sb3(bad, CATCH)


def test_an_onnx_graph_gives_the_q_values(runs, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    dqn.train(SMALL)
    path = tmp_path / "agent.onnx"
    assert arcadia.main(["export", "last", "--onnx", str(path)]) == 0
    obs = observations(7)
    session = onnxruntime.InferenceSession(str(path))
    found = session.run(["q_value", "value"], {"obs": obs.numpy()})
    expected = q_values(load_agent("last"), obs)
    assert_close(torch.from_numpy(found[0]), expected, atol=1e-4, rtol=1e-4)
    assert_close(torch.from_numpy(found[1]), expected.max(1)[0], atol=1e-4, rtol=1e-4)
