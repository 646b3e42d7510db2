"""Play in a terminal: half blocks, the panel as text, keys."""

import os
import pty
import sys
import time

import numpy as np
import pytest

from rl.shows.show import Closed
from rl.shows.terminal import Terminal, half_blocks, panel_lines
from tests.rl.shows.panels import panel


def test_half_blocks_carry_two_pixels_each():
    picture = np.zeros((4, 2, 3), np.uint8)
    picture[0] = (255, 0, 0)
    picture[1] = (0, 255, 0)
    lines = half_blocks(picture, 0.5, 2, 2)
    assert lines[0].startswith("\x1b[38;2;255;0;0;48;2;0;255;0m▀▀")
    assert len(lines) == 2
    wide = half_blocks(np.zeros((210, 160, 3), np.uint8), 480 / 420, 80, 20)
    assert (len(wide), wide[0].count("▀")) == (20, 45)
    narrow = half_blocks(np.zeros((210, 160, 3), np.uint8), 480 / 420, 40, 50)
    assert (len(narrow), narrow[0].count("▀")) == (18, 40)


def test_the_panel_is_text_in_a_terminal():
    lines = panel_lines(panel(probabilities=[0.0, 0.5, 0.5, 0.0, 0.0, 0.0]), 32)
    assert lines[3].strip() == "score 3"
    assert lines[4].strip() == "value +0.50"
    assert lines[7].startswith("FIRE")
    assert " 50% ████" in lines[7]
    assert lines[8].startswith("\x1b[33mRIGHT")  # the chosen one


def test_a_terminal_too_low_for_all_actions_shows_the_likeliest():
    lines = panel_lines(panel(scores=[3.0], probabilities=[0.0, 0.6, 0.4, 0.0, 0.0, 0.0]), 32, 9)
    assert lines[5].strip() == "last games 3, mean 3.0 of 1"
    assert [line.split()[0] for line in lines[6:]] == ["FIRE", "\x1b[33mRIGHT", "and"]
    assert lines[8].strip() == "and 4 less likely actions"


def test_a_terminal_sends_only_what_changed(capsys, monkeypatch):
    monkeypatch.setattr(Terminal, "EVERY_S", 0.0)
    terminal = Terminal("title")
    picture = np.zeros((210, 160, 3), np.uint8)
    terminal.show(picture, panel(), "score 3")
    first = len(capsys.readouterr().out)
    terminal.show(picture, panel(), "score 3")
    assert capsys.readouterr().out == ""
    picture[0:8] = 255
    terminal.show(picture, panel(), "score 3")
    assert 0 < len(capsys.readouterr().out) < first / 3
    terminal.close()


def test_a_terminal_reads_keys_and_is_given_back(monkeypatch, capsys):
    master, slave = pty.openpty()
    with os.fdopen(slave, "r") as keyboard:
        monkeypatch.setattr(sys, "stdin", keyboard)
        monkeypatch.setattr(Terminal, "HELD_S", 0.05)
        terminal = Terminal("title")
        os.write(master, b"\x1b[A ")
        picture = np.zeros((20, 20, 3), np.uint8)
        terminal.show(picture, None, "score 0")
        assert terminal.held() == {"up", "space"}
        assert terminal.typed() == [" "]
        time.sleep(0.06)
        terminal.show(picture, None, "score 0")
        assert terminal.held() == set()
        os.write(master, b"q")
        with pytest.raises(Closed):
            terminal.show(picture, None, "score 0")
        terminal.close()
    out = capsys.readouterr().out
    assert out.startswith("\x1b[?1049h")
    assert out.endswith("\x1b[?1049l")
    os.close(master)
