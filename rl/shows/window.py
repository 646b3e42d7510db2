"""A desktop window that shows play, by pygame."""

import os
import sys

import numpy as np

from backbones.training.errors import UserError
from rl.shows.panel import Panel, compose
from rl.shows.show import Closed


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
        # Where the display that is named does not answer, SDL draws into memory and says nothing.
        driver = pygame.display.get_driver()
        if driver in ("offscreen", "dummy", "evdev") and not os.environ.get("SDL_VIDEODRIVER"):
            pygame.quit()
            raise UserError("the display does not answer; use --terminal, or --video FILE.mp4")

    def show(self, picture: np.ndarray, panel: Panel | None, caption: str) -> None:
        pygame = self.pygame
        picture = compose(picture, panel)
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
