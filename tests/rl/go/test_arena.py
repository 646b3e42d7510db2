"""Matches, their referee and their statistics; games between people and the engine."""

import json
import math
import sys

import numpy as np
import pytest

import arcadia
from rl.go import arena, play
from rl.go.arena import elo, interval
from rl.go.drawing import bars, draw
from rl.go.games import sgf
from rl.go.player import Candidate, Thoughts
from rl.go.rules.board import BLACK
from rl.go.rules.position import Position, read_vertex

OURS = f"{sys.executable} -m arcadia gtp random"


def test_elo_and_interval_by_hand():
    assert elo(0.5) == 0 and elo(10 / 11) == pytest.approx(400)
    assert elo(1.0) == pytest.approx(-elo(0.0)) and math.isfinite(elo(1.0))
    low, high = interval(50.0, 100)
    assert (low, high) == (pytest.approx(0.4038, abs=1e-4), pytest.approx(0.5962, abs=1e-4))
    assert interval(0.0, 10)[0] == 0 and interval(10.0, 10)[1] == pytest.approx(1)


def test_a_match_is_played_counted_and_kept(tmp_path, capsys):
    flags = "--opponent random --games 6 --size 5 --visits 60 --threads 2 --opening 2 --out"
    words = ["arena", "playouts", *flags.split(), str(tmp_path / "games")]
    assert arcadia.main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["games"] == 6 and found["score"] > 0.8 and found["lost_on_time"] == 0
    assert 0.5 < found["low"] < found["score"] and found["different_games"] == 6
    files = sorted((tmp_path / "games").iterdir())
    assert [f.name for f in files] == [f"{n:04}.sgf" for n in range(6)]
    roots = [sgf.read(f)[0] for f in files]
    assert [root.one("PB") for root in roots] == ["playouts", "random"] * 3
    for pair in range(3):  # both games of a pair begin alike
        first, second = (sgf.follow(roots[2 * pair + i], 2).moves for i in range(2))
        assert first == second
    for root in roots:
        position = sgf.follow(root)
        if not root.one("RE").endswith("R"):
            assert position.over
    assert arcadia.main(words) == 2
    assert "not empty" in capsys.readouterr().err


@pytest.mark.slow
def test_programs_play_over_gtp(tmp_path):
    config = arena.Config(player=OURS, opponent="random", games=2, size=5)
    games = arena.play_match(config, lambda game: None)
    assert len(games) == 2
    assert {game.result[0] for game in games} <= set("BW0")


def test_a_program_that_is_none_ends_the_match(capsys):
    assert arcadia.main(["arena", "random", "--opponent", "no-such-engine"]) == 2
    assert "no-such-engine: cannot be started" in capsys.readouterr().err
    assert arcadia.main(["arena", "none.safetensors", "--opponent", "random"]) == 2
    assert "none.safetensors" in capsys.readouterr().err
    assert arcadia.main(["arena", "random", "--opponent", ""]) == 2
    assert "no program is named" in capsys.readouterr().err


