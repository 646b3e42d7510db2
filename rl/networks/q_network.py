"""The Q network: the value of every action from what the body makes of pictures."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Shaped
from torch import Tensor, nn

from backbones.lstm import LSTM, State
from backbones.trunk import Trunk
from rl.networks.body import Body
from rl.networks.judgement import Judgement


class QNetwork(Body):
    """Values of all actions, as an agent that takes the best one.

    It has logits and a value like every agent's network: all of the probability lies on the best
    action, and the value of an observation is that action's.
    """

    def __init__(
        self,
        cnn: Trunk,
        size_px: int,
        num_actions: int,
        hidden: int,
        lstm: LSTM | None = None,
        *,
        dueling: bool = False,
        layer_norm: bool = False,
    ) -> None:
        """`dueling`: Q(a) is a value plus the advantage of a, less the mean one (equation 9 of Wang
        et al. 2016, https://arxiv.org/abs/1511.06581), both from one hidden layer. `layer_norm`: as
        in `Body`."""
        super().__init__(cnn, size_px, hidden, lstm, layer_norm=layer_norm)
        self.q = nn.Linear(self.num_features, num_actions)  # with `dueling` the advantages
        self.value = nn.Linear(self.num_features, 1) if dueling else None

    def judge(
        self,
        prepared: Shaped[Tensor, "B KC H2 W2"],
        begins: Bool[Tensor, "T N"] | None = None,
        memory: State | None = None,
    ) -> Judgement:
        """Judge prepared observations; see `Body.judge`."""
        features, memory = self.features(prepared, begins, memory)
        with torch.autocast(features.device.type, enabled=False):
            q_value = self.q(features)
            if self.value is not None:
                q_value = self.value(features) + q_value - q_value.mean(-1, keepdim=True)
        best = q_value.max(-1)
        chosen = F.one_hot(best.indices, q_value.shape[-1]).bool()
        logits = torch.zeros_like(q_value).masked_fill(~chosen, -1e9)
        return Judgement(logits, best.values, memory, q_value)
