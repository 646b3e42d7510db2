"""Where pictures go: a window, a terminal or an mp4 file. Pictures are [rows, columns, 3] uint8."""

import os
import select
import shutil
import sys
import termios
import tty
from fractions import Fraction
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from PIL import Image

from backbones.training.errors import UserError


class Closed(Exception):
    """The person closed the window or pressed q."""


@runtime_checkable
class Show(Protocol):
    """Shows one picture after the other, and says what keys are held."""

    def show(self, picture: np.ndarray, caption: str) -> None:
        """Show a picture; Closed if the person wants no more."""

    def held(self) -> set[str]:
        """Return the keys that are down: up, down, left, right, space, digits."""

    def close(self) -> None:
        """Give the screen back, finish the file."""


def has_display() -> bool:
    """Say whether a window could be opened here."""
    names = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
    return sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in names)


class Window:
    """A desktop window."""

    KEYS = ("up", "down", "left", "right", "space", *"0123456789wasd")

    def __init__(self, title: str) -> None:
        if not has_display():
            raise UserError("there is no display for --window; use --terminal, or --video FILE.mp4")
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        import pygame

        self.pygame = pygame
        self.title = title
        self.surface: pygame.Surface | None = None
        try:
            pygame.display.init()
        except pygame.error as error:
            raise UserError(f"no window can be opened here ({error}); use --terminal") from None

    def show(self, picture: np.ndarray, caption: str) -> None:
        pygame = self.pygame
        size = (picture.shape[1], picture.shape[0])
        if self.surface is None or self.surface.get_size() != size:
            self.surface = pygame.display.set_mode(size, pygame.SCALED | pygame.RESIZABLE)
        pygame.display.set_caption(f"{self.title}  {caption}")
        pygame.surfarray.blit_array(self.surface, picture.swapaxes(0, 1))
        pygame.display.flip()
        for event in pygame.event.get():
            escaped = event.type == pygame.KEYDOWN and event.key in (pygame.K_ESCAPE, pygame.K_q)
            if event.type == pygame.QUIT or escaped:
                raise Closed

    def held(self) -> set[str]:
        down = self.pygame.key.get_pressed()
        return {name for name in self.KEYS if down[self.pygame.key.key_code(name)]}

    def close(self) -> None:
        self.pygame.quit()


class Terminal:
    """True-colour half blocks: two pixels a character, fine over ssh."""

    ARROWS = {"A": "up", "B": "down", "C": "right", "D": "left"}  # noqa: RUF012
    # A terminal reports presses, not releases: a key counts as held for this many looks.
    HELD_FOR = 6

    def __init__(self, title: str) -> None:
        self.title = title
        self.down: dict[str, int] = {}
        self.saved = termios.tcgetattr(sys.stdin) if sys.stdin.isatty() else None
        if self.saved:
            tty.setcbreak(sys.stdin)
        sys.stdout.write("\x1b[?1049h\x1b[?25l\x1b[2J")

    def show(self, picture: np.ndarray, caption: str) -> None:
        self.read_keys()
        size = shutil.get_terminal_size()
        text = half_blocks(picture, size.columns, size.lines - 2)
        line = f"{self.title}  {caption}  (q: stop)"[: size.columns - 1]
        sys.stdout.write(f"\x1b[H{text}\x1b[0m\x1b[K{line}")
        sys.stdout.flush()

    def read_keys(self) -> None:
        """Take over the keys typed since the last look; Closed for q."""
        self.down = {key: left - 1 for key, left in self.down.items() if left > 1}
        if self.saved is None:
            return
        typed = ""
        while select.select([sys.stdin], [], [], 0)[0]:
            data = os.read(sys.stdin.fileno(), 64).decode(errors="ignore")
            if not data:
                break
            typed += data
        if "q" in typed or "\x03" in typed:
            raise Closed
        pieces = typed.split("\x1b[")
        keys = [self.ARROWS[p[0]] for p in pieces[1:] if p and p[0] in self.ARROWS]
        plain = pieces[0] + "".join(p[1:] for p in pieces[1:])
        keys += ["space" if letter == " " else letter for letter in plain]
        self.down |= dict.fromkeys(keys, self.HELD_FOR)

    def held(self) -> set[str]:
        return set(self.down)

    def close(self) -> None:
        sys.stdout.write("\x1b[0m\x1b[?25h\x1b[?1049l")
        sys.stdout.flush()
        if self.saved:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self.saved)


def half_blocks(picture: np.ndarray, columns: int, lines: int) -> str:
    """Return a picture as lines of coloured half blocks that fit so many columns and lines."""
    rows, width = picture.shape[:2]
    scale = min(columns / width, 2 * lines / rows)
    size = (max(1, int(width * scale)), max(1, int(rows * scale) // 2) * 2)
    small = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))
    out = []
    for upper, lower in zip(small[::2].tolist(), small[1::2].tolist(), strict=True):
        last, cells = None, []
        for above, below in zip(upper, lower, strict=True):
            if (above, below) != last:
                r, g, b = above
                r2, g2, b2 = below
                cells.append(f"\x1b[38;2;{r};{g};{b};48;2;{r2};{g2};{b2}m")
                last = (above, below)
            cells.append("▀")
        out.append("".join(cells) + "\x1b[0m\x1b[K\r\n")
    return "".join(out)


class Film:
    """An mp4 file (H.264, plays everywhere). An existing file is kept unless forced."""

    def __init__(self, path: Path, fps: float, force: bool = False) -> None:
        if path.exists() and not force:
            raise UserError(f"{path} exists; choose another name or add --force")
        if path.suffix != ".mp4":
            raise UserError(f"{path} must end in .mp4")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".part.mp4").touch()
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error}") from None
        import av

        self.path = path
        self.part = path.with_suffix(".part.mp4")
        self.av = av
        self.container = av.open(str(self.part), "w")
        rate = Fraction(fps).limit_denominator(1000)
        self.stream = self.container.add_stream("libx264", rate=rate)
        self.stream.pix_fmt = "yuv420p"
        self.stream.options = {"crf": "20", "preset": "veryfast"}
        self.started = False

    def show(self, picture: np.ndarray, caption: str) -> None:
        if not self.started:
            self.stream.height, self.stream.width = picture.shape[:2]
            self.started = True
        frame = self.av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        self.container.mux(self.stream.encode(frame))

    def held(self) -> set[str]:
        return set()

    def close(self) -> None:
        if not self.started:
            self.container.close()
            self.part.unlink()
            return
        self.container.mux(self.stream.encode())
        self.container.close()
        self.part.rename(self.path)
