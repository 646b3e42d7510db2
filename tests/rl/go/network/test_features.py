"""What a network sees: planes by hand, and the eight ways to turn a board as a group."""

import numpy as np
import pytest

from rl.go.network.features import (
    KOMI_STEP,
    KOMI_ZERO,
    NAMES,
    PLANES,
    YES,
    draw_planes,
    see,
    straight_moves,
    turned,
    turned_moves,
)
from rl.go.rules import board
from rl.go.rules.board import BLACK, POINTS, WHITE
from rl.go.rules.position import Position, Rules, read_vertex
from tests.rl.go.rules.slow_board import SlowBoard


def planes_of(position, room=0):
    room = room or position.size
    planes = np.full((PLANES, room, room), 7, np.uint8)
    mask = np.zeros(position.pass_move + 1, bool)
    see(position.board, position.komi, planes, mask, np.zeros(POINTS, np.int32))
    return dict(zip(NAMES, planes, strict=True)), mask


def played(text, size=5, **rules):
    position = Position(size, 6.5, Rules(**rules))
    for word in text.split():
        position.play(read_vertex(word, size))
    return position


def points(plane):
    """Return the points of a plane of 5 by 5, as people write them."""
    assert set(np.unique(plane)) <= {0, YES}
    return {f"{'ABCDE'[x]}{5 - y}" for y, x in np.argwhere(plane).tolist()}


def test_planes_by_hand():
    # White to play; B5 is black's with A5 white in the corner in atari.
    planes, mask = planes_of(played("B5 A5 C3 E1 D2"))
    assert points(planes["own"]) == {"A5", "E1"} and points(planes["other"]) == {"B5", "C3", "D2"}
    assert points(planes["one liberty"]) == {"A5"}
    assert points(planes["two liberties"]) == {"B5", "E1"}
    assert points(planes["three liberties"]) == set()
    assert points(planes["last move"]) == {"D2"} and points(planes["last but two"]) == {"C3"}
    assert (planes["komi"] == KOMI_ZERO + KOMI_STEP * 6.5).all()
    assert not planes["last was a pass"].any() and (planes["inside"] == YES).all()
    assert mask[25] and mask[read_vertex("A4", 5)] and not mask[read_vertex("A5", 5)]


def test_komi_is_that_of_who_is_to_play_and_a_pass_is_seen():
    planes, _ = planes_of(played("C3 pass"))
    assert (planes["komi"] == KOMI_ZERO - KOMI_STEP * 6.5).all()
    assert (planes["last was a pass"] == YES).all() and not planes["last move"].any()
    assert points(planes["last but one"]) == {"C3"}


def test_rules_are_seen():
    for rules, names in (
        ({"suicide": True}, {"suicide"}),
        ({"ko": "simple"}, {"simple ko"}),
        ({"ko": "situational"}, {"situational ko"}),
        ({}, set()),
    ):
        planes, _ = planes_of(played("", **rules))
        seen = {n for n in ("suicide", "simple ko", "situational ko") if planes[n].all()}
        assert seen == names


def test_an_illegal_point_is_marked():
    planes, mask = planes_of(played("C3 D3 B2 E2 C1 D1 D2 C2"))
    # D2 is the ko, E1 suicide.
    assert points(planes["illegal"]) == {"D2", "E1"} and not mask[read_vertex("D2", 5)]


def test_a_small_board_stands_at_the_top_left_of_its_room():
    small, _ = planes_of(played("C3 D4"))
    large, _ = planes_of(played("C3 D4"), room=9)
    for name in NAMES:
        assert np.array_equal(large[name][:5, :5], small[name])
        assert not large[name][5:].any() and not large[name][:, 5:].any()


@pytest.mark.parametrize("seed", range(4))
def test_liberties_are_those_of_floods(seed):
    rng, position = np.random.default_rng(seed), Position(9)
    for _ in range(45):
        position.play(int(rng.choice(np.flatnonzero(position.legal_moves()[:-1]))))
    planes, _ = planes_of(position)
    slow = SlowBoard(9)
    slow.stones = {divmod(m, 9): position.at(m) for m in range(81) if position.at(m)}
    for spot in slow.stones:
        _, liberties = slow.chain(slow.stones, spot)
        for n, name in enumerate(("one liberty", "two liberties", "three liberties"), 1):
            assert (planes[name][spot] == YES) == (len(liberties) == n)


def test_the_eight_ways_are_a_group_and_moves_turn_with_the_board():
    picture = np.arange(25).reshape(5, 5)
    ways = {turned(picture, way).tobytes() for way in range(8)}
    assert len(ways) == 8
    for first in range(8):
        moves = turned_moves(5, first)
        assert moves[25] == 25 and sorted(moves) == list(range(26))
        assert np.array_equal(turned(picture, first).ravel(), picture.ravel()[moves[:25]])
        assert np.array_equal(moves[straight_moves(5, first)], np.arange(26))
        for second in range(8):
            assert turned(turned(picture, first), second).tobytes() in ways


@pytest.mark.parametrize("way", range(8))
def test_a_turned_game_is_seen_as_the_turned_planes(way):
    rng, straight, other = np.random.default_rng(way), Position(7), Position(7)
    moves = turned_moves(7, way)
    where = np.argsort(moves)
    for _ in range(20):
        move = int(rng.choice(np.flatnonzero(straight.legal_moves())))
        straight.play(move)
        other.play(int(where[move]))
    planes, mask = planes_of(straight)
    theirs, their_mask = planes_of(other)
    for name in NAMES:
        assert np.array_equal(turned(planes[name], way), theirs[name]), name
    assert np.array_equal(mask[moves], their_mask)


def test_drawing_does_not_depend_on_what_was_drawn_before():
    stamps = np.zeros(POINTS, np.int32)
    first, again = (np.zeros((PLANES, 5, 5), np.uint8) for _ in range(2))
    one, two = played("B5 A5 C3 E1 D2"), played("C3 C4")
    draw_planes(one.board, 6.5, first, stamps)
    draw_planes(two.board, 6.5, again, stamps)
    draw_planes(one.board, 6.5, again, stamps)
    assert np.array_equal(first, again)
    assert board.BOARD["colour"].shape == (POINTS,) and {BLACK, WHITE} == {1, 2}
