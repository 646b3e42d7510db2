"""The actor-critic network: a shared trunk, one hidden layer, an LSTM if asked for, two heads.

Letters: B observations, A actions, T steps, N environments, L layers and D units of the LSTM. The
trunk and the hidden layer may run in bf16; the LSTM and the heads are always fp32, since a ratio of
two densities is what PPO lives on.
"""

import copy

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float32, Int64, UInt8
from torch import Tensor, nn

from backbones.cnn import build_trunk
from backbones.lstm import LSTM, State
from backbones.training.errors import UserError
from backbones.transfer import TrunkConfig
from backbones.trunk import Trunk, flattened, orthogonal_, take_rows
from rl.experience.rollout import Judgement, Rollout
from rl.games.contract import STACK

# A matrix of so many rows, which begins orthogonal, takes a minute.
MOST_UNITS = 16_384


def build_cnn(trunk: TrunkConfig, colour: bool) -> Trunk:
    """Return the untrained trunk of an agent; UserError if it cannot learn from play."""
    spec = trunk.spec(STACK * (3 if colour else 1))
    if spec.norm_kind == "batch":
        raise UserError(
            f"--trunk {spec.name} with batch norm cannot play: its statistics would mix the games "
            "of different policies; use --norm group, or none where the trunk has it"
        )
    return build_trunk(spec)


class ActorCritic(nn.Module):
    """Logits of a policy and a value from one observation, or, with a memory, from all so far."""

    def __init__(
        self, cnn: Trunk, size_px: int, num_actions: int, hidden: int, lstm: LSTM | None = None
    ) -> None:
        super().__init__()
        self.cnn = cnn
        self.size_px = size_px
        channels, rows, columns = cnn.conv_output(size_px, size_px)
        self.hidden = nn.Linear(channels * rows * columns, hidden)
        self.lstm = lstm
        features = lstm.spec.units if lstm else hidden
        self.policy = nn.Linear(features, num_actions)
        self.value = nn.Linear(features, 1)
        # Gains of Andrychowicz et al. 2021 and of baselines: an almost uniform first policy.
        orthogonal_(self.hidden)
        orthogonal_(self.policy, 0.01)
        orthogonal_(self.value, 1.0)

    def initial_memory(self, count: int) -> State | None:
        """Return the memory of so many games at their beginning; None for a network without."""
        return self.lstm.initial_state(count) if self.lstm else None

    def forward(
        self, obs: UInt8[Tensor, "B KC H W"]
    ) -> tuple[Float32[Tensor, "B A"], Float32[Tensor, "B"]]:
        """Judge observations each by itself; a network with a memory takes them for first ones."""
        state = self.initial_memory(len(obs))
        if state is None:
            return self.heads(self.features(obs))
        return self.step(obs, state, torch.zeros(len(obs), dtype=torch.bool, device=obs.device))[:2]

    def step(
        self, obs: UInt8[Tensor, "N KC H W"], memory: State | None, begins: Bool[Tensor, "N"]
    ) -> Judgement:
        """Judge the next observation of N games; where one `begins`, its memory is empty."""
        if self.lstm is None or memory is None:
            return *self.heads(self.features(obs)), None
        with torch.autocast(obs.device.type, enabled=False):
            features = self.features(obs).float()[None]
            outputs, memory = self.lstm(features, memory, begins[None])
        return *self.heads(outputs[0]), memory

    def prepare(self, rollout: Rollout) -> UInt8[Tensor, "TN KC H2 W2"]:
        """Return the observations of all positions of a rollout, prepared for the trunk."""
        positions = torch.arange(rollout.action.numel(), device=rollout.action.device)
        return self.cnn.prepare(rollout.obs(positions))

    def judge(
        self,
        prepared: UInt8[Tensor, "TN KC H2 W2"],
        index: Int64[Tensor, "B"],
        rollout: Rollout | None = None,
    ) -> tuple[Float32[Tensor, "B A"], Float32[Tensor, "B"]]:
        """Judge positions of a rollout, of which `prepare` gave all observations.

        With a memory the positions are whole columns, step by step, and the rollout is needed too.
        """
        features = self.features_of(take_rows(prepared, index))
        if self.lstm is None:
            return self.heads(features)
        assert rollout and rollout.hidden is not None and rollout.cell is not None
        steps, num_envs = rollout.action.shape
        n = index[: len(index) // steps] % num_envs
        begins = rollout.age[:steps, n] == 0
        with torch.autocast(features.device.type, enabled=False):
            state = rollout.hidden[:, n], rollout.cell[:, n]
            outputs, _ = self.lstm(features.float().view(steps, len(n), -1), state, begins)
        return self.heads(outputs.flatten(0, 1))

    def features(self, obs: UInt8[Tensor, "B KC H W"]) -> Tensor:
        """Return what the trunk and the hidden layer make of each observation."""
        return self.features_of(self.cnn.prepare(obs))

    def features_of(self, prepared: UInt8[Tensor, "B KC H2 W2"]) -> Tensor:
        """Return the same of prepared observations."""
        maps = self.cnn.forward_prepared(prepared)[self.cnn.stages[-1]]
        return F.relu(self.hidden(flattened(maps)))

    def heads(self, features: Tensor) -> tuple[Float32[Tensor, "B A"], Float32[Tensor, "B"]]:
        """Return logits and value, in fp32."""
        with torch.autocast(features.device.type, enabled=False):
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
        q_value = self.q(F.relu(self.hidden(flattened(maps))))
        best = q_value.max(-1)
        chosen = F.one_hot(best.indices, q_value.shape[-1]).bool()
        return torch.zeros_like(q_value).masked_fill(~chosen, -1e9), best.values

    def initial_memory(self, count: int) -> None:
        """Return nothing: it has no memory."""

    def step(
        self, obs: UInt8[Tensor, "N KC H W"], memory: State | None, begins: Bool[Tensor, "N"]
    ) -> Judgement:
        """Judge the next observation of N games."""
        return *self(obs), None


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
