"""A film with another sound in place of its own.

Letters: N points in time of a sound.

Its pictures stay as they are, packet by packet, where an mp4 takes them: a second encoding loses
something and takes long, and how the film was turned by its camera is kept. `why_anew` says where
that cannot be.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from backbones.media import UNTIMED, Frame, Voice, opened, picture_stream, read_frames, write_film
from backbones.training.errors import UserError
from backbones.training.files import SteadyFile
from backbones.training.progress import Told, untold

COPIED = ("h264", "hevc", "mpeg4", "vp9")  # what players expect in an mp4; PyAV copies no AV1
TAGS = {"hevc": "hvc1"}  # Apple's players open no other
Passed = Callable[[float], None]
"""Is told up to which second a film is written."""


def write_with_sound(
    file: SteadyFile,
    film: Path | bytes,
    sound: Float32[np.ndarray, "N"],
    rate_hz: int,
    told: Told = untold,
) -> None:
    """Write an mp4 of a film's pictures and a sound, which is cut where they end.

    OSError if the disk takes no more, UserError if an mp4 does not take the film.
    """
    import av

    def passed(end_s: float) -> None:
        file.check()
        told("s written", end_s, len(sound) / rate_hz)

    try:
        if why_anew(film):
            write_film(file, watched(read_frames(film), passed), sound, rate_hz)
        else:
            copy_pictures(file, film, sound, rate_hz, passed)
    except av.FFmpegError as error:
        why = error.strerror or error
        raise UserError(f"an mp4 of it cannot be written ({why}); convert it first") from None
    file.check()


def watched(frames: Iterator[Frame], passed: Passed) -> Iterator[Frame]:
    """Yield frames, and tell where each ends."""
    for frame in frames:
        passed(frame.end_s)
        yield frame


def why_anew(film: Path | bytes) -> str:
    """Return why a film's pictures must be encoded anew for an mp4; "" if they can be copied."""
    with opened(film) as container:
        stream, untimed = picture_stream(container), container.format.name == UNTIMED
        if stream.codec_context.name not in COPIED:
            return f"an mp4 does not take its pictures ({stream.codec_context.name})"
    if untimed:
        return "its packets do not say when they are shown"
    begin, before = first_shown(film), None
    for packet in packets(film):
        if packet.pts is None or packet.dts is None or not packet.duration:
            return "its packets do not say when they are shown"
        if before is None and not packet.is_keyframe:
            return "it begins in the middle of a scene"
        if before is not None and packet.dts <= before:
            return "its packets are out of order"
        if packet.is_discard and packet.pts >= begin:
            return "parts of it are cut out"
        before = packet.dts
    return ""


def first_shown(film: Path | bytes) -> int:
    """Return the time of the first frame that is shown, in the units of its packets."""
    with opened(film) as container:
        for frame in container.decode(picture_stream(container)):
            return int(frame.pts or 0)
    raise UserError("this film has no frame")


def packets(film: Path | bytes) -> Iterator[Any]:
    """Yield the packets of a film's pictures, in the order in which they are decoded."""
    with opened(film) as container:
        undated = list[Any]()
        for packet in container.demux(picture_stream(container)):
            if not packet.size:
                continue
            undated.append(packet)
            if packet.dts is not None or packet.pts is None:
                yield from dated(undated)
                undated = []
        yield from dated(undated)


def dated(undated: list[Any]) -> list[Any]:
    """Return packets with the times at which they are decoded, of which Matroska leaves away the
    first: one after the other before the one that is known."""
    if undated and all(packet.pts is not None and packet.duration for packet in undated):
        last = undated[-1]
        last.dts = min(packet.pts for packet in undated) if last.dts is None else last.dts
        for back, packet in enumerate(reversed(undated[:-1]), 1):
            packet.dts = last.dts - back * last.duration
    return undated


def copy_pictures(
    file: SteadyFile,
    film: Path | bytes,
    sound: Float32[np.ndarray, "N"],
    rate_hz: int,
    passed: Passed,
) -> None:
    """Write a film's pictures as they are, beside a sound."""
    import av

    begin, end_s = first_shown(film), 0.0
    with av.open(file, "w", format="mp4") as container:
        pictures: Any = None
        for packet in packets(film):
            if pictures is None:
                pictures = container.add_stream_from_template(packet.stream)
                name = packet.stream.codec_context.name
                if name in TAGS:
                    pictures.codec_context.codec_tag = TAGS[name]
                voice = Voice(container, sound, rate_hz)
            # What was decoded but hidden before the first frame stays hidden before 0.
            packet.pts, packet.dts = packet.pts - begin, packet.dts - begin
            end_s = max(end_s, float((packet.pts + packet.duration) * packet.time_base))
            packet.stream = pictures
            container.mux(packet)
            voice.speak(end_s)
            passed(end_s)
        voice.finish()
