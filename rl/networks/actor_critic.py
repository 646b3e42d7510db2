"""The actor-critic network: a policy's logits and a value from what the body makes of pictures."""

import torch
from jaxtyping import Bool, Shaped
from torch import Tensor, nn

from backbones.lstm import LSTM, State
from backbones.trunk import Trunk, orthogonal_
from rl.networks.body import Body
from rl.networks.judgement import Judgement


class ActorCritic(Body):
    """Logits of a policy and a value from one observation, or, with a memory, from all so far."""

    def __init__(
        self, cnn: Trunk, size_px: int, num_actions: int, hidden: int, lstm: LSTM | None = None
    ) -> None:
        super().__init__(cnn, size_px, hidden, lstm)
        self.policy = nn.Linear(self.num_features, num_actions)
        self.value = nn.Linear(self.num_features, 1)
        # Gains of Andrychowicz et al. 2021 and of baselines: an almost uniform first policy.
        orthogonal_(self.hidden)
        orthogonal_(self.policy, 0.01)
        orthogonal_(self.value, 1.0)

    def judge(
        self,
        prepared: Shaped[Tensor, "B KC H2 W2"],
        begins: Bool[Tensor, "T N"] | None = None,
        memory: State | None = None,
    ) -> Judgement:
        """Judge prepared observations; see `Body.judge`."""
        features, memory = self.features(prepared, begins, memory)
        with torch.autocast(features.device.type, enabled=False):
            return Judgement(self.policy(features), self.value(features)[:, 0], memory)
