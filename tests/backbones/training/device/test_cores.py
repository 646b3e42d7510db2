"""Cores are those that this process may use, shared by the processes of a machine."""

import os
import subprocess
import sys

import pytest

from backbones.training.device import cores


@pytest.mark.parametrize(
    ("usable", "processes", "spare"), [(1, 1, 1), (2, 1, 1), (4, 1, 2), (16, 1, 14), (16, 4, 2)]
)
def test_two_cores_of_each_process_are_left_for_acting_and_learning(
    usable, processes, spare, monkeypatch
):
    monkeypatch.setattr(cores, "available_threads", lambda: usable)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    assert cores.cores_each() == usable // processes
    assert cores.spare_cores() == spare


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_a_process_bound_to_one_core_counts_one():
    code = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]);"
        "from backbones.training.device.cores import available_threads; print(available_threads())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).stdout == b"1\n"
