"""What networks and policies give: plain tuples of tensors, so that neither knows a rollout.

Letters: N games, B observations, A actions. A network *judges* observations; a policy *chooses* an
action for each and *notes* what its algorithm needs later, such as the action's log probability.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Bool, Float32, Int64, UInt8
from torch import Tensor

from backbones.lstm import State


class Judgement(NamedTuple):
    """What a network makes of observations, in fp32."""

    logits: Float32[Tensor, "B A"]
    value: Float32[Tensor, "B"]
    memory: State | None = None  # after these observations, of a network that has one
    q_value: Float32[Tensor, "B A"] | None = None  # of every action, where a network has these


class Choice(NamedTuple):
    """One action for each game, what the policy noted of it, and its memory afterwards."""

    action: Int64[Tensor, "N"]
    noted: Mapping[str, Float32[Tensor, "N"]]
    memory: State | None = None


@runtime_checkable
class Policy(Protocol):
    """Chooses actions while games are played."""

    notes: tuple[str, ...]
    """Names of what `choose` notes. With "value", the value that a game cut off by its time limit
    would have had is noted too, as "next_value"; without, a rollout keeps the game's last frame."""

    def begin_rollout(self, rollout: int) -> None:
        """Take what depends on how far the run is, such as the chance of a random action, before
        each rollout is played; they are counted from 0."""

    def choose(
        self,
        obs: UInt8[Tensor, "N KC H W"],
        memory: State | None,
        begins: Bool[Tensor, "N"],
        uniform: Float32[Tensor, "N"],
    ) -> Choice:
        """Choose one action a game; where one `begins`, its memory is empty.

        `uniform` in [0, 1) is the only randomness, so that runs repeat themselves.
        """
