"""DQN: losses and targets by hand, cadence, known values, and a stopped run that ends the same."""

import copy
import dataclasses
import json

import gymnasium
import numpy as np
import pytest
import torch
from torch.testing import assert_close

import arcadia
from backbones.training.config import RunConfig, changed
from backbones.training.distributed import World
from backbones.training.errors import UserError
from backbones.training.log import read_metrics
from rl import dqn
from rl.experience.learner import RolloutLearner
from rl.explore import Exploration
from rl.games.toys import Corridor
from rl.training import Training
from tests.rl import trained as play

TINY = changed(
    dqn.SMOKE, env="Arcadia/Catch-v0", total_steps=1024, eval_games=0, minibatch_size=256
)


def trained(config, blocks):
    return play.trained(dqn.JOB, config, blocks)


def everything(training):
    """Return all tensors of a checkpoint, chunks included."""
    made = training.checkpoint()
    parts = {**made.parts, **{name: give() for name, give in made.chunks.items()}}
    return {f"{part}.{name}": t for part, ts in parts.items() for name, t in ts.items()}


def test_the_loss_is_huber_s_by_hand():
    q_value = torch.tensor([[1.0, 2.0], [0.0, 5.0], [3.0, 1.0]], requires_grad=True)
    action, target = torch.tensor([1, 0, 0]), torch.tensor([2.5, 4.0, 3.0])
    loss, figures = dqn.dqn_loss(q_value, action, target, None, of=4)
    assert_close(loss.item(), (0.5 * 0.5**2 + 3.5 + 0) / 4)
    assert_close(figures, torch.tensor([[0.125, 2.0, 0.5], [3.5, 0.0, 4.0], [0.0, 3.0, 0.0]]))
    loss.backward()
    assert_close(q_value.grad, torch.tensor([[0, -0.125], [-0.25, 0], [0, 0]]))
    weighted, _ = dqn.dqn_loss(q_value, action, target, torch.tensor([1.0, 0.5, 1.0]), of=4)
    assert_close(weighted.item(), (0.125 + 1.75) / 4)


