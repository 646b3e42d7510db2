"""PPO: the loss against stable-baselines3's, Catch learnt, and a stopped run that ends the same."""

import dataclasses
import math
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch.testing import assert_close

from backbones.training import session
from backbones.training.config import ResumeConfig, RunConfig, changed
from backbones.training.device.precision import Precision
from backbones.training.distributed import World
from backbones.training.log import read_metrics
from backbones.training.run import Run, find_run
from backbones.transfer import TrunkConfig
from rl import ppo
from rl.agent import load_agent
from rl.evaluate import evaluate
from rl.experience.pipeline import backward_in_halves
from rl.games.options import EnvOptions
from rl.networks.acting import SamplingPolicy, acting_copy
from rl.start import start_from
from rl.training import AgentJob, Training

TINY = changed(ppo.CATCH, total_steps=4096, eval_games=0, run=RunConfig(precision="fp32"))
# Four rollouts of one minibatch, which is learnt from in two halves.
FEW = changed(TINY, total_steps=1024, num_envs=8, num_steps=32)


def sb3_gradients(batch, clip, value_coef, entropy_coef):
    """Let stable-baselines3 take one plain gradient step; return losses and gradients."""
    import gymnasium
    from stable_baselines3 import PPO
    from stable_baselines3.common.logger import Logger

    class Still(gymnasium.Env):
        observation_space = Box(-1, 1, (5,), np.float32)
        action_space = Discrete(4)

        def reset(self, *, seed=None, options=None):
            return np.zeros(5, np.float32), {}

        def step(self, action):
            return np.zeros(5, np.float32), 0.0, False, False, {}

    size = len(batch["action"])
    model = PPO(
        "MlpPolicy",
        Still(),
        n_steps=size,
        batch_size=size,
        n_epochs=1,
        clip_range=clip,
        vf_coef=value_coef,
        ent_coef=entropy_coef,
        max_grad_norm=1e9,
        seed=0,
        device="cpu",
    )
    model.set_logger(Logger(None, []))
    buffer = model.rollout_buffer
    buffer.observations = batch["features"].numpy()[:, None]
    buffer.actions = batch["action"].numpy()[:, None, None].astype(np.float32)
    buffer.log_probs = batch["old_log_prob"].numpy()[:, None]
    buffer.advantages = batch["advantage"].numpy()[:, None]
    buffer.returns = batch["returns"].numpy()[:, None]
    buffer.values = batch["returns"].numpy()[:, None]
    buffer.full = True
    before = {k: v.clone() for k, v in model.policy.state_dict().items()}
    model.train()
    gradients = {k: p.grad.clone() for k, p in model.policy.named_parameters()}
    return model, before, gradients


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_loss_and_gradients_equal_those_of_stable_baselines3_on_a_frozen_batch():
    generator = torch.Generator().manual_seed(0)
    size = 64
    batch = {
        "features": torch.rand(size, 5, generator=generator) * 2 - 1,
        "action": torch.randint(4, (size,), generator=generator),
        "old_log_prob": -torch.rand(size, generator=generator) * 2,
        "advantage": torch.randn(size, generator=generator),
        "returns": torch.randn(size, generator=generator),
    }
    factors = {"clip": 0.1, "value_coef": 0.5, "entropy_coef": 0.01}
    model, before, expected = sb3_gradients(batch, **factors)

    model.policy.load_state_dict(before)
    model.policy.zero_grad()
    latent_pi, latent_vf = model.policy.mlp_extractor(batch["features"])
    logits = model.policy.action_net(latent_pi)
    value = model.policy.value_net(latent_vf)[:, 0]
    rest = {k: batch[k] for k in ("action", "old_log_prob", "returns")}
    advantage = ppo.normalise([batch["advantage"]])[0]
    loss, figures = ppo.ppo_loss(logits, value, advantage=advantage, **rest, **factors, of=size)
    parts = dict(zip(ppo.FIGURES, figures, strict=True))
    loss.backward()

    logged = model.logger.name_to_value
    assert_close(loss.item(), logged["train/loss"], atol=1e-5, rtol=1e-5)
    assert_close(
        parts["policy_loss"].item(), logged["train/policy_gradient_loss"], atol=1e-5, rtol=1e-4
    )
    assert_close(parts["value_loss"].item(), logged["train/value_loss"], atol=1e-5, rtol=1e-4)
    assert_close(parts["entropy"].item(), -logged["train/entropy_loss"], atol=1e-5, rtol=1e-4)
    assert_close(parts["kl"].item(), logged["train/approx_kl"], atol=1e-5, rtol=1e-4)
    assert_close(parts["clip_fraction"].item(), logged["train/clip_fraction"], atol=1e-5, rtol=0)
    for name, parameter in model.policy.named_parameters():
        assert_close(parameter.grad, expected[name], atol=1e-5, rtol=1e-3)


