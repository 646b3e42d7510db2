"""A game of Go on the page: what a browser may ask for, and what it is told."""

import json
from dataclasses import fields

import pytest

from backbones.training.errors import UserError
from rl.go.games import sgf
from rl.go.play import Config
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
    state = game.engines_turn()
    assert state["moves"] == 2 and sorted(set(state["stones"])) == [0, 1, 2]
    assert game.engines_turn() is None


def test_white_waits_for_the_engine_and_handicap_stones_lie_there():
    game, state = begun(size=9, handicap=2, colour="black", komi=7)
    assert sum(state["stones"]) == 2 and state["turn"] == 2
    game, state = begun(colour="white")
    assert state["turn"] == 1 and game.engines_turn()["moves"] == 1


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
    game.engines_turn()
    assert asked(game, play="undo")["moves"] == 0
    state = asked(game, play="resign")
    assert state["result"] == "W+R" and state["turn"] == 0 and game.engines_turn() is None
    assert sgf.parse(state["sgf"])[0].one("RE") == "W+R"
    with pytest.raises(UserError, match="not your turn"):
        asked(game, play="C3")


def test_two_passes_count_the_board():
    game, _ = begun(colour="white", rules="tromp-taylor")
    game.table.position.play(25, 1)
    state = asked(game, play="pass")
    assert state["result"] == "W+7" and any("white wins by 7" in line for line in state["said"])


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ({"play": "Z9"}, "Z9|no point"),
        ({"play": "save /tmp/game.sgf"}, "not understood"),
        ({"play": "quit"}, "not understood"),
        ({"new": {"size": 4.5}}, "size is no setting"),
        ({"new": {"save": "/tmp/x"}}, "save is no setting"),
        ({"new": {"size": 100}}, "size"),
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
