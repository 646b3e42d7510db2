"""GPUs that are missing, busy, old or full; rates as tensors. All of it runs without a GPU."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import arcadia
from backbones.training.device.precision import (
    choose_device,
    choose_precision,
    own_gpu,
    why_no_graphs,
)
from backbones.training.distributed import World
from backbones.training.errors import UserError
from backbones.training.optim import load_optimizer_tensors, optimizer_tensors, set_rate, with_rates


def test_a_gpu_that_is_not_there_is_refused_with_the_reason(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    with pytest.raises(UserError, match=r"there are 2 here, cuda:0 to cuda:1; use --device cpu"):
        choose_device("cuda:2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(UserError, match="no NVIDIA driver or no card"):
        choose_device("cuda")
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(UserError, match="built without CUDA"):
        choose_device("cuda")


def test_a_gpu_that_another_process_holds_is_one_line(monkeypatch):
    def busy(device):
        raise RuntimeError("CUDA error: all CUDA-capable devices are busy or unavailable\nmore")

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_device", busy)
    with pytest.raises(UserError, match=r"busy or unavailable\); another process") as trouble:
        choose_device("cuda")
    assert "\n" not in str(trouble.value)


def test_each_of_several_processes_on_a_machine_gets_a_gpu_of_its_own():
    # Two machines with two GPUs each; then four with one.
    for processes, here in ((4, 2), (4, 1)):
        worlds = [World(rank, processes, rank % here, here) for rank in range(processes)]
        gpus = [own_gpu("cuda", world, here) for world in worlds]
        assert gpus == [f"cuda:{rank % here}" for rank in range(processes)]
    assert own_gpu("cuda:1", World(0, 4, 0, 1), 2) == "cuda:1"
    with pytest.raises(UserError, match=r"^3 processes on this machine, but 2 GPUs, and each"):
        own_gpu("cuda", World(0, 3, 0, 3), 2)


def test_processes_on_gpus_and_on_cpus_do_not_mix():
    class BesideOneOnAGPU(World):
        def any(self, *flags):
            return [mine or other for mine, other in zip(flags, (True, False), strict=True)]

    with pytest.raises(UserError, match="some processes of this run compute on a GPU and others"):
        choose_device("cpu", BesideOneOnAGPU(0, 2))


@pytest.mark.parametrize(
    ("device", "world", "memory", "words"),
    [
        ("cuda", World(), False, ""),
        ("cpu", World(), False, "for GPUs, and this run computes on a CPU"),
        ("cuda", World(1, 2), False, "for one process, and this run has 2"),
        ("cuda", World(), True, "an LSTM is not recorded"),
    ],
)
def test_graphs_are_for_one_process_on_a_gpu_without_a_memory(device, world, memory, words):
    why = why_no_graphs(torch.device(device), world, memory)
    assert words in why and bool(words) == bool(why)


TINY_GPU = (
    "--preset gpu --env Arcadia/Catch-v0 --num-envs 4 --num-steps 32 --minibatch-size 64 "
    "--total-steps 128 --hidden 32 --width 0.25 --eval-games 0 --precision fp32"
)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (f"ppo {TINY_GPU}", ["they are for GPUs, and this run computes on a CPU"]),
        (f"ppo {TINY_GPU} --memory lstm", ["they are for GPUs, and this run computes on a CPU"]),
        (f"ppo {TINY_GPU} --no-graphs", []),
        (
            "classify --preset smoke --samples 64 --num-epochs 1 --precision fp32 --graphs",
            ["a task's updates are not recorded, only PPO's are"],
        ),
        (
            "sb3-ppo --preset smoke --env Arcadia/Catch-v0 --eval-games 0 --graphs",
            ["stock jobs are not recorded, only PPO is"],
        ),
    ],
)
def test_graphs_that_cannot_be_are_said_once_and_nothing_else_is_wrong(runs, capsys, flags, words):
    if flags.startswith("sb3"):
        pytest.importorskip("stable_baselines3")
    assert arcadia.main(["train", *flags.split(), "--device", "cpu"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    said = [line for line in out.splitlines() if "--graphs" in line]
    assert said == [f"no CUDA graphs (--graphs): {word}" for word in words]


@pytest.mark.parametrize(("has", "name"), [(True, "bf16"), (False, "fp32")])
def test_a_gpu_computes_in_bf16_only_if_it_can(monkeypatch, has, name):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: has)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    chosen = choose_precision("auto", torch.device("cuda"), lambda: torch.zeros(1), nn.Linear(1, 1))
    assert chosen.name == name and ("Tesla T4" in chosen.reason) != has


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.19 "
            "GiB of which 1.25 GiB is free. Process 7 has 60.00 GiB memory in use.",
            ("20.00 GiB more were needed", "1.25 GiB of 79.19 GiB are free", "--batch-size"),
        ),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", ("memory is full;", "nvidia-smi")),
        ("CUDA error: out of memory\nCUDA kernel errors might be", ("memory is full;",)),
    ],
)
def test_a_full_gpu_ends_a_command_in_one_line(monkeypatch, capsys, message, words):
    def full(args):
        raise torch.OutOfMemoryError(message)

    monkeypatch.setitem(arcadia.OWN, "train", full)
    assert arcadia.main(["train", "classify"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and all(word in said for word in words)


def test_other_faults_of_a_command_stay_what_they_are(monkeypatch):
    def wrong(args):
        raise RuntimeError("shapes do not fit")

    monkeypatch.setitem(arcadia.OWN, "train", wrong)
    with pytest.raises(RuntimeError, match="shapes"):
        arcadia.main(["train"])


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_a_rate_that_is_a_tensor_steps_as_one_that_is_a_number(kind):
    """As on a GPU; the state goes from one to the other, as when a run changes its device."""
    more = {"momentum": 0.9} if kind is torch.optim.SGD else {}

    def built(with_tensors, start):
        ps = [nn.Parameter(p.clone()) for p in start]
        groups = with_rates(
            [{"params": [p], "scale": s} for p, s in zip(ps, (1.0, 0.5), strict=True)],
            0.1,
            torch.device("cpu"),
        )
        if with_tensors:
            groups = [{**group, "lr": torch.tensor(group["lr"])} for group in groups]
        return ps, kind(groups, fused=True, **more)

    def steps(ps, optimizer, rates):
        for rate in rates:
            set_rate(optimizer, rate)
            for p in ps:
                p.grad = torch.cos(p.detach())
            optimizer.step()

    start = [torch.ones(3), torch.ones(2)]
    numbers, plain = built(False, start)
    steps(numbers, plain, (0.1, 0.05, 0.2))
    first, tensors = built(True, start)
    kept = [group["lr"] for group in tensors.param_groups]
    steps(first, tensors, (0.1, 0.05))
    assert kept == [group["lr"] for group in tensors.param_groups]  # still those tensors
    assert [float(rate) for rate in kept] == pytest.approx([0.05, 0.025])
    second, moved = built(False, first)
    load_optimizer_tensors(moved, optimizer_tensors(tensors))
    assert [type(group["lr"]) for group in moved.param_groups] == [float, float]
    steps(second, moved, (0.2,))
    assert_close(second, numbers)
