"""Scores as sums: what every process, and every batch, adds up, before the totals become scores.

Sums make a score independent of how a set was cut into shares; fp64, so that the order of adding
does not show. Where a score needs every sample (a ranking), rows are kept instead and appended.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Shaped
from torch import Tensor

from backbones.training.distributed import World


@dataclass(frozen=True)
class Kept:
    """Rows that are appended, not added. Their order is that of shares and batches: sort them."""

    rows: Shaped[Tensor, "B ..."]


Counts = Mapping[str, Tensor | Kept]
Sums = dict[str, Tensor]


def add(parts: Iterable[Counts], world: World) -> Sums:
    """Return the sums of all parts of all processes, and the kept rows of all of them."""
    total: Sums = {}
    kept: dict[str, list[Tensor]] = {}
    for part in parts:
        for name, value in part.items():
            if isinstance(value, Kept):
                kept.setdefault(name, []).append(value.rows.cpu())
            else:
                total[name] = total[name] + value if name in total else value.double()
    for value in total.values():
        world.sum_(value)
    if kept:
        mine = {name: torch.cat(rows) for name, rows in kept.items()}
        total |= world.broadcast_tensors(appended(world.gather(mine)))
    return total


def emptied(counts: Counts) -> Counts:
    """Return what a share without samples adds: nothing, under the same names."""
    return {
        name: Kept(value.rows[:0]) if isinstance(value, Kept) else torch.zeros_like(value)
        for name, value in counts.items()
    }


def appended(shares: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the rows of all shares, one behind the other; nothing of no shares."""
    names = shares[0] if shares else {}
    return {name: torch.cat([share[name] for share in shares]) for name in names}