def test_what_cannot_be_served_or_kept_is_told_before_a_game(tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    for words, said in (
        (["arena", "random", "--out", str(tmp_path / "file")], "give a place that can be written"),
        (["arena", "random", "--out", str(tmp_path)], "is not empty"),
        (["arena", "random", "--komi", "inf"], "--komi: inf"),
        (["gtp", "--visits", "-1"], "visits and seconds must be 0 or above"),
        (["gtp", "--memory-mb", "1e9"], "--memory-mb = 1000000000.0"),
        (["gtp", "--komi", "nan"], "komi"),
    ):
        assert arcadia.main(words) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1, error


class Slow:
    """A side that answers late, or by what it is told to."""

    def __init__(self, moves):
        self.moves = list(moves)

    def begin(self, position):
        pass

    def played(self, colour, move):
        pass

    def choose(self, colour, left_s):
        return self.moves.pop(0)

    def close(self):
        pass


def test_the_referee_takes_resignations_time_and_illegal_moves():
    config = arena.Config(size=5)
    sides = {1: Slow([12, None]), 2: Slow([6, 7])}
    assert arena.referee(config, Position(5), sides)[0] == "W+R"
    sides = {1: Slow([12, 12]), 2: Slow([6])}
    with pytest.raises(ValueError, match="black C3: a stone stands there"):
        arena.referee(config, Position(5), sides)
    late = arena.Config(size=5, main_s=1e-9)
    assert arena.referee(late, Position(5), {1: Slow([12]), 2: Slow([])})[0] == "W+T"
    passes = {1: Slow([12, 25]), 2: Slow([25])}
    assert arena.referee(config, Position(5, 7.0), passes)[0] == "B+18"


# At the terminal


def sit_down(lines, **flags):
    """Play against the engine by lines; return what was shown, and the table."""
    shown, lines = [], iter(lines)

    def read(prompt):
        shown.append(prompt)
        line = next(lines, None)
        if line is None:
            raise play.Leave
        return line

    config = play.Config(size=5, visits=50, plain=True, **flags)
    table = play.Table(config, read, shown.append)
    table.play()
    return "\n".join(shown), table


def test_a_person_plays_takes_back_and_writes_the_game(tmp_path):
    path, taken = tmp_path / "game.sgf", tmp_path / "another.sgf"
    taken.write_text("(;SZ[9])")
    said, table = sit_down(
        [
            "help",
            "Z9",
            "C3",
            "C3",
            "undo",
            "undo",
            "C3",
            "hint",
            f"save {path}",
            f"save {path}",
            f"save {taken}",
            "save",
            "",
            "resign",
        ]
    )
    assert "two passes end the game" in said and "'z9' is not a point" in said
    assert "a stone stands there" in said and "you have not moved yet" in said
    assert "games thought" in said and "you win" in said
    assert said.count(f"the game is in {path}") == 2  # one's own file may be written again
    assert f"{taken}: File exists" in said and "which file?" in said
    assert said.rstrip().endswith("white wins by resignation")
    assert sgf.follow(sgf.read(path)[0]).moves[0] == (BLACK, 12)
    assert table.result == "W+R"


def test_a_game_against_the_engine_ends_and_is_counted(tmp_path):
    save = tmp_path / "end.sgf"
    said, table = sit_down(["pass"] * 40, colour="white", engine="random", save=save)
    assert table.position.over and "wins by" in said
    assert sgf.read(save)[0].one("RE") == table.result


def test_a_game_that_is_interrupted_is_written(tmp_path):
    def interrupt(prompt):
        raise KeyboardInterrupt

    config = play.Config(size=5, visits=30, plain=True, save=tmp_path / "game.sgf")
    with pytest.raises(KeyboardInterrupt):
        play.Table(config, interrupt, lambda text: None).play()
    assert sgf.follow(sgf.read(config.save)[0]).size == 5


def test_a_handicap_lets_white_begin():
    said, table = sit_down([], handicap=0)
    assert "nobody has won" in said
    config = play.Config(size=9, handicap=3, visits=30, plain=True)
    table = play.Table(config, lambda prompt: "resign", lambda text: None)
    table.play()
    assert table.position.komi == 0.5 and table.position.moves[0][0] == 2


@pytest.mark.parametrize(
    "flags, said",
    [
        (["--size", "26"], "26 by 26"),
        (["--size", "1"], "1 by 1"),
        (["--rules", "moon"], "rules 'moon'"),
        (["--engine", "gnu"], "'gnu' plays no Go"),
        (["--handicap", "30"], "handicap of 30"),
        (["--seconds", "0"], "seconds"),
        (["--engine", "no.safetensors"], "no.safetensors"),
        (["--save", "nowhere/game.sgf"], "nowhere is no folder"),
        (["--komi", "nan"], "--komi: nan must be a finite"),
        (["--komi", "-inf"], "--komi: -inf"),
    ],
)
def test_mistakes_are_told_in_a_line(flags, said, capsys):
    assert arcadia.main(["play", "go", *flags]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_a_board_is_drawn_with_its_last_move():
    position = Position(5, 0.5)
    for word in ("C3", "D4"):
        position.play(read_vertex(word, 5))
    assert draw(position, colours=False).split("\n") == [
        "    A B C D E",
        "  5 . . . . .  5",
        "  4 . . .>O .  4",
        "  3 . . X . .  3",
        "  2 . . . . .  2",
        "  1 . . . . .  1",
        "    A B C D E",
    ]
    assert "\033[" in draw(position)
    best = Candidate(0, 10, 0.75, 3.5, 0.1, [0, 1])
    up, lead = bars(position, Thoughts(10, 0.75, 3.5, [best], np.zeros(25)))
    assert up.startswith("black  75% " + 30 * "█") and "25% white" in up
    assert lead.startswith("black leads by 3.5 points")


def test_a_network_of_another_size_sits_down_at_its_own(tmp_path, capsys):
    from rl.go.network.go_network import build_network, save_network

    save_network(build_network("b2c32", 5, 5), tmp_path / "five.safetensors")
    words = ["arena", str(tmp_path / "five.safetensors"), "--opponent", "random", "--games", "1"]
    assert arcadia.main([*words, "--size", "5", "--visits", "8", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["games"] == 1
    assert arcadia.main([*words, "--size", "9"]) == 2
    assert "knows boards of 5, not of 9" in capsys.readouterr().err


ILLEGAL = """
import sys
for line in sys.stdin:
    print("=", sys.argv[1] if line.startswith("genmove") else "", end="\\n\\n", flush=True)
"""


@pytest.mark.parametrize(("move", "said"), [("Z99", "not a point"), ("E5", "a stone stands there")])
def test_who_answers_with_an_impossible_move_is_named(move, said, tmp_path, capsys):
    program = tmp_path / "program.py"
    program.write_text(ILLEGAL)
    words = ["arena", "random", "--opponent", f"{sys.executable} {program} {move}", "--games", "2"]
    assert arcadia.main(words) == 2
    error = capsys.readouterr().err
    assert f"{program} {move} as " in error and said in error and error.count("\n") == 1
