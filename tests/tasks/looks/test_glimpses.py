"""Looks as pictures: the way so far, the frames, the patches as they were seen."""

import numpy as np
import torch

from tasks.looks.glimpses import BEFORE, NOW, look_pictures, side_by_side


def has(pixels, colour):
    return bool((pixels == np.array(colour)).all(-1).any())


def test_every_look_has_a_picture_with_its_frames_and_the_way_there():
    picture = torch.zeros(1, 84, 84, dtype=torch.uint8)
    place = torch.tensor([[0.0, 0.0], [0.5, -0.5], [-0.5, 0.5]])
    patches = torch.zeros(3, 2, 1, 8, 8)
    patches[1, 1] = 200.0
    frames = look_pictures(picture, place, patches, ["a", "b", "c"])
    assert frames.shape[0] == 3 and frames.shape[2] == 168
    assert all(has(frame, NOW) for frame in frames)
    assert [has(frame, BEFORE) for frame in frames] == [False, True, True]
    # The finer of two frames about the middle is 8 pixels wide, enlarged by 2.
    assert tuple(frames[0, 84 - 8, 84]) == NOW and tuple(frames[0, 84 - 16, 84]) == NOW
    # Below it are the two patches, of which the second look's wider one is grey.
    assert [has(frame, (200, 200, 200)) for frame in frames] == [False, True, False]
    row = side_by_side(frames)
    assert row.shape[0] == frames.shape[1] and row.shape[1] == 3 * (168 + 4)
