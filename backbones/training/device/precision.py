"""Where a model computes and in which number format: the one place that decides.

`auto` takes the GPU if there is one. There `auto` precision is bf16 autocast if the GPU has bf16.
On a CPU it is fp32, unless the chip multiplies bf16 in hardware (AVX512-BF16 or AMX): then a short
timing of this model decides, since small networks do not always gain. Losses, softmax and densities
stay in fp32.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from backbones.training.distributed import ALONE, World
from backbones.training.errors import MistakeOfAll, UserError

PrecisionName = Literal["auto", "fp32", "bf16"]


def choose_device(name: str, world: World = ALONE) -> torch.device:
    """Return the device for `auto`, `cpu`, `cuda` or `cuda:N`.

    Of several processes on one machine each gets a GPU of its own, and what torch makes on "the"
    GPU lies there. UserError if the name is none of these or this machine does not have it, or if
    the GPU takes nobody in, or if some processes have one and others have none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.split(":")[0] == "cuda" and world.size > 1:
        name = own_gpu(name, world, torch.cuda.device_count())
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"device {name!r} is unknown; use auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"device {name!r} is not supported; use auto, cpu, cuda or cuda:N")
    if device.type == "cuda":
        open_gpu(device)
    if all(world.any(device.type == "cuda", device.type == "cpu")):
        raise MistakeOfAll(
            "some processes of this run compute on a GPU and others on a CPU, which cannot be "
            "mixed; use --device cpu, or only machines with GPUs"
        )
    return device


def own_gpu(name: str, world: World, count: int) -> str:
    """Return the GPU of one of several processes, of which each needs its own (NCCL does).

    `name` is cuda or cuda:N, `count` the GPUs of this machine. MistakeOfAll if those are too few.
    """
    if name != "cuda":
        if world.local_size == 1:
            return name
        raise MistakeOfAll(
            f"--device {name} is one GPU for {world.local_size} processes on this machine; "
            "use --device cuda, which gives each its own"
        )
    if 0 < count < world.local_size:
        raise MistakeOfAll(
            f"{world.local_size} processes on this machine, but {count} GPU{'s'[: count - 1]}, and "
            f"each needs its own; use --nproc-per-node {count}, or --device cpu"
        )
    return f"cuda:{world.local_rank}"


def why_no_graphs(device: torch.device, world: World, memory: bool = False) -> str:
    """Return why steps cannot be recorded as CUDA graphs; "" if they can.

    Shares of a minibatch differ in size and sequences in where they end; a graph knows one of each.
    """
    if device.type != "cuda":
        return "they are for GPUs, and this run computes on a CPU"
    if world.size > 1:
        return f"they are for one process, and this run has {world.size}"
    return "an LSTM is not recorded" if memory else ""


def open_gpu(device: torch.device) -> None:
    """Make a GPU the one that torch uses; UserError, with the reason, if that cannot be."""
    count = torch.cuda.device_count()
    if (device.index or 0) >= count:
        if torch.version.cuda is None:
            why = "this torch was built without CUDA"
        elif not count:
            why = "torch finds no NVIDIA driver or no card (`nvidia-smi` should list one)"
        else:
            why = f"there are {count} here, cuda:0 to cuda:{count - 1}"
        raise UserError(f"device '{device}' was asked for, but {why}; use --device cpu")
    try:
        torch.cuda.set_device(device)
        torch.zeros(1, device=device)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"device '{device}' cannot be used ({reason}); another process may hold it "
            "(nvidia-smi lists them): wait, or use --device cpu"
        ) from None


def use_device(device: torch.device) -> None:
    """Make a device that was chosen that of this thread too: each thread begins with the first."""
    if device.type == "cuda":
        torch.cuda.set_device(device)


def seed_generators(seed: int, device: torch.device) -> None:
    """Seed the random numbers of the CPU and of one device.

    `torch.manual_seed` seeds every GPU and more, which before every update is slow.
    """
    if device.type != "cuda":
        torch.manual_seed(seed)
        return
    torch.default_generator.manual_seed(seed)
    index = torch.cuda.current_device() if device.index is None else device.index
    torch.cuda.default_generators[index].manual_seed(seed)


def compute_dtype(parameter_dtype: torch.dtype, device_type: str) -> torch.dtype:
    """Return the dtype that convolutions run in here: autocast's inside autocast."""
    # On "meta" tensors have a shape only, and autocast does not know it.
    if device_type != "meta" and torch.is_autocast_enabled(device_type):
        return torch.get_autocast_dtype(device_type)
    return parameter_dtype


@dataclass(frozen=True)
class Precision:
    """A chosen number format, and why it was chosen: the reason goes into the log."""

    name: Literal["fp32", "bf16"]
    device_type: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of weights that are only read."""
        return torch.bfloat16 if self.name == "bf16" else torch.float32

    def autocast(self) -> AbstractContextManager[None]:
        """Autocast for training; nothing at all in fp32."""
        if self.name == "fp32":
            return nullcontext()
        return torch.autocast(self.device_type, torch.bfloat16)


def cpu_has_bf16() -> bool:
    """Say whether the CPU multiplies bf16 in hardware."""
    return bool(
        torch.cpu._is_avx512_bf16_supported()  # type: ignore[no-untyped-call]
        or torch.cpu._is_amx_tile_supported()  # type: ignore[no-untyped-call]
    )


def choose_precision(
    name: PrecisionName,
    device: torch.device,
    loss_of: Callable[[], Tensor],
    model: nn.Module,
    world: World = ALONE,
) -> Precision:
    """Return the precision for training `model`; `loss_of()` is one forward pass of real size.

    The first process chooses for all.
    """
    chosen = world.broadcast_json(lambda: vars(precision_here(name, device, loss_of, model)))
    return Precision(**{**chosen, "device_type": device.type})


def precision_here(
    name: PrecisionName, device: torch.device, loss_of: Callable[[], Tensor], model: nn.Module
) -> Precision:
    """Return the precision that suits this process."""
    if name != "auto":
        return Precision(name, device.type, "as asked")
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return Precision("bf16", "cuda", "the default on a GPU")
        card = torch.cuda.get_device_name(device)
        return Precision("fp32", "cuda", f"{card} does not multiply bf16 in hardware")
    if not cpu_has_bf16():
        return Precision("fp32", "cpu", "this CPU does not multiply bf16 in hardware")
    seconds = {
        key: time_training(loss_of, model, Precision(key, "cpu", "")) for key in ("fp32", "bf16")
    }
    best = min(seconds, key=lambda key: seconds[key])
    timing = ", ".join(f"{key} {1000 * s:.1f} ms" for key, s in seconds.items())
    return Precision(best, "cpu", f"forward and backward took {timing}")  # type: ignore[arg-type]


def time_training(loss_of: Callable[[], Tensor], model: nn.Module, precision: Precision) -> float:
    """Return the fastest of five forward and backward passes, in seconds, after two to warm up."""
    seconds = []
    for _ in range(7):
        start = time.perf_counter()
        with precision.autocast():
            loss = loss_of()
        loss.backward()
        seconds.append(time.perf_counter() - start)
    model.zero_grad(set_to_none=False)
    return min(seconds[2:])
