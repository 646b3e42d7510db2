"""Files of stable-baselines3: read as what they are, refused with the reason, never run."""

import base64
import io
import json
import os
import pickle
import resource
import sys
import warnings
import zipfile

import numpy as np
import pytest
import torch
from sb3_contrib import RecurrentPPO
from stable_baselines3 import A2C, DQN, PPO
from torch.testing import assert_close

import arcadia
from backbones.training.config import RunConfig, changed
from backbones.training.errors import UserError
from backbones.transfer import TrunkConfig
from rl import ppo
from rl.agent import load_agent
from rl.find_agent import agent_of
from rl.games.options import EnvOptions
from rl.sb3.names import CARD
from rl.sb3.read_zip import LARGEST_BYTES, import_sb3
from rl.sb3.write_zip import SpacesOnly, export_sb3
from tests.rl.sb3.test_environments import CATCH, observations

CNN = "features_extractor.cnn.0.weight"


def stock(algorithm, tmp_path, *, policy="CnnPolicy", channels=4, **kwargs):
    """Save an untrained stock model; return its path and the model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = algorithm(policy, SpacesOnly(channels, 84, 3), device="cpu", seed=3, **kwargs)
    model.save(tmp_path / "stock.zip")
    return tmp_path / "stock.zip", model


@pytest.mark.parametrize("algorithm", [PPO, A2C])
def test_a_stock_model_is_evaluated_and_judges_the_same(algorithm, tmp_path, capsys):
    path, model = stock(algorithm, tmp_path)
    obs = observations(100)
    with torch.no_grad():
        expected = model.policy.get_distribution(obs).distribution.probs
        value = model.policy.predict_values(obs)[:, 0]
    probabilities, ours = agent_of(str(path), CATCH).judge(obs)
    assert_close(probabilities, expected, atol=1e-5, rtol=0)
    assert_close(ours, value, atol=1e-5, rtol=1e-5)
    assert arcadia.main(["eval", str(path), "--env", CATCH, "--games", "3", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["run"], result["games"]) == (str(path), 3)
    film = tmp_path / "film.mp4"
    words = ["watch", str(path), "--env", CATCH, "--video", str(film), "--limit-s", "1"]
    assert arcadia.main(words) == 0
    assert film.stat().st_size > 1000


def files_of(path):
    """What is in a .zip, by name."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def saved(tensors):
    """The bytes of a policy.pth."""
    body = io.BytesIO()
    torch.save(tensors, body)
    return body.getvalue()


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("place", ["policy.pth", "data", "both"])
def test_a_hostile_zip_runs_nothing(tmp_path, place, capsys):
    good_path, _ = stock(PPO, tmp_path)
    trap = str(tmp_path / "sprung")
    files = files_of(good_path)
    if place in ("policy.pth", "both"):
        files["policy.pth"] = saved({"action_net.weight": Hostile(trap)})
    if place in ("data", "both"):
        text = base64.b64encode(pickle.dumps(Hostile(trap))).decode()
        data = json.loads(files["data"]) | {"policy_class": {":serialized:": text}}
        files["data"] = json.dumps(data).encode()
    bad = zipped(tmp_path / "bad.zip", files)
    status = arcadia.main(["eval", str(bad), "--env", CATCH, "--games", "1"])
    assert status == (0 if place == "data" else 2)
    assert "Traceback" not in capsys.readouterr().err
    assert not os.path.exists(trap)


@pytest.mark.parametrize(
    ("words", "algorithm", "kwargs"),
    [
        (
            "layers between NatureCNN and the Q values",
            DQN,
            {"buffer_size": 10, "policy_kwargs": {"net_arch": [32]}},
        ),
        ("layers between NatureCNN and the heads", PPO, {"policy_kwargs": {"net_arch": [32]}}),
        ("divide pictures by 255", PPO, {"policy_kwargs": {"normalize_images": False}}),
        ("divide pictures by 255", A2C, {"policy_kwargs": {"normalize_images": False}}),
        ("two feature ext", PPO, {"policy_kwargs": {"share_features_extractor": False}}),
        ("sees 1 channels, our observations of .* have 4: 4 frames of 1", PPO, {"channels": 1}),
        ("sees 12 channels", PPO, {"channels": 12}),
        ("a second LSTM for the value", RecurrentPPO, {"policy": "CnnLstmPolicy"}),
        (
            "also has critic.bias, critic.weight",
            RecurrentPPO,
            {"policy": "CnnLstmPolicy", "policy_kwargs": {"enable_critic_lstm": False}},
        ),
    ],
)
def test_a_model_built_unlike_ours_is_refused_with_the_reason(words, algorithm, kwargs, tmp_path):
    path, _ = stock(algorithm, tmp_path, **kwargs)
    with pytest.raises(UserError, match=words):
        import_sb3(path, CATCH)


def test_what_cannot_be_read_is_refused_with_the_reason(tmp_path):
    def refused(words, *args):
        with pytest.raises(UserError, match=words):
            import_sb3(*args)

    path, _ = stock(PPO, tmp_path)
    refused("3 actions, ALE/Pong-v5 has 6", path, "ALE/Pong-v5")
    refused("add --env", path, "")
    (tmp_path / "text.zip").write_text("no zip")
    refused("not a model of SB3 that can be read safely", tmp_path / "text.zip", CATCH)
    refused("not a model of SB3 that can be read safely", tmp_path / "missing.zip", CATCH)
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("data", "{}")
    refused("has no policy.pth", tmp_path / "empty.zip", CATCH)