def test_the_loss_of_two_positions_done_by_hand():
    logits = torch.zeros(2, 2, requires_grad=True)  # both actions 1/2
    loss, figures = ppo.ppo_loss(
        logits,
        torch.tensor([1.0, 0.0]),
        torch.tensor([0, 1]),
        torch.tensor([math.log(0.25), math.log(0.5)]),
        torch.tensor([1.0, -1.0]),
        torch.tensor([0.0, 2.0]),
        clip=0.1,
        value_coef=0.5,
        entropy_coef=0.1,
        of=2,
    )
    parts = dict(zip(ppo.FIGURES, figures, strict=True))
    # Ratios 2 and 1: the first is clipped to 1.1; min(2, 1.1) and -1 average to 0.05, negated.
    assert_close(parts["policy_loss"], torch.tensor(-0.05))
    assert_close(parts["value_loss"], torch.tensor(2.5))
    assert_close(parts["entropy"], torch.tensor(math.log(2)))
    assert_close(parts["clip_fraction"], torch.tensor(0.5))
    assert_close(loss.detach(), torch.tensor(-0.05 + 1.25 - 0.1 * math.log(2)))


def test_a_position_s_weight_multiplies_its_policy_loss_alone():
    given = {
        "value": torch.zeros(2),
        "action": torch.tensor([0, 1]),
        "old_log_prob": torch.tensor([math.log(0.5), math.log(0.5)]),
        "advantage": torch.tensor([1.0, -3.0]),
        "returns": torch.ones(2),
        "clip": 0.1,
        "value_coef": 0.5,
        "entropy_coef": 0.0,
        "of": 2,
    }
    _, plain = ppo.ppo_loss(torch.zeros(2, 2), **given)
    _, weighted = ppo.ppo_loss(torch.zeros(2, 2), **given, weight=torch.tensor([2.0, 0.5]))
    assert_close(plain[0], torch.tensor(1.0))
    assert_close(weighted[0], torch.tensor(-(2.0 - 1.5) / 2))
    assert torch.equal(plain[1:], weighted[1:])


def test_the_error_of_values_that_are_clipped_done_by_hand():
    given = {
        "action": torch.zeros(3, dtype=torch.int64),
        "old_log_prob": torch.full((3,), math.log(0.5)),
        "advantage": torch.zeros(3),
        "returns": torch.tensor([1.0, 1.0, 1.0]),
        "clip": 0.1,
        "value_coef": 1.0,
        "entropy_coef": 0.0,
        "of": 1,
    }
    value = torch.tensor([0.8, 2.0, 0.05], requires_grad=True)
    loss, _ = ppo.ppo_loss(torch.zeros(3, 2), value, **given, old_value=torch.zeros(3))
    # 0.8 came nearer, but counts as 0.1; 2.0 is further off than 0.1; 0.05 is within the range.
    assert_close(loss.detach(), torch.tensor(0.9**2 + 1.0 + 0.95**2))
    loss.backward()
    # What was clipped is not moved; the others are drawn to their returns as ever.
    assert_close(value.grad, torch.tensor([0.0, 2.0, -1.9]))
    plain, _ = ppo.ppo_loss(torch.zeros(3, 2), value.detach(), **given)
    assert_close(plain, torch.tensor(0.2**2 + 1.0 + 0.95**2))


def test_nothing_is_learnt_from_a_ratio_beyond_the_clip():
    logits = torch.zeros(1, 2, requires_grad=True)
    loss, _ = ppo.ppo_loss(
        logits,
        torch.zeros(1),
        torch.tensor([0]),
        torch.tensor([math.log(0.25)]),
        torch.ones(1),
        torch.zeros(1),
        clip=0.1,
        value_coef=0.0,
        entropy_coef=0.0,
        of=1,
    )
    loss.backward()
    assert logits.grad.abs().sum() == 0


@pytest.mark.slow
@pytest.mark.learns
def test_catch_is_solved(runs, learning):
    config = changed(ppo.CATCH, total_steps=50_000, eval_games=0, run=learning)
    run = ppo.train(config)
    result = evaluate(load_agent(run), games=60)
    assert result.random < 0
    assert result.mean >= 0.9


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_agent(run).network.state_dict()


