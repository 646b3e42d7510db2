"""What a run asks of an algorithm that learns while games are played."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from backbones.training.checkpoint import Chunks
from backbones.training.device.precision import Precision
from rl.experience.rollout import Rollout
from rl.networks.body import Body
from rl.networks.judgement import Policy


class LearnerState(NamedTuple):
    """What a checkpoint holds of a learner besides its weights."""

    tensors: Mapping[str, Tensor]
    info: Mapping[str, Any]
    chunks: Chunks = {}  # noqa: RUF012
    """Parts that are written once and linked by later checkpoints, such as those of a replay."""


@runtime_checkable
class RolloutLearner(Protocol):
    """A network, what trains it, and how far it is."""

    network: Body
    precision: Precision
    rollouts: int
    no_graphs: str
    """Why its updates cannot be recorded as CUDA graphs; "" if they can."""

    @property
    def env_steps(self) -> int:
        """Env steps learnt from."""

    def choose_precision(self) -> None:
        """Time the network where `auto` needs it."""

    def policy(self, acting: Body) -> Policy:
        """Return the policy that plays, on a copy of the network for it."""

    def learn(self, rollout: Rollout, pool: ThreadPoolExecutor | None = None) -> dict[str, float]:
        """Learn from a rollout; return figures as TensorBoard tags.

        It may submit work to `pool`, whose thread runs it once the next rollout is collected.
        """

    def state(self) -> LearnerState:
        """Return what `load_state` continues from exactly, the weights apart."""

    def load_state(
        self,
        tensors: Mapping[str, Tensor],
        info: Mapping[str, Any],
        read_chunk: Callable[[str], dict[str, Tensor]],
    ) -> None:
        """Continue from a state; `read_chunk` gives the tensors of a chunk by its name."""
