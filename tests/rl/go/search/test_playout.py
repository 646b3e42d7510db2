"""Playouts and the search by them: chances, eyes, patterns, and positions with a known answer."""

import numpy as np
import pytest

from rl.go.player import PlayoutPlayer, RandomPlayer, follows
from rl.go.rules import board
from rl.go.rules.board import BLACK, POINTS, WHITE
from rl.go.rules.position import Position, Rules, read_vertex, vertex
from rl.go.search import patterns, playout
from tests.rl.go.rules.slow_board import SlowBoard


def drawn(text, to_play=BLACK, komi=0.0):
    """Return the position of a drawing: X is black, O white."""
    rows = [line.split() for line in text.strip().split("\n")]
    position = Position(len(rows), komi)
    marks = {"X": BLACK, "O": WHITE}
    position.set_up(
        (marks[mark], row * len(rows) + column)
        for row, line in enumerate(rows)
        for column, mark in enumerate(line)
        if mark in marks
    )
    position.whose(to_play)
    return position


def point(word, size):
    return board.move_to_point(read_vertex(word, size), size)


def test_chances_are_what_they_should_be():
    rng = np.array([42], np.uint64)
    seen = np.bincount([playout.random_below(rng, 7) for _ in range(70_000)], minlength=7)
    assert len(seen) == 7 and abs(seen / 10_000 - 1).max() < 0.05
    assert abs(np.mean([playout.chance(rng, 0.3) for _ in range(20_000)]) - 0.3) < 0.02


def test_eyes_and_false_eyes():
    position = drawn(". X . . .\nX X . O .\n. . O . O\n. . . O .\n. . . . .")
    assert playout.is_eye(position.board, point("A5", 5), BLACK)
    assert not playout.is_eye(position.board, point("A5", 5), WHITE)
    assert playout.is_eye(position.board, point("D3", 5), WHITE)
    position.set_up([(BLACK, read_vertex("C2", 5)), (BLACK, read_vertex("E2", 5))])
    assert not playout.is_eye(position.board, point("D3", 5), WHITE)


@pytest.mark.parametrize("seed", range(6))
def test_self_atari_is_what_counting_liberties_says(seed):
    rng, position = np.random.default_rng(seed), Position(6, 0.0)
    for _ in range(22):
        position.play(int(rng.choice(np.flatnonzero(position.legal_moves()[:-1]))))
    slow = SlowBoard(6)
    slow.stones = {divmod(m, 6): position.at(m) for m in range(36) if position.at(m)}
    for move in range(36):
        colour = slow.to_play = position.to_play
        spot = divmod(move, 6)
        if spot in slow.stones or slow.after(spot) is None:
            continue
        after = slow.after(spot)
        captures = len(after) <= len(slow.stones)
        _, liberties = slow.chain(after, spot)
        ours = playout.self_atari(position.board, board.move_to_point(move, 6), colour)
        assert ours == (len(liberties) < 2 and not captures)


def test_patterns_hold_for_both_colours_and_all_ways_to_turn():
    assert patterns.TABLE.dtype == bool and 0.005 < patterns.TABLE.mean() < 0.1
    # A hane: the stones above, the rest empty but for the last row, which may be anything.
    hane = drawn("O X O . .\n. . . . .\n. . . . .\n. . . . .\n. . . . .")
    assert playout.fits_pattern(hane.board, point("B4", 5))
    assert not playout.fits_pattern(hane.board, point("C3", 5))
    turned = drawn(". . . . X\n. . . . O\n. . . . X\n. . . . .\n. . . . .")
    assert playout.fits_pattern(turned.board, point("D4", 5))
    empty = Position(5)
    assert not any(playout.fits_pattern(empty.board, board.move_to_point(m, 5)) for m in range(25))


@pytest.mark.parametrize("sense", [False, True])
def test_playouts_end_with_every_point_decided(sense):
    work, rng = np.zeros(1, board.BOARD), np.array([7], np.uint64)
    found, first = np.zeros(16, np.int32), np.zeros(POINTS, np.int32)
    owner, lengths = np.zeros(POINTS, np.int32), []
    for _ in range(200):
        board.reset(work[0], 9, board.POSITIONAL, 0)
        first[:] = 0
        lengths.append(playout.play_out(work[0], sense, rng, found, first))
        score = playout.count_up(work[0], owner)
        inside = owner[Position(9).points()]
        assert score == inside.sum() and (inside == 0).sum() <= 6
        assert set(first[Position(9).points()]) <= {0, 1, 2}
    assert 70 < np.mean(lengths) < 160 and max(lengths) < 243


