"""`arcadia check`: what agents will see of a game, or the line that training would end with."""

import cv2
import numpy as np
import pytest

import arcadia
from rl.check import picture_of

MODULE = "tests.rl.games.other_games"


def test_a_game_is_described_and_drawn(tmp_path, capsys):
    path = tmp_path / "seen.png"
    flags = ["--size-px", "0", "--env-kwargs", "continuous=False", "-o", str(path)]
    assert arcadia.main(["check", f"{MODULE}:Steered", *flags]) == 0
    out = capsys.readouterr().out
    for part in (
        "observation space: Box(0, 255, (12, 16), uint8)",
        "action space: Discrete(2)",
        "agents see: grey 16 x 16, 4 frames: made with continuous=False\n",
        "actions: 2: action 0, action 1",
        "rewards in 256 random env steps: 0 to 1",
        "games ended: 25 (25 terminated), of 10 env steps and score ",
        "the same seed and actions give the same game: yes",
        "env steps/s in one process",
        f"what agents see: {path}",
    ):
        assert part in out, part
    picture = cv2.imread(str(path))
    # Four frames of 16 points, enlarged ten times, and lines of four between; four rows of them.
    assert picture.shape == (4 * 164, 4 * 164, 3)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["Entries"], "choose one, as in --obs-key"),
        (["Numbers"], "--pixels learns from what it draws"),
        (["Halfs"], "unknown environment"),
        (["Halves", "-o", "seen.jpg"], "must end in .png"),
        (["Halves", "-o", "/proc/nowhere/seen.png"], "cannot be written"),
        (["Halves", "--steps", "0"], "must be above 0"),
    ],
)
def test_what_cannot_be_trained_on_is_one_line(capsys, words, line):
    assert arcadia.main(["check", f"{MODULE}:{words[0]}", *words[1:]]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert line in said


def test_an_atari_game_is_checked_too(capsys):
    assert arcadia.main(["check", "ALE/Pong-v5", "--steps", "8"]) == 0
    out = capsys.readouterr().out
    assert "agents see: grey 84 x 84, 4 frames\n" in out and "actions: 6: NOOP, FIRE" in out
    assert "games ended: none" in out


def test_older_frames_stand_on_the_left_and_planes_have_hues():
    obs = np.zeros((8, 42, 42), np.uint8)
    obs[0], obs[7] = 255, 255  # the first plane of the oldest frame, the second of the newest
    picture = picture_of([obs], 2)
    assert picture.shape == (172, 4 * 172, 3)
    assert picture[0, 0].tolist() != picture[0, 3 * 172].tolist() and picture[0, 0].any()
    assert not picture[0, 172 : 172 + 168].any()