def test_gradients_equal_those_of_stable_baselines3_on_a_frozen_batch():
    sb3 = pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.buffers import ReplayBufferSamples
    from stable_baselines3.common.logger import Logger

    class Still(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-1, 1, (5,), np.float32)
        action_space = gymnasium.spaces.Discrete(4)

        def reset(self, *, seed=None, options=None):
            return np.zeros(5, np.float32), {}

    size, generator = 64, torch.Generator().manual_seed(0)
    obs, next_obs = torch.rand(2, size, 5, generator=generator) * 2 - 1
    action = torch.randint(4, (size,), generator=generator)
    reward = torch.randn(size, generator=generator) * 2
    terminated = torch.rand(size, generator=generator) < 0.3
    model = sb3.DQN("MlpPolicy", Still(), max_grad_norm=1e9, gamma=0.9, seed=0, device="cpu")
    model.set_logger(Logger(None, []))
    frozen = ReplayBufferSamples(
        obs, action[:, None], next_obs, terminated.float()[:, None], reward[:, None]
    )
    model.replay_buffer.sample = lambda *args, **kwargs: frozen
    before = copy.deepcopy(model.q_net)
    model.train(1, batch_size=size)
    with torch.no_grad():
        following = model.q_net_target(next_obs).max(1)[0]
    target = reward + 0.9 * ~terminated * following
    loss, _ = dqn.dqn_loss(before(obs), action, target, None, of=size)
    loss.backward()
    assert (target - before(obs).detach().gather(1, action[:, None])[:, 0]).abs().max() > 1
    for ours, theirs in zip(before.parameters(), model.q_net.parameters(), strict=True):
        assert_close(ours.grad, theirs.grad, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("double", [False, True])
def test_targets_take_the_action_that_the_switch_says(double):
    training, _ = trained(changed(TINY, double=double, n_step=2, sync=True), 3)
    learner = training.learner
    # Another target than the network, so that the two name different actions.
    torch.manual_seed(5)
    for parameter in learner.target.parameters():
        parameter.copy_(torch.randn_like(parameter) * 0.3)
    position = torch.tensor(list(learner.replay.drawable))
    seen = learner.replay.transitions(position, gamma=0.99, clip=False)
    following = learner.target.judge(seen.next_obs).q_value
    chooser = learner.network.judge(seen.next_obs).q_value
    assert (following.argmax(1) != chooser.argmax(1)).any()
    best = following.gather(1, chooser.argmax(1)[:, None])[:, 0] if double else following.max(1)[0]
    target = seen.returns + seen.discount * best
    chosen = learner.network.judge(seen.obs).q_value.gather(1, seen.action[:, None])
    _, figures = learner.loss(learner.replay, position, None)
    assert_close(figures[:, 2], (target - chosen[:, 0]).abs(), atol=1e-5, rtol=1e-4)


def test_observations_of_the_replay_are_those_that_were_played_as_the_trunk_pools_them():
    training = trained(changed(TINY, learning_starts=1000), 3)[0]
    rollout, learner = training.pipeline.rollout, training.learner
    learner.learn(rollout)
    expected = learner.network.cnn.pool(rollout.all_obs())
    steps, count = rollout.action.shape
    step = torch.arange(learner.replay.head - steps, learner.replay.head).repeat_interleave(count)
    assert torch.equal(learner.replay.obs(step, torch.arange(count).repeat(steps)), expected)


def test_updates_and_targets_are_counted_in_env_steps_whatever_the_block():
    for num_envs, num_steps in ((4, 16), (2, 7)):
        config = changed(
            TINY,
            num_envs=num_envs,
            num_steps=num_steps,
            train_every=24,
            learning_starts=0,
            minibatch_size=8,
            target_every=10_000,
        )
        training, figures = trained(config, 5)
        assert training.learner.updates == 5 * num_envs * num_steps // 24
        assert any("train/td_error" in row for row in figures)
    before = training.learner.target.q.weight.clone()
    assert not torch.equal(before, training.learner.network.q.weight)


def test_the_target_is_the_network_of_its_last_multiple():
    config = changed(TINY, learning_starts=0, train_every=16, target_every=64, minibatch_size=8)
    learner = trained(config, 3)[0].learner
    # Blocks are of 64 env steps: the last update of each falls on a multiple.
    for name, parameter in learner.network.named_parameters():
        assert torch.equal(parameter, dict(learner.target.named_parameters())[name]), name


def test_nothing_is_learnt_before_learning_starts_and_play_is_random_until_then():
    config = changed(TINY, learning_starts=130, explore=Exploration(epsilon_fraction=0.0))
    assert [float(config.epsilon(k, range(1))) for k in (0, 2, 3)] == pytest.approx([1, 1, 0.01])
    _, figures = trained(config, 4)
    assert ["train/loss" in row for row in figures] == [False, False, True, True]


SWITCHES = {
    "plain": {"double": False, "n_step": 1},
    "all": {"double": True, "dueling": True, "prioritised": True, "n_step": 3},
}


@pytest.mark.parametrize("switches", SWITCHES.values(), ids=SWITCHES)
def test_a_run_with_its_replay_goes_on_bit_for_bit(tmp_path, switches):
    # The ring is full and written over, and games are cut off by the clock.
    options = dataclasses.replace(TINY.env_options, max_frames=9)
    config = changed(TINY, buffer_size=160, env_options=options, **switches)
    whole, _ = trained(config, 7)
    assert whole.learner.replay.head > 2 * whole.learner.replay.live
    assert whole.learner.replay.last_frames
    part, _ = trained(config, 4)
    again = play.continued(part, tmp_path, 3)
    expected, found = everything(whole), everything(again)
    assert expected.keys() == found.keys() and any("replay" in name for name in found)
    for name, tensor in expected.items():
        assert torch.equal(tensor, found[name]), name


def test_playing_ahead_or_not_threads_change_no_bit():
    first, second = (everything(trained(TINY, 5)[0]) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    training = Training(dqn.JOB, TINY, World())
    training.start()
    for _ in range(5):
        # Learning alone, without the pool's help.
        rollout = training.pipeline.rollout
        training.pipeline.copy_weights(training.learner)
        upcoming = training.pipeline.collect()
        training.learner.learn(rollout)
        training.pipeline.rollout = upcoming
    alone = dict(training.learner.network.named_parameters())
    for name, tensor in trained(TINY, 5)[0].learner.network.named_parameters():
        assert torch.equal(alone[name], tensor), name


def test_the_learner_is_what_a_run_asks_for():
    assert isinstance(trained(TINY, 0)[0].learner, RolloutLearner)


def test_what_cannot_be_learnt_from_is_refused_in_one_line():
    with pytest.raises(ValueError, match="learning_starts = 1,200,000 must come before the end"):
        dqn.Config(learning_starts=1_200_000)
    with pytest.raises(ValueError, match="buffer_size = 100 must hold a block and a window"):
        dqn.Config(buffer_size=100)
    with pytest.raises(ValueError, match="transitions, not sequences"):
        dqn.Config(memory="lstm")
    with pytest.raises(ValueError, match="n_step = 0"):
        dqn.Config(n_step=0)
    with pytest.raises(UserError, match=r"transitions takes .* GB.*--buffer-size"):
        Training(dqn.JOB, changed(TINY, buffer_size=10**12), World())


@pytest.mark.parametrize("preset", dqn.PRESETS)
def test_every_preset_is_a_config_that_learns_8_samples_a_step(preset):
    config = dqn.PRESETS[preset]
    if preset not in ("smoke", "catch"):
        assert config.minibatch_size / config.train_every == 8


def test_every_verb_takes_its_runs(runs, tmp_path, capsys):
    flags = ["--preset", "smoke", "--env", "Arcadia/Catch-v0", "--eval-epsilon", "0.25"]
    assert arcadia.main(["train", "dqn", *flags, "--name", "a", "--precision", "fp32"]) == 0
    assert arcadia.main(["resume", "a", "--extend", "128"]) == 0
    said = capsys.readouterr().out
    assert "lengthened from 384 to 512 env steps" in said and "epsilon 0.25" in said
    assert arcadia.main(["eval", "a", "--games", "2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["env_steps"], result["protocol"]["epsilon"]) == (512, 0.25)
    assert arcadia.main(["eval", "a", "--games", "2", "--epsilon", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["protocol"]["epsilon"] == 0.0
    film, folder = tmp_path / "film.mp4", tmp_path / "agent"
    assert arcadia.main(["watch", "a", "--video", str(film), "--limit-s", "1"]) == 0
    assert arcadia.main(["export", "a", "--folder", str(folder)]) == 0
    # The agent alone: no replay goes with it.
    assert not list(folder.rglob("replay-*")) and list((runs / "dqn" / "a").rglob("replay-*"))
    assert arcadia.main(["train", "dqn", *flags, "--learning-starts", "500"]) == 2
    assert "--learning-starts = 500 must come before the end" in capsys.readouterr().err


def test_several_processes_are_refused(runs):
    two = World(rank=0, size=2)
    with pytest.raises(UserError, match="dqn learns in one process"):
        dqn.DQNLearner(TINY, 3, torch.device("cpu"), two, range(2))


KNOWN = changed(
    dqn.CATCH,
    env="Arcadia/Corridor-v0",
    total_steps=16_000,
    num_envs=8,
    gamma=0.9,
    buffer_size=4_000,
    learning_starts=500,
    minibatch_size=64,
    train_every=8,
    target_every=128,
    anneal_from=0.2,
    eval_games=0,
    explore=Exploration(epsilon=0.5, epsilon_fraction=0.1),
    run=RunConfig(precision="fp32"),
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "switches",
    [{"n_step": 1, "double": False}, {"n_step": 1, "dueling": True, "prioritised": True}],
    ids=["plain", "all"],
)
def test_the_values_of_a_toy_are_found_to_a_hundredth(switches):
    config = changed(KNOWN, **switches)
    learner = trained(config, config.num_rollouts)[0].learner
    # In every room, as a game begins there: no frame before it.
    game, obs = Corridor(), torch.zeros(4, 4, 84, 84, dtype=torch.uint8)
    for room in range(4):
        game.room = room + 1
        obs[room, -1] = torch.from_numpy(game.picture())
    found = learner.network.step(obs, None, torch.ones(4, dtype=torch.bool)).q_value
    expected = torch.from_numpy(Corridor.q_values(0.9)).float()
    assert_close(found, expected, atol=1e-2, rtol=0)


@pytest.mark.slow
def test_an_endless_game_that_the_clock_cuts_off_is_worth_what_it_would_be(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "endless_game.py").write_text(ENDLESS)
    options = dataclasses.replace(KNOWN.env_options, max_frames=6)
    config = changed(KNOWN, env="endless_game:Endless-v0", n_step=3, env_options=options)
    learner = trained(config, config.num_rollouts)[0].learner
    position = torch.tensor(list(learner.replay.drawable)[:200])
    seen = learner.replay.transitions(position, gamma=0.9, clip=False)
    value = learner.network.judge(seen.obs).value
    assert_close(value, torch.full_like(value, 0.1 / (1 - 0.9)), atol=1e-2, rtol=0)


ENDLESS = """
import gymnasium
import numpy as np


class Endless(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(0, 255, (84, 84), np.uint8)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.full((84, 84), 100, np.uint8), {}

    def step(self, action):
        return np.full((84, 84), 100, np.uint8), 0.1, False, False, {}


gymnasium.register("Endless-v0", entry_point=Endless)
"""


@pytest.mark.slow
@pytest.mark.learns
def test_catch_is_learnt_in_less_than_a_minute(runs, learning):
    run = dqn.train(changed(dqn.CATCH, eval_games=50, run=learning))
    result = json.loads((run.folder / "eval.json").read_text())
    assert result["score"] >= 0.9 and result["protocol"]["epsilon"] == 0.0
    rows = read_metrics(run.folder)
    wanted = {"train/q_value", "train/td_error", "rollout/epsilon", "replay/fill"}
    assert wanted <= rows[-3].keys() | rows[-2].keys() | rows[-1].keys()
