"""Weights under the names of timm and torchvision start our trunks, or the misfit is named.

The names and layouts here are written out by hand. Outputs were once compared with timm 1.0.31 and
torchvision 0.28.0 themselves (all trunks below, random weights): equal to 3e-6 of the largest.
"""

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn
from torch.testing import assert_close

from backbones.cnn import build_trunk
from backbones.start import start_from
from backbones.training.errors import UserError
from backbones.transfer import TrunkConfig, full_name, load_backbone, save_backbone
from backbones.trunk import TrunkSpec

WIDTH = 0.125
MEAN, STD = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
DEPTHS = {"resnet18": (2, 2, 2, 2), "resnet50": (3, 4, 6, 3)}
# Channels of a flat list of layers, P for pooling.
LISTS = {
    "vgg11": (8, "P", 16, "P", 32, 32, "P", 64, 64, "P", 64, 64, "P"),
    "vgg16": (8, 8, "P", 16, 16, "P", 32, 32, 32, "P", 64, 64, 64, "P", 64, 64, 64, "P"),
}


def trunk_of(name, in_channels=3, **values):
    return build_trunk(TrunkSpec(name=name, in_channels=in_channels, width=WIDTH, **values))


def init_trunk(trunk, source):
    """Start a trunk, as a model's only backbone, from what `--init` names; return log lines."""
    return start_from(nn.ModuleDict({"cnn": trunk}), source, lambda run, found: False)


def picture(size=64, channels=3):
    generator = torch.Generator().manual_seed(0)
    shape = (2, channels, size, size)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def normalised(picture):
    return (picture.float() - MEAN.view(1, 3, 1, 1)) / STD.view(1, 3, 1, 1)


def drawn(module):
    """Return a module's tensors, its norms with statistics of their own."""
    generator = torch.Generator().manual_seed(1)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for tensor in (layer.running_mean, layer.bias.data):
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.2)
            for tensor in (layer.running_var, layer.weight.data):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return {k: v.contiguous() for k, v in module.state_dict().items()}


def flat(name, batch):
    """Return the `features` of a published VGG, narrow."""
    layers, previous = [], 3
    for item in LISTS[name]:
        if item == "P":
            layers.append(nn.MaxPool2d(2, 2))
            continue
        norm = [nn.BatchNorm2d(item)] if batch else []
        layers += [nn.Conv2d(previous, item, 3, padding=1), *norm, nn.ReLU()]
        previous = item
    return nn.Sequential(*layers).eval()


def alexnet():
    conv, relu, pool = nn.Conv2d, nn.ReLU(), nn.MaxPool2d(3, 2)
    return nn.Sequential(
        conv(3, 8, 11, 4, 2),
        relu,
        pool,
        conv(8, 24, 5, 1, 2),
        relu,
        pool,
        conv(24, 48, 3, 1, 1),
        relu,
        conv(48, 32, 3, 1, 1),
        relu,
        conv(32, 32, 3, 1, 1),
        relu,
        pool,
    )


def resnet_file(name):
    """Return tensors under the published names of a ResNet, narrow."""
    shapes, previous, up = {"conv1": (8, 3, 7), "bn1": 8}, 8, 4 if name == "resnet50" else 1
    for i, depth in enumerate(DEPTHS[name], start=1):
        c = 8 * 2 ** (i - 1)
        for j in range(depth):
            block = f"layer{i}.{j}"
            kernels = (
                ((c, previous, 1), (c, c, 3), (4 * c, c, 1))
                if up == 4
                else ((c, previous, 3), (c, c, 3))
            )
            for k, shape in enumerate(kernels, start=1):
                shapes |= {f"{block}.conv{k}": shape, f"{block}.bn{k}": shape[0]}
            if j == 0 and (i > 1 or up == 4):
                shapes |= {f"{block}.downsample.0": (up * c, previous, 1)}
                shapes |= {f"{block}.downsample.1": up * c}
            previous = up * c
    modules = {
        layer: nn.BatchNorm2d(s) if isinstance(s, int) else nn.Conv2d(*s[1::-1], s[2], bias=False)
        for layer, s in shapes.items()
    }
    file = {
        f"{layer}.{k}": v for layer, module in modules.items() for k, v in drawn(module).items()
    }
    return file | {"fc.weight": torch.zeros(10, previous), "fc.bias": torch.zeros(10)}


