"""The actor-critic network: a shared trunk, one hidden layer, a policy head and a value head.

Letters: B observations, A actions. The trunk and the hidden layer may run in bf16; the heads are
always fp32, since a ratio of two densities is what PPO lives on.
"""

import copy

import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
from torch import Tensor, nn

from backbones.trunk import Trunk, orthogonal_


class ActorCritic(nn.Module):
    """Logits of a policy and a value from one observation."""

    def __init__(self, cnn: Trunk, size_px: int, num_actions: int, hidden: int) -> None:
        super().__init__()
        self.cnn = cnn
        self.size_px = size_px
        channels, rows, columns = cnn.conv_output(size_px, size_px)
        self.hidden = nn.Linear(channels * rows * columns, hidden)
        self.policy = nn.Linear(hidden, num_actions)
        self.value = nn.Linear(hidden, 1)
        # Gains of Andrychowicz et al. 2021 and of baselines: an almost uniform first policy.
        orthogonal_(self.hidden)
        orthogonal_(self.policy, 0.01)
        orthogonal_(self.value, 1.0)

    def forward(
        self, obs: UInt8[Tensor, "B KC H W"]
    ) -> tuple[Float32[Tensor, "B A"], Float32[Tensor, "B"]]:
        maps = self.cnn(obs)[self.cnn.stages[-1]]
        features = F.relu(self.hidden(maps.flatten(1)))
        with torch.autocast(obs.device.type, enabled=False):
            features = features.float()
            return self.policy(features), self.value(features)[:, 0]


class QNetwork(nn.Module):
    """Values of all actions from one observation, as an agent that takes the best one.

    As (logits, value) like every agent's network: all of the probability lies on the best action,
    and the value of an observation is its action's.
    """

    def __init__(self, cnn: Trunk, size_px: int, num_actions: int, hidden: int) -> None:
        super().__init__()
        self.cnn = cnn
        self.size_px = size_px
        channels, rows, columns = cnn.conv_output(size_px, size_px)
        self.hidden = nn.Linear(channels * rows * columns, hidden)
        self.q = nn.Linear(hidden, num_actions)

    def forward(
        self, obs: UInt8[Tensor, "B KC H W"]
    ) -> tuple[Float32[Tensor, "B A"], Float32[Tensor, "B"]]:
        maps = self.cnn(obs)[self.cnn.stages[-1]]
        q_value = self.q(F.relu(self.hidden(maps.flatten(1))))
        best = q_value.max(-1)
        chosen = F.one_hot(best.indices, q_value.shape[-1]).bool()
        return torch.zeros_like(q_value).masked_fill(~chosen, -1e9), best.values


AgentNetwork = ActorCritic | QNetwork


def blank_obs(network: AgentNetwork, count: int) -> UInt8[Tensor, "B KC H W"]:
    """Return so many black observations on a network's device, to time or trace it with."""
    shape = (count, network.cnn.spec.in_channels, network.size_px, network.size_px)
    return torch.zeros(shape, dtype=torch.uint8, device=network.hidden.weight.device)


def acting_copy(network: ActorCritic, dtype: torch.dtype) -> ActorCritic:
    """Return a frozen copy to choose actions with: trunk and hidden layer in `dtype`, heads in
    fp32.

    Casting once per rollout instead of once per env step is what makes it worth having.
    """
    acting = copy.deepcopy(network).requires_grad_(False).eval()
    acting.cnn.to(dtype)
    acting.hidden.to(dtype)
    # Buffers stay exact: 1 / 255 rounded to bf16 would be applied twice.
    acting.cnn.mean, acting.cnn.std = network.cnn.mean.clone(), network.cnn.std.clone()
    return acting


@torch.no_grad()
def publish(network: ActorCritic, acting: ActorCritic) -> None:
    """Copy the learner's weights into the acting copy."""
    sources = dict(network.named_parameters())
    for name, parameter in acting.named_parameters():
        parameter.copy_(sources[name])
