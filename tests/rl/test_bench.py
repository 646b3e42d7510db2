"""The bench measures both sides and reports their ratio the right way round."""

import json
from types import SimpleNamespace

import pytest
import torch

import arcadia
from backbones.training.config import RunConfig, changed
from backbones.training.device import cores, precision
from backbones.training.errors import UserError
from backbones.transfer import TrunkConfig
from rl.bench import dqn as bench_dqn
from rl.bench import ppo as bench


def side(rate, cpu, memory):
    return {"env_steps_per_s": rate, "cpu_ms_per_env_step": cpu, "peak_memory_mib": memory}


def test_a_ratio_above_one_means_that_ours_is_better(monkeypatch, capsys):
    found = {
        "ours": side(900.0, 2.0, 500.0) | {"precision": "bf16"},
        "peer": side(300.0, 4.0, 1000.0),
    }
    monkeypatch.setattr(bench, "in_turn", lambda *args: found)
    assert bench.main(bench.Config(json=True)) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["ratio"] for row in rows] == [3.0, 2.0, 2.0]
    assert {"name", "ours", "peer", "ratio", "unit"} <= set(rows[0])
    assert (rows[0]["precision"], rows[0]["peer_precision"]) == ("bf16", "fp32")
    assert bench.main(bench.Config()) == 0
    out = capsys.readouterr().out
    assert "ratio 3.00" in out and "ours learns in bf16" in out


def test_words_of_several_rounds_are_all_named():
    assert bench.middle(["fp32", "bf16", "fp32"]) == "bf16, fp32"
    assert bench.middle([3.0, 1.0, 2.0]) == 2.0


@pytest.mark.parametrize(("system", "mib"), [("linux", 2048), ("darwin", 2)])
def test_peak_memory_is_counted_in_the_units_of_the_system(system, mib, monkeypatch):
    usage = SimpleNamespace(ru_maxrss=2**21)
    monkeypatch.setattr(bench.resource, "getrusage", lambda who: usage)
    monkeypatch.setattr(bench.sys, "platform", system)
    assert bench.figures(1, 1.0, 1.0)["peak_memory_mib"] == mib


def test_both_sides_get_the_cores_that_this_process_may_use(monkeypatch):
    """Not all that the machine has: `taskset` holds for the peer, too."""

    class Noted(Exception):
        pass

    def note(count):
        raise Noted(count)

    monkeypatch.setattr(cores, "available_threads", lambda: 7)
    monkeypatch.setattr(torch, "set_num_threads", note)
    with pytest.raises(Noted, match="7"):
        bench.measure_sb3("ALE/Pong-v5", 1)


@pytest.mark.parametrize(("name", "peer"), [("ppo", "stable-baselines3"), ("ppo-lstm", "contrib")])
def test_the_help_names_what_is_measured(name, peer, capsys):
    with pytest.raises(SystemExit):
        arcadia.main(["bench", name, "--help"])
    out = capsys.readouterr().out
    assert peer in out and "Rollouts of 1,024 env steps" in out


def test_only_atari_is_measured():
    with pytest.raises(UserError, match="plays Atari"):
        bench.main(bench.Config(env="Arcadia/Catch-v0"))


@pytest.mark.slow
def test_our_side_plays_and_learns_at_the_reference_setting(monkeypatch):
    # The bench leaves the precision to a timing; here it is that of a CPU without bf16.
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: False)
    found = bench.measure_ours("ALE/Pong-v5", 1)
    assert found["env_steps_per_s"] > 0
    assert found["cpu_ms_per_env_step"] > 0
    assert found["precision"] == "fp32"


def test_dqn_is_measured_with_its_replay_and_takes_a_seventh_of_the_peer_s(monkeypatch):
    pytest.importorskip("stable_baselines3")
    monkeypatch.setattr(bench_dqn, "LEARNING_STARTS", 256)
    small = {"trunk": TrunkConfig(width=0.25, pool=1), "run": RunConfig(precision="fp32")}
    monkeypatch.setattr(bench_dqn, "OURS", changed(bench_dqn.OURS, hidden=16, **small))
    monkeypatch.setattr(bench_dqn, "ROLLOUT", 128)
    ours = bench_dqn.measure_ours("ALE/Pong-v5", 1)
    theirs = bench_dqn.measure_sb3("ALE/Pong-v5", 1)
    assert ours.keys() - theirs.keys() == {"precision"}
    assert min(ours["env_steps_per_s"], theirs["env_steps_per_s"]) > 0
    assert theirs["replay_mib"] / ours["replay_mib"] >= 7
