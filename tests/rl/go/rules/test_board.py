"""Rules: exact counts of games, a slow board, an independent library, positions by hand."""

import random

import numpy as np
import pytest
from numba import njit
from sgfmill import boards

from rl.go.rules import board
from rl.go.rules.board import BLACK, EMPTY, WHITE
from rl.go.rules.position import (
    KO_RULES,
    IllegalMove,
    Position,
    Rules,
    handicap_points,
    read_vertex,
    vertex,
)
from tests.rl.go.rules.slow_board import SlowBoard


@njit(nogil=True)
def perft(games, depth):
    """Count the sequences of `depth` moves from games[0]; passes are moves, two end the game."""
    count, at = 0, 0
    next_move = np.zeros(depth + 1, np.int64)
    while at >= 0:
        game = games[at]
        moves = game.size * game.size + 1
        if game.passes >= 2 or next_move[at] >= moves:
            next_move[at] = 0
            at -= 1
            continue
        point = board.move_to_point(next_move[at], game.size)
        next_move[at] += 1
        if not board.legal(game, point):
            continue
        if at + 1 == depth:
            count += 1
            continue
        at += 1
        board.copy(games[at], game, True)
        board.play(games[at], point)
    return count


@pytest.mark.parametrize("ko", ["positional", "situational", "simple"])
def test_white_to_begin_has_the_games_that_black_has(ko):
    """A stone of the other colour stands there first: the history knows whose turn it was."""
    counts = []
    for colour, begins in ((WHITE, BLACK), (BLACK, WHITE)):
        position = Position(2, 0.0, Rules(ko=ko))
        position.set_up([(colour, 0)])
        position.whose(begins)
        games = np.zeros(10, board.BOARD)
        games[0] = position.board
        counts.append([perft(games, depth) for depth in range(1, 10)])
    assert counts[0] == counts[1]


def counted(size, ko, suicide, depths):
    games = np.zeros(max(depths) + 1, board.BOARD)
    board.reset(games[0], size, KO_RULES[ko], int(suicide))
    return [perft(games, depth) for depth in depths]


# From the project's reference, counted there by another board.
TWO = [5, 21, 68, 156, 316, 604]
PERFT = [
    (2, "positional", False, [*TWO, 1088, 2184, 4184, 8024, 13800, 23560, 42784, 80000]),
    (2, "situational", False, [*TWO, 1112, 2312, 4544, 8800, 15248, 26456, 49024, 93760]),
    (2, "simple", False, [*TWO, 1168, 2592, 5768, 12120, 24248, 47840, 99776, 216080]),
    (3, "positional", False, [10, 91, 738, 5281, 33384, 179712, 842696]),
    (3, "situational", False, [10, 91, 738, 5281, 33384, 179712, 842728]),
    (3, "simple", False, [10, 91, 738, 5281, 33384, 179712, 842728]),
    (3, "positional", True, [10, 91, 738, 5281, 33384, 180768, 857576]),
    (4, "positional", False, [17, 273, 4112, 57984]),
    (5, "positional", False, [26, 651, 15650]),
    (7, "positional", False, [50, 2451, 117698]),
    (9, "positional", False, [82, 6643, 531522]),
]


@pytest.mark.parametrize("size, ko, suicide, expected", PERFT)
def test_sequences_of_every_length_are_as_many_as_counted_elsewhere(size, ko, suicide, expected):
    assert counted(size, ko, suicide, range(1, len(expected) + 1)) == expected


def random_game(size, rules, rng, most):
    """Play random legal moves on our board and on the slow one, comparing all there is."""
    ours, slow = Position(size, 0.0, rules), SlowBoard(size, rules.ko, rules.suicide)
    while not ours.over and len(ours.moves) < most:
        legal = ours.legal_moves()
        for move in range(size * size):
            assert legal[move] == slow.legal(divmod(move, size)), (ours.moves, move)
        weights = [0.02 if m == size * size else 1.0 for m in np.flatnonzero(legal)]
        move = rng.choices(np.flatnonzero(legal).tolist(), weights)[0]
        ours.play(move)
        slow.play(None if move == size * size else divmod(move, size))
        stones = {divmod(m, size): ours.at(m) for m in range(size * size) if ours.at(m)}
        assert stones == slow.stones
    assert ours.score() == slow.score()
    return ours


def check_bookkeeping(position):
    """Compare everything that is kept up to date with what it should be, counted anew."""
    record, size = position.board, position.size
    slow = SlowBoard(size)
    slow.stones = {divmod(m, size): position.at(m) for m in range(size * size) if position.at(m)}
    key = np.uint64(0)
    for move in range(size * size):
        point, colour = board.move_to_point(move, size), position.at(move)
        if colour == EMPTY:
            assert record["empty"][record["place"][point]] == point
            continue
        key ^= board.KEYS[colour, point]
        chain, liberties = slow.chain(slow.stones, divmod(move, size))
        head = record["head"][point]
        heads = {record["head"][board.move_to_point(r * size + c, size)] for r, c in chain}
        assert heads == {head} and record["stones"][head] == len(chain)
        assert board.in_atari(record, head) == (len(liberties) == 1)
    assert record["key"] == key and record["num_empty"] == size * size - len(slow.stones)


@pytest.mark.parametrize("ko", KO_RULES)
@pytest.mark.parametrize("suicide", [False, True])
def test_random_games_are_those_of_a_slow_board(ko, suicide):
    rng = random.Random(f"{ko} {suicide}")
    for size, most in ((2, 60), (3, 80), (4, 120), (5, 120), (7, 90)):
        for _ in range(4):
            check_bookkeeping(random_game(size, Rules(ko=ko, suicide=suicide), rng, most))


