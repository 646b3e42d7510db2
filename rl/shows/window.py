"""A desktop window that shows play, by pygame; it is scaled to whatever size a person gives it."""

import os
import sys

import numpy as np

from backbones.training.errors import UserError
from rl.shows.panel import BACK, Panel, compose, with_footer
from rl.shows.show import KEYS, Closed

# The share of the screen's height that a window takes at first, in whole multiples.
FIRST_SHARE = 0.75


def has_display() -> bool:
    """Say whether a window could be opened here."""
    names = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
    return sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in names)


class Window:
    """A desktop window."""

    HELD = ("up", "down", "left", "right", "space", *"0123456789wasd")

    def __init__(self, title: str, keys: str = KEYS) -> None:
        """`keys` says below the picture what keys there are."""
        if not has_display():
            raise UserError("there is no display for --window; use --terminal, or --video FILE.mp4")
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        import pygame

        self.pygame = pygame
        self.title, self.keys = title, keys
        self.letters: list[str] = []
        self.opened = False
        try:
            pygame.display.init()
        except pygame.error as error:
            raise UserError(f"no window can be opened here ({error}); use --terminal") from None
        # Where the display that is named does not answer, SDL draws into memory and says nothing.
        driver = pygame.display.get_driver()
        if driver in ("offscreen", "dummy", "evdev") and not os.environ.get("SDL_VIDEODRIVER"):
            pygame.quit()
            raise UserError("the display does not answer; use --terminal, or --video FILE.mp4")

    def show(self, picture: np.ndarray, panel: Panel | None, caption: str) -> None:
        pygame = self.pygame
        picture = with_footer(compose(picture, panel), [caption, self.keys])
        if not self.opened:
            self.open(picture)
        pygame.display.set_caption(f"{self.title}  {caption}")
        shown = pygame.surfarray.make_surface(picture.swapaxes(0, 1))
        surface = pygame.display.get_surface()
        assert surface is not None
        size = largest_within(surface.get_size(), shown.get_size())
        place = [(whole - part) // 2 for whole, part in zip(surface.get_size(), size, strict=True)]
        surface.fill(BACK)
        surface.blit(pygame.transform.smoothscale(shown, size), place)
        pygame.display.flip()
        for event in pygame.event.get():
            if event.type == pygame.QUIT:
                raise Closed
            if event.type == pygame.KEYDOWN:
                if event.key in (pygame.K_ESCAPE, pygame.K_q):
                    raise Closed
                self.letters.append(event.unicode)

    def open(self, picture: np.ndarray) -> None:
        """Open the window in a whole multiple of a picture's size that the screen has room for."""
        rows, columns = picture.shape[:2]
        screen = self.pygame.display.get_desktop_sizes()[0][1]
        factor = max(1, int(FIRST_SHARE * screen / rows))
        self.pygame.display.set_mode((columns * factor, rows * factor), self.pygame.RESIZABLE)
        self.opened = True

    def held(self) -> set[str]:
        down = self.pygame.key.get_pressed()
        return {name for name in self.HELD if down[self.pygame.key.key_code(name)]}

    def typed(self) -> list[str]:
        letters, self.letters = self.letters, []
        return letters

    def close(self) -> None:
        self.pygame.quit()


def largest_within(room: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Return the largest size of the same shape that fits; widths come first."""
    factor = min(room[0] / size[0], room[1] / size[1])
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
