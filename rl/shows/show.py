"""Where games are shown: a window, a terminal or an mp4 file.

Pictures are [rows, columns, 3] uint8 in the game's own size.
"""

import os
import select
import shutil
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from PIL import Image

from backbones.training.checks.limits import shortened
from backbones.training.errors import UserError
from backbones.training.streams import printable
from rl.games.screen import best_size, enlarge
from rl.shows.panel import Thought, compose

# A picture is shown for an hour at most.
LONGEST_S, MOST_SPEED = 3600.0, 1e6


class Closed(Exception):
    """The person closed the window or pressed q."""


@runtime_checkable
class Show(Protocol):
    """Shows one picture after the other, and says what keys are held."""

    def show(self, picture: np.ndarray, thought: Thought | None, caption: str) -> None:
        """Show a game's picture and what the agent made of it; Closed if that is enough."""

    def held(self) -> set[str]:
        """Return the keys that are down: up, down, left, right, space, digits."""

    def close(self) -> None:
        """Give the screen back, finish the file."""


def has_display() -> bool:
    """Say whether a window could be opened here."""
    names = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
    return sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in names)


class Pace:
    """Keeps pictures at the game's own speed times a factor; None: as fast as it goes."""

    def __init__(self, speed: float | None) -> None:
        self.speed = speed
        self.next_s = time.monotonic()

    def wait(self, pictures_per_s: float) -> None:
        """Sleep until the next picture is due; what is late by over 0.2 s is not made up for."""
        if self.speed is None:
            return
        late = time.monotonic() - 0.2
        shown_s = min(1 / (pictures_per_s * self.speed), LONGEST_S)
        self.next_s = max(self.next_s + shown_s, late)
        time.sleep(max(0.0, self.next_s - time.monotonic()))


class Blind:
    """Shows nothing to nobody."""

    def show(self, picture: np.ndarray, thought: Thought | None, caption: str) -> None:
        pass

    def held(self) -> set[str]:
        return set()

    def close(self) -> None:
        pass


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
        # Where the display that is named does not answer, SDL draws into memory and says nothing.
        driver = pygame.display.get_driver()
        if driver in ("offscreen", "dummy", "evdev") and not os.environ.get("SDL_VIDEODRIVER"):
            pygame.quit()
            raise UserError("the display does not answer; use --terminal, or --video FILE.mp4")

    def show(self, picture: np.ndarray, thought: Thought | None, caption: str) -> None:
        pygame = self.pygame
        picture = compose(picture, thought)
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
    """True-colour half blocks, two pixels a character, and the agent's thoughts as text beside.

    Fine over ssh: only lines that changed are sent, at most 20 times a second.
    """

    ARROWS = {"A": "up", "B": "down", "C": "right", "D": "left"}  # noqa: RUF012
    # A terminal reports presses, not releases: a key counts as held for this long.
    HELD_S = 0.2
    EVERY_S = 0.045
    PANEL = 34

    def __init__(self, title: str) -> None:
        self.title = title
        self.down: dict[str, float] = {}
        self.drawn: dict[tuple[int, int], str] = {}
        self.last_s = 0.0
        self.size = shutil.get_terminal_size()
        self.saved = termios.tcgetattr(sys.stdin) if sys.stdin.isatty() else None
        if self.saved:
            tty.setcbreak(sys.stdin)
        sys.stdout.write("\x1b[?1049h\x1b[?25l\x1b[2J")

    def show(self, picture: np.ndarray, thought: Thought | None, caption: str) -> None:
        self.read_keys()
        if time.monotonic() - self.last_s < self.EVERY_S:
            return
        self.last_s = time.monotonic()
        if shutil.get_terminal_size() != self.size:
            self.size, self.drawn = shutil.get_terminal_size(), {}
            sys.stdout.write("\x1b[2J")
        columns, lines = self.size
        beside = self.PANEL if thought and columns >= 80 else 0
        width, height = best_size(picture)
        blocks = half_blocks(picture, width / height, columns - beside, lines - 1)
        text = f"{self.title}  {caption}  (q: stop)"[: columns - 1]
        pieces = {(row, 1): block for row, block in enumerate(blocks, start=1)}
        if thought and beside:
            panel = thought_lines(thought, self.PANEL - 2)[: lines - 1]
            pieces |= {(row, columns - beside + 2): line for row, line in enumerate(panel, 1)}
        pieces[lines, 1] = f"{text}\x1b[K"
        changed = {at: piece for at, piece in pieces.items() if self.drawn.get(at) != piece}
        sys.stdout.write("".join(f"\x1b[{r};{c}H{p}" for (r, c), p in changed.items()))
        sys.stdout.flush()
        self.drawn |= changed

    def read_keys(self) -> None:
        """Take over the keys typed since the last look; Closed for q."""
        now = time.monotonic()
        self.down = {key: until for key, until in self.down.items() if until > now}
        if self.saved is None:
            return
        typed = ""
        while select.select([sys.stdin], [], [], 0)[0]:
            data = os.read(sys.stdin.fileno(), 64).decode(errors="ignore")
            if not data:
                break
            typed += data
        if "q" in typed:
            raise Closed
        pieces = typed.split("\x1b[")
        keys = [self.ARROWS[p[0]] for p in pieces[1:] if p and p[0] in self.ARROWS]
        plain = pieces[0] + "".join(p[1:] for p in pieces[1:])
        keys += ["space" if letter == " " else letter for letter in plain]
        self.down |= dict.fromkeys(keys, now + self.HELD_S)

    def held(self) -> set[str]:
        return set(self.down)

    def close(self) -> None:
        sys.stdout.write("\x1b[0m\x1b[?25h\x1b[?1049l")
        sys.stdout.flush()
        if self.saved:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self.saved)


