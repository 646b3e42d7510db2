"""Films keep their times, and sound stays where it was put."""

import io
import json
import shutil
import struct
import subprocess
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


def turned(film: bytes, matrix: tuple[int, int, int, int]) -> bytes:
    """Write into the header of an mp4 how a player is to turn it, as phones do."""
    a, b, c, d = (part << 16 for part in matrix)
    found = film.index(b"tkhd") + 44  # behind the version, the times, the number and the layer
    values = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    return film[:found] + values + film[found + len(values) :]


@pytest.mark.parametrize(
    ("matrix", "turns"), [((1, 0, 0, 1), 0), ((0, 1, -1, 0), -1), ((-1, 0, 0, -1), 2)]
)
def test_a_film_that_was_turned_by_its_camera_stands_upright(matrix, turns):
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:24, :32] = 250  # the corner above on the left
    (frame,) = read_frames(turned(film_bytes(iter([Frame(0.0, 0.1, pixels)])), matrix))
    expected = np.rot90(pixels, turns)
    assert frame.pixels.shape == expected.shape
    assert np.abs(frame.pixels.astype(int) - expected).mean() < 12


@pytest.mark.skipif(not shutil.which("ffprobe"), reason="ffprobe is not installed")
def test_ffprobe_reads_what_is_written(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(film_bytes(iter(grey([0.0, 0.5], 1.0)), np.zeros(16_000, np.float32), 16_000))
    command = ["ffprobe", "-v", "error", "-show_streams", "-of", "json", path]
    found = subprocess.run(command, capture_output=True, check=True, text=True, timeout=60)
    assert not found.stderr
    names = [stream["codec_name"] for stream in json.loads(found.stdout)["streams"]]
    assert names == ["h264", "aac"]


def test_a_build_without_a_codec_takes_the_next_or_says_so(monkeypatch):
    monkeypatch.setattr(media, "VIDEO_CODECS", ("no-such-codec", "mpeg4"))
    with av.open(io.BytesIO(film_bytes(iter(grey([0.0], 0.1))))) as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"
    monkeypatch.setattr(media, "VIDEO_CODECS", ("no-such-codec",))
    with pytest.raises(UserError, match="has no no-such-codec; install the wheel of PyAV"):
        film_bytes(iter(grey([0.0], 0.1)))
