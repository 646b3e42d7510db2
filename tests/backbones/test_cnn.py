"""Trunks keep their contract: what they state is what comes out, whatever the pictures."""

import pytest
import torch
from torch.testing import assert_close

from backbones.cnn import build_trunk
from backbones.norm import make_norm
from backbones.tower import pool_board
from backbones.training.errors import UserError
from backbones.trunk import (
    NAMES,
    NORMS,
    TrunkSpec,
    apply_mask,
    channels_last,
    flattened,
    max_pool_bytes,
    take_rows,
)

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
        id(p)
        for stage in trunk.stages
        for module in trunk.stage_modules(stage)
        for p in module.parameters()
    }
    assert belonging == {id(p) for p in trunk.parameters()}
    trained = {k: p for k, p in trunk.named_parameters() if p.requires_grad}
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in trained.values())
    # Only airbench has layers that never train: its whitening and the scales of its norms.
    assert name == "airbench" or len(trained) == len(list(trunk.parameters()))


@pytest.mark.parametrize("name", NAMES)
def test_pictures_of_28_pixels_work_with_a_stem_stride_of_1(name):
    trunk = build_trunk(TrunkSpec(name=name, width=0.25, in_channels=1, stem_stride=1))
    maps = trunk(pictures(trunk.spec, size=28))
    assert maps["s1"].shape[2] in (27, 28)
    for stage, values in maps.items():
        assert abs(values.shape[2] - 28 / trunk.strides[stage]) <= 3
        assert values.shape[2] >= 1
        assert values.isfinite().all()


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
    entered = trunk.normalise(torch.full((1, 4, 84, 84), 255, dtype=torch.uint8))
    assert_close(entered, torch.ones(1, 4, 84, 84))
    assert trunk(torch.zeros(1, 4, 84, 84, dtype=torch.uint8))["s1"].abs().sum() == 0


def test_mean_and_deviation_a_channel_are_those_of_the_spec():
    spec = TrunkSpec(name="plain", in_channels=3, mean=(10.0, 20.0, 30.0), std=(1.0, 2.0, 3.0))
    picture = torch.tensor([11, 24, 39], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    expected = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    assert_close(build_trunk(spec).normalise(picture), expected)


@pytest.mark.parametrize("shape", [(5, 4, 6, 8), (1, 3, 7, 7), (4, 1, 6, 6), (0, 4, 3, 3)])
def test_channels_come_last_in_memory_and_nothing_else_changes(shape):
    picture = torch.randint(0, 256, shape, dtype=torch.uint8)
    for source in (picture, picture.transpose(2, 3), picture.float()):
        found = channels_last(source)
        assert torch.equal(found, source)
        assert found.is_contiguous(memory_format=torch.channels_last)
    assert channels_last(found) is found


def test_pictures_of_other_channels_are_refused():
    with pytest.raises(ValueError, match="takes 4 channels, the picture has 3"):
        build_trunk(TrunkSpec())(torch.zeros(1, 3, 84, 84, dtype=torch.uint8))


@pytest.mark.parametrize("size", [2, 3, 4])
def test_byte_pooling_equals_torchs(size):
    picture = pictures(TrunkSpec(), size=13)
    expected = torch.nn.functional.max_pool2d(picture.float(), size)
    assert torch.equal(max_pool_bytes(picture, size).float(), expected)


@pytest.mark.parametrize("name", ["plain", "impala", "tower"])
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


REFUSING = [(name, "") for name in NAMES[3:] if name != "tower"]
REFUSING += [("plain", "batch"), ("plain", "group")]


@pytest.mark.parametrize(("name", "norm"), REFUSING)
def test_a_mask_that_norm_or_pooling_would_break_is_refused_with_the_reason(name, norm):
    trunk = build_trunk(TrunkSpec(name=name, width=0.25, norm=norm))
    with pytest.raises(UserError, match=r"takes no mask: its .* what lies outside"):
        trunk(pictures(trunk.spec), torch.ones(2, 1, 84, 84))


@pytest.mark.parametrize(("kind", "count"), [("none", 0), ("group", 6), ("batch", 6)])
def test_plain_has_the_norm_that_its_spec_names(kind, count):
    trunk = build_trunk(TrunkSpec(name="plain", width=0.25, norm=kind))
    layers = {"none": torch.nn.Linear, "group": torch.nn.GroupNorm, "batch": torch.nn.BatchNorm2d}
    assert sum(isinstance(m, layers[kind]) for m in trunk.modules()) == count
    convs = [m for m in trunk.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convs) == 6
    assert all((conv.bias is None) == (kind != "none") for conv in convs)


def test_a_norm_stands_between_the_convolution_and_its_relu():
    trunk = build_trunk(TrunkSpec(name="plain", width=0.25, norm="batch"))
    maps = trunk(pictures(trunk.spec))["s1"]
    # Half of what a BatchNorm lets out is below 0 before the ReLU, and the rest has a known size.
    assert 0.3 < (maps == 0).float().mean() < 0.7
    assert_close(maps.mean(), torch.tensor(0.4), atol=0.05, rtol=0)
    assert_close(maps.square().mean(), torch.tensor(0.5), atol=0.1, rtol=0)


def test_groups_have_16_channels_where_they_divide():
    assert [make_norm("group", c).num_groups for c in (16, 64, 24, 4)] == [1, 4, 3, 1]


def test_every_trunk_has_norms_and_refuses_others():
    assert tuple(NORMS) == NAMES
    assert TrunkSpec(name="resnet18").norm_kind == "batch"
    assert TrunkSpec(name="resnet").norm_kind == "group"
    assert TrunkSpec(name="plain").norm_kind == "none"
    with pytest.raises(UserError, match="nature has none"):
        TrunkSpec(name="nature", norm="batch")
    with pytest.raises(UserError, match="airbench has batch"):
        TrunkSpec(name="airbench", norm="layer")


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
    with pytest.raises(UserError, match="vgg11 has the stem strides 1, 2, 4, not 8"):
        build_trunk(TrunkSpec(name="vgg11", stem_stride=8))
    with pytest.raises(ValueError, match="pools its input"):
        build_trunk(TrunkSpec(name="nature", pool=3))


def old_names(name):
    """Tensors of the trunks that were saved before there was a choice of norms."""
    kinds = ("weight", "bias")
    if name == "nature":
        return [f"s{i}.{k}" for i in (1, 2, 3) for k in kinds]
    if name == "plain":
        return [f"s{i}.{j}.{k}" for i in (1, 2, 3) for j in (0, 1) for k in kinds]
    if name == "impala":
        layers = ["conv", *(f"blocks.{j}.conv{c}" for j in (0, 1) for c in (1, 2))]
        return [f"s{i}.{layer}.{k}" for i in (1, 2, 3) for layer in layers for k in kinds]
    out = ["conv1.weight", "bn1.weight", "bn1.bias"]
    for block in [f"layer{i}.{j}" for i in (1, 2, 3, 4) for j in (0, 1)]:
        for i in (1, 2):
            out += [f"{block}.conv{i}.weight", *(f"{block}.bn{i}.{k}" for k in kinds)]
        if block.endswith(".0") and block != "layer1.0":
            out += [f"{block}.downsample.0.weight", *(f"{block}.downsample.1.{k}" for k in kinds)]
    return out


@pytest.mark.parametrize("name", ["nature", "impala", "plain", "resnet"])
def test_specs_and_networks_saved_before_norms_could_be_chosen_still_load(name):
    old = {
        "name": name,
        "in_channels": 4,
        "width": 0.25,
        "pool": 1,
        "stem_stride": None,
        "stage_stride": 2,
        "mean": [0.0],
        "std": [255.0],
    }
    trunk = build_trunk(TrunkSpec.from_dict(old))
    assert list(trunk.state_dict()) == ["mean", "std", *old_names(name)]


def test_a_spec_survives_json():
    spec = TrunkSpec(name="plain", mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0), in_channels=3)
    import json

    assert TrunkSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: f"{s.name}-{s.width}-{s.pool}")