@pytest.mark.parametrize(
    "files",
    [
        {"policy.pth": b""},
        {"policy.pth": saved(torch.zeros(3))},
        {"policy.pth": saved([torch.zeros(3)])},
        {"policy.pth": saved({5: torch.zeros(3)})},
        {"policy.pth": saved({"action_net.weight": torch.tensor(1.0), CNN: torch.zeros(1)})},
        {"policy.pth": saved({"action_net.weight": torch.zeros(3), CNN: torch.zeros(1, 4)})},
        {"policy.pth": saved({"action_net.weight": torch.zeros(3, 8), CNN: torch.zeros(1)})},
        {"data": b"[]"},
        {"data": b"[" * 100_000},
        {"data": b'{"num_timesteps": "abc"}'},
        {"data": b'{"num_timesteps": 1e999}'},
        {"data": b'{"policy_kwargs": [1]}'},
        {CARD: b"[1]"},
        {CARD: b'{"env":' * 100 + b"1" + b"}" * 100},
        {CARD: b'{"env": "Arcadia/Catch-v0", "env_options": {"sticky": "x"}}'},
        {CARD: b'{"env": 3}'},
        {CARD: b'{"env": "Arcadia/Catch-v0", "env_options": {"size": 3}}'},
    ],
)
def test_half_files_and_nonsense_are_refused_in_one_line(files, tmp_path, capsys):
    path, _ = stock(PPO, tmp_path)
    bad = zipped(tmp_path / "bad.zip", files_of(path) | files)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # With a card the game may be left out.
        words = [] if CARD in files else ["--env", CATCH]
        assert arcadia.main(["eval", str(bad), *words]) == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err and err.count("\n") == 1 and "bad.zip" in err


def test_a_damaged_member_is_refused(tmp_path):
    path, _ = stock(PPO, tmp_path)
    bad = zipped(tmp_path / "bad.zip", files_of(path))
    content = bytearray(bad.read_bytes())
    content[200_000:200_100] = bytes(100)
    bad.write_bytes(content)
    with pytest.raises(UserError, match="that can be read safely"):
        import_sb3(bad, CATCH)


def test_what_claims_to_be_large_takes_no_memory(tmp_path, monkeypatch):
    path, _ = stock(PPO, tmp_path)
    files = files_of(path)

    def refused(words, more):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(UserError, match=words):
            import_sb3(zipped(tmp_path / "bad.zip", files | more), CATCH)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024

    def repeated(*shape):
        return torch.zeros(1).expand(shape)

    tensors = torch.load(io.BytesIO(files["policy.pth"]), weights_only=True)
    tensors["action_net.weight"] = repeated(3, 10**9)
    refused("does not fit", {"policy.pth": saved(tensors)})
    for name in ("", "pi_", "vf_"):
        tensors[name + "features_extractor.linear.0.weight"] = repeated(10**6, 3136)
        tensors[name + "features_extractor.linear.0.bias"] = repeated(10**6)
    tensors |= {"action_net.weight": repeated(3, 10**6), "value_net.weight": repeated(1, 10**6)}
    refused("larger than what is stored", {"policy.pth": saved(tensors)})
    card = {"spec": {"name": "tower", "in_channels": 4, "blocks": 10**9}}
    tower = {"policy.pth": saved({"action_net.weight": torch.zeros(3, 8)})}
    refused("1000000000 blocks", tower | {CARD: json.dumps(card)})
    card = {"spec": {"name": "nature", "in_channels": 4, "width": 1e6}}
    refused("does not fit", tower | {CARD: json.dumps(card)})
    assert LARGEST_BYTES == 2**30
    monkeypatch.setattr("rl.sb3.read_zip.LARGEST_BYTES", 2**20)
    body = io.BytesIO()
    inner = files_of(zipped(tmp_path / "inner.zip", {"a": bytes(2**21)}))
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", inner["a"])
    assert len(body.getvalue()) < 2**14
    refused("policy.pth would unpack to more than 1 MiB", {"policy.pth": body.getvalue()})


def test_a_file_of_ours_knows_its_game_and_how_it_is_played(runs, tmp_path, capsys):
    options = EnvOptions(colour=True, size_px=48, max_frames=50)
    config = changed(
        ppo.CATCH,
        total_steps=1024,
        hidden=32,
        eval_games=0,
        env_options=options,
        trunk=TrunkConfig(width=0.25, pool=2),
        run=RunConfig(precision="fp32"),
    )
    agent = load_agent(ppo.train(config))
    path = tmp_path / "agent.ZIP"
    export_sb3(agent, tmp_path / "agent.zip")
    (tmp_path / "agent.zip").rename(path)
    again = import_sb3(path)
    assert (again.env, again.options) == (CATCH, agent.options)
    assert again.options.size_px == 48 and again.options.colour
    obs = np.random.default_rng(0).integers(0, 256, (5, 12, 48, 48), dtype=np.uint8)
    assert torch.equal(again.judge(torch.from_numpy(obs))[1], agent.judge(torch.from_numpy(obs))[1])
    words = ["eval", "--games", "5", "--json"]
    capsys.readouterr()
    assert arcadia.main([*words, agent.run.name]) == 0
    expected = json.loads(capsys.readouterr().out)
    assert arcadia.main([*words, str(path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {**found, "run": ""} == {**expected, "run": "", "env_steps": found.get("env_steps")}
    assert arcadia.main(["eval", str(path), "--best"]) == 2
    assert "holds one checkpoint" in capsys.readouterr().err
    assert arcadia.main(["watch", str(path), "--follow"]) == 2
    assert "a run in training" in capsys.readouterr().err


def test_a_zip_is_read_where_stable_baselines3_is_not_installed(tmp_path, monkeypatch):
    path, _ = stock(A2C, tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] == "stable_baselines3"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    assert agent_of(str(path), CATCH).network.policy.out_features == 3
