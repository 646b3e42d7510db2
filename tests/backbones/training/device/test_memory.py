"""How much a set may take; an LSTM of many shapes does not grow."""

import os
import subprocess
import sys

import pytest

from backbones.training.device import memory

GROWTH = """
import sys
import torch
from backbones.training.device.memory import keep_few_shapes

torch.set_num_threads(1)
if sys.argv[1] == "few":
    keep_few_shapes()
reader = torch.nn.LSTM(64, 64)
for length in range(1, 130):
    reader(torch.randn(length, 4, 64))[0].sum().backward()
"""


def shapes_made_twice(words):
    """How often oneDNN compiled something, and how often for a shape that it had before."""
    env = os.environ | {"ONEDNN_VERBOSE": "2"}
    env.pop("ONEDNN_PRIMITIVE_CACHE_CAPACITY", None)
    code = GROWTH + "reader(torch.randn(1, 4, 64))\n"
    done = subprocess.run(
        [sys.executable, "-c", code, words], capture_output=True, text=True, check=True, env=env
    )
    lines = [line for line in done.stdout.splitlines() if "create:cache_" in line]
    return len(lines), "cache_miss" in lines[-1] if lines else None


@pytest.mark.skipif(sys.platform != "linux", reason="oneDNN's cache is that of torch on Linux")
def test_compiled_shapes_of_long_ago_are_not_kept():
    count, forgotten = shapes_made_twice("all")
    if not count:
        pytest.skip("this torch has no LSTM of oneDNN")
    assert not forgotten
    assert shapes_made_twice("few")[1]


def test_what_somebody_set_stays(monkeypatch):
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "7")
    memory.keep_few_shapes()
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "7"


def test_processes_of_one_machine_share_half_of_what_is_free(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda: 8e9)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    assert memory.room_bytes(0.0) == 4e9 and memory.room_bytes(1.5) == 1.5e9
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert memory.room_bytes(0.0) == 1e9
