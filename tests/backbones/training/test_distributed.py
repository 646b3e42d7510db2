"""Several processes equal one: shares, messages, one update, whole runs."""

import math
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from backbones.training.distributed import World, choose_backends
from backbones.training.log import read_metrics
from rl.experience.pipeline import merge_shares, take_share
from tests.faults.trials import FLAGS, PATIENCE_S, ROOT, TWO_PROCESSES, arcadia, start, weights


def test_alone_every_message_is_what_was_given():
    world, tensor = World(), torch.arange(3.0)
    assert world.sum_(tensor) is tensor
    assert world.any(True, False) == [True, False]
    assert world.broadcast_json(lambda: {"a": 1}) == {"a": 1}
    assert world.gather({"x": tensor})[0]["x"] is tensor


@pytest.mark.parametrize(("count", "size"), [(16, 2), (7, 3), (3, 4)])
def test_shares_are_in_order_and_leave_nothing_out(count, size):
    shares = [World(rank, size).share(count) for rank in range(size)]
    assert [n for share in shares for n in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_states_side_by_side_can_be_shared_out_again_among_another_number():
    whole = {
        "actions": torch.arange(20).reshape(5, 4),
        "age": torch.arange(4),
        "frames": torch.arange(24).reshape(2, 4, 3),
        "num_rollouts": torch.tensor(7),
        "games": torch.tensor([[1.0, 5, 9], [3, 6, 8]], dtype=torch.float64),
    }
    for size in (1, 2, 3):
        shares = [take_share(whole, World(rank, size).share(4)) for rank in range(size)]
        again = merge_shares(shares)
        assert all(torch.equal(again[name], whole[name]) for name in whole)


def test_a_process_that_remembers_fewer_rows_has_zeros_before_its_first():
    shares = [{"actions": torch.ones(3, 1)}, {"actions": torch.ones(1, 1)}]
    assert merge_shares(shares)["actions"].tolist() == [[1, 0], [1, 0], [1, 1]]


@pytest.mark.parametrize(
    ("cuda", "nccl", "chosen"),
    [
        (False, False, "gloo"),
        (False, True, "gloo"),
        (True, False, "gloo"),
        (True, True, "cpu:gloo,cuda:nccl"),
    ],
)
def test_nccl_carries_only_what_lies_on_gpus_and_only_where_it_is_there(cuda, nccl, chosen):
    assert choose_backends(cuda, nccl) == chosen


MESSAGES = """
import os
import torch
from backbones.training.distributed import join, leave
world = join()
mine = {"x": torch.full((2 + world.rank, 2), world.rank), "b": torch.tensor([True])}
assert world.sum_(torch.tensor(1.0 + world.rank)) == 3
assert world.any(world.rank == 1, False) == [True, False]
assert world.broadcast_json(lambda: {"rank": world.rank}) == {"rank": 0}
assert torch.equal(world.broadcast_tensors(mine)["x"], torch.zeros(2, 2, dtype=torch.int64))
parts = world.gather(mine)
assert [p["x"].shape[0] for p in parts] == ([2, 3] if world.is_first else [])
a, b = torch.full((3,), float(world.rank)), torch.tensor([world.rank, 5])
world.broadcast_([a, b])
assert a.sum() == 0 and b.tolist() == [0, 5]
world.confirm(torch.device("cpu"))
assert (world.local_rank, world.local_size) == (world.rank, 2)
assert os.environ["TORCH_NCCL_ASYNC_ERROR_HANDLING"] == "2"
leave(world)
print("fine")
"""


def test_messages_between_two_processes(tmp_path):
    (tmp_path / "messages.py").write_text(MESSAGES)
    process = start([*TWO_PROCESSES, str(tmp_path / "messages.py")], tmp_path)
    assert process.wait(timeout=PATIENCE_S) == 0, (tmp_path / "said.txt").read_text()
    assert (tmp_path / "said.txt").read_text().count("fine") == 2


RESUME = """
import torch
from backbones.training import checkpoint, distributed
from backbones.training.distributed import join, leave
from backbones.training.run import Run, shared_run
from backbones.training.session import resume_point
from rl.experience.pipeline import take_from_checkpoint, take_share
from rl.ppo import SMOKE

world = join()
run = shared_run(world, lambda: Run.create("ppo", SMOKE, "mine", "mine", "smoke"))
frames, ages = torch.arange(30_000.0).view(3, 10, 1000), torch.arange(10)
if world.is_first:
    state = {"rollout.frames": frames, "collector.age": ages, "adam.m": torch.ones(5)}
    parts = {"heads": {"w": torch.arange(4.0)}, "state": state}
    chunks = {"replay-1": lambda: {"frames": frames}}
    checkpoint.save(run.checkpoints, 3, parts, {}, chunks=chunks)
    newest = checkpoint.save(run.checkpoints, 4, parts, {}, chunks=chunks)
    damaged = newest / "state.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
receive, received = distributed.receive, []
distributed.receive = lambda rank: received.append(receive(rank)) or received[-1]
found = resume_point(run, world)
assert found.info["progress"] == 3 and found.world is world
assert found.tensors("heads")["w"].tolist() == [0, 1, 2, 3]
mine = world.share(10)
share = found.share("state", mine, take_from_checkpoint)
assert torch.equal(share["rollout.frames"], frames[:, mine.start : mine.stop])
assert share["collector.age"].tolist() == list(mine) and share["adam.m"].tolist() == [1] * 5
chunk = found.share("replay-1", mine, take_share)
assert torch.equal(chunk["frames"], frames[:, mine.start : mine.stop])
# Half of the numbers, and a little around them.
assert sum(map(len, received)) < (0 if world.is_first else 2 * 61_000) + 1
assert torch.equal(found.tensors("state")["rollout.frames"], frames)
leave(world)
print("fine")
"""


def test_a_resumed_process_is_sent_the_weights_and_of_the_rest_only_its_share(tmp_path):
    (tmp_path / "resume.py").write_text(RESUME)
    process = start([*TWO_PROCESSES, str(tmp_path / "resume.py")], tmp_path)
    assert process.wait(timeout=PATIENCE_S) == 0, (tmp_path / "said.txt").read_text()
    said = (tmp_path / "said.txt").read_text()
    assert said.count("fine") == 2
    assert said.count("state.safetensors is damaged") == 1


def two(script: str, folder: Path) -> list[subprocess.Popen]:
    """Start a script in two processes of one run, without torchrun, which would kill the second."""
    (folder / "script.py").write_text(script)
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
    return [
        subprocess.Popen(
            [sys.executable, str(folder / "script.py")],
            cwd=folder,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "ARCADIA_RUNS": str(folder),
                "RANK": rank,
                "WORLD_SIZE": "2",
                "LOCAL_RANK": rank,
                "LOCAL_WORLD_SIZE": "2",
                "MASTER_ADDR": "localhost",
                "MASTER_PORT": str(port),
            },
        )
        for rank in ("0", "1")
    ]


