"""Replay: what was played last, to learn from again and again.

Letters: R rows of the ring (an env step of all environments each), N environments, B transitions, K
frames in a stack, n env steps in a window, C channels, H, W.

A ring keeps one frame a step, as rollouts do, and the same `stack` makes observations of them: at
84 x 84 a transition takes 7 kB, where two whole stacks take 56 kB. It lies on the device that
learns. A transition is a position: env step * N + environment, counted from the run's beginning.

A window of n env steps ends early where its game (or life) does, and none reaches past the newest
step: nothing is stacked or summed across a game's start or the place where the ring is written. A
game that its time limit cut off is bootstrapped from its own last picture, which is kept beside.

A checkpoint holds the ring in chunks of a fixed number of rows, by their step numbers. What is in a
full one never changes, so that it is written once. The ring has room for a chunk more than is
drawn from, so that all chunks of what can be drawn are whole in memory.
"""

from collections.abc import Callable
from functools import partial
from itertools import takewhile
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float32, Float64, Int64, Shaped
from torch import Tensor

from backbones.training.checkpoint import Chunks
from backbones.training.device.memory import free_bytes
from backbones.training.errors import UserError
from rl.experience.priorities import Priorities
from rl.experience.rollout import Rollout
from rl.games.stacks import STACK, stack

CHUNK_BYTES = 2**24
COLUMNS = {
    "action": torch.int64,
    "age": torch.int32,
    "reward": torch.float32,
    "terminated": torch.bool,
    "done": torch.bool,
}
OTHER_BYTES = sum(dtype.itemsize for dtype in COLUMNS.values())
PRIORITY_BYTES = 4 * 8  # nodes of the sum tree, which is up to twice as wide as needed
# Part of the memory that is free which a replay may take.
ROOM = 0.9
# The last number of a generator's key where it draws transitions; see `ORDER` in rollout.py.
DRAWS = 2


class Transitions(NamedTuple):
    """What is learnt from: windows of up to n env steps, as one transition each."""

    obs: Shaped[Tensor, "B KC *frame"]
    action: Int64[Tensor, "B"]
    returns: Float32[Tensor, "B"]  # discounted rewards of the window
    discount: Float32[Tensor, "B"]  # of the value after it; 0 where the game, or a life, ended
    next_obs: Shaped[Tensor, "B KC *frame"]


