"""One picture file, from hostile bytes to uint8 planes of the size that a model takes.

PNG, JPEG, BMP and WebP, known by their content, not by their names. The header is read first: what
would decode to more than LARGEST_PX pixels is refused before anything of that size is allocated.
Then the picture is turned upright (EXIF), its centre square is cut out and scaled to `size_px`,
which is what scaling the shorter side and cropping the centre gives, without the long strip that a
picture of 60,000 x 2 would become on the way.

Colours: transparent parts are laid on white, as viewers and pages show them; 16-bit grey keeps its
upper 8 bits; palettes, CMYK and all else are converted to red-green-blue or, for one channel, to
luma (0.299 R + 0.587 G + 0.114 B). Of an animation the first picture is taken.

Letters: C channels (1 grey, 3 red-green-blue), H rows, W columns.
"""

import io
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Shaped, UInt8
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from backbones.training.errors import UserError
from backbones.training.files import open_plain, read_at_most
from tasks.data.metadata import bare, is_turned, upright

FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".bmp", ".webp")
# What pictures begin with; of WebP the size stands between the two.
STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM")
HEAD_BYTES = 16
# No photo of LARGEST_PX pixels needs more as a file.
LARGEST_BYTES = 2**27
# 201 megabytes decoded: room for a photo, not for a bomb.
LARGEST_PX = 2**26
# Of more pixels, only one picture is decoded at a time, whatever the threads: each of 2**26 with
# transparency takes a gigabyte on its way.
LARGE_PX = 2**24
ONE_AT_A_TIME = threading.Lock()
LARGEST_SIDE_PX = 2**16  # of what is not scaled: JPEG has no larger
GREY = 114  # beside a picture that is no square


