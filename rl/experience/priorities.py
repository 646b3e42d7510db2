"""Priorities of transitions: drawn in proportion, by a sum tree.

Letters: B transitions drawn at once. Prioritised replay is Schaul et al. 2016,
https://arxiv.org/abs/1511.05952: transition i is drawn with chance P(i) = p_i / sum p, where p_i is
|TD error| + `LEAST` to the power of `exponent`, and its loss is weighted by
(count * P(i)) ** -beta, divided by the largest weight of the minibatch; beta rises on a line from
0.4 to 1 at the end of the run.

What surprises: every inner node is the sum of its two children, computed anew, so that a tree is a
function of its leaves alone and nothing but these has to be saved; leaves are numbers of fp32, sums
are fp64, so that no leaf is lost in a large sum.
"""

import math

import torch
from jaxtyping import Float, Float32, Float64, Int64
from torch import Tensor

# No transition is out of reach because it was once predicted exactly.
LEAST = 1e-6
FIRST_BETA = 0.4


class SumTree:
    """Numbers that are not negative, and the way from a share of their sum to one of them."""

    def __init__(self, size: int, device: torch.device) -> None:
        self.size = size
        self.depth = max(1, math.ceil(math.log2(max(2, size))))
        self.first = 2**self.depth
        # Node 1 is the root, 2 i and 2 i + 1 are the children of i, the leaves begin at `first`.
        self.nodes = torch.zeros(2 * self.first, dtype=torch.float64, device=device)

    @property
    def total(self) -> Float64[Tensor, ""]:
        """The sum of all numbers."""
        return self.nodes[1]

    @property
    def leaves(self) -> Float64[Tensor, "size"]:
        """The numbers themselves, to read."""
        return self.nodes[self.first : self.first + self.size]

    def set_(self, index: Int64[Tensor, "B"], value: Float[Tensor, "B"]) -> None:
        """Set some numbers; of several for one index the largest counts."""
        node = index + self.first
        # Not an assignment, in which the order among equal indices would be left open on a GPU.
        self.nodes.scatter_reduce_(0, node, value.double(), "amax", include_self=False)
        for _ in range(self.depth):
            node = node // 2
            self.nodes[node] = self.nodes[2 * node] + self.nodes[2 * node + 1]

    def find(self, share: Float64[Tensor, "B"]) -> Int64[Tensor, "B"]:
        """Return the first index at which the sum of all numbers up to it exceeds the share, which
        lies in [0, total); never one whose number is 0, unless all are."""
        node = torch.ones(share.shape, dtype=torch.int64, device=share.device)
        for _ in range(self.depth):
            left, right = self.nodes[2 * node], self.nodes[2 * node + 1]
            goes_right = (share >= left) & (right > 0)
            share = torch.where(goes_right, share - left, share)
            node = 2 * node + goes_right
        return node - self.first


class Priorities:
    """The priorities of the transitions of a replay, by their places in its ring."""

    def __init__(self, size: int, exponent: float, device: torch.device) -> None:
        self.tree, self.exponent = SumTree(size, device), exponent
        # That of new transitions: the largest that there was, so that each is soon learnt from.
        self.largest = torch.ones((), device=device)

    def add(self, index: Int64[Tensor, "B"]) -> None:
        """Let transitions be drawn from now on, which nothing has been learnt from."""
        self.tree.set_(index, self.largest.expand(len(index)))

    def remove(self, index: Int64[Tensor, "B"]) -> None:
        """Let transitions not be drawn any more."""
        self.tree.set_(index, torch.zeros(len(index), device=index.device))

    def draw(self, uniform: Float64[Tensor, "B"]) -> Int64[Tensor, "B"]:
        """Draw one transition from each of B equal parts of the sum, by numbers in [0, 1)."""
        part = torch.arange(len(uniform), device=uniform.device)
        return self.tree.find((part + uniform) / len(uniform) * self.tree.total)

    def weights(
        self, index: Int64[Tensor, "B"], count: int, progress: float
    ) -> Float32[Tensor, "B"]:
        """Return the weights of drawn transitions in the loss, `count` of which could be drawn, at
        a progress of the run (0 to 1)."""
        beta = FIRST_BETA + (1 - FIRST_BETA) * min(1.0, progress)
        chance = self.tree.leaves[index] / self.tree.total
        weight = (count * chance) ** -beta
        return (weight / weight.max()).float()

    def update(self, index: Int64[Tensor, "B"], td_error: Float32[Tensor, "B"]) -> None:
        """Set the priorities of transitions after an update."""
        priority = (td_error.abs() + LEAST) ** self.exponent
        self.largest = torch.maximum(self.largest, priority.max())
        self.tree.set_(index, priority)

    def state_dict(self) -> dict[str, Tensor]:
        """Return what `load_state_dict` takes."""
        return {"leaves": self.tree.leaves.float(), "largest": self.largest.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on with priorities that `state_dict` gave."""
        device = self.tree.nodes.device
        everything = torch.arange(self.tree.size, device=device)
        self.tree.set_(everything, state["leaves"].to(device))
        self.largest = state["largest"].to(device)
