"""Tactical positions: a slow reader finds their answers right; the command counts the solved."""

import json
import sys

import pytest

import arcadia
from rl.go.problems import bench
from rl.go.problems.positions import PROBLEMS, SIZE
from rl.go.rules.position import vertex
from tests.rl.go.search.slow_reader import SlowReader

SLOW = SlowReader(SIZE)
PLAYER_OF_ANSWERS = """
import sys
answers = {answers}
for line in sys.stdin:
    word = line.split()[0]
    print("=", answers.pop(0) if word == "genmove" else "", "\\n", flush=True)
    if word == "quit":
        break
"""


def check(problem):
    """Read a problem again: who moves first decides, and every answer does so."""
    position = problem.position()
    stones = {divmod(move, SIZE): colour for colour, move in problem.stones}
    target = divmod(problem.target, SIZE)
    own = stones[target] == problem.to_play
    assert len(SLOW.chain(stones, target)[0]) >= 2
    assert SLOW.captured(stones, None, target, True, 1)
    assert not SLOW.captured(stones, None, target, False, 1)
    for move in problem.answers:
        assert position.legal(move)
        after = SLOW.after(stones, None, divmod(move, SIZE), problem.to_play)
        assert after is not None
        if target in after[0]:
            assert SLOW.captured(*after, target, own, 1) != own


@pytest.mark.parametrize("problem", PROBLEMS[::8], ids=lambda problem: problem.kind)
def test_the_answers_of_some_problems_are_right(problem):
    check(problem)


@pytest.mark.slow
@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.kind)
def test_the_answers_of_all_problems_are_right(problem):
    check(problem)


def test_there_are_enough_problems_of_every_kind_and_both_colours():
    kinds = {problem.kind for problem in PROBLEMS}
    assert len(PROBLEMS) >= 47 and len({problem.stones for problem in PROBLEMS}) == len(PROBLEMS)
    assert all(sum(problem.kind == kind for problem in PROBLEMS) >= 3 for kind in kinds)
    assert {problem.to_play for problem in PROBLEMS} == {1, 2}


@pytest.mark.parametrize("skipped", [0, 3])
def test_a_program_that_knows_the_answers_solves_all_but_those_it_passes(skipped, tmp_path, capsys):
    program = tmp_path / "answers.py"
    answers = [vertex(min(problem.answers), SIZE) for problem in PROBLEMS[skipped:]]
    program.write_text(PLAYER_OF_ANSWERS.format(answers=["pass"] * skipped + answers))
    flags = ["--player", "random", "--json", "--opponent", f"{sys.executable} {program}"]
    assert arcadia.main(["bench", "go-tactics", *flags]) == 0
    rows = json.loads(capsys.readouterr().out)
    total = len(PROBLEMS)
    assert rows[0]["peer"] == total - skipped and rows[0]["unit"] == f"of {total}"
    assert sum(row["peer"] for row in rows[1:]) == rows[0]["peer"]
    assert sum(row["ours"] for row in rows[1:]) == rows[0]["ours"] < total / 2


def test_without_the_program_our_player_stands_alone(capsys):
    flags = "--player random --problems 3 --opponent no-such-program"
    assert arcadia.main(["bench", "go-tactics", *flags.split()]) == 0
    out = capsys.readouterr()
    assert "of 3" in out.out and "no-such-program is not installed" in out.out + out.err


@pytest.mark.parametrize(
    ("flags", "why"),
    [("--problems 1000", "at most"), ("--problems -1", "0 or above"), ("--seconds 0", "above 0")],
)
def test_what_cannot_be_measured_is_told_in_a_line(flags, why, capsys):
    assert arcadia.main(["bench", "go-tactics", *flags.split()]) == 2
    error = capsys.readouterr().err
    assert why in error and error.count("\n") == 1


def test_our_player_takes_what_it_reads():
    config = bench.Config(visits=400, opponent="")
    problem = next(each for each in PROBLEMS if each.kind == "capture")
    assert bench.our_moves(config)(problem) in problem.answers
