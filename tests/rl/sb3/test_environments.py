"""The bridge to stable-baselines3: the same actions and values, whole games, stock jobs."""

import importlib
import json
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.evaluation import evaluate_policy
from torch.testing import assert_close

import arcadia
from backbones import start
from backbones.training.config import RunConfig, changed
from backbones.training.errors import UserError
from backbones.transfer import TrunkConfig
from rl import ppo
from rl.agent import load_agent
from rl.games.make import make_environments
from rl.games.options import EnvOptions
from rl.sb3 import job as sb3_train
from rl.sb3.environments import SB3Environments, TrunkExtractor
from rl.sb3.read_zip import import_sb3
from rl.sb3.write_zip import SpacesOnly, export_sb3
from rl.start import start_from

CATCH = "Arcadia/Catch-v0"
NATURE = changed(
    ppo.CATCH,
    total_steps=1024,
    hidden=64,
    eval_games=0,
    trunk=TrunkConfig(),
    run=RunConfig(precision="fp32"),
)


def observations(count=1000, seed=0):
    """Frames with structure: noise alone would drown the differences."""
    generator = torch.Generator().manual_seed(seed)
    small = torch.randint(0, 256, (count, 4, 12, 12), generator=generator, dtype=torch.uint8)
    return small.repeat_interleave(7, -1).repeat_interleave(7, -2)


def vec_env(env=CATCH, num_envs=4, clip_rewards=False, **options):
    envs = make_environments(env, num_envs, seed=1, options=EnvOptions(**options))
    return SB3Environments(envs, clip_rewards=clip_rewards)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Agents of the full `nature` trunk and of a small one, a little trained."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCADIA_RUNS", str(tmp_path_factory.mktemp("runs")))
        full = load_agent(ppo.train(NATURE))
        small = load_agent(ppo.train(changed(NATURE, trunk=ppo.CATCH.trunk)))
        yield {"full": full, "small": small}


@pytest.mark.parametrize("kind", ["full", "small"])
def test_an_exported_agent_acts_and_judges_the_same_in_sb3(trained, kind, tmp_path):
    agent, obs = trained[kind], observations()
    said = export_sb3(agent, tmp_path / "agent.zip")
    assert ("any installation" in said) == (kind == "full")
    model = PPO.load(tmp_path / "agent.zip", device="cpu")
    with torch.no_grad():
        distribution = model.policy.get_distribution(obs)
        value = model.policy.predict_values(obs)[:, 0]
    probabilities, ours = agent.judge(obs)
    assert_close(distribution.distribution.probs, probabilities, atol=1e-5, rtol=0)
    assert_close(value, ours, atol=1e-5, rtol=1e-5)
    actions, _ = model.predict(obs.numpy(), deterministic=True)
    assert np.array_equal(actions, agent.act(obs.numpy(), choice="greedy"))
    assert model.num_timesteps == 1024
    assert (model.n_steps, model.batch_size, model.n_epochs) == (64, 256, 4)


def test_the_full_width_agent_needs_no_arcadia(trained, tmp_path):
    export_sb3(trained["full"], tmp_path / "agent.zip")
    code = "import sys; sys.modules['rl'] = sys.modules['backbones'] = None\n"
    code += "from stable_baselines3 import PPO; print(PPO.load(sys.argv[1]).num_timesteps)"
    words = [sys.executable, "-c", code, str(tmp_path / "agent.zip")]
    out = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert out.stdout.strip() == "1024", out.stderr


@pytest.mark.parametrize("kind", ["full", "small"])
def test_there_and_back_again_is_the_same_agent(trained, kind, tmp_path):
    export_sb3(trained[kind], tmp_path / "agent.zip")
    again = import_sb3(tmp_path / "agent.zip", CATCH)
    for ours, theirs in zip(
        trained[kind].judge(observations(50)), again.judge(observations(50)), strict=True
    ):
        assert torch.equal(ours, theirs)
    assert again.card["progress"] == 1024


