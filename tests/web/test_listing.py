"""Rows and curves of runs: from the ends of files, kept until those change, thinned."""

import json
import os

import pytest

from backbones.training.errors import UserError
from backbones.training.log import read_metrics
from web import bench, listing
from web.listing import MOST_POINTS, Listing, importance, tail, thinned


def test_a_curve_is_thinned_to_means_and_keeps_its_end():
    points = [[float(n), float(n % 2)] for n in range(2_001)]
    found = thinned(points)
    assert len(found) <= MOST_POINTS and found[-1] == points[-1]
    assert found == sorted(found) and found[0][1] == pytest.approx(0.5, abs=0.2)
    assert thinned(points[:3]) == points[:3]


def test_the_end_of_a_file_has_whole_lines_only(tmp_path, monkeypatch):
    monkeypatch.setattr(listing, "TAIL_BYTES", 50)
    path = tmp_path / "log.txt"
    path.write_text("".join(f"line {n}\n" for n in range(100)))
    found = tail(path)
    assert found[-1] == "line 99" and all(line.startswith("line ") for line in found)
    assert tail(tmp_path / "nothing") == [] and tail(tmp_path) == []


def test_what_matters_comes_first():
    tags = ["speed/env_s", "train/loss", "rollout/score", "val/right"]
    assert sorted(tags, key=importance) == ["rollout/score", "val/right", "train/loss", tags[0]]


def test_a_row_is_read_again_only_where_something_was_written(smoke_runs, monkeypatch):
    monkeypatch.setenv("ARCADIA_RUNS", str(smoke_runs))
    found, reads = Listing(), []
    before = listing.written
    monkeypatch.setattr(listing, "written", lambda run: reads.append(run) or before(run))
    first = found.all_rows()
    assert found.all_rows() == first and len(reads) == len(first)
    metrics = smoke_runs / "ppo" / "pong-1" / "metrics.jsonl"
    kept = metrics.read_text()
    try:
        metrics.write_text(kept + json.dumps({"step": 512, "rollout/score": 3.0}) + "\n")
        (row,) = (row for row in found.all_rows() if row["name"] == "ppo/pong-1")
        assert row["done"] == 512 and row["score"] == 3.0 and len(reads) == len(first) + 1
    finally:
        metrics.write_text(kept)


def test_a_row_has_the_newest_of_each_figure_whichever_line_it_stands_in():
    lines = [
        '{"step": 1, "rollout/score": 5}',
        '{"step": 2, "time/minutes": 3, "rollout/score": 7}',
        '{"step": 3, "train/loss": 1}',
        '{"step": 4, "rollout/sc',
    ]
    last = listing.newest(lines)
    assert [last[name] for name in listing.FIGURES] == [3, 3, 7]
    assert listing.newest([]) == {}


def test_curves_leave_out_what_is_no_number(smoke_runs, monkeypatch):
    monkeypatch.setenv("ARCADIA_RUNS", str(smoke_runs))
    folder = smoke_runs / "ppo" / "pong-1"
    lines = [*read_metrics(folder), {"step": 300, "train/loss": float("nan"), "x/y": "text"}]
    monkeypatch.setattr(listing, "read_metrics", lambda folder: lines)
    curves = Listing().curves("ppo/pong-1")
    assert "x/y" not in curves and "train/loss" not in curves
    with pytest.raises(UserError, match="no run 'ppo/other'"):
        Listing().curves("ppo/other")


def test_the_benchmark_lists_runs_of_its_own_and_leaves_the_runs_folder_as_it_was(
    runs, monkeypatch
):
    monkeypatch.setattr(bench, "RUNS", 3)
    before = os.environ["ARCADIA_RUNS"]
    assert [row["name"] for row in bench.list_s()] == [
        "page s to list 3 runs first",
        "page s to list 3 runs again",
    ]
    assert os.environ["ARCADIA_RUNS"] == before
