"""Evaluating many positions with a network: in fp32 on a CPU; on a GPU in bf16 and fixed sizes.

Letters: B positions, P of them with padding, F planes, M points on a side of the network's room,
A = M * M + 1 moves.

On a GPU the weights are bf16 and channels last, and batches are padded to one of `SIZES`, so that
convolutions are chosen once per size and could be captured. Boards are turned on the GPU. Planes
and results are copied through pinned memory, and the CPU waits only for the results.
"""

import copy
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor, nn

from backbones.training.device.precision import choose_device
from backbones.training.errors import UserError
from rl.go.network.features import PLANES, straight_moves, turned
from rl.go.network.go_network import GoNetwork

Evaluator = Callable[
    [UInt8[np.ndarray, "B F M M"]], tuple[Float32[np.ndarray, "B A"], Float32[np.ndarray, "B"]]
]
"""Planes in, logits of the moves and values out, of who is to play."""

SIZES = (8, 32, 128, 512, 1024, 2048, 4096, 8192)  # of batches on a GPU; more are cut into these


TurningEvaluator = Callable[
    [UInt8[np.ndarray, "B F M M"], int], tuple[Float32[np.ndarray, "B A"], Float32[np.ndarray, "B"]]
]
"""An evaluator that is told in which of eight ways the network is to see the boards."""


def network_evaluator(network: nn.Module, seed: int = 0) -> Evaluator:
    """Return an evaluator that runs a GoNetwork on its device; each call turns the boards in one of
    eight random ways."""
    rng, evaluate = np.random.default_rng(seed), turning_evaluator(network)
    return lambda planes: evaluate(planes, int(rng.integers(8)))


def turning_evaluator(network: nn.Module) -> TurningEvaluator:
    """Return an evaluator that runs a GoNetwork on its device; on a GPU it is a copy of now."""
    if next(network.parameters()).is_cuda:
        return FixedBatches(network).evaluate

    @torch.inference_mode()
    def evaluate(
        planes: UInt8[np.ndarray, "B F M M"], way: int
    ) -> tuple[Float32[np.ndarray, "B A"], Float32[np.ndarray, "B"]]:
        judged = network(torch.from_numpy(np.ascontiguousarray(turned(planes, way))))
        policy = judged.policy.numpy()[:, straight_moves(planes.shape[-1], way)]
        return policy.astype(np.float32), judged.value.float().numpy()

    return evaluate


def require_finite_answers(values: Float32[np.ndarray, "B"]) -> None:
    """UserError where a network that is being trained has broken."""
    if not np.isfinite(values).all():
        raise UserError(
            "the network's answers are not finite any more; the last checkpoint is whole: "
            "start anew from its weights with `train --init RUN` and a lower --learning-rate"
        )


def rounded_copy(network: nn.Module, dtype: torch.dtype = torch.bfloat16) -> nn.Module:
    """Return a frozen copy for inference: weights in `dtype`, channels last."""
    rounded: Any = copy.deepcopy(network).requires_grad_(False).eval()
    # Buffers stay exact: 1 / 255 rounded to bf16 would be applied twice.
    for parameter in rounded.parameters():
        parameter.data = parameter.data.to(dtype)
    return rounded.to(memory_format=torch.channels_last)  # type: ignore[no-any-return]


def padded_sizes(count: int) -> list[int]:
    """Return the sizes of the batches that so many positions are cut into."""
    whole, rest = divmod(count, SIZES[-1])
    return [SIZES[-1]] * whole + [size for size in SIZES if size >= rest][: min(rest, 1)]


def turned_on_device(planes: UInt8[Tensor, "B F M M"], way: int) -> UInt8[Tensor, "B F M M"]:
    """Turn boards as `turned` of `rl/go/network/features.py` does."""
    return torch.rot90(planes.flip(-1) if way >= 4 else planes, way % 4, (-2, -1))


class FixedBatches:
    """Evaluates positions by a rounded copy of a network, in batches of fixed sizes."""

    def __init__(self, network: nn.Module, dtype: torch.dtype = torch.bfloat16) -> None:
        self.network = rounded_copy(network, dtype)
        self.device = next(network.parameters()).device
        self.straight: dict[tuple[int, int], Tensor] = {}

    @torch.inference_mode()
    def evaluate(
        self, planes: UInt8[np.ndarray, "B F M M"], way: int
    ) -> tuple[Float32[np.ndarray, "B A"], Float32[np.ndarray, "B"]]:
        """Return logits and values of positions, which the network sees turned one way."""
        answers, start = [], 0
        # All are ordered before the first is waited for.
        for size in padded_sizes(len(planes)):
            answers.append(self.order(planes[start : start + size], size, way))
            start += size
        if self.device.type == "cuda":
            torch.cuda.current_stream(self.device).synchronize()
        count = len(planes)
        policy = np.concatenate([policy.numpy() for policy, _ in answers])[:count]
        return policy, np.concatenate([value.numpy() for _, value in answers])[:count]

    def order(
        self, planes: UInt8[np.ndarray, "B F M M"], size: int, way: int
    ) -> tuple[Float32[Tensor, "P A"], Float32[Tensor, "P"]]:
        """Return room on the CPU for the answers of one batch, which will be there later."""
        pinned = self.device.type == "cuda"
        given = torch.empty((size, *planes.shape[1:]), dtype=torch.uint8, pin_memory=pinned)
        # Straight into pinned memory, which torch keeps; the rows behind are asked for nothing.
        given.numpy()[: len(planes)] = planes
        given[len(planes) :] = 0
        there = given.to(self.device, non_blocking=True)
        judged = self.network(turned_on_device(there, way))
        policy = judged.policy.index_select(1, self.straight_moves(planes.shape[-1], way))
        answers = []
        for answer in (policy.float(), judged.value.float()):
            room = torch.empty(answer.shape, dtype=torch.float32, pin_memory=pinned)
            answers.append(room.copy_(answer, non_blocking=True))
        return answers[0], answers[1]

    def straight_moves(self, size: int, way: int) -> Tensor:
        """Return the moves of a turned board in the order of the straight one, on the device."""
        if (size, way) not in self.straight:
            moves = torch.from_numpy(straight_moves(size, way))
            self.straight[size, way] = moves.to(self.device)
        return self.straight[size, way]


def evaluations_per_s(
    network: GoNetwork, *, batch: int, device: str = "auto", seconds: float = 2.0
) -> float:
    """Return how many positions of the network's largest board a second are judged, `batch` at a
    time, from planes on the CPU to logits and values there. Its first calls are left out.
    """
    size, place = network.spec.largest, choose_device(device)
    evaluate = network_evaluator(copy.deepcopy(network).to(place).eval())
    planes = np.random.default_rng(0).integers(0, 2, (batch, PLANES, size, size), np.uint8) * 255
    planes[:, -1] = 255  # inside the board
    for _ in range(3):
        evaluate(planes)
    done, start = 0, time.perf_counter()
    while (took := time.perf_counter() - start) < seconds:
        evaluate(planes)
        done += batch
    return done / took
