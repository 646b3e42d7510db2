"""A rollout: what was played, and how it is cut into minibatches.

Letters: T env steps, N environments, K = 4 frames in a stack, C, H, W as in
`rl/games/contract.py`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, Shaped
from torch import Tensor

from backbones.lstm import State
from backbones.training.device.graphs import upload
from rl.games.stacks import stack
from rl.returns import refuse_single
from rl.scoring import Game

# The last number of a generator's key where it orders minibatches: without one, environment n's
# actions in rollout k and the order of rollout n's epoch k would be made of the same numbers. Not
# 0, with which NumPy fills keys up. Seeds of games are hashes of their keys: they share nothing.
ORDER = 1


@dataclass
class Rollout:
    """T env steps of N environments, single frames only; observations come from `obs`."""

    # From K - 1 rows before step 0 to the row after step T - 1.
    frames: Shaped[Tensor, "rows N C *frame"]
    action: Int64[Tensor, "T N"]
    age: Int64[Tensor, "T+1 N"]
    reward: Float32[Tensor, "T N"]  # raw
    terminated: Bool[Tensor, "T N"]
    done: Bool[Tensor, "T N"]
    # What the policy noted, [T, N] each. PPO's: log_prob, value, next_value (that of the next
    # observation, or of the last frame of a game that its time limit cut off).
    noted: Mapping[str, Float32[Tensor, "T N"]] = field(default_factory=dict)
    # Of a policy that notes no value: step and environment (by its number among those of all
    # processes) of every game that its time limit cut off, and the last frame of that game.
    cuts: Int64[Tensor, "cuts 2"] | None = None
    cut_frames: Shaped[Tensor, "cuts C *frame"] | None = None
    # The memory before step 0, of a network that has one.
    hidden: Float32[Tensor, "L N D"] | None = None
    cell: Float32[Tensor, "L N D"] | None = None
    games: list[Game] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors by name, as a checkpoint stores them."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: v for k, v in values.items() if isinstance(v, Tensor)} | dict(self.noted)

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], games: list[Game]) -> "Rollout":
        """Return the rollout that `tensors` gave: what is no field was noted by the policy."""
        names = {f.name for f in fields(cls)}
        known: dict[str, Any] = {k: tensor for k, tensor in tensors.items() if k in names}
        noted = {name: tensor for name, tensor in tensors.items() if name not in names}
        return cls(**known, noted=noted, games=games)

    def obs(self, index: Int64[Tensor, "B"]) -> Shaped[Tensor, "B KC *frame"]:
        """Return observations by flat index t * N + n."""
        num_envs = self.action.shape[1]
        return stack(self.frames, self.age, index // num_envs, index % num_envs)

    def all_obs(self) -> Shaped[Tensor, "TN KC *frame"]:
        """Return the observations of all steps and environments, in the order of `obs`."""
        return self.obs(torch.arange(self.action.numel(), device=self.action.device))

    def memory(self) -> dict[str, Tensor]:
        """Return what learning needs of a network with a memory, nothing of one without: where
        games begin [T, N], and the memory before the first step."""
        if self.hidden is None or self.cell is None:
            return {}
        return {"begins": self.age[:-1] == 0, "hidden": self.hidden, "cell": self.cell}

    def last_obs(self) -> Shaped[Tensor, "N KC H W"]:
        """Return the observations after the last step, which the next rollout begins with."""
        size = self.action.numel()
        everyone = torch.arange(size, size + self.action.shape[1], device=self.action.device)
        return self.obs(everyone)


def minibatches(
    rng: np.random.Generator,
    size: int,
    num_steps: int,
    num_envs: int,
    share: range,
    *,
    columns: bool,
) -> list[Int64[Tensor, "_"]]:
    """Return one process's share of every minibatch of an epoch, as flat indices t * N + n.

    A minibatch is `size` positions drawn from all processes' rollouts, or, with `columns`, as many
    whole environments, step by step. `share` are the environments of this process: how much of a
    minibatch falls to them varies.
    """
    if columns:
        parts = rng.permutation(num_envs).reshape(-1, size // num_steps)
        local = [torch.from_numpy(part[np.isin(part, share)] - share.start) for part in parts]
        steps = torch.arange(num_steps)[:, None] * len(share)
        return [(steps + n).flatten() for n in local]
    t, n = np.divmod(rng.permutation(num_steps * num_envs), num_envs)
    index = torch.from_numpy(t * len(share) + n - share.start)
    mine = torch.from_numpy((n >= share.start) & (n < share.stop))
    pairs = zip(index.split(size), mine.split(size), strict=True)
    return [part[kept] for part, kept in pairs]


def epochs_of_minibatches(
    seeds: Sequence[tuple[int, ...]],
    size: int,
    shape: tuple[int, int],
    share: range,
    device: torch.device,
    *,
    columns: bool,
) -> list[list[Int64[Tensor, "_"]]]:
    """Return the minibatches of every epoch over a rollout, on a device; see `minibatches`.

    The order of each epoch is a function of its seed, such as (seed of the run, rollout, epoch).
    `shape` is (steps, environments of all processes). All go to the device at once.
    """
    epochs = [
        minibatches(np.random.default_rng([*seed, ORDER]), size, *shape, share, columns=columns)
        for seed in seeds
    ]
    parts = [part for epoch in epochs for part in epoch]
    there = iter(upload(torch.cat(parts), device).split([len(part) for part in parts]))
    return [[next(there) for _ in epoch] for epoch in epochs]


def memory_of_columns(
    data: Mapping[str, Tensor], index: Int64[Tensor, "B"], num_steps: int, num_envs: int
) -> tuple[Tensor | None, State | None]:
    """Return where games begin in some whole columns of a rollout, and the memory before them.

    `data` has "begins" [T, N], "hidden" and "cell" [L, N, D] if there is a memory; else both are
    None. The positions lie step by step: the first row says which columns they are.
    """
    if "begins" not in data:
        return None, None
    n = index[: len(index) // num_steps] % num_envs
    return data["begins"][:, n], (data["hidden"][:, n], data["cell"][:, n])


def require_whole_minibatches(
    minibatch_size: int, num_steps: int, num_envs: int, *, columns: bool
) -> None:
    """Raise ValueError unless a rollout of several env steps is a number of whole minibatches.

    With `columns`, as a memory needs it, minibatches are whole sequences.
    """
    if columns and minibatch_size % num_steps:
        raise ValueError(
            f"minibatch_size = {minibatch_size} must be a multiple of num_steps = {num_steps}: "
            "with a memory, minibatches are whole sequences"
        )
    rollout_size = num_envs * num_steps
    refuse_single(rollout_size)
    if rollout_size % minibatch_size:
        raise ValueError(
            f"num_envs * num_steps = {rollout_size} is not a multiple of minibatch_size = "
            f"{minibatch_size}; try minibatch_size = {math.gcd(rollout_size, minibatch_size)}"
        )
