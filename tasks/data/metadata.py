"""What stands in a picture file besides its pixels: only the orientation is wanted of it.

Where a tag, a text or a checksum of a text is broken, the picture is taken as it is, as viewers do.
`bare` gives a file without all that a decoder stumbles over and that no pixel depends on.
"""

import struct

from PIL import ExifTags, Image

PNG = b"\x89PNG\r\n\x1a\n"
# All that PNG's pixels depend on.
PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
# Of JPEG's segments for applications only JFIF's and Adobe's say something of the colours.
COLOUR_SEGMENTS, SCAN = (0xE0, 0xEE), 0xDA
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(image: Image.Image) -> Image.Image:
    """Return a picture turned as its orientation says, as it is where that cannot be read."""
    try:
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        # Pillow raises almost anything on tags that are odd, and the pixels may be whole.
        turn = None
    return image if turn is None else image.transpose(turn)


def is_turned(image: Image.Image) -> bool:
    """Say whether a picture that is upright has the columns of the file as its rows."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1)) in (5, 6, 7, 8)
    except Exception:
        # As in `upright`, which leaves such a picture as it is.
        return False


def bare(data: bytes) -> bytes:
    """Return a PNG or JPEG without texts, tags and profiles; other files as they are."""
    if data.startswith(PNG):
        return bare_png(data)
    return bare_jpeg(data) if data.startswith(b"\xff\xd8") else data


def bare_png(data: bytes) -> bytes:
    """Return a PNG's signature and the chunks that pixels depend on."""
    kept, place = [PNG], len(PNG)
    while place + 12 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        end = place + 12 + size
        if kind in PIXEL_CHUNKS:
            kept.append(data[place:end])
        place = end
    return b"".join(kept)


def bare_jpeg(data: bytes) -> bytes:
    """Return a JPEG without comments and most segments for applications, up to its first scan."""
    kept, place = [data[:2]], 2
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != SCAN:
        kind, size = data[place + 1], struct.unpack_from(">H", data, place + 2)[0]
        if not (0xE0 <= kind <= 0xEF or kind == 0xFE) or kind in COLOUR_SEGMENTS:
            kept.append(data[place : place + 2 + size])
        place += 2 + size
    return b"".join([*kept, data[place:]])
