"""Self-play by several processes: each plays its share of the games, all learn from all of them.

Games are in the order of their numbers, whoever played them, so every process has the same window,
and it is the one that a single process would have.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from backbones.training.distributed import World
from rl.go.learning.selfplay import OPENINGS, Turn


def gather_turn(world: World, turn: Turn) -> Turn:
    """Return, in every process, the games that all have ended; figures are the first's."""
    if world.size == 1:
        return turn
    kind = turn.rows.dtype
    mine = {
        "rows": torch.from_numpy(turn.rows.view(np.uint8).reshape(len(turn.rows), kind.itemsize)),
        "numbers": torch.from_numpy(turn.numbers),
        "lengths": torch.from_numpy(turn.lengths),
        "scores": torch.from_numpy(turn.scores),
        "moves": torch.tensor([turn.moves]),
    }
    whole = world.broadcast_tensors(side_by_side(world, mine))
    return Turn(
        whole["rows"].numpy().reshape(-1).view(kind),
        whole["numbers"].numpy(),
        whole["lengths"].numpy(),
        whole["scores"].numpy(),
        int(whole["moves"].sum()),
        world.broadcast_json(lambda: turn.figures),
    ).in_order()


def gather_state(world: World, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return, in the first process, the games in flight of all; nothing elsewhere."""
    if world.size == 1:
        return dict(tensors)
    shared = {name: tensor for name, tensor in tensors.items() if name != OPENINGS}
    whole = side_by_side(world, shared)
    return {**whole, OPENINGS: tensors[OPENINGS]} if world.is_first else {}


def side_by_side(world: World, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return, in the first process, each tensor of all processes one behind another."""
    parts = world.gather(tensors)
    return {name: torch.cat([part[name] for part in parts]) for name in tensors} if parts else {}
