"""The speed of self-play: what is said adds up."""

import json

import arcadia
from rl.go.bench_selfplay import Config, measure_ours


def test_every_move_costs_its_simulations_and_the_network_has_a_share():
    config = Config(size=4, network="b2c32", simulations=8, games=4, moves=24, rounds=1)
    found = measure_ours(config)()
    # A root and eight leaves a move; leaves where the game is over need no network.
    assert 4 < found["evaluations"] / found["moves"] < 16
    assert 0 < found["network"] < 1


def test_the_rows_are_those_of_every_bench(capsys):
    line = "bench go-selfplay --size 4 --network b2c32 --games 4 --moves 16 --rounds 1 --json"
    assert arcadia.main(line.split()) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"name", "ours", "peer", "ratio", "unit"} == set(rows[0])
    assert rows[0]["unit"] == "moves/s" and rows[0]["ours"] > 0