def test_the_same_seed_plays_the_same_and_another_another():
    def searched(seed):
        player, position = PlayoutPlayer(seed=seed, memory_mb=8.0), Position(7)
        player.search(position, 300)
        return [(c.move, c.visits) for c in player.thoughts(position).candidates]

    assert searched(1) == searched(1) != searched(2)


@pytest.mark.parametrize("heuristics", [True, False])
def test_every_simulation_is_counted_once(heuristics):
    player, position = (
        PlayoutPlayer(seed=3, memory_mb=16.0, heuristics=heuristics),
        Position(5, 0.5),
    )
    player.search(position, 2_000)
    thoughts = player.thoughts(position)
    assert thoughts.visits == sum(c.visits for c in thoughts.candidates) == 2_000
    # Black owns an empty board of 5 by 5 by far, and its centre before all.
    assert thoughts.winrate > 0.5 and thoughts.score > 0
    assert vertex(thoughts.best.move, 5) in ("C3" if heuristics else "B3 C2 C3 C4 D3")
    assert abs(thoughts.ownership).max() <= 1 and thoughts.ownership.mean() > 0.1


def test_a_stone_in_atari_is_taken():
    position = drawn(". . X . .\n. X O X .\n. X O X .\n. X . X .\n. . . . .", komi=7.5)
    player = PlayoutPlayer(seed=1, memory_mb=16.0)
    player.search(position, 1_000)
    best = player.thoughts(position).best
    assert vertex(best.move, 5) == "C2" and best.winrate > 0.8


def test_a_pass_that_wins_is_seen():
    # All is settled, Black is ahead, White has passed: to pass now is to win.
    position = drawn("X X . X X\nX . X X X\nX X X X X\nO O O O O\nO . O . O", komi=0.5)
    position.play(position.pass_move, WHITE)
    player = PlayoutPlayer(seed=1, memory_mb=16.0)
    player.search(position, 500)
    thoughts = player.thoughts(position)
    assert thoughts.best.move == position.pass_move and thoughts.best.winrate > 0.95


def test_the_tree_is_kept_when_the_game_goes_on():
    player, position = PlayoutPlayer(seed=1, memory_mb=16.0), Position(5, 0.5)
    player.search(position, 2_000)
    best = player.thoughts(position).best
    position.play(best.move)
    kept = player.thoughts(position)
    assert kept.visits >= best.visits - 1 and kept.visits > 100
    player.search(position, 10)
    assert player.thoughts(position).visits == kept.visits + 10
    other = Position(5, 0.5)
    other.play(0)
    assert player.thoughts(other).visits == 0


def test_a_position_follows_another_only_by_its_own_moves():
    one = Position(5)
    two = one.copy()
    two.play(3)
    two.play(4)
    assert follows(two, one) == [3, 4] and follows(one, two) is None and follows(one, one) == []
    for other in (Position(5, 1.0), Position(6), Position(5, 7.0, Rules(ko="simple"))):
        assert follows(other, one) is None
    twice = one.copy()
    twice.play(3, BLACK)
    twice.play(4, BLACK)
    assert follows(twice, one) is None


def test_memory_is_bounded_and_a_full_tree_goes_on():
    player, position = PlayoutPlayer(seed=1, memory_mb=0.2, expand_at=1), Position(9)
    player.search(position, 2_000)
    tree = player.tree
    assert tree.nodes.nbytes + tree.edges.nbytes < 0.12 * 2**20
    assert tree.used[0] <= len(tree.nodes) - 1 and tree.used[1] <= len(tree.edges)
    assert player.thoughts(position).visits == 2_000


def test_counting_goes_on_where_a_float_would_stand_still():
    player, position = PlayoutPlayer(seed=1, memory_mb=4.0), Position(5, 0.5)
    player.search(position, 500)
    edge = player.tree.edges_of(1)[:1]
    edge["visits"], edge["half_wins"], edge["score"] = 2**26, 2**27, 25.0 * 2**26
    player.search(position, 400)
    added = int(edge["visits"][0]) - 2**26
    assert 0 < added <= int(edge["half_wins"][0]) - 2**27 + added <= 2 * added + added
    assert player.thoughts(position).best.visits == 2**26 + added


def test_chance_alone_fills_no_eyes_and_passes_at_last():
    player, position = RandomPlayer(0), Position(5)
    while not position.over:
        position.play(player.thoughts(position).best.move)
    assert 15 < len(position.moves) < 400
