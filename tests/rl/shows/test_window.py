"""Windows, and that there is none without a display."""

import sys

import numpy as np
import pytest

from backbones.training.errors import UserError
from rl.shows.panel import BACK
from rl.shows.window import Window, largest_within
from tests.rl.shows.panels import panel


# The dummy driver, which stands for a screen here, draws in software and warns of it.
@pytest.mark.filterwarnings("ignore:no fast renderer")
def test_a_window_opens_and_closes(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    window = Window("title")
    window.show(np.zeros((210, 160, 3), np.uint8), panel(), "score 1")
    assert window.held() == set()
    window.close()


@pytest.mark.filterwarnings("ignore:no fast renderer")
def test_a_window_scales_the_picture_to_its_size_and_hands_over_what_was_typed(monkeypatch):
    import pygame

    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    window = Window("title", "q quit")
    picture = np.full((100, 100, 3), 200, np.uint8)
    window.show(picture, None, "score 1")
    first = pygame.display.get_surface().get_size()
    pygame.display.set_mode((2 * first[0] + 300, 2 * first[1]), pygame.RESIZABLE)
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_p, unicode="p"))
    window.show(picture, None, "score 1")
    seen = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
    assert (seen[10, 160 : 2 * first[0] + 140] == 200).all()  # twice as large, in the middle
    assert (seen[10, :140] == BACK).all()
    assert window.typed() == ["p"]
    assert window.typed() == []
    window.close()


def test_the_largest_size_of_the_same_shape_fits_either_way():
    assert largest_within((300, 100), (30, 20)) == (150, 100)
    assert largest_within((60, 1000), (30, 20)) == (60, 40)


def test_without_a_display_a_window_is_refused(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(UserError, match="no display for --window; use --terminal"):
        Window("title")
