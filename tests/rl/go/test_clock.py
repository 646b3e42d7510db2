"""Time is spread, never run out of, and counted as servers count it."""

import io
from types import SimpleNamespace

import numpy as np
import pytest

from rl.go import engine as engine_module
from rl.go.clock import Clock, TimeSettings
from rl.go.engine import Engine, Limits
from rl.go.gtp.protocol import Session
from rl.go.gtp.serve import load_commands
from rl.go.player import Candidate, PlayoutPlayer, RandomPlayer, Thoughts
from rl.go.rules.board import BLACK, WHITE
from rl.go.rules.position import Position
from rl.go.rules.ruleset import NAMED_RULES


@pytest.mark.parametrize("main_s", [1.0, 30.0, 900.0])
@pytest.mark.parametrize("moves", [10, 60, 150])
def test_sudden_death_lasts_however_many_moves_there_are(main_s, moves):
    clock = Clock(TimeSettings(main_s=main_s))
    budgets = []
    for move in range(moves):
        budget_s = clock.budget_s(max(81 - move, 5))
        budgets.append(budget_s)
        clock.spend(budget_s + 0.0004)  # a little late, every time
    assert clock.left_s > 0
    assert sum(budgets[:30]) > 0.4 * main_s or moves < 30
    assert max(budgets) < main_s / 10


@pytest.mark.parametrize(
    "settings, longest_s",
    [
        (TimeSettings(main_s=10.0, overtime_s=30.0, stones=5), 10.0),
        (TimeSettings(overtime_s=30.0, stones=5), 10.0),
        (TimeSettings(main_s=10.0, overtime_s=5.0, stones=1, periods=3), 5.0),
        (TimeSettings(main_s=10.0, increment_s=2.0), 3.0),
    ],
)
def test_overtime_lasts_for_ever(settings, longest_s):
    clock = Clock(settings)
    for _ in range(300):
        budget_s = clock.budget_s(20)
        assert 0 < budget_s <= longest_s
        clock.spend(budget_s)
        assert clock.left_s > 0 and clock.periods == settings.periods


def test_overtime_by_hand():
    canadian = Clock(TimeSettings(main_s=10.0, overtime_s=30.0, stones=3))
    canadian.spend(12.0)  # two seconds into overtime
    assert canadian.left_s == 28 and canadian.stones == 3
    for _ in range(3):
        canadian.spend(1.0)
    assert canadian.left_s == 30 and canadian.stones == 3
    japanese = Clock(TimeSettings(overtime_s=10.0, stones=1, periods=3))
    japanese.spend(25.0)  # two periods are gone
    assert japanese.periods == 1 and japanese.left_s == 10
    japanese.set_left(7.0, 2)
    assert (japanese.left_s, japanese.stones, japanese.periods) == (7, 1, 2)
    fischer = Clock(TimeSettings(main_s=10.0, increment_s=5.0))
    fischer.spend(3.0)
    assert fischer.left_s == 12


def engine_of(player, **limits):
    engine = Engine(player, Limits(**limits))
    engine.new_game(Position(5, 0.5))
    return engine


def test_an_engine_keeps_to_its_visits():
    engine = engine_of(PlayoutPlayer(memory_mb=8.0), visits=70, seconds=60.0)
    move = engine.generate(BLACK)
    assert engine.thoughts.visits <= 70 and move == engine.thoughts.best.move
    assert engine.position.moves == []
    engine.search(Limits(visits=70))
    assert engine.player.thoughts(engine.position).visits == engine.thoughts.visits + 70


def test_an_engine_stops_when_its_move_cannot_change():
    engine = engine_of(PlayoutPlayer(memory_mb=8.0), visits=2_000_000)
    engine.position.set_up([(BLACK, m) for m in range(25) if m not in (0, 2, 4, 20)])
    engine.generate(WHITE)  # nothing but passing and suicide is left to White
    assert engine.thoughts.visits < 1_500_000


class Playouts(PlayoutPlayer):
    """Takes 0.1 ms a simulation by a clock of its own, however fast this machine is."""

    now_s = 0.0

    def search(self, position, count):
        super().search(position, count)
        Playouts.now_s += 1e-4 * count


def test_an_engine_spends_its_clock_and_not_more(monkeypatch):
    monkeypatch.setattr(engine_module, "time", SimpleNamespace(monotonic=lambda: Playouts.now_s))
    engine = engine_of(Playouts(memory_mb=8.0), seconds=60.0)
    engine.search(Limits(visits=2_000))  # the rate is known
    engine.set_time(TimeSettings(main_s=3.0))
    for _ in range(10):
        for colour in (BLACK, WHITE):
            move = engine.generate(colour)
            engine.position.play(engine.position.pass_move if move is None else move)
    assert all(0 < clock.left_s < 3 for clock in engine.clocks.values())


def test_who_is_lost_resigns_and_not_at_once():
    engine = engine_of(PlayoutPlayer(memory_mb=8.0), visits=100)
    position = Position(5, 60.5)  # komi that nobody makes up for
    engine.new_game(position)
    answers = []
    for _ in range(12):
        answers.append(engine.generate(BLACK))
        if answers[-1] is None:
            break
        position.play(answers[-1])
        position.play(next(m for m in range(25) if position.legal(m)))
    assert answers[-1] is None and len(answers) > 3
    engine.resign_below = 0.0
    assert engine.generate(BLACK) is not None


def test_who_is_ahead_passes_after_a_pass():
    engine = engine_of(RandomPlayer(), visits=1)
    engine.position.play(12)
    engine.position.play(25)
    assert engine.generate(BLACK) == 25
    behind = engine_of(RandomPlayer(), visits=1)
    behind.position.play(25)  # an empty board: komi wins for white
    behind.position.komi = -0.5
    assert behind.generate(WHITE) != 25


