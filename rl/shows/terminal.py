"""Play in a terminal: true-colour half blocks, and the agent's panel as text.

Pictures are [rows, columns, 3] uint8 in the game's own size.
"""

import os
import select
import shutil
import sys
import termios
import time
import tty

import numpy as np
from PIL import Image

from backbones.training.streams import printable
from rl.games.screen import best_size
from rl.shows.panel import Panel, likeliest
from rl.shows.show import KEYS, Closed


class Terminal:
    """True-colour half blocks, two pixels a character, and the agent's panel as text beside.

    Fine over ssh: only lines that changed are sent, at most 20 times a second.
    """

    ARROWS = {"A": "up", "B": "down", "C": "right", "D": "left"}  # noqa: RUF012
    # A terminal reports presses, not releases: a key counts as held for this long.
    HELD_S = 0.2
    EVERY_S = 0.045
    PANEL = 34

    def __init__(self, title: str, keys: str = KEYS) -> None:
        """`keys` says in the last line what keys there are."""
        self.title, self.keys = title, keys
        self.letters: list[str] = []
        self.down: dict[str, float] = {}
        self.drawn: dict[tuple[int, int], str] = {}
        self.last_s = 0.0
        self.size = shutil.get_terminal_size()
        self.saved = termios.tcgetattr(sys.stdin) if sys.stdin.isatty() else None
        if self.saved:
            tty.setcbreak(sys.stdin)
        sys.stdout.write("\x1b[?1049h\x1b[?25l\x1b[2J")

    def show(self, picture: np.ndarray, panel: Panel | None, caption: str) -> None:
        self.read_keys()
        if time.monotonic() - self.last_s < self.EVERY_S:
            return
        self.last_s = time.monotonic()
        if shutil.get_terminal_size() != self.size:
            self.size, self.drawn = shutil.get_terminal_size(), {}
            sys.stdout.write("\x1b[2J")
        columns, lines = self.size
        beside = self.PANEL if panel and columns >= 80 else 0
        width, height = best_size(picture)
        blocks = half_blocks(picture, width / height, columns - beside, lines - 1)
        text = f"{self.title}  {caption}  ({self.keys})"[: columns - 1]
        pieces = {(row, 1): block for row, block in enumerate(blocks, start=1)}
        if panel and beside:
            text_lines = panel_lines(panel, self.PANEL - 2, lines - 1)[: lines - 1]
            pieces |= {(row, columns - beside + 2): line for row, line in enumerate(text_lines, 1)}
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
        self.letters += plain
        self.down |= dict.fromkeys(keys, now + self.HELD_S)

    def held(self) -> set[str]:
        return set(self.down)

    def typed(self) -> list[str]:
        letters, self.letters = self.letters, []
        return letters

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


def panel_lines(panel: Panel, width: int, most: int = 1_000) -> list[str]:
    """Return a panel as at most so many lines of text of this width; the chosen action stands out.

    Of more actions than there are lines for, the likeliest are shown.
    """
    names = [printable(name) for name in panel.action_names]
    label = min(14, max(len(name) for name in names))
    lines = [printable(panel.title), printable(panel.note), "", f"score {panel.score:g}"]
    lines += [f"value {panel.value:+.2f}", panel.last_games]
    lines = [f"{line[:width]:{width}}" for line in lines]
    room = max(1, most - len(lines))
    shown = likeliest(panel, len(names) if len(names) <= room else room - 1)
    for i in shown:
        name = names[i]
        bar = "█" * round((width - label - 6) * float(panel.probabilities[i]))
        percent = f"{100 * float(panel.probabilities[i]):3.0f}%"
        line = f"{f'{name[:label]:{label}} {percent} {bar}':{width}}"
        lines.append(f"\x1b[33m{line}\x1b[0m" if i == panel.action else line)
    if len(shown) < len(names):
        lines.append(f"{f'and {len(names) - len(shown)} less likely actions':{width}}")
    return lines
