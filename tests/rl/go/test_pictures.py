"""Boards as pictures: what stands where, and who owns it."""

import numpy as np

from backbones.training.log import Board
from rl.go.gallery import Gallery
from rl.go.learning.selfplay import Record
from rl.go.network.go_network import build_network
from rl.go.pictures import BLACK_STONE, CELL, RED, WHITE_STONE, WOOD, board_picture, game_frames
from rl.go.rules.position import Position


def at(picture, move, size, aside=0):
    """Return the colour of a point, or of a place beside it."""
    row, column = divmod(move, size)
    y, x = (CELL * part + CELL // 2 for part in (row, column))
    return tuple(picture[y + aside, x + aside].tolist())


def test_stones_stand_on_their_points_and_the_last_is_marked():
    position = Position(5, 0.5)
    for move in (3, 21):
        position.play(move)
    picture = board_picture(position)
    assert picture.shape == (5 * CELL, 5 * CELL, 3)
    assert at(picture, 3, 5) == BLACK_STONE and at(picture, 21, 5) == RED
    assert at(picture, 21, 5, aside=5) == WHITE_STONE
    assert at(picture, 8, 5, aside=5) == WOOD


def test_a_point_is_shaded_by_its_owner():
    owned = np.zeros(25)
    owned[0], owned[1], owned[2] = 1, -1, 0.4
    picture = board_picture(Position(5), owned)
    assert at(picture, 0, 5) == BLACK_STONE and at(picture, 1, 5) == WHITE_STONE
    assert at(picture, 0, 5, aside=3) == BLACK_STONE != at(picture, 2, 5, aside=3)


def test_a_game_is_a_picture_a_move():
    frames = game_frames(5, 0.5, [12, 7, 25])
    assert len(frames) == 5
    assert at(frames[0], 12, 5) == RED and at(frames[1], 12, 5) == BLACK_STONE


def test_a_gallery_shows_games_now_and_then_and_a_broken_one_is_a_warning():
    class Shown(Board):
        def __init__(self):
            self.tags = []

        def image(self, step, tag, image, encoded):
            self.tags.append(tag)

    shown = Shown()
    warned, network = [], build_network("b2c32", 5, 5).eval()
    gallery = Gallery(shown, 5, 60.0, warned.append)
    for _ in range(2):
        gallery.add(Record([12, 7, 25], 0.5, False), network, 10)
    assert shown.tags == ["selfplay/game", "selfplay/ownership"] and not warned
    gallery.next_s = 0
    gallery.add(Record([12, 12], 0.5, False), network, 20)
    assert len(warned) == 1 and "could not be made" in warned[0]
    Gallery(shown, 5, 0.0, warned.append).add(Record([12], 0.5, False), network, 30)
    assert len(shown.tags) == 2