def obvious_resnet(file, maps, depths):
    """Return the last maps of a ResNet, step by step from the tensors of its file."""

    def conv(name, x, stride=1):
        weight = file[f"{name}.weight"]
        return F.conv2d(x, weight, None, stride, weight.shape[2] // 2)

    def norm(name, x):
        kinds = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(file[f"{name}.{kind}"] for kind in kinds))

    maps = F.max_pool2d(norm("bn1", conv("conv1", maps, 2)).relu(), 3, 2, 1)
    for block in [f"layer{i}.{j}" for i, depth in enumerate(depths, 1) for j in range(depth)]:
        stride = 2 if block.endswith(".0") and block != "layer1.0" else 1
        kept, last = maps, 3 if f"{block}.conv3.weight" in file else 2
        for k in range(1, last + 1):
            x = conv(f"{block}.conv{k}", maps, stride if k == last - 1 else 1)
            maps = norm(f"{block}.bn{k}", x)
            maps = maps.relu() if k < last else maps
        if f"{block}.downsample.0.weight" in file:
            kept = norm(f"{block}.downsample.1", conv(f"{block}.downsample.0", kept, stride))
        maps = (maps + kept).relu()
    return maps


def googlenet_names():
    layers = ["conv1", "conv2", "conv3"]
    for block in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
        branches = ("branch1", "branch2.0", "branch2.1", "branch3.0", "branch3.1", "branch4.1")
        layers += [f"inception{block}.{branch}" for branch in branches]
    kinds = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    return [
        n for layer in layers for n in (f"{layer}.conv.weight", *(f"{layer}.bn.{k}" for k in kinds))
    ]