def test_evaluate_policy_counts_whole_games_of_several_lives():
    envs = vec_env("ALE/Breakout-v5", num_envs=2, max_frames=3000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = PPO("CnnPolicy", envs, n_steps=8, batch_size=16, device="cpu", seed=0)
    scores, lengths = evaluate_policy(
        model, envs, n_eval_episodes=4, deterministic=False, return_episode_rewards=True
    )
    # One life of an untrained agent takes some 30 env steps, a game has five.
    assert len(scores) == 4
    assert min(lengths) > 80


def test_a_lost_life_ends_an_episode_and_only_the_games_end_has_a_score():
    envs, ended, games = vec_env("ALE/Breakout-v5", num_envs=1, sticky=0.0), 0, 0
    obs = envs.reset()
    rng = np.random.default_rng(0)
    for _ in range(600):
        envs.step_async(rng.integers(4, size=1))
        obs, _, done, infos = envs.step_wait()
        assert ("terminal_observation" in infos[0]) == done[0]
        ended += int(done[0])
        games += "episode" in infos[0]
        if done[0] and "episode" not in infos[0]:
            assert np.array_equal(infos[0]["terminal_observation"], obs[0])  # the game goes on
        elif done[0]:
            assert (obs[0, :3] == 0).all() and (infos[0]["terminal_observation"][:3] > 0).any()
    assert games >= 1
    assert ended == 5 * games + ended % 5


def test_a_game_cut_off_by_the_clock_says_so_and_a_lost_one_does_not():
    cut, lost = vec_env("ALE/Pong-v5", num_envs=1, max_frames=80), vec_env(num_envs=1)
    for envs, expected in ((cut, True), (lost, False)):
        envs.reset()
        ends = []
        for _ in range(60):
            envs.step_async(np.zeros(1, np.int64))
            _, _, done, infos = envs.step_wait()
            if done[0]:
                ends.append(infos[0]["TimeLimit.truncated"])
        assert ends == [expected] * len(ends) and len(ends) >= 2


def test_every_reset_begins_other_games_and_a_seed_the_same_ones():
    envs = vec_env("ALE/Breakout-v5", num_envs=2)

    def played():
        pictures = [envs.reset()]
        for _ in range(40):
            envs.step_async(np.array([2, 3]))
            pictures.append(envs.step_wait()[0])
        return np.stack(pictures)

    first, second = played(), played()
    assert not np.array_equal(first, second)
    envs.seed(1)
    assert np.array_equal(played(), first) and np.array_equal(played(), second)


def test_rewards_are_clipped_for_learning_and_raw_in_scores():
    raw, clipped = vec_env("ALE/Seaquest-v5", 2), vec_env("ALE/Seaquest-v5", 2, clip_rewards=True)
    raw.reset(), clipped.reset()
    rng = np.random.default_rng(0)
    seen = []
    for _ in range(300):
        actions = rng.integers(18, size=2)
        rewards = []
        for envs in (raw, clipped):
            envs.step_async(actions)
            rewards.append(envs.step_wait()[1])
        assert np.array_equal(np.sign(rewards[0]), rewards[1])
        seen.append(rewards[0].max())
    assert max(seen) > 1


def test_zips_find_our_extractor_by_its_names_of_before_and_of_today():
    assert pickle.loads(b"crl.sb3\nTrunkExtractor\n.") is TrunkExtractor
    assert b"arcadia.rl.sb3.environments" in pickle.dumps(TrunkExtractor)
    assert pickle.loads(pickle.dumps(TrunkExtractor)) is TrunkExtractor


@pytest.mark.slow
def test_stock_ppo_learns_on_our_environment_with_our_trunk():
    envs = vec_env(num_envs=16)
    spec = TrunkConfig(width=0.25, pool=2).spec(4).to_dict()
    kwargs = {
        "features_extractor_class": TrunkExtractor,
        "normalize_images": False,
        "net_arch": [],
        "features_extractor_kwargs": {"spec": spec, "features_dim": 64},
    }
    model = PPO(
        "CnnPolicy",
        envs,
        n_steps=64,
        batch_size=256,
        n_epochs=4,
        learning_rate=1e-3,
        ent_coef=0.01,
        policy_kwargs=kwargs,
        seed=1,
        device="cpu",
    )
    model.learn(45_000)
    assert evaluate_policy(model, vec_env(num_envs=8), n_eval_episodes=40)[0] > 0.5


def test_what_cannot_be_written_is_refused(trained, tmp_path, capsys):
    for words in (
        ["--sb3", "x.txt"],
        ["--onnx", "x.zip"],
        [],
        ["--sb3", "a.zip", "--onnx", "a.onnx"],
    ):
        assert arcadia.main(["export", *words]) == 2
    name = trained["full"].run.name
    (tmp_path / "there.zip").write_text("mine")
    assert arcadia.main(["export", name, "--sb3", str(tmp_path / "there.zip")]) == 2
    assert (tmp_path / "there.zip").read_text() == "mine"
    assert "--force" in capsys.readouterr().err
    assert arcadia.main(["eval", name, "--env", "ALE/Pong-v5"]) == 2


@pytest.mark.parametrize("kind", ["full", "small"])
def test_an_onnx_graph_computes_the_same_for_any_number_of_observations(
    trained, kind, tmp_path, capsys
):
    import onnxruntime

    path = tmp_path / "graphs" / "agent.onnx"
    assert arcadia.main(["export", trained[kind].run.name, "--onnx", str(path)]) == 0
    assert "obs uint8 [batch, 4, 84, 84]" in capsys.readouterr().out
    session = onnxruntime.InferenceSession(path)
    for count in (1, 3, 1000):
        obs = observations(count)
        logits, value = session.run(None, {"obs": obs.numpy()})
        probabilities, ours = trained[kind].judge(obs)
        assert_close(torch.from_numpy(logits).softmax(-1), probabilities, atol=1e-5, rtol=0)
        assert_close(torch.from_numpy(value), ours, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("job", ["sb3-ppo", "sb3-a2c", "sb3-dqn"])
def test_a_stock_job_trains_resumes_and_is_an_agent_like_any_other(runs, job, capsys):
    flags = ["--preset", "smoke", "--env", CATCH, "--name", "x", "--eval-games", "2"]
    assert arcadia.main(["train", job, *flags]) == 0
    out = capsys.readouterr().out
    assert "resumes from its weights only" in out and "score" in out
    steps = load_agent("x").card["progress"]
    assert arcadia.main(["resume", "x", "--extend", "300"]) == 0
    captured = capsys.readouterr()
    assert "optimiser, games and replay begin anew" in captured.err
    assert load_agent("x").card["progress"] >= steps + 300
    assert arcadia.main(["resume", "x"]) == 0
    assert "is finished" in capsys.readouterr().out
    # The network that was saved is the one that SB3 trained.
    module = sb3_job(job)
    model, envs = sb3_train.build_model(module.SMOKE, module.make_model)
    network = module.JOB.build_network(module.SMOKE, 6)
    obs = observations(20)
    logits, _ = sb3_train.to_ours(model.policy, network)(obs)
    action, _ = model.predict(obs.numpy(), deterministic=True)
    assert np.array_equal(action, logits.argmax(-1))
    before = {k: v.clone() for k, v in model.policy.state_dict().items()}
    sb3_train.give_weights(network, model.policy)
    assert all(
        torch.equal(v, model.policy.state_dict()[k]) for k, v in before.items() if "target" not in k
    )
    envs.close()


def sb3_job(name):
    return importlib.import_module(f"rl.sb3.{name.removeprefix('sb3-')}")


def test_stock_jobs_refuse_what_sb3_cannot_do(runs, capsys):
    for words in (["--freeze", "s1"], ["--precision", "bf16"], ["--lr-backbone", "0.5"]):
        assert arcadia.main(["train", "sb3-ppo", "--preset", "smoke", *words]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not (runs / "sb3-ppo").exists()


LSTM = changed(NATURE, memory="lstm", lstm_units=24, num_envs=4)


@pytest.mark.parametrize("trunk", [TrunkConfig(), ppo.CATCH.trunk])
def test_an_agent_with_a_memory_goes_to_recurrent_ppo_and_back_and_to_onnx(runs, trunk, tmp_path):
    import onnxruntime
    from sb3_contrib import RecurrentPPO

    agent = load_agent(ppo.train(changed(LSTM, trunk=trunk)))
    assert "RecurrentPPO.load" in export_sb3(agent, tmp_path / "agent.zip")
    model = RecurrentPPO.load(tmp_path / "agent.zip", device="cpu")
    again = import_sb3(tmp_path / "agent.zip", CATCH)
    assert arcadia.main(["export", agent.run.name, "--onnx", str(tmp_path / "a.onnx")]) == 0
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx")
    state, onnx_state = None, [np.zeros((1, 3, 24), np.float32)] * 2
    begins = np.array([True, True, True])
    for step in range(20):
        obs = observations(3, seed=step)
        probabilities, value = agent.judge(obs, torch.from_numpy(begins))
        again_probabilities, again_value = again.judge(obs, torch.from_numpy(begins))
        assert torch.equal(probabilities, again_probabilities) and torch.equal(value, again_value)
        action, state = model.predict(obs.numpy(), state, begins, deterministic=True)
        assert np.array_equal(action, probabilities.argmax(-1))
        onnx_state = [part * ~begins[None, :, None] for part in onnx_state]
        logits, onnx_value, *onnx_state = session.run(
            None, {"obs": obs.numpy(), "hidden": onnx_state[0], "cell": onnx_state[1]}
        )
        assert_close(torch.from_numpy(logits).softmax(-1), probabilities, atol=1e-5, rtol=0)
        assert_close(torch.from_numpy(onnx_value), value, atol=1e-5, rtol=1e-5)
        begins = np.array([step % 7 == 6, False, step % 5 == 4])


def test_an_lstm_starts_from_that_of_another_run(runs, capsys):
    source = ppo.train(changed(LSTM, trunk=ppo.CATCH.trunk))
    trunk = changed(ppo.CATCH.trunk, init=f"{source.name}:lstm")
    other = changed(LSTM, trunk=trunk, total_steps=256, learning_rate=1e-12)
    network = load_agent(ppo.train(other)).network
    assert "lstm starts from" in capsys.readouterr().out
    expected = load_agent(source).network.lstm.state_dict()
    for name, tensor in network.lstm.state_dict().items():
        assert_close(tensor, expected[name], atol=1e-6, rtol=0)
    with pytest.raises(
        UserError, match=r"lstm does not fit .* use the same --hidden and --lstm-units"
    ):
        ppo.train(changed(other, lstm_units=32))


def test_a_folder_of_the_agent_alone_is_small_and_plays_the_same(trained, tmp_path, capsys):
    folder = tmp_path / "zoo" / "catch"
    words = ["export", trained["small"].run.name, "--folder", str(folder)]
    assert arcadia.main(words) == 0
    assert "over 20 games" in capsys.readouterr().out
    assert sorted(p.name for p in folder.rglob("*.safetensors")) == [
        "cnn.safetensors",
        "heads.safetensors",
    ]
    assert arcadia.main(["eval", str(folder), "--games", "20", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["score"] == json.loads((folder / "eval.json").read_text())["score"]
    assert arcadia.main(words) == 2  # it is there already


@pytest.mark.parametrize("words", [["jobs"], ["train", "sb3-ppo"], ["bench", "ppo-lstm"]])
def test_without_sb3_everything_else_works_and_says_what_to_install(words, tmp_path):
    code = "import sys; sys.modules['stable_baselines3'] = sys.modules['sb3_contrib'] = None\n"
    code += "import importlib.metadata as m; real = m.version\n"
    code += "def version(name):\n    if 'sb3' in name: raise m.PackageNotFoundError(name)\n"
    code += "    return real(name)\nm.version = version\n"
    code += "import arcadia; sys.exit(arcadia.main(sys.argv[1:]))"
    out = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert "`pip install sb3-contrib` brings it" in out.stdout + out.stderr
    assert "Traceback" not in out.stderr
    assert out.returncode == (0 if words == ["jobs"] else 2)


def test_blank_is_a_proper_environment():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_env(SpacesOnly(4, 84, 3))


def test_rewards_are_clipped_on_atari_alone_unless_asked():
    for env, clipped in (("ALE/Pong-v5", True), (CATCH, False)):
        envs = make_environments(env, 1, seed=1, options=EnvOptions())
        assert SB3Environments(envs).clip_rewards is clipped
        assert SB3Environments(envs, clip_rewards=not clipped).clip_rewards is not clipped
        envs.close()


def test_pictures_of_the_environments_are_what_agents_see_last():
    envs = vec_env(num_envs=2)
    obs = envs.reset()
    first, second = envs.get_images()
    assert first.shape == (252, 252, 3)
    assert np.array_equal(first[::3, ::3, 0], obs[0, -1])
    assert not np.array_equal(first, second)
    assert envs.render().shape == (504, 252, 3)  # one above the other
    envs.close()


def test_a_recorder_of_stable_baselines3_films_them(tmp_path):
    pytest.importorskip("moviepy", reason="VecVideoRecorder needs moviepy")
    from stable_baselines3.common.vec_env import VecVideoRecorder

    recorded = VecVideoRecorder(
        vec_env(num_envs=2), str(tmp_path), lambda step: step == 0, video_length=3
    )
    recorded.reset()
    for _ in range(4):
        recorded.step(np.zeros(2, np.int64))
    recorded.close()
    assert list(tmp_path.glob("*.mp4"))


def test_an_agent_predicts_as_a_model_of_stable_baselines3(trained):
    full = trained["full"]
    envs = vec_env(num_envs=4)
    obs = envs.reset()
    action, state = full.predict(obs, deterministic=True)
    assert state is None
    assert np.array_equal(action, full.judge(torch.from_numpy(obs))[0].argmax(-1).numpy())
    assert full.predict(obs[0], deterministic=True)[0] == action[0]
    mean, _ = evaluate_policy(full, envs, n_eval_episodes=8, deterministic=True)
    assert -1 <= mean <= 1


def test_training_starts_from_a_zip_of_stable_baselines3(trained, tmp_path):
    full, small = trained["full"], trained["small"]
    export_sb3(full, tmp_path / "agent.zip")
    config = changed(NATURE, trunk=TrunkConfig(init=str(tmp_path / "agent.zip")))
    network = ppo.build_network(config, 3)
    lines = start_from(network, config.trunk, CATCH)
    assert "cnn starts from" in lines[0]
    assert "the heads start from" in lines[1]
    for name, tensor in full.network.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name]), name
    other = changed(config, hidden=32)
    lines = start_from(ppo.build_network(other, 3), other.trunk, CATCH)
    assert lines[1].startswith("the heads start anew")
    half = changed(config, trunk=changed(config.trunk, width=0.5))
    with pytest.raises(UserError, match="NatureCNN of stable-baselines3 is --trunk nature"):
        start_from(ppo.build_network(half, 3), half.trunk, CATCH)
    with pytest.raises(UserError, match=r"a \.zip of stable-baselines3 starts agents only"):
        start.start_from(network, str(tmp_path / "agent.zip"), lambda run, found: False)
    export_sb3(small, tmp_path / "small.zip")
    narrow = changed(NATURE, trunk=changed(ppo.CATCH.trunk, init=str(tmp_path / "small.zip")))
    network = ppo.build_network(narrow, 3)
    assert len(start_from(network, narrow.trunk, CATCH)) == 2
