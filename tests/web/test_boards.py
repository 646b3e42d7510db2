"""A game of Go on the page: what a browser may ask for, and what it is told."""

import json
from dataclasses import fields

import pytest

from backbones.training.errors import UserError
from rl.go.games import sgf
from rl.go.play import Config
from rl.go.rules.position import read_vertex
from web import reviewing
from web.boards import CHOICES, SHOWN, BoardGame

ENGINES = {"playouts": "playouts", "random": "random"}
SMALL = {"size": 5, "engine": "random", "level": 1}


def asked(game, **wish):
    return game.ask(json.dumps(wish))


def begun(**settings):
    game = BoardGame(ENGINES)
    return game, asked(game, new={**SMALL, **settings})


def test_a_move_is_played_and_the_engine_answers():
    game, state = begun()
    assert state["turn"] == state["mine"] == 1 and set(state["stones"]) == {0}
    state = asked(game, play="C3")
    assert state["stones"][12] == 1 and state["last"] == 12 and state["turn"] == 2
    state = game.go_on()
    assert state["moves"] == 2 and sorted(set(state["stones"])) == [0, 1, 2]
    assert game.go_on() is None


def test_white_waits_for_the_engine_and_handicap_stones_lie_there():
    game, state = begun(size=9, handicap=2, colour="black", komi=7)
    assert sum(state["stones"]) == 2 and state["turn"] == 2
    game, state = begun(colour="white")
    assert state["turn"] == 1 and game.go_on()["moves"] == 1


def test_a_game_goes_on_where_its_connection_was_lost():
    game, _ = begun(colour="white", komi=3)
    before = [game.go_on(), asked(game, play="pass"), game.go_on()][-1]
    again, state = begun(colour="white", komi=3, played=before["played"])
    assert again.go_on() is None
    for name in ("stones", "moves", "turn", "mine", "captured", "sgf"):
        assert state[name] == before[name]


def test_two_players_have_a_board_each():
    (one, _), (two, _) = begun(), begun(colour="white")
    asked(one, play="C3")
    assert two.go_on()["moves"] == 1 and one.state()["moves"] == 1
    assert one.state()["mine"] == 1 and two.state()["mine"] == 2


def test_captured_stones_are_counted():
    game, _ = begun()
    position = game.table.position
    for move, colour in ((0, 2), (1, 1), (5, 1)):
        position.play(move, colour)
    state = game.state()
    assert state["captured"] == {"black": 0, "white": 1} and state["stones"][0] == 0


def test_a_hint_names_moves_with_their_chances():
    game, _ = begun(engine="playouts")
    state = asked(game, play="hint")
    best = state["hints"][0]
    assert best["name"][0] in "ABCDE" and 0 <= best["chance"] <= 1
    assert asked(game, play="C3")["hints"] == []


def test_a_move_is_taken_back_and_the_game_ends_by_resigning():
    game, _ = begun()
    asked(game, play="C3")
    game.go_on()
    assert asked(game, play="undo")["moves"] == 0
    state = asked(game, play="resign")
    assert state["result"] == "W+R" and state["turn"] == 0 and game.go_on() is None
    assert sgf.parse(state["sgf"])[0].one("RE") == "W+R"
    with pytest.raises(UserError, match="not your turn"):
        asked(game, play="C3")


def test_two_passes_count_the_board():
    game, _ = begun(colour="white", rules="tromp-taylor")
    game.table.position.play(25, 1)
    state = asked(game, play="pass")
    assert state["result"] == "W+7" and any("white wins by 7" in line for line in state["said"])


def reviewed(game, first):
    """Let a review go on to its end; return it, and how often it said how far it is."""
    assert first["reviewing"][0] == 0
    for parts in range(1, 1000):
        answer = game.go_on()
        if "review" in answer:
            return answer["review"], parts
    raise AssertionError("no end")


def test_the_points_owners_and_the_curve_of_the_game_are_shown():
    game, state = begun(engine="playouts", size=5)
    assert state["areas"] is None and state["curve"] == []
    asked(game, play="C3")
    (row,) = game.go_on()["curve"]
    assert row[0] == 1 and 0 <= row[1] <= 1 and abs(row[2]) <= 32
    areas = asked(game, play="areas")["areas"]
    assert len(areas) == 25 and all(-10 <= each <= 10 for each in areas)
    assert asked(game, play="undo")["curve"] == []


