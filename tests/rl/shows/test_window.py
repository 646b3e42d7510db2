"""Windows, and that there is none without a display."""

import sys

import numpy as np
import pytest

from backbones.training.errors import UserError
from rl.shows.window import Window
from tests.rl.shows.panels import panel


# The dummy driver, which stands for a screen here, draws in software and warns of it.
@pytest.mark.filterwarnings("ignore:no fast renderer")
def test_a_window_opens_and_closes(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    window = Window("title")
    window.show(np.zeros((210, 160, 3), np.uint8), panel(), "score 1")
    assert window.held() == set()
    window.close()


def test_without_a_display_a_window_is_refused(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(UserError, match="no display for --window; use --terminal"):
        Window("title")