# The second process ends, or is still there and does not answer.
LOST = """
import os, signal, sys
from datetime import timedelta
import torch
import arcadia
from backbones.training import distributed
distributed.SILENCE = timedelta(seconds=5)
def job(args):
    world = distributed.join()
    world.confirm(torch.device("cpu"))
    if world.rank == 1:
        os.kill(os.getpid(), signal.{how})
    world.confirm(torch.device("cpu"))
arcadia.OWN["train"] = job
sys.exit(arcadia.main(["train"]))
"""


@pytest.mark.parametrize("how", ["SIGKILL", "SIGSTOP"])
def test_a_process_that_is_gone_or_silent_ends_the_others_in_one_line(tmp_path, how):
    first, second = two(LOST.format(how=how), tmp_path)
    try:
        said = first.communicate(timeout=PATIENCE_S)[1]
    finally:
        second.kill()
        second.communicate()
    assert first.returncode == 1
    assert said.startswith("arcadia: another process of this run has ended or does not answer (")
    assert said.endswith("); `arcadia resume` goes on from the last checkpoint\n")
    assert said.count("\n") == 1


ONE_GPU = """
import sys, torch
import arcadia
torch.cuda.is_available = lambda: True
torch.cuda.device_count = lambda: 1
flags = ["--env", "Arcadia/Catch-v0", "--preset", "smoke", "--device", "{device}"]
sys.exit(arcadia.main(["train", "ppo", *flags]))
"""


