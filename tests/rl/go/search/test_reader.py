"""Reading of captures: shapes with a known answer, and random positions against a slow reader."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl.go.rules import board
from rl.go.rules.board import BLACK, POINTS, WHITE
from rl.go.rules.position import Position, read_vertex, vertex
from rl.go.search import reader, tactics
from tests.rl.go.search.slow_reader import SlowReader
from tests.rl.go.search.test_playout import drawn, point

READER = reader.build_reader()

LADDER = """
. . . . . . . . .
. . . X X . . . .
. . X O O . . . .
. . . X . . . . .
. . . . . . . . .
. . . . . . . . .
. . . . . . {} . .
. . . . . . . . .
. . . . . . . . .
"""
NET = """
. . . . . . .
. . X X X . .
. X O O . . .
. . X . . . .
. . . . . O .
. . . . . . .
. . . . . . .
"""
SNAPBACK = """
X . . O O .
X O O X O .
X X X X O .
. . . . . .
. . . . . .
. . . . . .
"""
CAPTURE_TO_SAVE = """
X O X . .
X O X . .
. . X . .
O O . . .
. . . . .
"""
LOST = """
. . . . .
O O O . .
X X O . .
. O . . .
. . O . .
"""


def captured(position, word, attacking, quiet=1, budget=10_000):
    """Return whether the chain at a point is captured by who is attacking, or defends."""
    READER.boards[0] = position.board
    READER.budget[0] = budget
    target = point(word, position.size)
    return reader.captured(READER, target, attacking, quiet, reader.ALL)


def gains(position):
    """Return the moves that win, save or lose stones, as people write them."""
    found = np.zeros(POINTS, np.int32)
    tactics.judge(READER, position.board, found)
    size = position.size
    return {
        vertex(int(board.point_to_move(p, size)), size): int(found[p]) for p in found.nonzero()[0]
    }


def test_a_ladder_works_on_the_one_side_that_closes_the_way_and_not_through_a_breaker():
    free, broken = drawn(LADDER.format(".")), drawn(LADDER.format("O"))
    assert captured(free, "E7", True, quiet=0) and not captured(free, "E7", False)
    assert gains(free) == {"F7": 2}
    assert not captured(broken, "E7", True, quiet=0)
    # A stone that stands past the ladder's end, or an attacker's, changes nothing.
    assert captured(drawn(LADDER.format("X")), "E7", True, quiet=0)


def test_a_ladder_across_the_whole_board_is_read_to_its_end():
    position = Position(19, 0.0)
    stones = {"C18": BLACK, "D18": BLACK, "B17": BLACK, "C16": BLACK, "C17": WHITE, "D17": WHITE}
    position.set_up((colour, read_vertex(word, 19)) for word, colour in stones.items())
    assert captured(position, "D17", True, quiet=0)
    position.set_up([(WHITE, read_vertex("Q4", 19))])
    assert not captured(position, "D17", True, quiet=0)


def test_a_reader_without_budget_says_so_and_captures_nothing():
    assert not captured(drawn(LADDER.format(".")), "E7", True, budget=3)
    assert READER.budget[0] < 0
    assert captured(drawn(LADDER.format(".")), "E7", True) and READER.budget[0] >= 0


def test_a_net_holds_what_a_ladder_does_not():
    position = drawn(NET)
    assert not captured(position, "D5", True, quiet=0)
    assert gains(position) == {"E4": 2}


def test_a_stone_thrown_in_takes_more_than_it_costs():
    position = drawn(SNAPBACK)
    assert gains(position) == {"C6": 2}
    position.whose(WHITE)
    assert gains(position) == {"C6": 2}  # the way out is the same point


def test_a_chain_in_atari_is_saved_by_taking_what_stands_beside_it():
    position = drawn(CAPTURE_TO_SAVE)
    assert gains(position) == {"B3": 2, "A3": -2}
    position.whose(WHITE)
    assert gains(position) == {"A3": 2, "B3": 2}


def test_to_run_with_a_lost_chain_loses_stones_and_to_take_it_is_not_urgent():
    position = drawn(LOST)
    assert gains(position) == {"A2": -2}
    position.whose(WHITE)
    assert gains(position) == {}


def random_position(size, moves, seed):
    rng, position = np.random.default_rng(seed), Position(size, 0.0)
    for _ in range(moves):
        legal = np.flatnonzero(position.legal_moves()[:-1])
        if len(legal) == 0:
            break
        position.play(int(rng.choice(legal)))
    return position


@settings(max_examples=25, deadline=None)
@given(moves=st.integers(8, 15), seed=st.integers(0, 2**32 - 1), quiet=st.integers(0, 1))
def test_reading_is_what_trying_everything_says(moves, seed, quiet):
    position = random_position(5, moves, seed)
    slow, size = SlowReader(5, reach=1), 5
    stones = {divmod(m, 5): position.at(m) for m in range(25) if position.at(m)}
    forbidden = int(position.board["ko"])
    ko = divmod(int(board.point_to_move(forbidden, size)), size) if forbidden else None
    for spot in stones:
        for attacking in (True, False):
            word = vertex(spot[0] * size + spot[1], size)
            expected = slow.captured(stones, ko, spot, attacking, quiet)
            assert captured(position, word, attacking, quiet, 10**9) == expected, word


@pytest.mark.parametrize("to_play", [BLACK, WHITE])
def test_reading_leaves_the_position_alone(to_play):
    position = drawn(LADDER.format("."))
    position.whose(to_play)
    before = position.games.tobytes()
    gains(position)
    assert position.games.tobytes() == before
