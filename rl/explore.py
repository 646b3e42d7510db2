"""Exploring with random actions: epsilon-greedy play, whose epsilon is a function of where it is.

Letters: N environments, A actions, K = 4 frames in a stack.

The chance of a random action falls on a line from 1, and where it ends may differ from environment
to environment: environment i of all N ends at epsilon ** (1 + spread * i / (N - 1)), equation 1 of
Horgan et al. 2018 (Ape-X, https://arxiv.org/abs/1803.00933; epsilon 0.4, spread 7 there). With
spread 0 all end at epsilon. Each environment throws a coin of its own, and nothing has to be saved:
the chance is a function of environment and env step, the coin one of seed, environment and env
step.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float32, Int64, UInt8
from torch import Tensor

from backbones.lstm import State
from backbones.training.config import require_fraction, require_not_negative
from rl.networks.body import Body
from rl.networks.judgement import Choice


@dataclass(frozen=True, kw_only=True)
class Exploration:
    """How often actions are random."""

    epsilon: float = 0.01
    """Chance of a random action where exploration has fallen to its end."""
    epsilon_fraction: float = 0.1
    """Progress (0 to 1) over which that chance falls on a line from 1."""
    epsilon_spread: float = 0.0
    """Environment i of N ends at epsilon ** (1 + spread * i / (N - 1)); 0: all alike; Ape-X: 7."""
    eval_epsilon: float = 0.01
    """Chance of a random action in the evaluation at the end, and in `arcadia eval`."""

    def __post_init__(self) -> None:
        require_fraction(self, "epsilon", "epsilon_fraction", "eval_epsilon")
        require_not_negative(self, "epsilon_spread")

    def chances(self, progress: float, envs: range, num_envs: int) -> Float32[Tensor, "N"]:
        """Return the chance of a random action at a progress (0 to 1), of some environments by
        their numbers among `num_envs`."""
        number = torch.tensor(list(envs), dtype=torch.float64)
        last = self.epsilon ** (1 + self.epsilon_spread * number / max(1, num_envs - 1))
        fallen = min(1.0, progress / self.epsilon_fraction) if self.epsilon_fraction else 1.0
        return (1 + (last - 1) * fallen).float()


def epsilon_greedy(
    q_value: Float32[Tensor, "N A"], epsilon: Float32[Tensor, "N"], uniform: Float32[Tensor, "N"]
) -> Int64[Tensor, "N"]:
    """Return the best actions; where uniform < epsilon, any action, by what is left of uniform."""
    num_actions = q_value.shape[-1]
    # Below epsilon, uniform / epsilon is uniform in [0, 1): one number is coin and action.
    other = (uniform / epsilon.clamp_min(1e-12) * num_actions).long().clamp_(max=num_actions - 1)
    return torch.where(uniform < epsilon, other, q_value.argmax(-1))


class EpsilonGreedyPolicy:
    """Takes the best action of a network with Q values, or a random one; notes nothing."""

    notes: tuple[str, ...] = ()

    def __init__(
        self, network: Body, chances: Callable[[int], Float32[Tensor, "N"]], num_envs: int
    ) -> None:
        """`chances(rollout)` gives epsilon in a rollout, for each of `num_envs` environments."""
        self.network, self.chances = network, chances
        # Always this tensor: an acting step that is a CUDA graph reads it anew.
        self.epsilon = torch.ones(num_envs, device=network.hidden.weight.device)

    def begin_rollout(self, rollout: int) -> None:
        """Take the epsilon of this rollout."""
        self.epsilon.copy_(self.chances(rollout))

    def choose(
        self,
        obs: UInt8[Tensor, "N KC H W"],
        memory: State | None,
        begins: Bool[Tensor, "N"],
        uniform: Float32[Tensor, "N"],
    ) -> Choice:
        """Choose one action a game; see `Policy.choose`."""
        judged = self.network.step(obs, memory, begins)
        assert judged.q_value is not None
        return Choice(epsilon_greedy(judged.q_value, self.epsilon, uniform), {}, judged.memory)