@pytest.mark.parametrize("sync", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("env", "extra"),
    [
        ("Arcadia/Catch-v0", {}),
        ("Arcadia/Catch-v0", {"proximal": True, "centred": True, "anneal_entropy_to": 0.9}),
        ("Arcadia/Catch-v0", {"clip_values": True, "normalise_rewards": True}),
        ("ALE/Breakout-v5", {"env_options": EnvOptions(sticky=0.25)}),
    ],
)
def test_a_stopped_and_resumed_run_ends_with_the_same_weights_bit_for_bit(
    runs, env, extra, sync, monkeypatch
):
    config = changed(FEW, env=env, sync=sync, **extra)
    whole = ppo.train(changed(config, run=changed(config.run, name="whole")))

    class StopsAfterTwo(session.StopRequest):
        looks = 0

        @property
        def requested(self):
            self.looks += 1
            return self.looks > 1

        @requested.setter
        def requested(self, value):
            pass

    with monkeypatch.context() as patch:
        patch.setattr(session, "StopRequest", StopsAfterTwo)
        with pytest.raises(KeyboardInterrupt):
            ppo.train(changed(config, run=changed(config.run, name="halved")))
    halved = find_run("halved")
    assert load_agent(halved).card["progress"] == 2 * config.rollout_size
    ppo.resume(halved)
    assert load_agent(halved).card["progress"] == load_agent(whole).card["progress"]
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(halved)[name]), name


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_killed_between_two_checkpoints_ends_the_same_and_says_the_same(runs, precision):
    config = changed(FEW, run=RunConfig(precision=precision, checkpoint_every_s=1e-6))
    whole = ppo.train(changed(config, run=changed(config.run, name="whole")))
    killed = ppo.train(changed(config, run=changed(config.run, name="killed")))
    # As kill -9 leaves it: the log is ahead of the newest checkpoint that is whole.
    shutil.rmtree(sorted(killed.checkpoints.iterdir())[-1])
    ppo.resume(killed)
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(killed)[name]), name
    lines = [
        [
            {k: v for k, v in line.items() if k.startswith(("step", "train/", "rollout/"))}
            for line in read_metrics(run.folder)
        ]
        for run in (whole, killed)
    ]
    assert lines[0] == lines[1]


def test_playing_ahead_changes_nothing_but_that_data_are_one_rollout_old():
    ahead = Training(ppo.JOB, TINY, World())
    ahead.start()
    with ThreadPoolExecutor(1) as pool:
        for _ in range(3):
            ahead.advance(pool)
    # The same in turn, without a thread: the next rollout is played before the learning.
    turn = Training(ppo.JOB, TINY, World())
    turn.start()
    network, played = turn.learner.network, turn.pipeline
    for _ in range(3):
        acting = acting_copy(network, torch.float32)
        upcoming = played.collector.collect(SamplingPolicy(acting))
        turn.learner.learn(played.rollout)
        played.rollout = upcoming
    for mine, theirs in zip(network.parameters(), ahead.learner.network.parameters(), strict=True):
        assert torch.equal(mine, theirs)


class TwicePrecise(ppo.Learner):
    """Computes the gradient of each whole rollout in fp32 and in bf16 before it learns."""

    cosines: tuple[float, ...] = ()

    def learn(self, rollout, pool=None):
        self.found, self.positions = [], rollout.action.numel()
        figures = super().learn(rollout, pool)
        self.cosines += (float(torch.cosine_similarity(*self.found, dim=0)),)
        return figures

    def update(self, index, pool=None):
        gradients = self.updater.gradients
        for name in ("fp32", "bf16") if not self.found else ():
            self.precision = Precision(name, "cpu", "of the test")
            gradients.zero()
            for part in torch.arange(self.positions).split(256):
                self.loss(part)[0].backward()
            self.found.append(gradients.flat.clone())
        return super().update(index, pool)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["fast", "reference"])
def test_gradients_in_bf16_point_where_those_in_fp32_do(preset):
    config = changed(ppo.PRESETS[preset], num_epochs=1, env="ALE/Breakout-v5", run=TINY.run)
    job = AgentJob("ppo", ppo.PRESETS, ppo.build_network, TwicePrecise)
    training = Training(job, config, World())
    training.start()
    with ThreadPoolExecutor(1) as pool:
        for _ in range(3):
            training.advance(pool)
    # It depends on the frames: seen were 0.9977 of `fast`, 0.9942 to 0.9877 of the full network.
    least = 0.99 if preset == "fast" else 0.98
    assert min(training.learner.cosines) > least, training.learner.cosines


