"""What a run asks of an algorithm that learns while games are played, and how each one begins."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from backbones import transfer
from backbones.training.checkpoint import Chunks
from backbones.training.device.precision import Precision, choose_precision
from backbones.training.distributed import World
from backbones.training.optim import with_rates
from rl.experience.rollout import Rollout
from rl.networks.body import Body
from rl.networks.judgement import Policy

Network = TypeVar("Network", bound=Body)


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


def begun(
    config: Any,
    build_network: Callable[[Any, int], Network],
    num_actions: int,
    device: torch.device,
) -> tuple[Network, list[dict[str, Any]]]:
    """Return the untrained network of a config on its device, a function of the run's seed, and its
    parameters in groups, each with its learning rate."""
    torch.manual_seed(config.run.seed)
    network = build_network(config, num_actions)
    transfer.freeze(network, config.trunk.freeze)
    network.to(device)
    groups = transfer.parameter_groups(network, config.trunk.lr_backbone)
    return network, with_rates(groups, config.learning_rate, device)


def precision_of(network: Body, config: Any, device: torch.device, world: World) -> Precision:
    """Return the number format to learn in; where `auto` asks for it, the network is timed."""
    obs = network.blank_obs(config.minibatch_size)
    return choose_precision(
        config.run.precision, device, lambda: network(obs)[1].sum(), network, world
    )