def test_a_game_is_reviewed_from_the_board_with_its_worst_moves_and_each_board(monkeypatch):
    monkeypatch.setattr(reviewing, "PART_S", 0.0)
    game, _ = begun(engine="playouts", size=5, komi=0)
    for word in ("C3", "A1", "B2", "A5"):
        game.table.position.play(read_vertex(word, 5))
    found, parts = reviewed(game, asked(game, review={"engine": "playouts"}))
    assert parts == 5 and len(found["boards"]) == 5 == len(found["chance"])
    assert [sum(map(bool, board)) for board in found["boards"]] == [0, 1, 2, 3, 4]
    assert found["boards"][1][12] == 1 and found["moves"][0] == [1, 12]
    assert found["chance"][-1] > 0.8 and found["lead"][-1] > 5
    assert sum(found["ownership"][-1]) > 100
    assert {bad["number"] for bad in found["worst"] if bad["colour"] == 2} <= {2, 4}
    assert any(bad["lost"] > 0 and bad["better"] for bad in found["worst"])
    assert "SBKV" in found["sgf"] and asked(game, play="B3")["moves"] == 5


def test_a_file_of_the_persons_is_reviewed_and_what_is_no_game_is_refused():
    game = BoardGame(ENGINES)
    text = "(;GM[1]SZ[5]KM[0]PB[\u00e9va]RE[B+2];B[cc];W[cb])"
    data = text.encode().decode("latin-1")
    first = asked(game, review={"engine": "playouts", "sgf": data})
    found, _ = reviewed(game, first)
    assert found["names"] == ["\u00e9va", "?"] and found["result"] == "B+2"
    assert [move for _, move in found["moves"]] == [12, 7]
    for broken, why in (
        ("hello", "no game in it"),
        ("(;GM[1]SZ[5];B[cc];W[cc])", "move 2"),
        ("(;GM[1]SZ[50])", "50"),
        ("(;GM[1]SZ[5])", "no moves"),
        ("\u4e2d", "not understood"),
        ("(" * 100_000, "no game|deep|parenthes"),
    ):
        with pytest.raises(UserError, match=why):
            asked(game, review={"engine": "playouts", "sgf": broken})
    with pytest.raises(UserError, match="random has no opinion"):
        asked(game, review={"engine": "random", "sgf": data})
    with pytest.raises(UserError, match="no such engine"):
        asked(game, review={"engine": "/etc/passwd", "sgf": data})
    with pytest.raises(UserError, match="begin a game first"):
        asked(game, review={"engine": "playouts"})


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ({"play": "Z9"}, "Z9|no point"),
        ({"play": "save /tmp/game.sgf"}, "not understood"),
        ({"play": "quit"}, "not understood"),
        ({"new": {"size": 4.5}}, "size is no setting"),
        ({"new": {"save": "/tmp/x"}}, "save is no setting"),
        ({"new": {"size": 100}}, "size"),
        ({"new": {"size": 5, "played": [12, 12]}}, "a stone stands there"),
        ({"new": {"size": 5, "played": [26]}}, "not understood"),
        ({"new": {"size": 5, "played": [True]}}, "not understood"),
        ({"new": {"size": 5, "played": [25] * 2000}}, "not understood"),
        ({"new": {"level": 11}}, "levels go from 1"),
        ({"new": {"colour": "red"}}, "black or white"),
        ({"new": {"rules": "{}"}}, "rules are"),
        ({"new": {"engine": "/etc/passwd"}}, "no such engine"),
        ({"quit": 1}, "not understood"),
        ([], "not understood"),
    ],
)
def test_what_is_no_wish_is_refused_in_words(wish, why):
    game, _ = begun()
    with pytest.raises(UserError, match=why):
        game.ask(json.dumps(wish))
    assert asked(game, play="C3")["moves"] == 1


def test_a_browser_may_choose_settings_that_there_are_and_sees_what_they_are_first():
    assert set(SHOWN) == set(CHOICES) <= {field.name for field in fields(Config)}


def test_without_a_game_nothing_is_played():
    with pytest.raises(UserError, match="begin a game first"):
        asked(BoardGame(ENGINES), play="C3")
    with pytest.raises(UserError, match="not understood"):
        BoardGame(ENGINES).ask("[" * 10_000)