@pytest.mark.parametrize("memory", ["none", "lstm"])
def test_help_from_an_idle_thread_changes_no_bit(memory):
    config = changed(TINY, memory=memory)
    ends = []
    for helper in ("none", "idle", "busy at first"):
        training = Training(ppo.JOB, config, World())
        training.start()
        with ThreadPoolExecutor(1) as pool:
            if helper == "busy at first":
                pool.submit(time.sleep, 0.2)
            training.learner.learn(training.pipeline.rollout, None if helper == "none" else pool)
        ends.append(training.learner.network.state_dict())
        training.envs.close()
    for name, tensor in ends[0].items():
        assert torch.equal(tensor, ends[1][name]) and torch.equal(tensor, ends[2][name]), name


def test_the_weight_of_the_entropy_falls_where_it_is_told_to():
    config = changed(ppo.FAST, total_steps=10 * ppo.FAST.rollout_size, anneal_entropy_from=0.5)
    assert [config.entropy_weight(n) for n in (0, 5, 10)] == [0.01, 0.01, 0.0]
    assert config.entropy_weight(8) == pytest.approx(0.004)
    assert ppo.REFERENCE.entropy_weight(ppo.REFERENCE.num_rollouts) == 0.01
    config = changed(config, anneal_entropy_from=0.2, anneal_entropy_to=0.6)
    found = [config.entropy_weight(n) for n in (0, 2, 4, 6, 10)]
    assert found == pytest.approx([0.01, 0.01, 0.005, 0.0, 0.0])


def test_passes_end_where_the_policy_has_gone_far_enough():
    ends = {}
    for target_kl in (0.0, 1e-9, 1e9):
        training = Training(ppo.JOB, changed(FEW, target_kl=target_kl), World())
        training.start()
        training.learner.learn(training.pipeline.rollout)
        adam = training.learner.state().tensors
        ends[target_kl] = int(next(v for name, v in adam.items() if name.endswith(".step")))
    # The first of these updates, a whole rollout each, sees the policy that played.
    assert ends == {0.0: 4, 1e-9: 2, 1e9: 4}


def test_halves_leave_nothing_out_and_keep_columns_whole():
    def cut(count, rows):
        weight = torch.zeros(count, requires_grad=True)
        positions = torch.arange(count)
        parts = backward_in_halves(lambda part: (weight[part].sum(), part), positions, rows, None)
        assert not count or torch.equal(weight.grad, torch.ones(count))
        return [part.tolist() for part in parts]

    whole = list(range(257))
    assert cut(257, 1) == [whole[:128], whole[128:]]
    first, second = cut(300, 100)
    assert first == list(range(0, 300, 3)) and len(second) == 200
    assert cut(300, 300) == [list(range(300))]
    assert cut(255, 1) == [list(range(255))]
    assert cut(0, 1) == []


def test_a_resumed_run_does_not_need_the_run_that_it_was_started_from(runs):
    source = ppo.train(FEW)
    trunk = changed(TINY.trunk, init=source.name)
    run = ppo.train(changed(FEW, trunk=trunk))
    shutil.rmtree(source.folder)
    assert ppo.resume(run).folder == run.folder


def test_the_same_config_gives_the_same_weights_and_another_seed_does_not(runs):
    short = FEW
    first, second = ppo.train(short), ppo.train(short)
    other = ppo.train(changed(short, run=changed(short.run, seed=2)))
    assert all(torch.equal(a, weights(second)[name]) for name, a in weights(first).items())
    assert not torch.equal(weights(first)["policy.weight"], weights(other)["policy.weight"])


def test_a_trunk_started_from_another_run_and_frozen_stays_as_it_was(runs):
    source = ppo.train(FEW)
    trunk = changed(TINY.trunk, init=source.name, freeze=("s1", "s2"))
    run = ppo.train(changed(FEW, trunk=trunk, run=RunConfig(seed=5, precision="fp32")))
    for name in ("cnn.s1.weight", "cnn.s2.bias"):
        assert torch.equal(weights(run)[name], weights(source)[name])
    assert not torch.equal(weights(run)["cnn.s3.weight"], weights(source)["cnn.s3.weight"])