@pytest.mark.parametrize("name", DEPTHS)
def test_a_published_resnet_gives_the_maps_of_its_file(name, tmp_path):
    file, path = resnet_file(name), tmp_path / "model.safetensors"
    save_file(file, path, {"format": "pt"})
    trunk = trunk_of(name).eval()
    said = init_trunk(trunk, str(path))
    assert f"{path} (its head (fc) is left out)" in said[0]
    spec = TrunkSpec(name=name, in_channels=3, width=WIDTH, mean=(0.0,) * 3, std=(255.0,) * 3)
    trunk = build_trunk(spec).eval()
    said = init_trunk(trunk, str(path))
    assert "mean 123.7 116.3 103.5, deviation 58.4 57.1 57.4" in said[1]
    expected = obvious_resnet(file, normalised(picture()), DEPTHS[name])
    assert_close(trunk(picture())["s4"], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("batch", [False, True])
def test_a_published_vgg_gives_the_maps_of_its_file(name, batch, tmp_path):
    theirs, path = flat(name, batch), tmp_path / "model.safetensors"
    file = {f"features.{k}": v for k, v in drawn(theirs).items()}
    save_file(
        file | {"pre_logits.fc1.weight": torch.zeros(2), "head.fc.bias": torch.zeros(2)}, path
    )
    spec = TrunkSpec(
        name=name,
        in_channels=3,
        width=WIDTH,
        norm="batch" if batch else "",
        mean=(0.0,) * 3,
        std=(255.0,) * 3,
    )
    trunk = build_trunk(spec).eval()
    assert "head (head, pre_logits)" in init_trunk(trunk, str(path))[0]
    ours = F.max_pool2d(trunk(picture())["s5"], 2)
    assert_close(ours, theirs(normalised(picture())), atol=1e-5, rtol=1e-4)


def test_a_published_alexnet_gives_the_maps_of_its_file(tmp_path):
    theirs, path = alexnet(), tmp_path / "model.safetensors"
    save_file({f"features.{k}": v for k, v in drawn(theirs).items()}, path)
    spec = TrunkSpec(name="alexnet", in_channels=3, width=WIDTH, mean=(0.0,) * 3, std=(255.0,) * 3)
    trunk = build_trunk(spec)
    assert "it has no head" in init_trunk(trunk, str(path))[0]
    ours = F.max_pool2d(trunk(picture(96))["s3"], 3, 2)
    assert_close(ours, theirs(normalised(picture(96))), atol=1e-5, rtol=1e-4)


def test_googlenet_takes_torchvisions_names_and_its_own_normalisation(tmp_path):
    source, target = trunk_of("googlenet"), trunk_of("googlenet")
    values = [v for k, v in drawn(source).items() if k not in ("mean", "std")]
    path = tmp_path / "model.safetensors"
    file = dict(zip(googlenet_names(), values, strict=True))
    save_file(file | {"aux1.conv.conv.weight": torch.zeros(2)}, path)
    said = init_trunk(target, str(path))
    assert "head (aux1)" in said[0]
    assert "mean 127.5" in said[1]
    for name, value in source.state_dict().items():
        assert name in ("mean", "std") or torch.equal(value, target.state_dict()[name])
    assert target.mean.item() == target.std.item() == 127.5


@pytest.fixture
def resnet18(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file(resnet_file("resnet18"), path)
    return path


def test_the_normalisation_of_published_weights_goes_into_the_card(resnet18, tmp_path):
    trunk = trunk_of("resnet18", mean=(1.0, 2.0, 3.0), std=(1.0, 2.0, 3.0)).eval()
    init_trunk(trunk, str(resnet18))
    save_backbone(trunk, tmp_path / "cnn.safetensors", {})
    again, card = load_backbone(tmp_path / "cnn.safetensors")
    assert card["spec"]["mean"] == pytest.approx(MEAN.tolist())
    assert torch.equal(again.eval()(picture())["s4"], trunk(picture())["s4"])


def test_a_trunk_built_without_a_mean_still_subtracts_that_of_loaded_weights(resnet18):
    trunk = trunk_of("resnet18").eval()
    init_trunk(trunk, str(resnet18))
    entered = trunk.normalise(torch.zeros(1, 3, 4, 4, dtype=torch.uint8))
    assert_close(entered, torch.full((1, 3, 4, 4), -(MEAN.mean() / STD.mean()).item()))


@pytest.mark.parametrize(("channels", "how"), [(1, "their sum"), (4, "copies"), (12, "copies")])
def test_other_channels_get_an_adapted_first_layer_and_the_mean_over_colours(
    resnet18, channels, how
):
    trunk = trunk_of("resnet18", channels, mean=(0.0,) * channels, std=(255.0,) * channels)
    (said, _) = init_trunk(trunk, str(resnet18))
    assert "conv1.weight had 3 input channels" in said
    assert how in said
    expected = MEAN.repeat(4) if channels == 12 else MEAN.mean().expand(channels)
    assert_close(trunk.mean.flatten(), expected)


def test_files_that_lack_the_count_of_batches_load(resnet18):
    file = {k: v for k, v in resnet_file("resnet18").items() if not k.endswith("tracked")}
    save_file(file, resnet18)
    assert init_trunk(trunk_of("resnet18"), str(resnet18))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "nature"}, "has no card of Arcadia.*no nature; use --trunk"),
        ({"name": "resnet"}, "norm batch, this resnet trunk has group; use --trunk resnet18"),
        ({"name": "resnet18", "norm": "group"}, "use --norm batch"),
        ({"name": "resnet18", "stem_stride": 1}, "stem stride of 4, this trunk has 1"),
        ({"name": "resnet50"}, r"has no layer layer1\.0\.conv3\.weight"),
        ({"name": "vgg11", "norm": "batch"}, r"has no layer features\.0\.weight"),
        ({"name": "googlenet"}, r"has no layer conv1\.conv\.weight"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(resnet18, values, message):
    with pytest.raises(UserError, match=message):
        init_trunk(trunk_of(**values), str(resnet18))


def test_other_widths_and_layers_too_many_are_refused(resnet18):
    wide = build_trunk(TrunkSpec(name="resnet18", in_channels=3, width=0.25))
    with pytest.raises(UserError, match=r"layer conv1\.weight has shape .* --width"):
        init_trunk(wide, str(resnet18))
    save_file(resnet_file("resnet18") | {"layer1.2.conv1.weight": torch.zeros(1)}, resnet18)
    with pytest.raises(UserError, match=r"has a layer layer1\.2\.conv1\.weight; this resnet18"):
        init_trunk(trunk_of("resnet18"), str(resnet18))


def test_pickled_weights_are_refused_with_the_remedy():
    def start(text):
        init_trunk(trunk_of("resnet18"), text)

    for refuse in (full_name, start, lambda text: TrunkConfig(init=text)):
        with pytest.raises(UserError, match=r"not read.*convert them once with: .*save_file"):
            refuse("models/resnet18.pth")


def test_junk_is_refused(tmp_path):
    (tmp_path / "junk.safetensors").write_bytes(b"junk" * 10)
    for name in ("junk", "absent"):
        with pytest.raises(UserError, match="is not a backbone, nor a file of weights"):
            init_trunk(trunk_of("resnet18"), str(tmp_path / f"{name}.safetensors"))
