"""A film gets another sound and keeps its pictures, whatever it was made by."""

import io
import re
import resource
from pathlib import Path

import av
import numpy as np
import pytest

from backbones.media import Frame, film_bytes, has_picture, read_frames, read_sound
from backbones.soundtrack import packets, why_anew, write_with_sound
from backbones.training.errors import UserError
from backbones.training.files import SteadyFile
from tests.backbones.test_media import turned

RATE_HZ, FRAMES_HZ, FRAMES = 16_200, 20, 20


def film(codec: str = "libx264", container: str = "mp4", begin: int = 0, **options: str) -> bytes:
    """Return a second of film in which a white square moves."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        stream = file.add_stream(codec, rate=FRAMES_HZ, options={"log-level": "none", **options})
        stream.width, stream.height = 64, 48
        stream.pix_fmt = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
        for number in range(FRAMES):
            pixels = np.zeros((48, 64, 3), np.uint8)
            pixels[16:32, 2 * number : 2 * number + 16] = 250
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number + begin
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return out.getvalue()


def click(at_s: float) -> np.ndarray:
    sound = np.zeros(RATE_HZ, np.float32)
    sound[round(at_s * RATE_HZ) :][:40] = 0.9
    return sound


def voiced(given: bytes | Path, sound: np.ndarray | None = None) -> bytes:
    out = io.BytesIO()
    write_with_sound(SteadyFile(out), given, click(0.5) if sound is None else sound, RATE_HZ)
    return out.getvalue()


def content(given: bytes) -> list[bytes]:
    return [bytes(packet) for packet in packets(given)]


def codecs(given: bytes) -> list[str]:
    with av.open(io.BytesIO(given)) as file:
        return [stream.codec_context.name for stream in file.streams]


def assert_shows_the_same(made: bytes, given: bytes, most: float) -> None:
    ours, theirs = list(read_frames(made)), list(read_frames(given))
    assert [one.begin_s for one in ours] == pytest.approx([one.begin_s for one in theirs], abs=2e-3)
    assert len(ours) == FRAMES
    for one, other in zip(ours, theirs, strict=True):
        assert np.abs(one.pixels.astype(int) - other.pixels).mean() <= most


def click_s(made: bytes) -> float:
    with av.open(io.BytesIO(made)) as file:
        begin_s = float((file.streams.audio[0].start_time or 0) * file.streams.audio[0].time_base)
    return np.abs(read_sound(made, RATE_HZ)).argmax() / RATE_HZ + begin_s


@pytest.mark.parametrize(
    ("codec", "container"),
    [
        ("libx264", "mp4"),
        ("libx264", "matroska"),  # leaves away when the first packets are decoded
        ("libx264", "mpegts"),  # begins late
        ("libx265", "matroska"),
        ("mpeg4", "mp4"),
        ("libvpx-vp9", "webm"),
    ],
)
def test_pictures_stay_as_they_are_where_an_mp4_takes_them(codec, container):
    given = film(codec, container)
    made = voiced(given)
    assert (
        why_anew(given) == "" and codecs(made)[0] == codecs(given)[0] and codecs(made)[1] == "aac"
    )
    if container in ("mp4", "matroska"):  # other containers part what is in packets differently
        assert content(made) == content(given)
    assert_shows_the_same(made, given, 0.0)
    assert click_s(made) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("codec", "container", "why"),
    [
        ("mjpeg", "matroska", r"does not take its pictures \(mjpeg\)"),
        ("gif", "gif", r"does not take its pictures \(gif\)"),
        ("libx264", "avi", "do not say when they are shown"),
        ("libx264", "h264", "do not say when they are shown"),
    ],
)
def test_other_pictures_are_encoded_anew_and_it_is_said_why(codec, container, why):
    given = film(codec, container)
    assert re.search(why, why_anew(given))
    if container == "h264":
        with pytest.raises(UserError, match="has no time; convert it"):
            voiced(given)
        return
    made = voiced(given)
    assert codecs(made) == ["h264", "aac"]
    assert_shows_the_same(made, given, 6.0)
    assert click_s(made) == pytest.approx(0.5, abs=0.01)


def test_frames_of_an_avi_come_in_the_order_in_which_they_are_shown():
    places = [
        (frame.pixels[24, :, 0] > 128).argmax() for frame in read_frames(film(container="avi"))
    ]
    assert len(places) == FRAMES and places == sorted(places)


def test_how_a_film_was_turned_by_its_camera_is_kept():
    given = turned(film(), (0, 1, -1, 0))
    made = voiced(given)
    assert next(read_frames(made)).pixels.shape == (64, 48, 3)
    assert_shows_the_same(made, given, 0.0)


def test_apple_opens_a_copied_hevc_film():
    with av.open(io.BytesIO(voiced(film("libx265")))) as file:
        assert file.streams.video[0].codec_context.codec_tag == "hvc1"


def test_a_film_that_begins_late_has_its_sound_from_its_first_frame_on():
    given = film(container="matroska", begin=30)
    with av.open(io.BytesIO(given)) as file:
        assert next(file.decode(video=0)).time == pytest.approx(1.5, abs=0.01)
    made = voiced(given)
    assert_shows_the_same(made, given, 0.0)
    assert click_s(made) == pytest.approx(0.5, abs=0.01)


def cut(given: bytes, first: int) -> bytes:
    """Return a film of packets from a number on."""
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as file:
        stream = None
        for number, packet in enumerate(packets(given)):
            stream = stream or file.add_stream_from_template(packet.stream)
            packet.stream = stream
            if number >= first:
                file.mux(packet)
    return out.getvalue()


def test_a_film_that_begins_in_the_middle_of_a_scene_is_encoded_anew():
    given = cut(film("mpeg4"), 5)
    assert "middle of a scene" in why_anew(given)
    assert codecs(voiced(given)) == ["h264", "aac"]


@pytest.mark.parametrize("points", [100, 40_000])
def test_a_sound_of_another_length_ends_with_the_film_at_the_latest(points):
    made = voiced(film(), np.zeros(points, np.float32))
    assert len(read_sound(made, RATE_HZ)) <= RATE_HZ * 1.1
    assert len(list(read_frames(made))) == FRAMES


def test_a_film_of_one_frame_gets_a_sound():
    given = film_bytes(iter([Frame(0.0, 0.1, np.zeros((48, 64, 3), np.uint8))]))
    assert len(list(read_frames(voiced(given)))) == 1


def test_the_cover_of_a_song_is_no_film():
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as file:
        song = file.add_stream("aac", rate=48_000, layout="mono")
        cover = file.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        sound.sample_rate = 48_000
        picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
        for stream, frame in ((song, sound), (cover, picture)):
            file.mux(stream.encode(frame))
            file.mux(stream.encode())
    assert not has_picture(out.getvalue())


@pytest.mark.parametrize("codec", ["libx264", "mjpeg"])
def test_a_full_disk_ends_a_film_at_once(codec, tmp_path):
    given, told = film(codec, "matroska"), list[float]()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30, hard))  # less than the head of an mp4
    try:
        with (
            (tmp_path / "f.mp4").open("wb", buffering=0) as raw,
            pytest.raises(OSError, match="large"),
        ):
            write_with_sound(
                SteadyFile(raw), given, click(0.5), RATE_HZ, lambda *at: told.append(at[1])
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(told) < FRAMES
