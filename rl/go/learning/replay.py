"""The positions that a Go player learns from: packed rows in a ring, of which a window is drawn.

Letters: B rows, F planes, N points on a side, A = N * N + 1 moves.

All planes but the komi are yes or no and take a bit a point; the komi is one grey of a row. A row
of a 9 x 9 board takes 403 bytes instead of 6 kB. The window grows with the rows that were ever
added, as a power law (Wu 2019, https://arxiv.org/abs/1902.10565, appendix C), up to `capacity`:
early games are forgotten quickly, later ones slowly.

A checkpoint holds the window's rows as chunks of `CHUNK` rows, each written once, and those that
fill no chunk yet. The ring keeps one chunk more than the window, so a chunk that the window has
half left can still be written.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int, Shaped, UInt8
from torch import Tensor

from backbones.training.checkpoint import Chunks
from backbones.training.device.memory import require_memory
from backbones.training.distributed import World
from backbones.training.errors import UserError
from rl.go.network.features import NAMES, PLANES, YES, turned_moves

CHUNK = 8_192
KOMI = NAMES.index("komi")
GROWTH = 0.75  # exponent of the window's power law
SLOPE = 0.4  # rows that the window gains for each row added, at first


class GoCounts(NamedTuple):
    """How many positions of a whole minibatch teach what, of which a batch may be a share."""

    searched: float
    ended: float


class GoBatch(NamedTuple):
    """Positions and what became of them, all from the view of the player to move."""

    planes: UInt8[Tensor, "B F N N"]
    policy: Float32[Tensor, "B A"]
    """The search's policy."""
    searched: Float32[Tensor, "B"]
    """1 if the policy is that of a full search, 0 if it is not to be learnt."""
    value: Float32[Tensor, "B"]
    """1 won, 0 drawn, -1 lost."""
    score: Float32[Tensor, "B"]
    """Points of the lead at the end, komi included."""
    ownership: Float32[Tensor, "B N N"]
    """1 own, -1 the other's, 0 nobody's."""
    ended: Float32[Tensor, "B"]
    """1 if the game came to its end, 0 if it was cut off, whose outcome is not to be learnt."""

    def counts(self) -> GoCounts:
        """Return the counts of these positions alone."""
        return GoCounts(float(self.searched.sum()), float(self.ended.sum()))


