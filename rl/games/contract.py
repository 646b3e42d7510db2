"""What every environment gives to every algorithm, and the one way to make observations of it.

Letters: N environments side by side, T env steps of a rollout, K = 4 frames in a stack, C channels
of one frame (1 grey, 3 colour), H rows, W columns, B positions picked out of a rollout.

Environments give single frames; observations are stacks of the last K frames of the same game,
older frames first, zeros where the game is younger than the stack. Rewards are raw: algorithms
clip, people read full-game scores. Three endings are told apart: `terminated` (a life or the game
was lost: nothing to bootstrap from), `truncated` (the clock ran out: the future goes on unseen) and
`over` (a new game begins with `frame`; the last picture of the old one is in `final_frame`). There
are no dead rows: the frame that an action is chosen on always belongs to a running game.
"""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int, UInt8
from torch import Tensor

STACK = 4


@dataclass(frozen=True, kw_only=True)
class GameProtocol:
    """How games are played: printed with every score, since scores of two protocols differ."""

    env: str
    sticky: float
    frame_skip: int
    noop_max: int
    max_frames: int
    num_actions: int
    obs: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Step(NamedTuple):
    """What one env step of all environments gave."""

    frame: UInt8[np.ndarray, "N C H W"]
    final_frame: UInt8[np.ndarray, "N C H W"]
    reward: Float32[np.ndarray, "N"]
    terminated: Bool[np.ndarray, "N"]
    truncated: Bool[np.ndarray, "N"]
    over: Bool[np.ndarray, "N"]


@runtime_checkable
class Environments(Protocol):
    """N games stepped side by side."""

    num_envs: int
    seed: int  # of the run; games have seeds of their own, made of it
    numbers: range  # of these environments among those of all processes
    end_games_every: int  # env steps; 0: games can be lived through again, none has to be ended
    action_names: tuple[str, ...]
    frame_shape: tuple[int, int, int]
    protocol: GameProtocol

    def reset(self) -> UInt8[np.ndarray, "N C H W"]:
        """Begin the first game of every environment."""

    def step(self, action: Int[np.ndarray, "N"]) -> Step:
        """Take one action in each environment."""

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return seeds and actions from which `load_state_dict` restores the running games."""

    def load_state_dict(self, state: dict[str, np.ndarray]) -> UInt8[np.ndarray, "N C H W"]:
        """Live through the running games again; return the frames where they stand."""

    def close(self) -> None:
        """Free the emulators."""


def game_seed(run_seed: int, env_index: int, episode: int) -> int:
    """Return the seed of one game: a function of run, environment and episode, of nothing else."""
    return int(np.random.SeedSequence([run_seed, env_index, episode]).generate_state(1)[0] >> 1)


def stack(
    frames: UInt8[Tensor, "rows N C H W"],
    age: Int[Tensor, "steps N"],
    t: Int[Tensor, "B"],
    n: Int[Tensor, "B"],
) -> UInt8[Tensor, "B KC H W"]:
    """Return the observations at steps `t` of environments `n`.

    `frames` begins K - 1 rows before step 0; `age` counts the env steps since the game began, 0 at
    its first frame. Frames from before the game are zeros.
    """
    rows, num_envs, *shape = frames.shape
    offsets = torch.arange(STACK, device=t.device)
    index = (t[:, None] + offsets) * num_envs + n[:, None]
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


class Game(NamedTuple):
    """One finished game: raw, unclipped score over all lives; length in env steps."""

    env_index: int
    score: float
    length: int


def mean_score(games: list[Game]) -> float | None:
    """Return the mean raw score of the games, None without games."""
    return sum(game.score for game in games) / len(games) if games else None


class ScoreKeeper:
    """Adds up raw rewards until games are over. The only place where scores come from."""

    def __init__(self, num_envs: int, first: int = 0) -> None:
        """Count for environments numbered from `first`."""
        self.first = first
        self.score = np.zeros(num_envs)
        self.length = np.zeros(num_envs, np.int64)

    def update(self, step: Step) -> list[Game]:
        """Count one env step; return the games that it ended."""
        self.score += step.reward
        self.length += 1
        ended = np.flatnonzero(step.over)
        games = [
            Game(self.first + int(n), float(self.score[n]), int(self.length[n])) for n in ended
        ]
        self.score[ended] = 0
        self.length[ended] = 0
        return games