@pytest.mark.parametrize(
    ("device", "line"),
    [
        (
            "auto",
            "2 processes on this machine, but 1 GPU, and each needs its own; use "
            "--nproc-per-node 1, or --device cpu",
        ),
        (
            "cuda:0",
            "--device cuda:0 is one GPU for 2 processes on this machine; use --device cuda, "
            "which gives each its own",
        ),
    ],
)
def test_more_processes_than_gpus_are_refused_once(tmp_path, device, line):
    both = two(ONE_GPU.format(device=device), tmp_path)
    said = [process.communicate(timeout=PATIENCE_S)[1] for process in both]
    assert [process.returncode for process in both] == [2, 2]
    assert said == [f"arcadia: {line}\n", ""]
    assert not (tmp_path / "ppo").exists()


# Whoever is early after a restart finds in torchrun's store what the dead ones wrote there.
LATE = """
import os, sys, time
from backbones.training.distributed import join, leave, restarts
late = int(sys.argv[1])
time.sleep(restarts() and int(os.environ["RANK"]) == late)
world = join()
assert world.any(world.is_first) == [True]
if not restarts() and world.rank == 2:
    os._exit(3)
leave(world)
print("fine")
"""


@pytest.mark.parametrize("late", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_restarted_processes_meet_each_other_and_no_dead_one(tmp_path, late):
    (tmp_path / "late.py").write_text(LATE)
    torchrun = (*TWO_PROCESSES[:-1], "3", "--max-restarts", "1")
    process = start([*torchrun, str(tmp_path / "late.py"), str(late)], tmp_path)
    assert process.wait(timeout=PATIENCE_S) == 0, (tmp_path / "said.txt").read_text()
    assert (tmp_path / "said.txt").read_text().count("fine") == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("normalise_over", "updates", "rollouts"), [("minibatch", 1, 1), ("rollout", 4, 3)]
)
def test_two_processes_end_where_one_does(tmp_path, normalise_over, updates, rollouts):
    # 5 environments: shares of 2 and 3.
    flags = ["train", "ppo", *FLAGS, "--env", "Arcadia/Catch-v0", "--num-envs", "5"]
    flags += ["--normalise-over", normalise_over, "--minibatch-size", str(160 // updates)]
    flags += ["--total-steps", str(160 * rollouts)]
    for name, torchrun in (("one", ()), ("two", TWO_PROCESSES)):
        process = arcadia(*flags, "--name", name, runs=tmp_path, torchrun=torchrun)
        assert process.wait(timeout=PATIENCE_S) == 0, (tmp_path / "said.txt").read_text()
    (steps, one), (two_steps, two) = (weights(tmp_path, name, "ppo") for name in ("one", "two"))
    assert steps == two_steps == 160 * rollouts
    for name, tensor in one.items():
        assert_close(two[name], tensor, atol=1e-5, rtol=1e-5)
    first, second = (read_metrics(tmp_path / "ppo" / name) for name in ("one", "two"))
    for mine, theirs in zip(first, second, strict=True):
        for tag in mine:
            if tag.startswith(("train/", "rollout/")):
                assert math.isclose(mine[tag], theirs[tag], rel_tol=1e-4, abs_tol=1e-5), tag