def row_type(size: int) -> np.dtype[np.void]:
    """Return the record of one position."""
    points = size * size
    return np.dtype(
        [
            ("bits", "u1", (PLANES * points + 7) // 8),
            ("komi", "u1"),
            ("policy", "f2", points + 1),
            ("searched", "u1"),
            ("ended", "u1"),
            ("value", "i1"),
            ("score", "f2"),
            ("ownership", "i1", points),
        ]
    )


def pack(planes: UInt8[np.ndarray, "*B F N N"], rows: Shaped[np.ndarray, "*B"]) -> None:
    """Write planes into rows of `row_type`."""
    rows["komi"] = planes[..., KOMI, 0, 0]
    flat = planes.reshape(*planes.shape[:-3], -1)
    # A half and more is a yes, which only the komi's plane, restored from its grey, leaves open.
    rows["bits"] = np.packbits(flat > YES // 2, axis=-1)


def unpack(rows: Shaped[np.ndarray, "B"], size: int) -> UInt8[np.ndarray, "B F N N"]:
    """Return the planes of rows."""
    count = PLANES * size * size
    planes = np.unpackbits(rows["bits"], axis=-1, count=count) * np.uint8(YES)
    planes = planes.reshape(len(rows), PLANES, size, size)
    planes[:, KOMI] = rows["komi"][:, None, None]
    return planes


class PositionReplay:
    """A ring of rows. Rows are numbered in the order in which they were added, from 0."""

    def __init__(self, size: int, capacity: int, first_window: int) -> None:
        """`capacity` is the largest window, `first_window` the rows before which it is all."""
        if not 0 < first_window <= capacity:
            raise ValueError(f"first_window = {first_window} must lie in 1..{capacity}, capacity")
        self.size, self.capacity, self.first_window = size, capacity, first_window
        kind, room = row_type(size), -(-capacity // CHUNK) * CHUNK + CHUNK
        require_memory(float(kind.itemsize) * room, "the window of positions", "--window")
        self.rows = np.zeros(room, kind)
        self.added = 0
        self.moves = np.stack([turned_moves(size, way) for way in range(8)])

    def add(self, rows: Shaped[np.ndarray, "B"]) -> None:
        """Add rows, the oldest first."""
        places = np.arange(self.added, self.added + len(rows)) % len(self.rows)
        self.rows[places] = rows
        self.added += len(rows)

    def share(self, world: World) -> None:
        """Take over, in every process, the rows that the first has begun with."""
        self.added = int(world.broadcast_json(lambda: self.added))
        world.broadcast_([torch.from_numpy(self.rows.view(np.uint8))] if self.added else [])

    @property
    def window(self) -> int:
        """How many of the newest rows are drawn from."""
        first = self.first_window
        if self.added <= first:
            return self.added
        grown = first * (1 + SLOPE * ((self.added / first) ** GROWTH - 1) / GROWTH)
        return min(int(grown), self.capacity, self.added)

    def draw(
        self, count: int, rng: np.random.Generator
    ) -> tuple[Int[np.ndarray, "B"], Int[np.ndarray, "B"]]:
        """Return the numbers of rows of the window, and in which of eight ways each is turned, by
        `rng`."""
        numbers = self.added - 1 - rng.integers(self.window, size=count)
        return numbers, rng.integers(8, size=count)

    def counts(self, numbers: Int[np.ndarray, "B"]) -> GoCounts:
        """Return the counts of rows by number."""
        rows = self.rows[numbers % len(self.rows)]
        return GoCounts(float(rows["searched"].sum()), float(rows["ended"].sum()))

    def batch(self, numbers: Int[np.ndarray, "B"], ways: Int[np.ndarray, "B"]) -> GoBatch:
        """Return rows by number, each turned in its way."""
        rows, moves = self.rows[numbers % len(self.rows)], self.moves[ways]
        points, count = moves[:, :-1], len(rows)
        flat = unpack(rows, self.size).reshape(count, PLANES, -1)
        planes = np.take_along_axis(flat, points[:, None], 2)
        policy = np.take_along_axis(rows["policy"].astype(np.float32), moves, 1)
        owned = np.take_along_axis(rows["ownership"], points, 1)

        def single(name: str) -> Float32[Tensor, "B"]:
            return torch.from_numpy(rows[name].astype(np.float32))

        return GoBatch(
            torch.from_numpy(planes.reshape(count, PLANES, self.size, self.size)),
            torch.from_numpy(policy),
            single("searched"),
            single("value"),
            single("score"),
            torch.from_numpy(owned.astype(np.float32).reshape(count, self.size, self.size)),
            single("ended"),
        )

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any], Chunks]:
        """Return what `load` continues from exactly: tensors, info and chunks."""
        whole = self.added // CHUNK
        first = (self.added - self.window) // CHUNK
        chunks = {
            chunk_name(number): lambda n=number: {"rows": self.raw(n * CHUNK, (n + 1) * CHUNK)}
            for number in range(first, whole)
        }
        return {"rows": self.raw(whole * CHUNK, self.added)}, {"added": self.added}, chunks

    def load(
        self,
        tensors: Mapping[str, Tensor],
        info: Mapping[str, Any],
        read_chunk: Callable[[str], dict[str, Tensor]],
    ) -> None:
        """Continue from a state; UserError if rows are missing."""
        self.added = int(info["added"])
        whole = self.added // CHUNK
        for number in range((self.added - self.window) // CHUNK, whole):
            name = chunk_name(number)
            self.put(number * CHUNK, CHUNK, read_chunk(name)["rows"], name)
        self.put(whole * CHUNK, self.added - whole * CHUNK, tensors["rows"], "state")

    def raw(self, begin: int, end: int) -> UInt8[Tensor, "rows bytes"]:
        """Return rows by number as bytes."""
        rows = self.rows[np.arange(begin, end) % len(self.rows)]
        return torch.from_numpy(rows.view(np.uint8).reshape(end - begin, self.rows.itemsize))

    def put(self, begin: int, count: int, raw: Tensor, name: str) -> None:
        """Put bytes back as rows; UserError if there are not so many, or they are of another
        size."""
        if raw.dtype != torch.uint8 or tuple(raw.shape) != (count, self.rows.itemsize):
            raise UserError(
                f"{name} holds positions {list(raw.shape)} where {count:,} of "
                f"{self.rows.itemsize} bytes belong: it was cut short or is of another board"
            )
        places = np.arange(begin, begin + count) % len(self.rows)
        flat = raw.contiguous().numpy().reshape(-1)
        self.rows[places] = flat.view(self.rows.dtype)


def chunk_name(number: int) -> str:
    """Return the name of a chunk, which settles what is in it."""
    return f"replay-{number * CHUNK:012d}"
