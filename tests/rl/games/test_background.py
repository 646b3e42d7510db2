"""Centred pictures: what is measured, and that every way to the same weights sees the same."""

import pytest
import torch
from torch.testing import assert_close

from backbones import transfer
from backbones.cnn import build_trunk
from backbones.training.config import RunConfig, changed
from backbones.trunk import TrunkSpec, mean_pool_bytes
from rl import ppo
from rl.agent import load_agent
from rl.games.background import background
from rl.games.options import EnvOptions

SHORT = changed(
    ppo.CATCH,
    total_steps=512,
    num_envs=8,
    num_steps=32,
    centred=True,
    eval_games=0,
    run=RunConfig(precision="fp32", name="centred"),
)


@pytest.mark.parametrize(("env", "median"), [("ALE/Pong-v5", 87.0), ("Arcadia/Catch-v0", 0.0)])
def test_the_background_is_what_most_of_the_pictures_are(env, median):
    found = background(env, EnvOptions(), SHORT.trunk)
    assert found[0] == median and 20 < found[1] < 100
    assert background(env, EnvOptions(), SHORT.trunk) == found


def test_a_run_says_what_was_measured_and_its_agent_sees_it(runs):
    run = ppo.train(changed(SHORT, trunk=changed(SHORT.trunk, mean=40.0, std=20.0)))
    given = load_agent(run)
    assert (given.network.cnn.mean.item(), given.network.cnn.std.item()) == (40.0, 20.0)
    measured = load_agent(ppo.train(changed(SHORT, run=changed(SHORT.run, name="measured"))))
    spec = transfer.present_spec(measured.network.cnn)
    assert (measured.config.trunk.mean, measured.config.trunk.std) == (*spec.mean, *spec.std)
    assert spec.std != (255.0,)


def test_weights_bring_the_mean_they_were_learnt_with(runs, tmp_path):
    given = changed(SHORT.trunk, mean=40.0, std=20.0)
    source = load_agent(ppo.train(changed(SHORT, trunk=given))).network
    started = changed(SHORT, centred=False, trunk=changed(SHORT.trunk, init="centred:cnn"))
    started = changed(started, total_steps=256, run=changed(SHORT.run, name="started"))
    network = load_agent(ppo.train(started)).network
    assert (network.cnn.mean.item(), network.cnn.std.item()) == (40.0, 20.0)
    path = tmp_path / "cnn.safetensors"
    transfer.save_backbone(network.cnn, path, {})
    again, card = transfer.load_backbone(path)
    assert card["spec"]["mean"] == [40.0]
    obs = torch.randint(0, 256, (2, 4, 84, 84), dtype=torch.uint8)
    assert torch.equal(again(obs)["s3"], network.cnn(obs)["s3"])
    assert source.cnn.centres and network.cnn.centres


def test_a_trunk_built_without_a_mean_uses_the_one_it_is_given_with_weights():
    centred = build_trunk(TrunkSpec(width=0.25, mean=(87.0,), std=(50.0,)))
    plain = build_trunk(TrunkSpec(width=0.25))
    plain.load_state_dict(centred.state_dict())
    picture = torch.randint(0, 256, (2, 4, 84, 84), dtype=torch.uint8)
    assert_close(plain.normalise(picture), (picture.float() - 87) / 50)
    assert torch.equal(plain(picture)["s3"], centred(picture)["s3"])
    plain.load_state_dict(build_trunk(TrunkSpec(width=0.25)).state_dict())
    assert_close(plain.normalise(picture), picture.float() / 255)


@pytest.mark.parametrize("size", [2, 3, 12])
def test_the_mean_of_bytes_is_rounded_half_up(size):
    picture = torch.randint(0, 256, (3, 2, 37, 40), dtype=torch.uint8)
    picture[0] = 255
    exact = torch.nn.functional.avg_pool2d(picture.double(), size)
    assert torch.equal(mean_pool_bytes(picture, size), (exact + 0.5 + 1e-9).floor().byte())
    assert_close(mean_pool_bytes(picture.double(), size), exact)


def test_mean_pooling_keeps_a_dark_line_that_max_pooling_erases():
    picture = torch.full((1, 4, 84, 84), 200, dtype=torch.uint8)
    picture[..., 41] = 0
    found = {
        kind: build_trunk(TrunkSpec(pool=2, pooling=kind)).prepare(picture)[0, 0, 0, 20].item()
        for kind in ("max", "mean")
    }
    assert found == {"max": 200, "mean": 100}


def test_numbers_that_are_no_brightness_are_refused():
    for wrong in ({"mean": -1.0}, {"std": 0.0}, {"mean": 256.0}, {"std": 1e9}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            transfer.TrunkConfig(**wrong)
