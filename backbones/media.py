"""Films and their sound, read and written with PyAV.

Letters: H rows, W columns, N points in time of a sound.

Frames are where their timestamps say, never where counting would put them: phones film at a rate
that varies. A film that was turned by its camera is turned upright.
"""

import io
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Float32, UInt8

from backbones.training.errors import UserError

# Of the frames of films that are written: exact at every usual rate, and MPEG-4 takes no finer.
CLOCK = Fraction(1, 60_000)
VIDEO_CODECS, SOUND_CODECS = ("libx264", "mpeg4"), ("aac",)
H264_OPTIONS: dict[str, object] = {"crf": "20", "preset": "veryfast"}
UNTIMED = "avi"  # numbers its packets as they are decoded, which is not as they are shown
SOUND_HZ = 48_000  # of films that are written: AAC has a few rates only


class Frame(NamedTuple):
    """A picture of a film and when it is shown, in seconds from the first one on."""

    begin_s: float
    end_s: float
    pixels: UInt8[np.ndarray, "H W 3"]


class Speaker(Protocol):
    """What writes the sound of a film while its pictures are written."""

    def speak(self, end_s: float) -> None:
        """Write the sound up to a moment."""

    def finish(self) -> None:
        """Write what the encoder still holds."""


@contextmanager
def opened(film: Path | bytes) -> Iterator[Any]:
    """Open a film or a sound; UserError if it is neither, also while it is read."""
    import av

    try:
        with av.open(io.BytesIO(film) if isinstance(film, bytes) else str(film)) as container:
            yield container
    except (OSError, av.FFmpegError) as error:
        why = error.strerror or str(error)
        raise UserError(f"this is no film that can be read ({why}); give an mp4") from None


def picture_stream(container: Any) -> Any:
    """Return the pictures of an open film; UserError if it has none, as a song with a cover."""
    for stream in container.streams.video:
        if not stream.disposition & stream.disposition.attached_pic:
            return stream
    raise UserError("there is no picture in this file; give a film")


def read_frames(film: Path | bytes) -> Iterator[Frame]:
    """Yield the frames of a film, one at a time; UserError if it has none."""
    from av.video.reformatter import VideoReformatter

    with opened(film) as container:
        stream = picture_stream(container)
        usual = float(1 / stream.average_rate) if stream.average_rate else 1 / 25
        # One for all frames: each would set up its own, which takes longer than the work.
        reformat = VideoReformatter().reformat
        first: float | None = None
        before: tuple[float, Any] | None = None
        for time, frame in timed_frames(container, stream, usual):
            first = time if first is None else first
            now = time - first
            if before is not None and now > before[0]:
                yield Frame(before[0], now, upright(before[1], reformat))
            before = now, frame
        if before is None:
            raise UserError("this film has no frame")
        yield Frame(before[0], before[0] + usual, upright(before[1], reformat))


def timed_frames(container: Any, stream: Any, usual_s: float) -> Iterator[tuple[float, Any]]:
    """Yield decoded frames with their times in seconds; UserError if one has none."""
    last = 0.0
    for frame in container.decode(stream):
        if frame.time is None:
            raise UserError("a frame of this film has no time; convert it with ffmpeg first")
        if container.format.name == UNTIMED:
            last = last + usual_s if frame.dts is None else float(frame.dts * stream.time_base)
        else:
            last = frame.time
        yield last, frame


def upright(frame: Any, reformat: Callable[..., Any]) -> UInt8[np.ndarray, "H W 3"]:
    """Return a frame as it is meant to be seen."""
    pixels = reformat(frame, format="rgb24").to_ndarray()
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90) % 4))


