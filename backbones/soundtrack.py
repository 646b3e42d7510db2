"""A film with another sound in place of its own, or with other pictures beside it.

Letters: N points in time of a sound.

Its pictures stay as they are, packet by packet, where an mp4 takes them: a second encoding loses
something and takes long, and how the film was turned by its camera is kept. `why_anew` says where
that cannot be.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from backbones.media import (
    SOUND_CODECS,
    SOUND_HZ,
    UNTIMED,
    Frame,
    Voice,
    codec_of,
    has_sound,
    length_s,
    opened,
    picture_stream,
    read_frames,
    write_film,
)
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


Redraw = Callable[[UInt8[np.ndarray, "H W 3"]], UInt8[np.ndarray, "H W 3"]]


def write_redrawn(
    file: SteadyFile, film: Path | bytes, redraw: Redraw, told: Told = untold
) -> None:
    """Write an mp4 of a film's pictures, each drawn anew, with the film's own sound.

    One picture at a time is in memory. OSError if the disk takes no more, UserError if the film
    cannot be read to its end.
    """
    import av

    length = length_s(film)

    def passed(end_s: float) -> None:
        file.check()
        told("s drawn", end_s, length)

    frames = (
        Frame(begin, end, redraw(pixels))
        for begin, end, pixels in watched(read_frames(film), passed)
    )
    try:
        speaker = (lambda container: OwnSound(container, film)) if has_sound(film) else None
        write_film(file, frames, speaker=speaker)
    except av.FFmpegError as error:
        why = error.strerror or error
        raise UserError(f"an mp4 of it cannot be written ({why}); convert it first") from None
    file.check()


class OwnSound:
    """A film's own first sound track, encoded anew as AAC piece by piece."""

    def __init__(self, container: Any, film: Path | bytes) -> None:
        import av

        self.container, self.frames = container, heard_frames(film)
        self.waiting = next(self.frames, None)
        self.stream = container.add_stream(codec_of(SOUND_CODECS), rate=SOUND_HZ, layout="stereo")
        self.resampler = av.AudioResampler(format="fltp", layout="stereo", rate=SOUND_HZ)

    def speak(self, end_s: float) -> None:
        """Write the sound that begins before a moment."""
        while self.waiting is not None and self.waiting[0] < end_s:
            for made in self.resampler.resample(self.waiting[1]):
                self.container.mux(self.stream.encode(made))
            self.waiting = next(self.frames, None)

    def finish(self) -> None:
        """Write what the encoder still holds."""
        for made in self.resampler.resample(None):
            self.container.mux(self.stream.encode(made))
        self.container.mux(self.stream.encode())


def heard_frames(film: Path | bytes) -> Iterator[tuple[float, Any]]:
    """Yield pieces of a film's sound with the second at which each begins, counted from the first
    picture; what is heard before that is left out."""
    with opened(film) as container:
        stream = picture_stream(container)
        begin_s = float(first_shown(film) * stream.time_base)
        sound = container.streams.audio[0]
        for piece in container.decode(sound):
            if piece.pts is None:
                continue
            piece.pts -= round(begin_s / piece.time_base)
            if piece.pts >= 0:
                yield float(piece.pts * piece.time_base), piece


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
