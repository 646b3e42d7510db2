"""Strokes: points evenly along the pen's way, offsets and back, dots and points that repeat."""

import numpy as np
import pytest

from tasks.data.strokes import Line, length_of, letter_spacing, offsets, spaced, strokes_of

CORNER = np.array([[0.0, 0.0], [0.0, 0.0], [3.0, 0.0], [3.0, 0.0], [3.0, 4.0]])


def test_points_lie_evenly_along_the_way_and_ends_are_kept():
    points = spaced(CORNER, 0.5)
    assert points[0].tolist() == [0, 0] and points[-1].tolist() == [3, 4]
    assert len(points) == 15 and length_of(CORNER) == 7
    assert np.allclose(np.linalg.norm(np.diff(points, axis=0), axis=1), 0.5)


def test_how_often_the_pen_was_looked_at_changes_nothing():
    often = np.stack([np.linspace(0, 3, 1_000), np.zeros(1_000)], axis=1)
    assert np.allclose(spaced(often, 0.3), spaced(often[[0, -1]], 0.3))


@pytest.mark.parametrize("stroke", [np.ones((1, 2)), np.ones((5, 2))])
def test_a_dot_is_one_point_however_long_it_was_held(stroke):
    assert spaced(stroke, 0.1).tolist() == [[1, 1]]


def test_offsets_lead_back_to_the_strokes_they_are_of():
    strokes = [CORNER, np.array([[9.0, 9.0]]), np.array([[1.0, 1.0], [2.0, 1.0]])]
    moves = offsets(strokes, 0.5)
    assert moves[0].tolist() == [0, 0, 0] and moves[:, 2].sum() == 3
    back = strokes_of(moves)
    for ours, theirs in zip(back, strokes, strict=True):
        assert np.allclose(ours * 0.5, spaced(theirs, 0.5), atol=1e-5)


def test_the_unit_gives_a_letter_so_many_points():
    line = Line("ab c", [CORNER])
    assert letter_spacing([line], 10) == pytest.approx(7 / 3 / 10)
    strokes = [CORNER, CORNER[:1], CORNER[:1]]
    assert letter_spacing([Line("", strokes)], 10) == pytest.approx(7 / 3 / 10)
    assert letter_spacing([Line("", strokes[1:])], 10) == 0
