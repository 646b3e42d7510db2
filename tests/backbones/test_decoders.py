"""Decoders: sums and places by hand, and pictures of any size."""

import pytest
import torch
from torch.testing import assert_close

from backbones.cnn import build_trunk
from backbones.decoders import Fcn, enlarged, halves, unpooled
from backbones.training.errors import UserError
from backbones.trunk import TrunkSpec
from tasks.labels.segmenter import Segmenter


def segmenter(name="vgg11", decode="fcn", stages=(), size=(48, 64), classes=5):
    torch.manual_seed(0)
    norm = "" if name in ("nature", "impala", "alexnet") else "batch"
    trunk = build_trunk(TrunkSpec(name=name, in_channels=3, width=0.25, norm=norm))
    return Segmenter(trunk, decode, stages, classes, size)


def test_fcn_adds_the_scores_of_all_stages_enlarged():
    fcn = Fcn([1, 1], classes=1)
    for layer, factor in zip(fcn.scores, (2.0, 3.0), strict=True):
        layer.weight.data.fill_(factor)
        layer.bias.data.fill_(0.5)
    fine, coarse = torch.arange(16.0).view(1, 1, 4, 4), torch.full((1, 1, 2, 2), 7.0)
    assert_close(fcn([fine, coarse], (4, 4)), 2 * fine + 3 * 7 + 1)


def test_a_value_goes_back_to_where_the_largest_was():
    finer = torch.tensor([[9.0, 1, 0, 0], [0, 0, 0, 8], [0, 0, 7, 0], [0, 6, 0, 0]])
    values = torch.tensor([[1.0, 2], [3, 4]])
    back = unpooled(values.view(1, 1, 2, 2), finer.view(1, 1, 4, 4))[0, 0]
    expected = torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 2], [0, 0, 4, 0], [0, 3, 0, 0]])
    assert_close(back, expected)


@pytest.mark.parametrize("decode", ["fcn", "segnet"])
@pytest.mark.parametrize("name", ["vgg11", "plain", "resnet18", "impala"])
@pytest.mark.parametrize("size", [(48, 64), (37, 51)])
def test_scores_are_of_the_picture_s_size_whatever_it_is(name, decode, size):
    model = segmenter(name, decode, size=size)
    picture = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    scores = model(picture)
    assert scores.shape == (2, 5, *size) and scores.dtype == torch.float32
    scores.square().mean().backward()
    assert all(p.grad is not None for p in model.head.parameters())


def test_segnet_is_as_deep_as_its_trunk_and_ends_with_its_first_channels():
    model = segmenter("vgg11", "segnet")
    depths = [len(stage) for stage in model.head.stages]
    assert depths == [1, 1, 2, 2, 2]
    assert model.head.score.in_channels == model.cnn.channels["s1"]


def test_what_does_not_go_together_is_refused():
    with pytest.raises(UserError, match="take --trunk vgg11, plain or resnet18"):
        segmenter("nature", "segnet", size=(84, 84))
    with pytest.raises(UserError, match="--stages s9: vgg11 has the stages s1, s2"):
        segmenter("vgg11", stages=("s9",))
    with pytest.raises(UserError, match="too small"):
        segmenter("vgg11", size=(8, 8))


def test_the_last_three_stages_are_scored_unless_others_are_named():
    assert segmenter().stages == ("s3", "s4", "s5")
    assert segmenter(stages=("s5", "s2")).stages == ("s2", "s5")


def test_halves_tells_stages_that_halve_from_others():
    assert halves([(9, 8), (5, 4), (3, 2)]) and halves([(9, 8), (4, 4), (2, 2)])
    assert not halves([(9, 8), (5, 4), (2, 2)]) and not halves([(8, 8), (8, 8)])


def test_what_has_the_size_stays_as_it_is():
    values = torch.rand(1, 2, 3, 4)
    assert enlarged(values, (3, 4)) is values
