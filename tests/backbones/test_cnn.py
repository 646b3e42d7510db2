"""Trunks keep their contract: what they state is what comes out, whatever the pictures."""

import pytest
import torch
from torch.testing import assert_close

from backbones.cnn import build_trunk
from backbones.trunk import NAMES, TrunkSpec, apply_mask, max_pool_bytes

SPECS = [TrunkSpec(name=name, width=width) for name in NAMES for width in (0.25, 1.0)]
SPECS += [TrunkSpec(name="nature", pool=2), TrunkSpec(name="impala", pool=2, in_channels=12)]


def pictures(spec, batch=2, size=84):
    generator = torch.Generator().manual_seed(0)
    shape = (batch, spec.in_channels, size, size)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: f"{s.name}-{s.width}-{s.pool}")
def test_every_stage_has_the_stated_channels_and_stride(spec):
    trunk = build_trunk(spec)
    maps = trunk(pictures(spec))
    assert tuple(maps) == trunk.stages == tuple(trunk.channels) == tuple(trunk.strides)
    for stage, values in maps.items():
        assert values.shape[:2] == (2, trunk.channels[stage])
        assert abs(values.shape[2] - 84 / trunk.strides[stage]) <= 4
        assert values.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_every_stage_learns_and_can_be_named(name):
    trunk = build_trunk(TrunkSpec(name=name, width=0.25))
    sum(maps.sum() for maps in trunk(pictures(trunk.spec)).values()).backward()
    belonging = {
        id(p) for stage in trunk.stages for module in trunk.stage_modules(stage)
        for p in module.parameters()
    }  # fmt: skip
    assert belonging == {id(p) for p in trunk.parameters()}
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in trunk.parameters())


def test_nature_is_the_network_of_mnih_2015():
    trunk = build_trunk(TrunkSpec(name="nature"))
    assert trunk.conv_output(84, 84) == (64, 7, 7)  # 3,136 numbers
    shapes = [tuple(p.shape) for p in trunk.parameters() if p.ndim == 4]
    assert shapes == [(32, 4, 8, 8), (64, 32, 4, 4), (64, 64, 3, 3)]


def test_impala_is_the_network_of_espeholt_2018():
    trunk = build_trunk(TrunkSpec(name="impala"))
    assert trunk.conv_output(84, 84) == (32, 11, 11)
    assert sum(p.ndim == 4 for p in trunk.parameters()) == 15


def test_resnet_has_the_parameters_of_resnet18():
    trunk = build_trunk(TrunkSpec(name="resnet", in_channels=3))
    assert sum(p.numel() for p in trunk.parameters()) == 11_176_512
    assert trunk.conv_output(224, 224) == (512, 7, 7)


def test_black_pictures_give_the_biases_and_white_ones_are_scaled_to_one():
    trunk = build_trunk(TrunkSpec(name="nature", mean=(0.0,), std=(255.0,)))
    entered = trunk.enter(torch.full((1, 4, 84, 84), 255, dtype=torch.uint8))
    assert_close(entered, torch.ones(1, 4, 84, 84))
    assert trunk(torch.zeros(1, 4, 84, 84, dtype=torch.uint8))["s1"].abs().sum() == 0


def test_mean_and_deviation_a_channel_are_those_of_the_spec():
    spec = TrunkSpec(name="plain", in_channels=3, mean=(10.0, 20.0, 30.0), std=(1.0, 2.0, 3.0))
    picture = torch.tensor([11, 24, 39], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    expected = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    assert_close(build_trunk(spec).enter(picture), expected)


def test_pictures_of_other_channels_are_refused():
    with pytest.raises(ValueError, match="takes 4 channels, the picture has 3"):
        build_trunk(TrunkSpec())(torch.zeros(1, 3, 84, 84, dtype=torch.uint8))


@pytest.mark.parametrize("size", [2, 3, 4])
def test_byte_pooling_equals_torchs(size):
    picture = pictures(TrunkSpec(), size=13)
    expected = torch.nn.functional.max_pool2d(picture.float(), size)
    assert torch.equal(max_pool_bytes(picture, size).float(), expected)


@pytest.mark.parametrize("name", ["plain", "impala"])
def test_what_lies_outside_the_mask_never_reaches_the_inside(name):
    spec = TrunkSpec(name=name, width=0.25, stem_stride=1, stage_stride=1, mean=(0.5,), std=(1.0,))
    trunk = build_trunk(spec)
    mask = torch.zeros(1, 1, 19, 19)
    mask[:, :, :9, :9] = 1
    board = (pictures(spec, 1, 19) > 128).to(torch.uint8) * mask.to(torch.uint8)
    small = trunk(board[:, :, :9, :9].contiguous(), torch.ones(1, 1, 9, 9))
    large = trunk(board, mask)
    assert trunk.strides[trunk.stages[-1]] == 1
    for stage in trunk.stages:
        assert_close(large[stage][:, :, :9, :9], small[stage], atol=1e-5, rtol=1e-4)


def test_resnet_refuses_a_mask_that_its_norm_would_break():
    trunk = build_trunk(TrunkSpec(name="resnet", width=0.25))
    with pytest.raises(ValueError, match="takes no mask"):
        trunk(pictures(trunk.spec), torch.ones(2, 1, 84, 84))


def test_a_mask_of_another_size_is_pooled_to_the_maps():
    mask = torch.zeros(1, 1, 8, 8)
    mask[:, :, :4] = 1
    masked = apply_mask(torch.ones(1, 2, 4, 4), mask)
    assert masked[0, 0].sum() == 8


@pytest.mark.parametrize(
    ("values", "message"),
    [({"name": "vgg"}, "choose one of"), ({"width": 0.0}, "above 0"), ({"pool": 0}, "above 0")],
)
def test_wrong_specs_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        TrunkSpec(**values)


def test_strides_that_a_trunk_does_not_have_are_refused():
    with pytest.raises(ValueError, match="stem strides"):
        build_trunk(TrunkSpec(name="resnet", stem_stride=3))
    with pytest.raises(ValueError, match="pools its input"):
        build_trunk(TrunkSpec(name="nature", pool=3))


def test_a_spec_survives_json():
    spec = TrunkSpec(name="plain", mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0), in_channels=3)
    import json

    assert TrunkSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
