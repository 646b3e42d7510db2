"""Observations: stacks of the last K frames of a game.

Letters: N environments, K = 4 frames in a stack, C channels of one frame, H rows, W columns, B
positions picked out of a rollout or a replay. Older frames come first; where a game is younger than
the stack there are zeros.
"""

import numpy as np
import torch
from jaxtyping import Bool, Int, Shaped, UInt8
from torch import Tensor

STACK = 4


def stack(
    frames: Shaped[Tensor, "rows N C *frame"],
    age: Int[Tensor, "steps N"],
    t: Int[Tensor, "B"],
    n: Int[Tensor, "B"],
) -> Shaped[Tensor, "B KC *frame"]:
    """Return the observations at steps `t` of environments `n`.

    `frames` begins K - 1 rows before step 0, and a ring of frames goes on at its first row after
    its last; `age` counts the env steps since the game began, 0 at its first frame. Frames from
    before the game are zeros. They are pictures, or anything else whose first axis is stacked.
    """
    rows, num_envs, *shape = frames.shape
    offsets = torch.arange(STACK, device=t.device)
    index = (t[:, None] + offsets) % rows * num_envs + n[:, None]
    obs = frames.view(rows * num_envs, -1).index_select(0, index.view(-1))
    # The frame at offset k is K - 1 - k steps old.
    before_game = age[t, n][:, None] < STACK - 1 - offsets
    obs.mul_(~before_game.view(-1, 1))
    return obs.view(len(t), STACK * shape[0], *shape[1:])


class FrameStack:
    """The running stacks of N games outside rollouts: push frames, look at observations."""

    def __init__(self, first: UInt8[np.ndarray, "N C H W"]) -> None:
        frame = torch.from_numpy(np.ascontiguousarray(first))
        self.frames = torch.zeros(STACK, *frame.shape, dtype=torch.uint8)
        self.frames[-1] = frame
        self.age = torch.zeros(1, len(frame), dtype=torch.int64)

    def push(self, frame: UInt8[np.ndarray, "N C H W"], over: Bool[np.ndarray, "N"]) -> None:
        """Take the frames after an env step; in `over` they are the first of new games."""
        newest = torch.from_numpy(np.ascontiguousarray(frame))[None]
        self.frames = torch.cat([self.frames[1:], newest])
        self.age = torch.where(torch.from_numpy(over), 0, self.age + 1)

    def with_last(self, frame: UInt8[np.ndarray, "N C H W"]) -> UInt8[Tensor, "N KC H W"]:
        """Return what the games would show with this frame next, as the last one of each."""
        rows = torch.cat([self.frames[1:], torch.from_numpy(np.ascontiguousarray(frame))[None]])
        n = torch.arange(rows.shape[1])
        return stack(rows, self.age + 1, torch.zeros_like(n), n)

    @property
    def begins(self) -> Bool[Tensor, "N"]:
        """Which games stand at their first observation."""
        return self.age[0] == 0

    def obs(self) -> UInt8[Tensor, "N KC H W"]:
        """Return the observations of all games."""
        n = torch.arange(self.frames.shape[1])
        return stack(self.frames, self.age, torch.zeros_like(n), n)
