"""Handwriting as pictures: the same line in three forms, bounded, whatever its strokes are."""

import io
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from tasks.looks.strokes import MOST_WIDTH_PX, animation, drawn, looked, pixels, smooth, svg

LINE = [np.array([[0.0, 0.0], [1.0, 2.0], [2.0, 0.0], [3.0, 2.0]]), np.array([[1.5, -1.0]])]


def test_curves_begin_and_end_where_strokes_do():
    curve = smooth(LINE[0])
    assert curve[0].tolist() == [0, 0] and curve[-1].tolist() == [3, 2] and len(curve) > 12
    assert smooth(LINE[1]) is LINE[1]


def test_an_svg_has_a_path_for_each_stroke_inside_its_box():
    root = ElementTree.fromstring(svg(LINE))
    paths = [node.get("d") for node in root.iter() if node.tag.endswith("path")]
    assert len(paths) == 2
    width, height = (float(root.get(side)) for side in ("width", "height"))
    numbers = np.array([float(n) for d in paths for n in re.findall(r"-?\d+\.\d", d)])
    assert (numbers[::2] <= width).all() and (numbers[1::2] <= height).all() and numbers.min() >= 0


def test_pixels_are_black_on_white_where_the_pen_was():
    picture = pixels(LINE, 90)
    assert picture.shape[0] == 90 and picture.max() == 255 and picture.min() < 50
    assert 0.02 < (picture < 128).mean() < 0.4


def test_an_animation_ends_with_the_whole_line():
    frames = Image.open(io.BytesIO(animation(LINE)))
    inked = []
    for number in range(frames.n_frames):
        frames.seek(number)
        inked.append(int((np.asarray(frames.convert("L")) < 128).sum()))
    assert len(inked) == 3 and inked == sorted(inked) and inked[0] < inked[-1]


@pytest.mark.parametrize(
    "strokes", [[np.zeros((1, 2))], [np.array([[0.0, 0.0], [1e6, 0.0]])], [np.zeros((3, 2))]]
)
def test_dots_and_endless_lines_make_pictures_of_bounded_size(strokes):
    picture = pixels(strokes)
    assert picture.shape[0] <= 96 + 1 and picture.shape[1] <= MOST_WIDTH_PX + 1
    ElementTree.fromstring(svg(strokes))


def test_a_window_is_black_where_it_lay_most():
    picture = looked(np.array([[1.0, 0.0], [0.25, 0.5], [0.0, 1.0]]))
    assert picture.shape == (2 * 16, 3 * 4)
    assert picture[0, 0] == picture[-1, -1] == 0 and picture[0, -1] == 255
    assert picture[0, 4] == 191 and looked(np.zeros((2, 2))).min() == 255


def test_lines_stand_below_each_other():
    assert drawn([LINE, LINE]).shape[0] == 2 * drawn([LINE]).shape[0]