def test_main_time_that_is_nearly_out_gives_way_to_overtime():
    clock = Clock(TimeSettings(main_s=60.0, overtime_s=30.0, stones=5))
    for _ in range(60):
        budget_s = clock.budget_s(40)
        assert budget_s > 2
        clock.spend(budget_s)
    clock = Clock(TimeSettings(main_s=60.0, overtime_s=30.0, stones=5))
    clock.set_left(0.0, 0)
    assert clock.budget_s(40) > 2


def test_who_has_no_time_still_looks_once():
    engine = engine_of(PlayoutPlayer(memory_mb=8.0), seconds=1.0)
    engine.rate = 10.0
    engine.set_time(TimeSettings(main_s=0.001))
    engine.generate(BLACK)
    assert engine.thoughts.visits >= 1


def test_capped_fischer_time_by_hand():
    clock = Clock(TimeSettings(main_s=10.0, increment_s=5.0, cap_s=12.0, longest_s=2.0))
    assert clock.budget_s(20) == pytest.approx(1.9)  # the longest, less the lag
    clock.spend(1.0)
    assert clock.left_s == 12  # 14 is above the cap
    clock.set_left(20.0, 0)
    clock.spend(1.0)
    assert clock.left_s == 19  # what the server gave stays
    assert Clock(TimeSettings(overtime_s=30.0, stones=1, longest_s=3.0)).budget_s(20) < 3


@pytest.mark.parametrize(
    "words, expected",
    [
        ("fischer-capped 20 1 20 -1", TimeSettings(main_s=20.0, increment_s=1.0, cap_s=20.0)),
        ("fischer-capped 20 1 -1 -1", TimeSettings(main_s=20.0, increment_s=1.0)),
        (
            "fischer-capped 60 5 40 30",
            TimeSettings(main_s=40.0, increment_s=5.0, cap_s=40.0, longest_s=30.0),
        ),
        ("fischer 20 1", TimeSettings(main_s=20.0, increment_s=1.0)),
        ("byoyomi 60 10 0", TimeSettings(main_s=60.0)),
        ("byoyomi 60 10 3", TimeSettings(main_s=60.0, overtime_s=10.0, stones=1, periods=3)),
        ("canadian 60 10 0", TimeSettings(main_s=60.0)),
        ("none", TimeSettings()),
        ("absolute 9", TimeSettings(main_s=9.0)),
    ],
)
@pytest.mark.parametrize("command", ["kata-time_settings", "kgs-time_settings"])
def test_time_systems_are_taken_with_their_edge_values(command, words, expected):
    load_commands()
    engine = engine_of(RandomPlayer(), seconds=6.0)
    session = Session(engine, io.StringIO())
    session.answer(f"{command} {words}")
    assert session.out.getvalue() == "=\n\n" and engine.settings == expected
    for wrong in (
        "fischer-capped 20 -1 20 -1",
        "fischer-capped -20 1 20 -1",
        "fischer 20 -1",
        "fischer-capped 20 1 nan -1",
        "absolute -1",
    ):
        session.answer(f"{command} {wrong}")
        assert session.out.getvalue().endswith("\n\n") and engine.settings == expected
        assert "not between" in session.out.getvalue().split("\n\n")[-2]


def test_a_fischer_game_of_gtp2ogs_is_played_within_its_clock():
    load_commands()
    engine = engine_of(RandomPlayer(), seconds=6.0)
    session = Session(engine, io.StringIO())
    for line in ("kata-time_settings fischer-capped 20 1 20 -1", "time_left black 3 0"):
        session.answer(line)
    assert engine.limits_of(BLACK).seconds < 1.5 and engine.limits_of(WHITE).seconds < 3


class Believes(RandomPlayer):
    """Believes in a chance to win and in who owns the board; a pass is its first move."""

    winrate, owner = 0.5, 1.0

    def thoughts(self, position):
        moves = [position.pass_move, 24]
        candidates = [Candidate(m, 10, self.winrate, 0.0, 0.5, [m]) for m in moves]
        return Thoughts(20, self.winrate, 0.0, candidates, np.full(25, self.owner))


@pytest.mark.parametrize(
    "rules, winrate, owner, passes",
    [
        ("chinese", 0.9, 1.0, True),  # the search and the count agree
        ("chinese", 0.3, 1.0, False),  # the count says won, the search lost
        ("japanese", 0.3, 1.0, False),
        ("japanese", 0.9, -1.0, False),  # the count says lost, the search won
        ("cgos", 0.3, 1.0, True),  # the count is exact
    ],
)
def test_a_pass_is_answered_where_the_count_and_the_search_agree(rules, winrate, owner, passes):
    player = Believes()
    player.winrate, player.owner = winrate, owner
    engine = engine_of(player, visits=1)
    position = Position(5, 0.5, NAMED_RULES[rules])
    position.set_up([(BLACK, m) for m in range(5, 10)] + [(WHITE, 21)])
    engine.new_game(position)
    position.play(25, WHITE)
    assert (engine.generate(BLACK) == 25) == passes
    # What it says of the move that it plays is not that it loses.
    assert not passes or engine.thoughts.best.winrate > 0.5
    assert not passes or engine.thoughts.best.move == 25


@pytest.mark.parametrize("rules", ["chinese", "japanese", "cgos", "tromp-taylor"])
def test_nobody_passes_because_the_other_passed_first(rules):
    player = Believes()
    player.winrate, player.owner = 0.9, -1.0
    engine = engine_of(player, visits=1)
    engine.new_game(Position(5, 6.5, NAMED_RULES[rules]))
    engine.position.play(25, BLACK)
    assert engine.generate(WHITE) == 24
