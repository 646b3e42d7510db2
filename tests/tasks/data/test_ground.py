"""Drawings in any two shades read as the training's; what that had stays as it is."""

import pytest
import torch

from tasks.data.ground import on_ground, trained_ground


def drawing(ground, stroke):
    picture = torch.full((1, 28, 28), ground, dtype=torch.uint8)
    picture[0, 6:22, 12:16] = stroke
    return picture


@pytest.mark.parametrize(
    ("ground", "stroke"), [(255, 0), (200, 90), (60, 130), (0, 100), (90, 255)]
)
@pytest.mark.parametrize("wanted", [0, 255])
def test_a_drawing_in_any_two_shades_reads_as_the_trainings(ground, stroke, wanted):
    found, said = on_ground(drawing(ground, stroke), wanted)
    assert torch.equal(found, drawing(wanted, 255 - wanted))
    assert bool(said) == ((ground, stroke) != (wanted, 255 - wanted))


def test_what_training_had_stays_and_faint_ones_are_named():
    noisy = drawing(10, 200) + torch.randint(0, 9, (1, 28, 28), dtype=torch.uint8)
    assert on_ground(noisy, 0) == (noisy, "")
    assert "nearly one shade" in on_ground(drawing(100, 110), 0)[1]
    photo = torch.randint(0, 255, (1, 28, 28), dtype=torch.uint8)
    assert on_ground(photo, 0) == (photo, "")


def test_the_ground_of_a_run_is_known_from_its_means():
    about = {"mean": [33.0], "std": [79.0], "channels": 1}
    assert trained_ground(about) == 0
    assert trained_ground({**about, "mean": [222.0]}) == 255
    assert trained_ground({**about, "mean": [120.0]}) is None
    assert trained_ground({"mean": [33.0] * 3, "std": [79.0] * 3, "channels": 3}) is None
