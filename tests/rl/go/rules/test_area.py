"""Whose is what: by hand, and against GNU Go."""

import random
import shutil

import numpy as np
import pytest

from rl.go.gtp.client import GtpEngine
from rl.go.player import RandomPlayer
from rl.go.rules.board import BLACK, EMPTY, WHITE
from rl.go.rules.position import Position, Rules, result, vertex


def drawn(text, **rules):
    """Return the position of a drawing: X is black, O white."""
    rows = [line.split() for line in text.strip().split("\n")]
    position = Position(len(rows), 0.0, Rules(**rules))
    marks = {"X": BLACK, "O": WHITE}
    position.set_up(
        (marks[mark], row * len(rows) + column)
        for row, line in enumerate(rows)
        for column, mark in enumerate(line)
        if mark in marks
    )
    return position


def alive(position):
    marks = {BLACK: "X", WHITE: "O", EMPTY: "."}
    owner = position.alive_for_ever().reshape(position.size, position.size)
    return "\n".join(" ".join(marks[v] for v in row) for row in owner.tolist())


HALVES = """
. X O . .
. X O . .
. X O . .
. X O . .
. X O . O
"""


def test_areas_by_hand():
    assert drawn(HALVES).score() == 10 - 15
    assert Position(9, 7.5).score() == -7.5
    both = "X . O\nX . O\nX . O"
    assert drawn(both).score() == 0
    one = Position(5, 0.0)
    one.play(12)
    assert one.score() == 25


def test_territory_by_hand():
    # Black has 5 points; White 10 - 1 stone inside = 9.
    assert drawn(HALVES, scoring="territory").score() == 5 - 9
    # A white stone in black's land: alive, its six points are nobody's; dead, it is a prisoner.
    dead = drawn(". X . O .\n. X . . .\nX X X X X\n. . . . .\n. . . . .", scoring="territory")
    assert dead.score(dead=[3]) == 18 + 1
    assert dead.score() == 10 + 2


def test_two_eyes_live_for_ever_and_one_does_not():
    two = ". X . X .\nX X X X .\n. . . . .\n. . . . .\n. . . . ."
    assert alive(drawn(two)) == "X X X X .\nX X X X .\n. . . . .\n. . . . .\n. . . . ."
    one = ". X . . .\nX X . . .\n. . . . .\n. . . . .\n. . . . ."
    assert alive(drawn(one)) == "\n".join([". . . . ."] * 5)


def test_chains_live_together_by_shared_eyes():
    # The corners and the centre have no eye of their own; each shares all of its eyes.
    ring = "X X . X X\nX . X . X\n. X X X .\nX . X . X\nX X . X X"
    assert alive(drawn(ring)).count("X") == 25


def test_a_region_with_room_is_not_vital():
    big = "X X X X X\nX . . . X\nX . . . X\nX . . . X\nX X X X X"
    assert "X" not in alive(drawn(big))


def played_out(seed, size=9):
    """Return a game of two random players who fill no eyes, played to two passes."""
    player, position = RandomPlayer(seed), Position(size, 7.5, Rules(ko="simple"))
    while not position.over and len(position.moves) < 400:
        position.play(player.thoughts(position).best.move)
    return position


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("gnugo", path="/usr/games:/usr/bin"), reason="needs gnugo")
def test_finished_games_score_as_gnu_go_says():
    line = shutil.which("gnugo", path="/usr/games:/usr/bin")
    engine = GtpEngine(f"{line} --mode gtp --chinese-rules --capture-all-dead --level 0")
    try:
        for seed in range(200):
            position = played_out(seed)
            engine.ask("boardsize 9")
            engine.ask("clear_board")
            engine.ask("komi 7.5")
            for colour, move in position.moves:
                engine.ask(f"play {'b' if colour == BLACK else 'w'} {vertex(move, 9)}")
            assert engine.ask("final_score") == result(position.score()), seed
    finally:
        engine.close()


def test_dead_stones_are_those_that_stand_in_the_others_land():
    position = drawn(". X . O .\n. X . . .\nX X X X X\n. . . . .\n. . . . .")
    ownership = np.ones(25)
    assert position.dead_stones(ownership) == [3]
    assert position.dead_stones(-ownership) == [1, 6, 10, 11, 12, 13, 14]
    rng = random.Random(0)
    assert position.dead_stones(np.array([rng.random() * 0.1 for _ in range(25)])) == [3]