def test_a_finished_run_can_be_lengthened_and_says_what_that_does_to_the_schedule(runs, capsys):
    run = ppo.train(changed(TINY, total_steps=2048, anneal_from=0.0))
    ppo.resume(run)
    assert "is finished; `arcadia resume ppo/catch-1 --extend N` lengthens it" in said(capsys)
    longer = ppo.resume(run, ResumeConfig(extend=2048))
    assert (
        "lengthened from 2,048 to 4,096 env steps; the schedule is a function of progress: the "
        "learning rate, 0 where the run stands, goes on from 0.0005"
    ) in said(capsys)
    assert load_agent(run).card["progress"] == 4096
    assert find_run(run.name).config["total_steps"] == 4096
    assert longer.about["changes"][0]["from"]["total_steps"] == 2048
    rates = [line["train/learning_rate"] for line in read_metrics(run.folder)]
    assert rates == pytest.approx([1e-3, 5e-4, 5e-4, 2.5e-4])


def said(capsys) -> str:
    return capsys.readouterr().out


def test_a_run_goes_on_with_other_threads_and_says_so(runs, capsys):
    run = ppo.train(FEW)
    ppo.resume(run, ResumeConfig(extend=1024, threads=2))
    assert "not where it was saved (threads 1 -> 2)" in said(capsys)
    assert find_run(run.name).config["run"]["threads"] == 2


def test_starting_from_a_run_of_the_same_game_takes_all_weights_and_cnn_only_the_trunk(
    runs, capsys
):
    source = ppo.train(FEW)
    torch.manual_seed(0)
    for init, heads in ((source.name, True), (f"{source.name}:cnn", False)):
        network = ppo.build_network(TINY, 3)
        start_from(network, changed(TINY.trunk, init=init), TINY.env)
        for name, tensor in weights(source).items():
            same = torch.equal(network.state_dict()[name], tensor)
            assert same == (heads or name.startswith("cnn.")), name


def test_heads_of_another_game_are_not_taken(runs):
    source = ppo.train(FEW)
    network = ppo.build_network(TINY, 3)
    lines = start_from(network, changed(TINY.trunk, init=source.name), "ALE/Pong-v5")
    assert "the heads start anew" in lines[-1]
    assert not torch.equal(network.state_dict()["policy.weight"], weights(source)["policy.weight"])


def test_the_best_checkpoint_outlives_the_newest_ones_and_can_be_loaded(runs, monkeypatch):
    scores = iter([1.0, 5.0, *[2.0] * 9])
    monkeypatch.setattr("rl.training.mean_score", lambda games: next(scores))
    monkeypatch.setattr("rl.training.SCORE_OVER_GAMES", 1)
    monkeypatch.setattr("rl.experience.pipeline.SCORE_OVER_GAMES", 1)
    config = changed(TINY, total_steps=6144, run=changed(TINY.run, checkpoint_every_s=1e-6))
    run = ppo.train(config)
    best = load_agent(run, best=True)
    assert (best.card["score"], best.card["progress"]) == (5.0, 2048)
    assert load_agent(run).card["progress"] == 6144
    assert "best at 2,048 (score 5.0)" in (run.folder / "log.txt").read_text()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("minibatch_size", 300, "try minibatch_size = 4"),
        ("num_envs", -1, "must be above 0"),
        ("env_threads", 0, "must be above 0"),
        ("learning_rate", 0.0, "must be above 0"),
        ("gamma", 1.5, "between 0 and 1"),
        ("entropy_coef", -0.1, "0 or above"),
        ("anneal_entropy_to", 1.3, "between 0 and 1"),
        ("target_kl", -0.1, "0 or above"),
    ],
)
def test_wrong_values_are_refused_with_the_remedy(field, value, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(ppo.FAST, **{field: value})


def test_a_rollout_of_one_env_step_is_refused():
    """Its one advantage has no deviation to be divided by."""
    with pytest.raises(ValueError, match="rollout of one env step cannot be normalised"):
        dataclasses.replace(ppo.FAST, num_envs=1, num_steps=1, minibatch_size=1)
    dataclasses.replace(ppo.FAST, num_envs=2, num_steps=1, minibatch_size=1)


def test_trunk_flags_are_checked():
    with pytest.raises(ValueError, match="width"):
        TrunkConfig(width=0.0)
    with pytest.raises(ValueError, match="lr_backbone"):
        TrunkConfig(lr_backbone=-1.0)
