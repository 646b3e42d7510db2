"""Films have the pictures, the speed and the size that they were given."""

import av
import numpy as np
import pytest

from backbones.training.errors import UserError
from rl.shows.film import Film
from tests.rl.shows.panels import panel


def test_a_film_has_the_frames_and_the_speed_it_was_given(tmp_path):
    path = tmp_path / "a" / "film.mp4"
    show = Film(path, 30.0)
    for i in range(12):
        show.show(np.full((210, 160, 3), 20 * i, np.uint8), None, "")
    show.close()
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert stream.average_rate == 30
    assert len(pictures) == 12
    assert abs(float(pictures[10].mean()) - 200) < 6
    assert list(path.parent.iterdir()) == [path]


def test_an_existing_film_is_kept_unless_forced(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(b"precious")
    with pytest.raises(UserError, match="--force"):
        Film(path, 30.0)
    assert path.read_bytes() == b"precious"
    with pytest.raises(UserError, match=r"must end in \.mp4"):
        Film(tmp_path / "film.avi", 30.0)
    with pytest.raises(UserError, match="cannot be written"):
        Film(path / "below" / "film.mp4", 30.0)


def test_films_of_odd_sizes_are_whole(tmp_path):
    show = Film(tmp_path / "odd.mp4", 15.0)
    show.show(np.zeros((85, 83, 3), np.uint8), panel(), "")
    show.show(np.zeros((85, 83, 3), np.uint8), panel(), "")
    show.close()
    assert (tmp_path / "odd.mp4").stat().st_size > 500
