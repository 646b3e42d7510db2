"""Programs on the ladder: a match's figures, and programs that crash, hang or talk nonsense."""

import sys

import numpy as np
import pytest
import torch

import arcadia
from backbones.training.errors import UserError
from backbones.training.log import read_metrics
from backbones.training.run import find_run
from rl.go.arena import elo, interval
from rl.go.learning import opponent
from rl.go.learning.opponent import Opponent, ProgramMatch, command_of, line, require_command
from rl.go.network.go_network import build_network

# Answers every command; to genmove it does what its first word says.
PROGRAM = """
import sys, time
for line in sys.stdin:
    word, does = line.split()[0], sys.argv[1]
    if word == "genmove" and does == "crash":
        sys.exit(1)
    if word == "genmove" and does == "hang":
        time.sleep(60)
    while word == "genmove" and does == "babble":
        print("thinking", flush=True)
        time.sleep(0.01)
    if word == "boardsize" and does == "size":
        print("? unacceptable size", end="\\n\\n", flush=True)
        continue
    print("=", does if word == "genmove" else "", end="\\n\\n", flush=True)
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    monkeypatch.setattr(opponent, "PATIENCE_S", 0.5)
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return f"{sys.executable} {path}"


def played(command, games=2):
    torch.manual_seed(0)
    network = build_network("b2c32", 4, 4).eval()
    rival = Opponent(command, size=4, komi=1.5, simulations=4)
    return rival.match(network, games, seed=1, number=4)


def test_a_match_is_played_with_both_colours_and_repeats_itself(program):
    resigned, passed = played(f"{program} resign"), played(f"{program} pass", games=4)
    assert resigned.points == [1.0, 1.0] and not resigned.troubles
    assert len(passed.points) == 4 and passed.points == played(f"{program} pass", games=4).points


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("crash", "died of 'genmove"),
        ("hang", "no answer to 'genmove"),
        ("babble", "no answer to 'genmove"),
        ("Z99", "is not a point"),
        ("size", "unacceptable size"),
    ],
)
def test_a_program_that_fails_voids_its_games_and_no_more(does, said, program):
    found = played(f"{program} {does}", games=6)
    assert found.points == [] and len(found.troubles) == opponent.MOST_VOIDED
    assert all(said in trouble and "\n" not in trouble for trouble in found.troubles)
    assert found.troubles[0].startswith("game 1 is void: ")
    figures = found.figures(100.0)
    assert figures == {"ladder/opponent_voided": 2.0}
    assert "no game against" in line(100, "it", figures)


def test_a_match_takes_bounded_time(program, monkeypatch):
    monkeypatch.setattr(opponent, "MATCH_S", -1.0)
    assert played(f"{program} resign") == ProgramMatch()


def test_the_program_stands_below_who_beats_it():
    figures = ProgramMatch([1.0, 1.0, 0.5, 0.5], ["one was void"]).figures(300.0)
    low, high = interval(3.0, 4)
    assert figures["ladder/opponent_elo"] == pytest.approx(300 - elo(0.75))
    assert figures["ladder/opponent_elo_low"] == pytest.approx(300 - elo(high))
    assert figures["ladder/opponent_elo_high"] == pytest.approx(300 - elo(low))
    said = line(1_000, "gnugo", figures)
    assert "at 1,000 moves 75% of 4 games against gnugo, which stands at Elo 109 (" in said


def test_the_program_is_found_or_named(monkeypatch, tmp_path):
    gnugo = tmp_path / "gnugo"
    gnugo.write_text("#!/bin/sh\n")
    gnugo.chmod(0o755)
    monkeypatch.setattr(opponent, "GAMES", (str(tmp_path),))
    monkeypatch.setenv("PATH", "")
    assert command_of("gnugo", 9) == f"{gnugo} {opponent.GNUGO_FLAGS}"
    assert command_of("gnugo", 4) == "" and command_of("", 9) == ""
    monkeypatch.setattr(opponent, "GAMES", ())
    assert command_of("gnugo", 9) == "" and command_of("pachi -t 5", 9) == "pachi -t 5"
    require_command("")
    with pytest.raises(UserError, match=r"there is no program pachi; is it on \$PATH"):
        require_command("pachi -t 5")
    with pytest.raises(UserError, match="is no command line: No closing quotation"):
        require_command("'pachi")


FLAGS = "--preset smoke --precision fp32 --eval-games 0 --opponent-every 1 --opponent-games 2"


def test_training_goes_on_where_the_program_dies(program, runs, capsys):
    words = ["train", "go", *FLAGS.split(), "--name", "with", "--total-moves", "600"]
    assert arcadia.main([*words, "--ladder-opponent", f"{program} crash"]) == 0
    run = find_run("with")
    log = (run.folder / "log.txt").read_text()
    assert "game 2 is void: " in log and "no game against" in log and "trained " in log
    rows = [row for row in read_metrics(run.folder) if "ladder/opponent_voided" in row]
    assert rows and all(np.isfinite(row["ladder/elo"]) for row in rows)


def test_a_program_that_is_not_there_is_named_before_the_run(runs, capsys):
    words = ["train", "go", *FLAGS.split(), "--name", "none", "--ladder-opponent", "no-such"]
    assert arcadia.main(words) == 2
    assert "there is no program no-such" in capsys.readouterr().err
    assert not list(runs.glob("go/*"))
