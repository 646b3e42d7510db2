"""Augmentation moves what it says by what it says, and depends on the sample alone."""

import pytest
import torch
from torch.testing import assert_close

from tasks.data.augment import AugmentConfig, augment, crop, cutout, flip, mirrored, mixed, resample

EVERYTHING = AugmentConfig(
    flip=True,
    crop_px=2,
    rotate_deg=10.0,
    scale=0.1,
    shear=0.1,
    shift=0.1,
    elastic_px=1.0,
    cutout_px=4,
)


def pictures(count=6, channels=3, side=12):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, channels, side, side), generator=generator).byte()


def test_what_happens_to_a_picture_depends_on_no_other():
    picture, index = pictures(), torch.tensor([5, 9, 2, 77, 1, 0])
    whole = augment(picture, index, seed=1, epoch=3, config=EVERYTHING)
    order = torch.tensor([4, 0, 3])
    part = augment(picture[order], index[order], seed=1, epoch=3, config=EVERYTHING)
    assert_close(part, whole[order])
    for seed, epoch in ((2, 3), (1, 4)):
        assert not torch.equal(augment(picture, index, seed, epoch, EVERYTHING), whole)


def test_nothing_asked_is_nothing_done():
    picture = pictures()
    assert augment(picture, torch.arange(6), 1, 1, AugmentConfig()) is picture


def test_every_picture_is_mirrored_in_every_other_epoch():
    picture, index, config = pictures(), torch.arange(6), AugmentConfig(flip=True)
    epochs = [augment(picture, index, 1, epoch, config) for epoch in range(3)]
    for i in range(6):
        assert torch.equal(epochs[0][i], epochs[1][i].flip(-1))
        assert torch.equal(epochs[0][i], epochs[2][i])
    mirrored_at_first = [not torch.equal(epochs[0][i], picture[i]) for i in range(6)]
    assert 0 < sum(mirrored_at_first) < 6


def test_flip_mirrors_left_and_right_only_where_asked():
    picture = torch.tensor([[[[1, 2], [3, 4]]], [[[1, 2], [3, 4]]]])
    flipped = flip(picture, torch.tensor([True, False]))
    assert flipped.tolist() == [[[[2, 1], [4, 3]]], [[[1, 2], [3, 4]]]]


def test_a_crop_by_hand():
    picture = torch.arange(9).view(1, 1, 3, 3)
    # Of offsets -1, 0, 1: rows one down, columns as they are.
    moved = crop(picture, 1, torch.tensor([[0.9, 0.5]]))
    assert moved.tolist() == [[[[3, 4, 5], [6, 7, 8], [3, 4, 5]]]]


def test_what_lies_outside_is_mirrored_without_its_edge():
    places = torch.tensor([[-2, -1, 0, 2, 3, 4]])
    assert mirrored(places, 3).tolist() == [[2, 1, 0, 2, 1, 0]]


def test_no_movement_is_the_picture_itself():
    picture = pictures()
    config = AugmentConfig(rotate_deg=30.0, shift=0.2, scale=0.3, shear=0.2)
    still = torch.full((6, 12), 0.5)
    assert_close(resample(picture, still, config), picture.float(), atol=1e-3, rtol=0)


def test_a_shift_moves_by_its_share_of_the_side():
    picture = torch.zeros(1, 1, 10, 10)
    picture[0, 0, 4, 4] = 100
    noise = torch.full((1, 12), 0.5)
    noise[0, 5] = 1.0  # the whole of 0.2 x 10 pixels to one side
    moved = resample(picture, noise, AugmentConfig(shift=0.2))
    assert moved[0, 0, 4].argmax() == 2 and moved.sum() == pytest.approx(100, abs=0.1)


def test_a_quarter_turn_is_a_quarter_turn():
    picture = pictures(count=1, side=8)
    noise = torch.full((1, 12), 0.5)
    noise[0, 2] = 1.0
    turned = resample(picture, noise, AugmentConfig(rotate_deg=90.0))
    both = [torch.rot90(picture, k, (2, 3)).float() for k in (1, 3)]
    assert min(float((turned - other).abs().max()) for other in both) < 0.1


def test_cutout_blackens_one_square():
    white = torch.full((50, 1, 9, 9), 255, dtype=torch.uint8)
    generator = torch.Generator().manual_seed(0)
    cut = cutout(white, 3, torch.rand(50, 2, generator=generator))
    black = (cut == 0).sum((1, 2, 3))
    assert black.max() == 9 and black.min() >= 1


def test_mixup_keeps_at_least_half_of_a_picture():
    picture = pictures()
    blended, own = mixed(picture, (1, 5), alpha=0.4)
    assert 0.5 <= own <= 1
    assert_close(blended[0], picture[0] * own + picture[-1] * (1 - own))
    assert mixed(picture, (1, 5), alpha=0.4)[1] == own != mixed(picture, (1, 6), alpha=0.4)[1]


def test_augmentation_below_nothing_is_refused():
    with pytest.raises(ValueError, match="0 or above"):
        AugmentConfig(crop_px=-1)


def test_zoom_enlarges_a_square_inside_the_picture():
    config = AugmentConfig(zoom=0.5)
    noise = torch.full((2, 12), 0.5)
    # The top left quarter, at twice its size: a ramp to the right rises half as fast.
    noise[:, 7], noise[:, 10:12] = 1.0, 0.0
    ramp = torch.arange(16.0).expand(2, 1, 16, 16).contiguous()
    seen = resample(ramp, noise, config)
    assert_close(seen[0, 0, 3, 1:], torch.arange(1.0, 16) / 2 - 0.25)
    noise[:, 7] = 0.0
    assert_close(resample(ramp, noise, config), ramp)
    white = torch.full((64, 1, 16, 16), 255, dtype=torch.uint8)
    inside = augment(white, torch.arange(64), 1, 1, config)[:, :, 1:-1, 1:-1]
    assert inside.min() > 254.9
