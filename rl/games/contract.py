"""What every environment gives to every algorithm.

Letters: N environments side by side, C channels of one frame (1 grey, 3 colour), H rows, W columns.

Environments give single frames; `rl/games/stacks.py` makes observations of them. Rewards are raw:
algorithms clip, people read full-game scores. Three endings are told apart: `terminated` (a life or
the game was lost: nothing to bootstrap from), `truncated` (the time limit cut the game off: the
future goes on unseen) and `over` (a new game begins with `frame`; the last picture of the old one
is in `final_frame`). There are no dead rows: the frame that an action is chosen on always belongs
to a running game.
"""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int, UInt8

from backbones.training.errors import UserError


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
    adapted: str = ""
    """What was made of an environment that does not show uint8 pictures, or has not n actions."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it; without `adapted` where nothing was."""
        found = asdict(self)
        return found if self.adapted else {k: v for k, v in found.items() if k != "adapted"}


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
    end_games_every: int  # env steps; 0: games can be replayed, none has to be ended
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
        """Replay the running games; return the frames where they stand."""

    def close(self) -> None:
        """Free the emulators."""


def require_same_actions(env: str, found: int, trained: int) -> None:
    """UserError if an environment has another number of actions than an agent was trained with."""
    if found != trained:
        raise UserError(
            f"{env} has {found} actions now, but the agent was trained with {trained}; bring back "
            "the environment that it was trained on, or train anew"
        )


def game_seed(run_seed: int, env_index: int, episode: int) -> int:
    """Return the seed of one game: a function of run, environment and episode, of nothing else."""
    return int(np.random.SeedSequence([run_seed, env_index, episode]).generate_state(1)[0] >> 1)