def at_rate(frames: Iterator[Frame], rate_hz: float) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Yield the pictures that are seen at 0, 1 / rate_hz, 2 / rate_hz ... seconds."""
    number = 0
    for frame in frames:
        while number / rate_hz < frame.end_s - 1e-6:
            yield frame.pixels
            number += 1


def has_sound(film: Path | bytes) -> bool:
    """Say whether a film has a sound track."""
    with opened(film) as container:
        return bool(container.streams.audio)


def has_picture(film: Path | bytes) -> bool:
    """Say whether a file has pictures: a sound alone has none."""
    with opened(film) as container:
        try:
            return bool(picture_stream(container))
        except UserError:
            return False


def length_s(film: Path | bytes) -> float:
    """Return how long a film says that it is; 0 if it does not."""
    with opened(film) as container:
        return (container.duration or 0) / 1e6


def read_sound(film: Path | bytes, rate_hz: int) -> Float32[np.ndarray, "N"]:
    """Return the first sound track as one channel; UserError if there is none."""
    import av

    with opened(film) as container:
        if not container.streams.audio:
            raise UserError("there is no sound in this file; give a wav, or a film with sound")
        resampler = av.AudioResampler(format="flt", layout="mono", rate=rate_hz)
        pieces = [
            made.to_ndarray()[0]
            for frame in container.decode(container.streams.audio[0])
            for made in resampler.resample(frame)
        ]
        pieces += [made.to_ndarray()[0] for made in resampler.resample(None)]
    return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)


def wav_bytes(amplitude: Float32[np.ndarray, "N"], rate_hz: int) -> bytes:
    """Return a sound of one channel between -1 and 1 as WAV of 16 bits; louder is cut off."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((amplitude.clip(-1, 1) * 32_767).round().astype("<i2").tobytes())
    return out.getvalue()


def film_bytes(
    frames: Iterator[Frame], sound: Float32[np.ndarray, "N"] | None = None, rate_hz: int = 48_000
) -> bytes:
    """Return what `write_film` writes."""
    out = io.BytesIO()
    write_film(out, frames, sound, rate_hz)
    return out.getvalue()


def write_film(
    out: Any,
    frames: Iterator[Frame],
    sound: Float32[np.ndarray, "N"] | None = None,
    rate_hz: int = 48_000,
    speaker: Callable[[Any], Speaker] | None = None,
) -> None:
    """Write an mp4 of H.264 (MPEG-4 where this build of FFmpeg has no H.264), with AAC if there is
    a sound or a speaker, made of the open file, which writes one; it is cut where the pictures end.
    A last row or column is left away where their number is odd."""
    import av

    with av.open(out, "w", format="mp4") as container:
        video: Any = container.add_stream(codec_of(VIDEO_CODECS), rate=30)
        video.codec_context.time_base = CLOCK
        if video.codec_context.name == "libx264":
            video.options = H264_OPTIONS
        video.pix_fmt = "yuv420p"
        voice = speaker(container) if speaker else None
        if sound is not None:
            voice = Voice(container, sound, rate_hz)
        started = False
        for frame in frames:
            rows, columns = (length // 2 * 2 for length in frame.pixels.shape[:2])
            if not started:
                started, video.height, video.width = True, rows, columns
            pixels = np.ascontiguousarray(frame.pixels[:rows, :columns])
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            picture.pts, picture.time_base = round(frame.begin_s / CLOCK), CLOCK
            container.mux(video.encode(picture))
            if voice:
                voice.speak(frame.end_s)
        container.mux(video.encode())
        if voice:
            voice.finish()


class Voice:
    """The sound track of an mp4 that is written: AAC of one channel."""

    def __init__(self, container: Any, sound: Float32[np.ndarray, "N"], rate_hz: int) -> None:
        import av

        self.container, self.sound, self.rate_hz, self.said = container, sound, rate_hz, 0
        self.stream = container.add_stream(codec_of(SOUND_CODECS), rate=SOUND_HZ, layout="mono")
        self.resampler = av.AudioResampler(format="fltp", layout="mono", rate=SOUND_HZ)

    def speak(self, end_s: float) -> None:
        """Write the sound up to a moment; nothing if that lies before what is written."""
        import av

        piece = self.sound[self.said : round(end_s * self.rate_hz)]
        if not len(piece):
            return
        loud = np.ascontiguousarray(piece[None].clip(-1, 1))
        heard = av.AudioFrame.from_ndarray(loud, format="fltp", layout="mono")
        heard.sample_rate, heard.pts = self.rate_hz, self.said
        heard.time_base = Fraction(1, self.rate_hz)
        self.said += len(piece)
        for made in self.resampler.resample(heard):
            self.container.mux(self.stream.encode(made))

    def finish(self) -> None:
        """Write what the encoder still holds."""
        for made in self.resampler.resample(None):
            self.container.mux(self.stream.encode(made))
        self.container.mux(self.stream.encode())


def codec_of(wanted: tuple[str, ...]) -> str:
    """Return the first codec that this build of FFmpeg has; UserError if it has none of them."""
    import av

    found = [name for name in wanted if name in av.codecs_available]
    if not found:
        raise UserError(
            f"this build of FFmpeg has no {' or '.join(wanted)}; install the wheel of PyAV: "
            "pip install --force-reinstall av"
        )
    return found[0]
