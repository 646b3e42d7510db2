"""An animated picture for the README out of a film, with fewer frames and colours.

arcadia watch zoo/breakout --video breakout.mp4 --limit-s 40
python docs/animate.py breakout.mp4 docs/pictures/breakout.gif --start-s 12
"""

from dataclasses import dataclass
from pathlib import Path

import av
import tyro
from PIL import Image


@dataclass(frozen=True, kw_only=True)
class Config:
    """Cut an animated GIF out of a film."""

    film: tyro.conf.Positional[Path]
    """Film, any that PyAV reads."""
    out: tyro.conf.Positional[Path]
    """GIF to write."""
    start_s: float = 0.0
    """Where it begins."""
    length_s: float = 8.0
    """How long it is."""
    fps: float = 12.0
    """Frames per second."""
    width_px: int = 480
    """Width; the height follows."""


def main(config: Config) -> None:
    pictures, due_s = [], config.start_s
    with av.open(str(config.film)) as container:
        for frame in container.decode(video=0):
            if frame.time < due_s or frame.time > config.start_s + config.length_s:
                continue
            due_s += 1 / config.fps
            picture = frame.to_image()
            height = round(picture.height * config.width_px / picture.width)
            small = picture.resize((config.width_px, height), Image.Resampling.LANCZOS)
            pictures.append(small.quantize(48, dither=Image.Dither.NONE))
    first, *rest = pictures
    shown_ms = round(1000 / config.fps)
    first.save(config.out, save_all=True, append_images=rest, duration=shown_ms, loop=0)
    print(f"{config.out}: {len(pictures)} frames, {config.out.stat().st_size / 2**10:,.0f} KiB")


if __name__ == "__main__":
    main(tyro.cli(Config))
