"""What all networks of agents share: a trunk, one hidden layer and, if asked for, an LSTM.

Letters: B observations, T steps, N games, D units. The trunk and the hidden layer may run in bf16;
the LSTM and the heads are always fp32, since a ratio of two densities is what PPO lives on.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float32, Shaped, UInt8
from torch import Tensor, nn

from backbones.cnn import build_trunk
from backbones.lstm import LSTM, State
from backbones.training.errors import UserError
from backbones.transfer import TrunkConfig
from backbones.trunk import Trunk, flattened
from rl.games.stacks import STACK
from rl.networks.judgement import Judgement

# A matrix of so many rows, which begins orthogonal, takes a minute.
MOST_UNITS = 16_384


def build_cnn(trunk: TrunkConfig, channels: int) -> Trunk:
    """Return the untrained trunk of an agent whose frames have so many channels; UserError if it
    cannot learn from play."""
    spec = trunk.spec(STACK * channels)
    if spec.norm_kind == "batch":
        raise UserError(
            f"--trunk {spec.name} with batch norm cannot play: its statistics would mix the games "
            "of different policies; use --norm group, or none where the trunk has it"
        )
    return build_trunk(spec)


class Body(nn.Module):
    """A network of an agent without its heads, which a subclass adds and uses in `judge`."""

    def __init__(
        self,
        cnn: Trunk,
        size_px: int,
        hidden: int,
        lstm: LSTM | None = None,
        *,
        layer_norm: bool = False,
    ) -> None:
        """`layer_norm`: the hidden layer is normalised before its ReLU."""
        super().__init__()
        self.cnn = cnn
        self.size_px = size_px
        channels, rows, columns = cnn.conv_output(size_px, size_px)
        self.hidden = nn.Linear(channels * rows * columns, hidden)
        self.hidden_norm = nn.LayerNorm(hidden) if layer_norm else None
        self.lstm = lstm
        self.num_features = lstm.spec.units if lstm else hidden

    def judge(
        self,
        prepared: Shaped[Tensor, "B KC H2 W2"],
        begins: Bool[Tensor, "T N"] | None = None,
        memory: State | None = None,
    ) -> Judgement:
        """Judge observations that `cnn.prepare` gave, uint8 or floating point in the same units.

        A network with a memory takes them as T steps of N games, step by step. `begins` says where
        a game begins, which empties its memory; `memory` is that before the first step.
        """
        raise NotImplementedError

    def forward(
        self, obs: UInt8[Tensor, "B KC H W"]
    ) -> tuple[Float32[Tensor, "B A"], Float32[Tensor, "B"]]:
        """Return logits and value of observations, each taken for the first one of a game."""
        begins = torch.zeros(1, len(obs), dtype=torch.bool, device=obs.device)
        return self.judge(self.cnn.prepare(obs), begins, self.initial_memory(len(obs)))[:2]

    def step(
        self, obs: UInt8[Tensor, "N KC H W"], memory: State | None, begins: Bool[Tensor, "N"]
    ) -> Judgement:
        """Judge the next observation of N games; where one `begins`, its memory is empty."""
        return self.judge(self.cnn.prepare(obs), begins[None], memory)

    def initial_memory(self, count: int) -> State | None:
        """Return the memory of so many games at their beginning; None for a network without."""
        return self.lstm.initial_state(count) if self.lstm else None

    def features(
        self,
        prepared: Shaped[Tensor, "B KC H2 W2"],
        begins: Bool[Tensor, "T N"] | None,
        memory: State | None,
    ) -> tuple[Float32[Tensor, "B D"], State | None]:
        """Return what the heads read of prepared observations, and the memory after them."""
        maps = self.cnn.forward_prepared(prepared)[self.cnn.stages[-1]]
        hidden = self.hidden(flattened(maps))
        if self.hidden_norm is not None:
            with torch.autocast(hidden.device.type, enabled=False):
                hidden = self.hidden_norm(hidden.float())
        hidden = F.relu(hidden).float()
        if self.lstm is None:
            return hidden, None
        assert begins is not None and memory is not None
        with torch.autocast(hidden.device.type, enabled=False):
            outputs, memory = self.lstm(hidden.view(*begins.shape, -1), memory, begins)
        return outputs.flatten(0, 1), memory

    def blank_obs(self, count: int) -> UInt8[Tensor, "B KC H W"]:
        """Return so many black observations on the network's device, to time or trace it with."""
        shape = (count, self.cnn.spec.in_channels, self.size_px, self.size_px)
        return torch.zeros(shape, dtype=torch.uint8, device=self.hidden.weight.device)
