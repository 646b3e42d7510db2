"""Films keep their times, and sound stays where it was put."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest

from backbones import media
from backbones.media import Frame, at_rate, film_bytes, has_sound, read_frames, read_sound
from backbones.training.errors import UserError


def grey(times_s: list[float], end_s: float) -> list[Frame]:
    ends = [*times_s[1:], end_s]
    return [
        Frame(begin, end, np.full((48, 64, 3), 20 * number, np.uint8))
        for number, (begin, end) in enumerate(zip(times_s, ends, strict=True))
    ]


def test_frames_are_where_their_timestamps_say():
    times = [0.0, 0.1, 0.15, 0.6]
    film = film_bytes(iter(grey(times, 0.7)))
    read = list(read_frames(film))
    assert [frame.begin_s for frame in read] == pytest.approx(times, abs=1e-4)
    shown = [round(float(picture.mean()) / 20) for picture in at_rate(iter(read[:3]), 10.0)]
    assert shown == [0, 1, 2, 2, 2, 2]  # at 0, 0.1 ... 0.5 s


def test_a_click_stays_within_10_ms_of_its_frame():
    click, rate = 0.5, 16_200
    sound = np.zeros(rate, np.float32)
    sound[round(click * rate) : round(click * rate) + 40] = 0.9
    frames = [
        Frame(k / 20, (k + 1) / 20, np.full((48, 64, 3), 250 * (k == 10), np.uint8))
        for k in range(20)
    ]
    film = film_bytes(iter(frames), sound, rate)
    heard = read_sound(film, rate)
    flash = max(read_frames(film), key=lambda frame: float(frame.pixels.mean()))
    with av.open(io.BytesIO(film)) as container:
        names = [stream.codec_context.name for stream in container.streams]
        begin = container.streams.audio[0].start_time or 0
    delay = begin * Fraction(1, media.SOUND_HZ)
    assert names == ["h264", "aac"]
    assert abs(np.abs(heard).argmax() / rate + float(delay) - flash.begin_s) < 0.01


@pytest.mark.parametrize("points", [100, 40_000])
def test_a_sound_of_another_length_ends_with_the_film_at_the_latest(points):
    film = film_bytes(iter(grey([0.0, 0.5], 1.0)), np.zeros(points, np.float32), 16_000)
    assert has_sound(film) and len(read_sound(film, 16_000)) <= 16_000 + 1_600


def test_a_film_of_one_frame_is_a_film():
    (frame,) = read_frames(film_bytes(iter(grey([0.0], 0.1))))
    assert frame.begin_s == 0 and frame.end_s > 0


def test_what_is_no_film_is_said_in_a_line(tmp_path):
    with pytest.raises(UserError, match="no film that can be read"):
        list(read_frames(b"not a film"))
    with pytest.raises(UserError, match="no film that can be read"):
        list(read_frames(tmp_path / "missing.mp4"))
    with pytest.raises(UserError, match="no sound in this file"):
        read_sound(film_bytes(iter(grey([0.0], 0.1))), 16_000)


def test_a_sound_has_no_picture(tmp_path):
    from tasks.answers import Sound

    path = tmp_path / "a.wav"
    path.write_bytes(Sound(np.zeros(8_000, np.float32), 8_000).encoded())
    with pytest.raises(UserError, match="no picture in this file"):
        list(read_frames(path))
    assert len(read_sound(path, 16_000)) == pytest.approx(16_000, abs=64)


def test_a_codec_that_is_missing_is_named():
    with pytest.raises(UserError, match="has no h999 or mpeg999"):
        media.codec_of(("h999", "mpeg999"))