class Replay:
    """The newest `capacity` transitions of N environments."""

    def __init__(
        self,
        capacity: int,
        like: Shaped[Tensor, "rows N C *frame"],
        *,
        n_step: int = 1,
        exponent: float | None = None,
        keep: Callable[[Tensor], Tensor] = lambda frames: frames,
        first_env: int = 0,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        """`like` are frames such as those of rollouts, of which `keep` gives what is kept, such as
        pooled ones; `exponent` is that of priorities, None for uniform draws; `first_env` the
        number of the first environment among those of all processes. See `require_room`."""
        like = keep(like[:1])
        self.num_envs, self.device = num_envs, device = like.shape[1], like.device
        self.n_step, self.keep, self.first_env = n_step, keep, first_env
        self.live = capacity // num_envs
        self.chunk_rows = max(1, min(chunk_bytes // like.nbytes, self.live // 16))
        self.rows = rows = self.live + self.chunk_rows + STACK
        self.head = 0
        # Frames as `stack` wants them: K - 1 rows ahead of all else.
        self.frames = like.new_empty(rows, *like.shape[1:])
        # What there is of each step besides its frame, by the names in a rollout.
        self.columns = {
            name: torch.zeros(rows, num_envs, dtype=dtype, device=device)
            for name, dtype in COLUMNS.items()
        }
        self.last_frames: dict[int, Tensor] = {}  # of games that the clock cut off, by position
        self.priorities = None
        if exponent is not None:
            self.priorities = Priorities(rows * num_envs, exponent, device)

    @property
    def nbytes(self) -> int:
        """The memory that it takes."""
        tensors = [self.frames, *self.columns.values(), *self.last_frames.values()]
        tree = [self.priorities.tree.nodes] if self.priorities is not None else []
        return sum(tensor.nbytes for tensor in tensors + tree)

    @property
    def drawable(self) -> range:
        """The positions whose windows are whole."""
        first = max(0, self.head - self.live)
        return range(first * self.num_envs, max(first, self.head - self.n_step) * self.num_envs)

    @property
    def fill(self) -> float:
        """How full it is, 0 to 1."""
        return min(1.0, self.head / self.live)

    def append(self, rollout: Rollout) -> None:
        """Add what was played; the oldest steps make room."""
        before, count = self.drawable, len(rollout.action)
        row = self.rows_of(range(self.head, self.head + count))
        frames = self.keep(rollout.frames[STACK - 1 : STACK - 1 + count])
        self.frames.index_copy_(0, (row + STACK - 1) % self.rows, frames)
        for name, column in self.columns.items():
            column.index_copy_(0, row, getattr(rollout, name)[:count].to(column.dtype))
        if rollout.cuts is not None and rollout.cut_frames is not None:
            last = self.keep(rollout.cut_frames)
            for (t, n), frame in zip(rollout.cuts.tolist(), last, strict=True):
                position = (self.head + t) * self.num_envs + n - self.first_env
                self.last_frames[position] = frame.clone()
        self.head += count
        gone = (self.head - self.rows) * self.num_envs
        for position in list(takewhile(lambda position: position < gone, self.last_frames)):
            del self.last_frames[position]
        if self.priorities is not None:
            after = self.drawable
            self.priorities.remove(self.places(range(before.start, after.start)))
            self.priorities.add(self.places(range(max(after.start, before.stop), after.stop)))

    def rows_of(self, steps: range) -> Int64[Tensor, "_"]:
        """Return the rows of the ring where some env steps lie."""
        return torch.arange(steps.start, steps.stop, device=self.device) % self.rows

    def places(self, positions: range) -> Int64[Tensor, "_"]:
        """Return where positions lie in the ring."""
        there = torch.arange(positions.start, max(positions.start, positions.stop))
        return there.to(self.device) % (self.rows * self.num_envs)

    def draw(
        self, uniform: Float64[Tensor, "B"], progress: float
    ) -> tuple[Int64[Tensor, "B"], Float32[Tensor, "B"] | None]:
        """Return the positions of a minibatch, drawn by numbers in [0, 1), and their weights.

        All transitions are alike likely, and there are no weights, unless there are priorities. The
        same may be drawn twice.
        """
        drawable, places = self.drawable, self.rows * self.num_envs
        if self.priorities is None:
            return drawable.start + (uniform * len(drawable)).long(), None
        place = self.priorities.draw(uniform)
        weight = self.priorities.weights(place, len(drawable), progress)
        # The newest transition lies at this place, the others behind it.
        newest = self.head * self.num_envs - 1
        return newest - (newest - place) % places, weight

    def learnt(self, position: Int64[Tensor, "B"], td_error: Float32[Tensor, "B"]) -> None:
        """Take what an update found of the transitions that were drawn."""
        if self.priorities is not None:
            self.priorities.update(position % (self.rows * self.num_envs), td_error)

    def transitions(self, position: Int64[Tensor, "B"], *, gamma: float, clip: bool) -> Transitions:
        """Return the windows that begin at some positions; `clip`: rewards are their signs."""
        step, n = position // self.num_envs, position % self.num_envs
        ahead = torch.arange(self.n_step, device=self.device)
        index = (step[:, None] + ahead) % self.rows * self.num_envs + n[:, None]  # [B, n]
        flat = {name: column.view(-1) for name, column in self.columns.items()}
        done = flat["done"][index]
        inside = done.cumsum(1) - done.long() == 0  # up to the step that ends the game
        reward = flat["reward"][index]
        reward = reward.sign() if clip else reward
        length = inside.sum(1)
        last = index.gather(1, length[:, None] - 1)[:, 0]
        terminated = flat["terminated"][last]
        next_obs = self.obs(step + length, n)
        if self.last_frames:
            cut = flat["done"][last] & ~terminated
            self.show_last_frames(next_obs, step + length - 1, n, cut)
        return Transitions(
            self.obs(step, n),
            flat["action"][index[:, 0]],
            (reward * gamma**ahead * inside).sum(1),
            gamma**length * ~terminated,
            next_obs,
        )

    def obs(self, step: Int64[Tensor, "B"], n: Int64[Tensor, "B"]) -> Shaped[Tensor, "B KC *frame"]:
        """Return the observations at some env steps of some environments."""
        return stack(self.frames, self.columns["age"], step % self.rows, n)

    def show_last_frames(
        self,
        next_obs: Shaped[Tensor, "B KC *frame"],
        step: Int64[Tensor, "B"],
        n: Int64[Tensor, "B"],
        cut: Bool[Tensor, "B"],
    ) -> None:
        """Where the clock cut a game off at a step, put what it showed last in place of the first
        observation of the next game."""
        where = cut.nonzero()[:, 0]
        if len(where) == 0:
            return
        positions = (step * self.num_envs + n)[where].tolist()
        last = torch.stack([self.last_frames[position] for position in positions])
        before = self.obs(step[where], n[where])
        next_obs[where] = torch.cat([before[:, last.shape[1] :], last], dim=1)

    def chunks(self) -> Chunks:
        """Return what a checkpoint holds of it, by names that settle the content."""
        return {name: partial(self.chunk, steps) for name, steps in self.chunk_names().items()}

    def chunk_names(self) -> dict[str, range]:
        """Return the env steps of every chunk; the last one is as long as there are steps."""
        # A window's first stack reaches K - 1 steps back.
        first = max(0, self.head - self.live - STACK + 1) // self.chunk_rows * self.chunk_rows
        starts = range(first, self.head, self.chunk_rows)
        parts = [range(start, min(start + self.chunk_rows, self.head)) for start in starts]
        return {f"replay-{part.start:010d}-{part.stop:010d}": part for part in parts}

    def chunk(self, steps: range) -> dict[str, Tensor]:
        """Return all that is known of some env steps."""
        row = self.rows_of(steps)
        tensors = {name: column[row] for name, column in self.columns.items()}
        tensors["frames"] = self.frames[(row + STACK - 1) % self.rows]
        first, stop = steps.start * self.num_envs, steps.stop * self.num_envs
        cuts = {p: frame for p, frame in self.last_frames.items() if first <= p < stop}
        tensors["cuts"] = torch.tensor(list(cuts), dtype=torch.int64)
        tensors["cut_frames"] = torch.stack([*cuts.values()]) if cuts else tensors["frames"][:0, 0]
        return tensors

    def state_dict(self) -> dict[str, Tensor]:
        """Return what changes all the time; the rest is in the chunks."""
        return self.priorities.state_dict() if self.priorities is not None else {}

    def load(
        self, head: int, state: dict[str, Tensor], read_chunk: Callable[[str], dict[str, Tensor]]
    ) -> None:
        """Continue after `head` env steps from what `state_dict` and `chunks` gave."""
        self.head = head
        for name, steps in self.chunk_names().items():
            tensors = read_chunk(name)
            row = self.rows_of(steps)
            for column, values in self.columns.items():
                values.index_copy_(0, row, tensors[column].to(self.device))
            frames = tensors["frames"].to(self.device)
            self.frames.index_copy_(0, (row + STACK - 1) % self.rows, frames)
            cut_frames = tensors["cut_frames"].to(self.device)
            self.last_frames |= dict(zip(tensors["cuts"].tolist(), cut_frames, strict=True))
        if self.priorities is not None:
            self.priorities.load_state_dict(state)


def require_room(
    capacity: int, frame_bytes: int, device: torch.device, *, prioritised: bool
) -> None:
    """UserError, with what would fit, if a replay takes more memory than its device has free."""
    each = frame_bytes + OTHER_BYTES + (PRIORITY_BYTES if prioritised else 0)
    free = free_bytes() if device.type == "cpu" else float(torch.cuda.mem_get_info(device)[0])
    if capacity * each + CHUNK_BYTES > ROOM * free:
        fits = max(0, int((ROOM * free - CHUNK_BYTES) / each))
        raise UserError(
            f"a replay of {capacity:,} transitions takes {capacity * each / 1e9:,.1f} GB, and "
            f"{free / 1e9:,.1f} GB are free: about {fits:,} fit (--buffer-size)"
        )