def test_pictures_prepared_once_give_the_same_maps(spec):
    trunk, index = build_trunk(spec), torch.tensor([2, 0])
    picture = pictures(spec, 3)
    prepared = trunk.prepare(picture)
    assert prepared.dtype == torch.uint8
    expected = trunk(picture[index])
    for stage, maps in trunk.forward_prepared(take_rows(prepared, index)).items():
        assert torch.equal(maps, expected[stage])


def test_flattening_gives_the_gradient_in_the_layout_of_the_maps():
    picture = torch.rand(2, 3, 5, 5).contiguous(memory_format=torch.channels_last)
    weight, seen = torch.rand(2, 75), []
    for flatten in (flattened, lambda maps: maps.flatten(1)):
        leaf = picture.clone().requires_grad_()
        maps = leaf * 1
        maps.register_hook(lambda g: seen.append(g.clone()))
        out = flatten(maps)
        assert torch.equal(out, picture.flatten(1))
        (out * weight).sum().backward()
        seen.append(leaf.grad)
    assert torch.equal(seen[1], seen[3])
    assert torch.equal(seen[1], weight.view(2, 3, 5, 5))


def test_a_tower_has_as_many_blocks_as_are_asked_for_and_other_trunks_none():
    tower = build_trunk(TrunkSpec(name="tower", in_channels=3, width=0.25, blocks=5))
    assert len(tower.s2) + len(tower.s3) == 5 and tower.channels["s3"] == 16
    for spec in ({"name": "plain", "blocks": 5}, {"name": "tower", "blocks": -1}):
        with pytest.raises(UserError, match="blocks"):
            TrunkSpec(**spec)


def test_pooling_a_board_is_a_mean_and_a_maximum_of_its_inside():
    maps = torch.tensor([[[[1.0, 2.0], [6.0, 50.0]]]])
    mask = torch.tensor([[[[1.0, 1.0], [1.0, 0.0]]]])
    assert pool_board(maps, mask).tolist() == [[3.0, 6.0]]
    assert pool_board(maps, None).tolist() == [[14.75, 50.0]]