def half_blocks(picture: np.ndarray, aspect: float, columns: int, lines: int) -> list[str]:
    """Return a picture as lines of coloured half blocks, width / height = aspect, that fit."""
    width = max(1, min(columns, int(2 * lines * aspect)))
    rows = max(1, min(lines, round(width / aspect / 2)))
    small = Image.fromarray(picture).resize((width, 2 * rows), Image.Resampling.BOX)
    pixels = np.asarray(small)
    out = []
    for upper, lower in zip(pixels[::2].tolist(), pixels[1::2].tolist(), strict=True):
        last, cells = None, []
        for above, below in zip(upper, lower, strict=True):
            if (above, below) != last:
                r, g, b = above
                r2, g2, b2 = below
                cells.append(f"\x1b[38;2;{r};{g};{b};48;2;{r2};{g2};{b2}m")
                last = (above, below)
            cells.append("▀")
        out.append("".join(cells) + "\x1b[0m")
    return out


def thought_lines(thought: Thought, width: int) -> list[str]:
    """Return a thought as lines of text of this width; the chosen action stands out."""
    names = [printable(name) for name in thought.action_names]
    label = min(14, max(len(name) for name in names))
    lines = [printable(thought.title), printable(thought.note), "", f"score {thought.score:g}"]
    lines += [f"value {thought.value:+.2f}", ""]
    lines = [f"{line[:width]:{width}}" for line in lines]
    for i, name in enumerate(names):
        bar = "█" * round((width - label - 6) * float(thought.probabilities[i]))
        percent = f"{100 * float(thought.probabilities[i]):3.0f}%"
        line = f"{f'{name[:label]:{label}} {percent} {bar}':{width}}"
        lines.append(f"\x1b[33m{line}\x1b[0m" if i == thought.action else line)
    return lines


class SteadyFile:
    """A file for PyAV, which ends the process where a disk is full: it never hears of errors.

    The first one is kept, and nothing is written after it.
    """

    def __init__(self, path: Path) -> None:
        self.file = path.open("w+b", buffering=0)
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        left = memoryview(data)
        try:
            while left and self.error is None:
                left = left[self.file.write(left) :]
        except OSError as error:
            self.error = error
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def check(self) -> None:
        """Raise what went wrong, if anything did."""
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        """Close the file; raise what went wrong, if anything did."""
        self.file.close()
        self.check()


class Film:
    """An mp4 file (H.264, plays everywhere). An existing file is kept unless forced."""

    def __init__(self, path: Path, fps: float, force: bool = False) -> None:
        if os.path.exists(path) and not force:
            raise UserError(f"{path} exists; choose another name or add --force")
        if os.path.isdir(path):
            raise UserError(f"{path} is a folder; choose another name")
        if path.suffix != ".mp4":
            raise UserError(f"{path} must end in .mp4")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".part.mp4").touch()
        except OSError as error:
            raise UserError(f"{shortened(str(path))} cannot be written: {error.strerror}") from None
        import av

        self.path = path
        self.part = path.with_suffix(".part.mp4")
        self.av = av
        self.file = SteadyFile(self.part)
        self.container = av.open(self.file, "w", format="mp4")
        rate = Fraction(fps).limit_denominator(1000)
        self.stream = self.container.add_stream("libx264", rate=rate)
        self.stream.pix_fmt = "yuv420p"
        self.stream.options = {"crf": "20", "preset": "veryfast"}
        self.started = False

    def show(self, picture: np.ndarray, thought: Thought | None, caption: str) -> None:
        picture = compose(picture, thought)
        picture = picture[: len(picture) // 2 * 2, : picture.shape[1] // 2 * 2]
        if not self.started:
            self.stream.height, self.stream.width = picture.shape[:2]
            self.started = True
        size = (self.stream.width, self.stream.height)
        if picture.shape[1::-1] != size:  # A film has one size, a game's drawing may have several.
            picture = enlarge(picture, size)
        frame = self.av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        with self.filming():
            self.container.mux(self.stream.encode(frame))
            self.file.check()

    @contextmanager
    def filming(self) -> Iterator[None]:
        """Turn what a disk or the encoder refuses into a UserError that names the film."""
        try:
            yield
        except (OSError, self.av.FFmpegError) as error:
            raise UserError(
                f"{self.path} cannot be written ({error.strerror}); film into another place"
            ) from None

    def held(self) -> set[str]:
        return set()

    def close(self) -> None:
        """Finish the film; UserError, and nothing is left, if the disk does not take it."""
        try:
            with self.filming():
                if self.started:
                    self.container.mux(self.stream.encode())
                self.container.close()
                self.file.close()
                if self.started:
                    self.part.rename(self.path)
        finally:
            self.part.unlink(missing_ok=True)
