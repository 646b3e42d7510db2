"""The classics have the sizes of their papers; frozen statistics stay; airbench whitens."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from backbones.airbench import Group
from backbones.cnn import build_trunk
from backbones.training.errors import UserError
from backbones.transfer import TrunkConfig
from backbones.trunk import TrunkSpec

# Without the classifier: torchvision's and timm's own counts. Of VGG with norm, 4,224 scales and
# shifts twice, less 4,224 biases of the convolutions, which ours lack.
PARAMETERS = {
    ("alexnet", ""): 2_469_696,
    ("vgg11", ""): 9_220_480,
    ("vgg16", ""): 14_714_688,
    ("vgg16", "batch"): 14_714_688 + 4_224,
    ("googlenet", ""): 5_599_904,
    ("resnet18", ""): 11_176_512,
    ("resnet18", "group"): 11_176_512,
    ("resnet50", ""): 23_508_032,
    # 24 filters of 12 numbers and a bias; six convolutions; scales and shifts of their norms.
    ("airbench", ""): 24 * 13
    + 9 * (24 * 64 + 64 * 64 + 64 * 256 + 3 * 256 * 256)
    + 4 * (64 + 256 + 256),
}
MAPS = {
    "alexnet": ((256, 13, 13), [64, 192, 256], [4, 8, 16]),
    "vgg11": ((512, 14, 14), [64, 128, 256, 512, 512], [1, 2, 4, 8, 16]),
    "googlenet": ((1024, 7, 7), [192, 480, 832, 1024], [4, 8, 16, 32]),
    "resnet50": ((2048, 7, 7), [256, 512, 1024, 2048], [4, 8, 16, 32]),
    "airbench": ((256, 27, 27), [64, 256, 256], [2, 4, 8]),
}
NORMED = ("googlenet", "resnet18", "resnet50", "airbench")


def trunk_of(name, **values):
    return build_trunk(TrunkSpec(name=name, in_channels=3, **values))


def pictures(count=2, size=64):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, size, size), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize(("name", "norm"), PARAMETERS)
def test_parameters_are_as_many_as_published(name, norm):
    trunk = trunk_of(name, norm=norm)
    assert sum(p.numel() for p in trunk.parameters()) == PARAMETERS[name, norm]


@pytest.mark.parametrize("name", MAPS)
def test_pictures_of_imagenets_size_give_the_maps_of_the_paper(name):
    trunk = trunk_of(name)
    output, channels, strides = MAPS[name]
    assert list(trunk.channels.values()) == channels
    assert list(trunk.strides.values()) == strides
    assert trunk.conv_output(224, 224) == output


def test_the_3x3_convolution_of_a_bottleneck_strides():
    block = trunk_of("resnet50", width=0.25).layer2[0]
    assert [conv.stride[0] for conv in (block.conv1, block.conv2, block.conv3)] == [1, 2, 1]


@pytest.mark.parametrize("name", ["vgg11", "alexnet", "googlenet", "resnet18", "airbench"])
def test_without_strides_the_maps_keep_the_size_of_the_picture(name):
    trunk = trunk_of(name, width=0.1, stem_stride=1, stage_stride=1)
    for maps in trunk(pictures(size=12)).values():
        assert maps.shape[2] == (11 if name == "airbench" else 12)


def test_pictures_that_are_too_small_are_refused():
    with pytest.raises(UserError, match="8 x 8 are too small for this alexnet trunk"):
        trunk_of("alexnet", width=0.1).conv_output(8, 8)


def statistics(trunk, stage):
    return [
        tensor.clone()
        for module in trunk.stage_modules(stage)
        for name, tensor in module.state_dict().items()
        if "running" in name or "tracked" in name
    ]


@pytest.mark.parametrize("name", [*NORMED, "vgg11"])
def test_a_frozen_stage_keeps_its_statistics_through_training(name):
    trunk = trunk_of(name, width=0.1, norm="batch")
    model = nn.ModuleDict({"cnn": trunk, "head": nn.Linear(2, 2)})
    trunk.freeze(("s1",))
    before = {stage: statistics(trunk, stage) for stage in trunk.stages}
    model.eval()
    model.train()
    trunk(pictures())
    assert all(not p.requires_grad for m in trunk.stage_modules("s1") for p in m.parameters())
    assert before["s1"]
    assert all(map(torch.equal, before["s1"], statistics(trunk, "s1")))
    assert not any(map(torch.equal, before["s2"], statistics(trunk, "s2")))


def test_frozen_at_once_or_one_after_another_is_the_same():
    trunk = trunk_of("resnet18", width=0.1)
    trunk.freeze(("s1",))
    trunk.freeze(("s2", "s1"))
    assert trunk.frozen == ("s1", "s2")
    norms = [m for m in trunk.modules() if isinstance(m, nn.BatchNorm2d)]
    # The stem's and four of the first stage; five of the second; the rest train.
    assert [norm.training for norm in norms] == [False] * 10 + [True] * 10


@pytest.mark.parametrize("name", NORMED)
def test_asking_for_the_size_of_maps_leaves_no_trace_in_the_statistics(name):
    trunk = trunk_of(name, width=0.1)
    before = {k: v.clone() for k, v in trunk.state_dict().items()}
    trunk.conv_output(64, 64)
    assert trunk.training
    assert all(torch.equal(v, before[k]) for k, v in trunk.state_dict().items())


def test_the_command_lines_norm_reaches_the_trunk():
    assert TrunkConfig(trunk="plain", norm="batch").spec(3).norm_kind == "batch"
    assert TrunkConfig(trunk="resnet18").spec(3).norm == ""
    with pytest.raises(UserError, match=r"norm 'batch': impala has none"):
        TrunkConfig(trunk="impala", norm="batch")


def test_whitened_patches_have_covariance_1():
    trunk = trunk_of("airbench", mean=(120.0, 110.0, 100.0), std=(60.0, 60.0, 60.0))
    # Neighbours alike and colours alike, as in photos.
    coarse = nn.functional.interpolate(pictures(600, 8).float(), size=16, mode="bilinear")
    picture = (0.5 * coarse + 0.5 * coarse.mean(1, keepdim=True)).to(torch.uint8)
    trunk.whiten(picture)
    entered = trunk.normalise(trunk.prepare(picture))
    out = nn.functional.conv2d(entered, trunk.whitening.weight)
    assert_close(out[:, :12], -out[:, 12:])
    flat = out[:, :12].transpose(0, 1).flatten(1)
    covariance = flat @ flat.T / flat.shape[1]
    # Directions of variance v come out with v / (v + 5e-4): the smallest ones stay below 1.
    assert_close(covariance - torch.diag(covariance.diag()), torch.zeros(12, 12), atol=1e-3, rtol=0)
    assert (covariance.diag() <= 1.001).all()
    assert (covariance.diag()[:8] > 0.95).all()
    assert not trunk.whitening.weight.requires_grad
    assert trunk.whitening.bias.requires_grad


def test_whitening_does_not_depend_on_the_parts_it_is_done_in(monkeypatch):
    whole, parts = trunk_of("airbench", width=0.1), trunk_of("airbench", width=0.1)
    whole.whiten(pictures(20, 8))
    monkeypatch.setattr("backbones.airbench.AT_ONCE", 7)
    parts.whiten(pictures(20, 8))
    assert_close(whole.whitening.weight, parts.whitening.weight)


def test_too_few_patches_to_whiten_with_are_refused():
    with pytest.raises(UserError, match="1 patches cannot whiten 12 directions"):
        trunk_of("airbench", width=0.1).whiten(pictures(1, 2))


def test_before_whitening_pixels_and_their_negatives_pass():
    trunk = trunk_of("airbench", width=0.1, std=(1.0,))
    out = trunk.whitening(pictures().float())
    assert_close(out[:, 0], pictures()[:, 0, :-1, :-1].float())
    assert_close(out[:, 12], -pictures()[:, 0, :-1, :-1].float())


def test_airbench_passes_its_input_through_at_first():
    maps = torch.rand(2, 8, 12, 12)
    group = Group(8, 16, 2, "batch")
    assert_close(group.conv1(maps)[:, :8], maps)
    wide = torch.rand(2, 16, 12, 12)
    assert_close(group.conv2(wide), wide)
    group.eval()
    passed = nn.functional.gelu(nn.functional.gelu(nn.functional.max_pool2d(maps, 2)))
    assert_close(group(maps)[:, :8], passed)


def test_airbench_renews_two_fifths_of_its_statistics_and_keeps_its_scales():
    group = Group(8, 8, 1, "batch")
    maps = torch.rand(4, 8, 12, 12)
    group(maps)
    assert_close(group.norm1.running_mean, 0.4 * maps.mean((0, 2, 3)))
    trained = {name for name, p in group.named_parameters() if p.requires_grad}
    assert trained == {"conv1.weight", "conv2.weight", "norm1.bias", "norm2.bias"}
