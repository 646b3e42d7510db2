"""The bench measures both sides and reports their ratio the right way round."""

import json

import pytest

from backbones.training.errors import UserError
from rl import bench


def side(rate, cpu, memory):
    return {"env_steps_per_s": rate, "cpu_ms_per_env_step": cpu, "peak_memory_mib": memory}


def test_a_ratio_above_one_means_that_ours_is_better(monkeypatch, capsys):
    found = {"ours": side(900.0, 2.0, 500.0), "peer": side(300.0, 4.0, 1000.0)}
    monkeypatch.setattr(bench, "in_turn", lambda *args: found)
    assert bench.main(bench.Config(json=True)) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["ratio"] for row in rows] == [3.0, 2.0, 2.0]
    assert {"name", "ours", "peer", "ratio", "unit"} <= set(rows[0])
    assert bench.main(bench.Config()) == 0
    assert "ratio 3.00" in capsys.readouterr().out


def test_only_atari_is_measured():
    with pytest.raises(UserError, match="plays Atari"):
        bench.main(bench.Config(env="Arcadia/Catch-v0"))


@pytest.mark.slow
def test_our_side_plays_and_learns_at_the_reference_setting():
    found = bench.measure_ours("ALE/Pong-v5", 1)
    assert found["env_steps_per_s"] > 10
    assert 0.1 < found["cpu_ms_per_env_step"] < 100
