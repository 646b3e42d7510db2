"""Road scenes: functions of seed and index, with CamVid's classes in about its shares."""

import numpy as np
import pytest

from backbones.training.errors import UserError
from tasks.data.formats.class_maps import CAMVID, VOID
from tasks.worlds.road_canvas import Camera, Light
from tasks.worlds.roads import road, roads

# Shares of the pixels of CamVid's training pictures in per cent, counted on its labels.
SHARES = {
    "sky": 17,
    "building": 24,
    "pole": 0.9,
    "road": 31,
    "pavement": 5,
    "tree": 9,
    "sign": 0.95,
    "fence": 1.2,
    "car": 6,
    "pedestrian": 0.63,
    "bicyclist": 0.33,
}


@pytest.fixture(scope="module")
def many():
    return roads(3, np.arange(60))


def test_a_scene_depends_on_seed_and_index_alone():
    picture, label = roads(5, np.array([7, 2]))
    again, labels = roads(5, np.array([2, 9, 7]))
    assert (picture[0] == again[2]).all() and (label[1] == labels[0]).all()
    assert (road(5, 7)[0] == picture[0]).all()
    assert (road(6, 7)[0] != picture[0]).any() and (road(5, 8)[0] != picture[0]).any()


def test_classes_have_about_the_shares_of_camvid(many):
    _, label = many
    seen = label[label != VOID]
    for number, name in enumerate(CAMVID.classes):
        share = 100 * float((seen == number).mean())
        assert SHARES[name] / 2.5 < share < SHARES[name] * 2.5, name
    assert 0 < (label == VOID).mean() < 0.06
    assert set(np.unique(label)) <= {*range(len(CAMVID.classes)), VOID}


def test_sky_is_above_and_road_below(many):
    _, label = many
    rows = np.arange(label.shape[1])[None, :, None]
    middles = [(rows * (label == k)).sum() / (label == k).sum() for k in range(11)]
    sky, building, _, ground, pavement = middles[:5]
    assert sky < building < pavement < ground


def test_pictures_and_labels_belong_together(many):
    picture, label = many
    # Within a label colours differ less than from label to label: edges lie in the same places.
    grey = picture.mean(1)
    step = np.abs(np.diff(grey, axis=2))
    edge = label[:, :, 1:] != label[:, :, :-1]
    assert step[edge].mean() > 2.5 * step[~edge].mean()


def test_any_size_is_drawn_and_a_tiny_one_refused():
    picture, label = road(1, 1, 45, 77)
    assert picture.shape == (3, 45, 77) and label.shape == (45, 77)
    with pytest.raises(UserError, match="16 x 128 pixels are too few for a road"):
        road(1, 1, 16, 128)


def test_what_is_twice_as_far_is_half_as_large_and_fades():
    camera = Camera(1.5, 100.0, 64.0, 48.0, 0.0)
    assert camera.seen(0, 1.5, 10) == (64, 48)
    assert camera.seen(2, 0, 10) == (84, 63) and camera.seen(2, 0, 20) == (74, 55.5)
    light = Light(1.0, (1, 1, 1), (200, 200, 200), 50.0, 0.0)
    near, far = light.shade((0, 0, 0), 1), light.shade((0, 0, 0), 50)
    assert near[0] < 5 and far[0] == pytest.approx(200 * (1 - np.exp(-1)))