def is_picture_data(head: bytes) -> bool:
    """Say whether a file that begins so is a picture, whatever its name."""
    return head.startswith(STARTS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


class Unreadable(ValueError):
    """A picture that cannot be had from a file; the message follows the file's name."""

    def __init__(self, message: str, is_damage: bool = False) -> None:
        """`is_damage`: the decoder gave up, rather than a bound of ours."""
        super().__init__(message)
        self.is_damage = is_damage


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Keep Pillow's warnings of odd files off the screen; what matters is refused by us.

    Python's list of warning filters is one for all threads: hold this around a pool, not in it.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\b")
        yield


def check_shape(size_px: int, channels: int) -> None:
    """UserError unless pictures can have this size and number of channels."""
    if size_px < 1:
        raise UserError(f"size_px = {size_px} must be 1 or above")
    if channels not in (1, 3):
        raise UserError(f"channels = {channels} must be 1 (grey) or 3 (red, green, blue)")


def eight_bits(image: Image.Image, channels: int) -> Image.Image:
    """Return a picture of any mode as 8-bit grey or red-green-blue."""
    if image.mode.startswith("I"):
        wide = np.asarray(image).astype(np.int64)
        image = Image.fromarray((wide.clip(0, 65535) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("L" if channels == 1 else "RGB")


def centre_square(image: Image.Image, size_px: int) -> Image.Image:
    """Return the centre square, scaled with antialiasing; the picture itself if it fits."""
    width, height = image.size
    if width == height == size_px:
        return image
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    return image.resize((size_px, size_px), Image.Resampling.BICUBIC, box=box)


def planes(image: Image.Image, size_px: int, channels: int) -> UInt8[np.ndarray, "C H W"]:
    """Return a picture in memory as planes of `size_px` squared."""
    pixels = np.asarray(centre_square(eight_bits(image, channels), size_px))
    pixels = pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)
    return np.array(pixels, order="C")  # a copy: what Pillow lends cannot be written to


def whole_planes(image: Image.Image, size_px: int, channels: int) -> UInt8[np.ndarray, "C S S"]:
    """Return a picture in memory as planes of `size_px` squared, all of it: scaled to fit, in the
    upper left corner, grey where it does not reach."""
    scale = size_px / max(image.size)
    size = tuple(max(1, round(side * scale)) for side in image.size)
    pixels = eight_bits(image, channels).resize((size[0], size[1]), Image.Resampling.BICUBIC)
    whole = np.full((size_px, size_px, channels), GREY, np.uint8)
    whole[: size[1], : size[0]] = np.asarray(pixels).reshape(size[1], size[0], channels)
    return np.ascontiguousarray(whole.transpose(2, 0, 1))


def all_planes(image: Image.Image, size_px: int, channels: int) -> UInt8[np.ndarray, "C H W"]:
    """Return a picture in memory as it is, whatever its size."""
    pixels = np.asarray(eight_bits(image, channels)).reshape(image.height, image.width, channels)
    return np.array(pixels.transpose(2, 0, 1), order="C")  # a copy, as in `planes`


Fit = Callable[[Image.Image, int, int], UInt8[np.ndarray, "C H W"]]


def decode(
    data: bytes, *, size_px: int, channels: int, fit: Fit = planes
) -> UInt8[np.ndarray, "C H W"]:
    """Return the picture in a file's bytes; Unreadable says why not. Call inside `quiet_pillow`.

    `fit` makes planes of it: the centre square, or all of it (`whole_planes`).
    """
    if not data:
        raise Unreadable("is empty")
    if len(data) > LARGEST_BYTES:
        raise Unreadable(f"is larger than {LARGEST_BYTES >> 20} MiB")
    try:
        return decoded(data, size_px, channels, fit)
    except Unreadable as error:
        # The pixels may be whole where a text beside them is not.
        plain = bare(data)
        if len(plain) == len(data) or not error.is_damage:
            raise
        try:
            return decoded(plain, size_px, channels, fit)
        except Unreadable:
            raise error from None


def decoded(data: bytes, size_px: int, channels: int, fit: Fit) -> UInt8[np.ndarray, "C H W"]:
    """Return the picture in some bytes, metadata and all; Unreadable says why not."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > LARGEST_PX:
                raise Unreadable(
                    f"would decode to {width:,} x {height:,} pixels; at most "
                    f"{LARGEST_PX:,} pixels are read"
                )
            with ONE_AT_A_TIME if width * height > LARGE_PX else nullcontext():
                # A large JPEG decodes several times faster at 1/2, 1/4 or 1/8 of its size. Twice
                # the size that is wanted leaves the antialiasing something to do.
                image.draft(None, (2 * size_px, 2 * size_px))
                image.load()
                return fit(upright(image), size_px, channels)
    except Unreadable:
        raise
    except UnidentifiedImageError:
        raise Unreadable("is not a PNG, JPEG, BMP or WebP picture", is_damage=True) from None
    except Exception as error:
        # Pillow's readers raise almost anything on damaged bytes, from SyntaxError to MemoryError.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise Unreadable(f"is damaged ({reason})", is_damage=True) from None


def contents(path: Path) -> bytes:
    """Return a file's bytes, at most one more than a picture may have; Unreadable if it cannot."""
    try:
        if not path.is_file():
            # A pipe or a device would hang or never end.
            raise Unreadable("is not a plain file" if path.exists() else "does not exist")
        with open_plain(path) as file:
            return read_at_most(file, LARGEST_BYTES + 1)
    except OSError as error:
        raise Unreadable(f"cannot be read ({error.strerror})") from None


def read_picture(
    source: Path | str | bytes, *, size_px: int, channels: int, fit: Fit = planes
) -> UInt8[Tensor, "C H W"]:
    """Return one picture, prepared as the pictures of a set are; UserError if it is none."""
    check_shape(size_px, channels)
    name = "the picture" if isinstance(source, bytes) else str(source)
    try:
        data = source if isinstance(source, bytes) else contents(Path(source))
        with quiet_pillow():
            return torch.from_numpy(decode(data, size_px=size_px, channels=channels, fit=fit))
    except Unreadable as error:
        raise UserError(f"{name} {error}; give a PNG, JPEG, BMP or WebP file") from None


def given_picture(
    given: Path | str | bytes | np.ndarray | Tensor,
    *,
    size_px: int,
    channels: int,
    fit: Fit = planes,
) -> Shaped[Tensor, "C H W"]:
    """Return the picture in a file or in bytes, prepared as those of a set are, or in an array,
    which stays as it is; UserError if it does not fit."""
    if not isinstance(given, np.ndarray | Tensor):
        return read_picture(given, size_px=size_px, channels=channels, fit=fit)
    picture = torch.as_tensor(given)
    picture = picture if picture.ndim == 3 else picture[None]
    if picture.dtype != torch.uint8 or picture.shape[0] != channels:
        raise UserError(
            f"the picture is {picture.dtype} of shape {tuple(picture.shape)}; expected uint8 "
            f"[{channels}, H, W]"
        )
    return picture


def square_picture(
    given: Path | str | bytes | np.ndarray | Tensor, *, side_px: int, channels: int, told: str
) -> Shaped[Tensor, "C H W"]:
    """Return the picture in a file or in bytes, cut and scaled to a square, or in an array of that
    size; UserError, which calls what takes it what `told` says, for an array of another one."""
    picture = given_picture(given, size_px=side_px, channels=channels)
    if picture.shape[1:] != (side_px, side_px):
        raise UserError(
            f"the picture has {picture.shape[1]} rows and {picture.shape[2]} columns; this {told} "
            f"takes {side_px} by {side_px}, or a file, which is cut and scaled to that"
        )
    return picture


def picture_size(path: Path) -> tuple[int, int]:
    """Return rows and columns of a picture file as it stands upright, by its header; UserError if
    it is none."""
    try:
        data = contents(path)
        with quiet_pillow(), Image.open(io.BytesIO(data), formats=FORMATS) as image:
            turned = is_turned(image)
            return (image.width, image.height) if turned else (image.height, image.width)
    except Unreadable as error:
        raise UserError(f"{path} {error}; give a PNG, JPEG, BMP or WebP file") from None
    except Exception as error:
        # Pillow's readers raise almost anything on damaged bytes.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{path} is damaged ({reason})") from None


def whole_picture(
    given: Path | str | bytes | np.ndarray | Tensor, *, channels: int
) -> Shaped[Tensor, "C H W"]:
    """Return the picture in a file, in bytes or in an array in its own size, upright; UserError if
    it is none."""
    return given_picture(given, size_px=LARGEST_SIDE_PX, channels=channels, fit=all_planes)