@pytest.mark.parametrize("size", [5, 9, 13, 19])
def test_random_games_are_those_of_sgfmill(size):
    rng = random.Random(size)
    for _ in range(4):
        ours, theirs = Position(size, 0.0, Rules(ko="simple")), boards.Board(size)
        for _ in range(3 * size * size):
            legal = np.flatnonzero(ours.legal_moves()[:-1])
            if not len(legal):
                break
            move = int(rng.choice(legal))
            theirs.play(size - 1 - move // size, move % size, "b" if ours.to_play == 1 else "w")
            ours.play(move)
        marks = {None: EMPTY, "b": BLACK, "w": WHITE}
        for move in range(size * size):
            assert ours.at(move) == marks[theirs.get(size - 1 - move // size, move % size)]
        assert ours.score() == theirs.area_score()


def played(text, size=9, **rules):
    """Return the position after moves such as `D4 E5 pass`."""
    position = Position(size, 0.0, Rules(**rules))
    for word in text.split():
        position.play(read_vertex(word, size))
    return position


def test_a_board_can_come_back_without_a_capture():
    # On 2 x 2: two captures empty and fill it so that a mere stone makes the board of ply 3.
    position = played("A2 B2 A1 B1 A2 pass A1", size=2)
    assert not position.legal(read_vertex("B2", 2))
    assert played("A2 B2 A1 B1 A2 pass A1", size=2, ko="simple").legal(read_vertex("B2", 2))


KO = "C3 D3 B4 E4 C5 D5 D4 C4"  # white's C4 takes D4; D4 would take back


def test_a_ko_may_be_taken_back_after_a_move_elsewhere():
    for ko in KO_RULES:
        position = played(KO, ko=ko)
        with pytest.raises(IllegalMove, match="the board was there before"):
            position.play(read_vertex("D4", 9))
        for word in ("H8", "H7", "D4"):
            position.play(read_vertex(word, 9))
        assert position.at(read_vertex("C4", 9)) == EMPTY


def test_a_stone_that_would_die_alone_is_never_allowed_and_two_by_the_rules_only():
    alone = played("A2 pass B1")
    assert not alone.legal(read_vertex("A1", 9))
    alone.board["suicide"] = 1
    assert not alone.legal(read_vertex("A1", 9))
    # Black surrounds A1 and A2; white fills both.
    moves = "A3 A2 B2 pass B1"
    assert not played(moves).legal(read_vertex("A1", 9))
    position = played(moves, suicide=True)
    position.play(read_vertex("A1", 9))
    assert position.at(read_vertex("A2", 9)) == EMPTY
    assert position.board["captured"][BLACK] == 2


def test_stones_may_stand_nowhere_but_on_the_board():
    position = Position(9)
    for word in ("I5", "K1", "A0", "A10", "", "D", "5D", "DD4", "D4 5"):
        with pytest.raises(ValueError, match=r"is not a point|outside"):
            read_vertex(word, 9)
    position.play(40)
    with pytest.raises(IllegalMove, match="white E5: a stone stands there"):
        position.play(40)
    with pytest.raises(ValueError, match="1 by 1"):
        Position(1)
    with pytest.raises(ValueError, match="26 by 26"):
        Position(26)


@pytest.mark.parametrize("size", [2, 9, 19])
def test_points_are_written_as_they_are_read(size):
    for move in range(size * size + 1):
        assert read_vertex(vertex(move, size), size) == move
    assert vertex(0, size)[0] == "A" and vertex(0, size)[1:] == str(size)


def test_taking_back_brings_back_all_there_was():
    position = played(KO)
    before = position.copy()
    position.play(read_vertex("H8", 9))
    position.undo()
    check_bookkeeping(position)
    for name in ("colour", "to_play", "ply", "ko", "captured", "key", "last", "bloom"):
        assert np.array_equal(position.board[name], before.board[name]), name
    assert not position.legal(read_vertex("D4", 9))
    for _ in range(8):
        position.undo()
    with pytest.raises(ValueError, match="no move to take back"):
        position.undo()


def test_handicaps_are_where_gtp_says():
    assert [vertex(m, 19) for m in handicap_points(19, 9)] == (
        "D4 Q16 D16 Q4 D10 Q10 K4 K16 K10".split()
    )
    assert [vertex(m, 9) for m in handicap_points(9, 5)] == "C3 G7 C7 G3 E5".split()
    for size, stones in ((6, 2), (8, 5), (7, 5), (19, 10), (19, 1)):
        with pytest.raises(ValueError, match="handicap"):
            handicap_points(size, stones)


def test_a_set_up_board_has_no_history_and_only_a_handicap_gives_white_the_turn():
    position = Position(9)
    position.set_up([(BLACK, 20), (BLACK, 60)])
    assert position.to_play == BLACK and position.board["ply"] == 0 and position.handicap == 0
    given = Position(9)
    given.give_handicap([20, 60])
    assert given.to_play == WHITE and given.board["ply"] == 0 and given.handicap == 2
    given.play(0)
    given.undo()
    assert given.to_play == WHITE and given.copy().handicap == 2
    for wrong in ([(BLACK, 20)], [(WHITE, 81)], [(WHITE, 1), (WHITE, 1)]):
        with pytest.raises(ValueError, match="stones to set up"):
            position.set_up(wrong)
    assert len(position.stones) == 2
    position.play(0)
    with pytest.raises(ValueError, match="before the first move"):
        position.set_up([(BLACK, 5)])


def test_a_game_ends_after_two_passes_or_when_its_history_is_full():
    assert played("pass pass").over and not played("pass D4 pass").over
    position = Position(9)
    position.board["ply"] = board.MOST_PLIES
    assert position.over
    with pytest.raises(IllegalMove, match="ends after"):
        position.play(0)
