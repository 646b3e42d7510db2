"""A rollout, and the collector that plays it.

Letters: T env steps, N environments, A actions, K = 4 frames in a stack; see `rl/contract.py`.

Every random number is a function of (seed, environment, rollout): nothing has to be saved to
continue, and an environment plays the same whichever process it lives in.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, UInt8
from torch import Tensor

from backbones.lstm import State
from backbones.training.checkpoint import prefixed, under
from rl.contract import STACK, Environments, Game, ScoreKeeper, stack

# Logits [N, A] and value [N], both fp32, and the memory after the step.
Judgement = tuple[Tensor, Tensor, State | None]
# (observations [N, K * C, H, W], memory, which games begin [N]) -> judgement.
Policy = Callable[[Tensor, State | None, Tensor], Judgement]


@dataclass
class Rollout:
    """T env steps of N environments, single frames only; observations come from `obs`."""

    frames: UInt8[Tensor, "rows N C H W"]  # K - 1 rows before step 0 to the row after step T - 1
    action: Int64[Tensor, "T N"]
    age: Int64[Tensor, "T+1 N"]
    log_prob: Float32[Tensor, "T N"]
    value: Float32[Tensor, "T N"]
    next_value: Float32[Tensor, "T N"]
    reward: Float32[Tensor, "T N"]  # raw
    terminated: Bool[Tensor, "T N"]
    done: Bool[Tensor, "T N"]
    hidden: Float32[Tensor, "L N D"] | None = (
        None  # memory before step 0, of a network that has one
    )
    cell: Float32[Tensor, "L N D"] | None = None
    games: list[Game] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def to(self, device: torch.device) -> "Rollout":
        """Return the same rollout with its tensors on a device."""
        tensors = {f.name: getattr(self, f.name) for f in fields(self)}
        moved: dict[str, Any] = {
            k: v.to(device) if isinstance(v, Tensor) else v for k, v in tensors.items()
        }
        return Rollout(**moved)

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors by name, as a checkpoint stores them."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: v for k, v in values.items() if isinstance(v, Tensor)}

    def obs(self, index: Int64[Tensor, "B"]) -> UInt8[Tensor, "B KC H W"]:
        """Return observations by flat index t * N + n."""
        num_envs = self.action.shape[1]
        return stack(self.frames, self.age, index // num_envs, index % num_envs)


def uniforms(seed: int, envs: range, rollout: int, num_steps: int) -> Float32[Tensor, "T N"]:
    """Return one number in [0, 1) for every action of a rollout, by the environments' numbers."""
    columns = [
        np.random.default_rng([seed, n, rollout]).random(num_steps, np.float32) for n in envs
    ]
    return torch.from_numpy(np.stack(columns, axis=1))


def sample(
    logits: Float32[Tensor, "B A"], uniform: Float32[Tensor, "B"]
) -> tuple[Int64[Tensor, "B"], Float32[Tensor, "B"]]:
    """Return actions drawn by inverting the distribution function, and their log probabilities."""
    log_probs = logits.log_softmax(-1)
    below = log_probs.exp().cumsum(-1) <= uniform[:, None]
    # Rounding can leave the last sum below 1.
    action = below.sum(-1).clamp_(max=logits.shape[-1] - 1)
    return action, log_probs.gather(1, action[:, None])[:, 0]


def minibatches(
    rng: np.random.Generator, size: int, num_steps: int, num_envs: int, share: range, *,
    columns: bool, device: torch.device,
) -> list[Int64[Tensor, "_"]]:  # fmt: skip
    """Return one process's share of every minibatch of an epoch, as flat indices t * N + n.

    A minibatch is `size` positions drawn from all processes' rollouts, or, with `columns`, as many
    whole environments, step by step. `share` are the environments of this process: how much of a
    minibatch falls to them varies.
    """
    if columns:
        parts = rng.permutation(num_envs).reshape(-1, size // num_steps)
        local = [torch.from_numpy(part[np.isin(part, share)] - share.start) for part in parts]
        steps = torch.arange(num_steps)[:, None] * len(share)
        return [(steps + n).flatten().to(device) for n in local]
    t, n = np.divmod(rng.permutation(num_steps * num_envs), num_envs)
    index = torch.from_numpy(t * len(share) + n - share.start)
    mine = torch.from_numpy((n >= share.start) & (n < share.stop))
    pairs = zip(index.split(size), mine.split(size), strict=True)
    return [part[kept].to(device) for part, kept in pairs]


class Collector:
    """Plays rollouts, one after the other, and keeps the games running in between."""

    def __init__(
        self, envs: Environments, num_steps: int, seed: int, device: torch.device,
        memory: State | None = None,
    ) -> None:  # fmt: skip
        """`memory` is that of the policy at the beginning of all games, if it has one."""
        self.envs = envs
        self.memory = memory
        self.num_steps = num_steps
        self.seed = seed
        self.device = device
        self.scores = ScoreKeeper(envs.num_envs, envs.numbers.start)
        self.num_rollouts = 0
        # The last K frames: the newest one is what the next action is chosen on.
        self.recent = torch.zeros(STACK, envs.num_envs, *envs.frame_shape, dtype=torch.uint8)
        self.age = torch.zeros(envs.num_envs, dtype=torch.int64)

    def reset(self) -> None:
        """Begin the first games."""
        self.recent[-1] = torch.from_numpy(self.envs.reset())

    @torch.inference_mode()
    def collect(self, policy: Policy) -> Rollout:
        """Play `num_steps` env steps in every environment and return them."""
        rollout = self.empty_rollout()
        uniform = uniforms(self.seed, self.envs.numbers, self.num_rollouts, self.num_steps)
        everyone = torch.arange(self.envs.num_envs)
        env_s, policy_s = 0.0, 0.0
        for t in range(self.num_steps + 1):
            start = time.perf_counter()
            obs = stack(rollout.frames, rollout.age, torch.full_like(everyone, t), everyone)
            logits, value, memory = self.ask(policy, obs, rollout.age[t] == 0)
            if t > 0:
                # Where the clock cut a game, the value of its own last picture stands already.
                cut = rollout.done[t - 1] & ~rollout.terminated[t - 1]
                rollout.next_value[t - 1] = torch.where(cut, rollout.next_value[t - 1], value)
            if t == self.num_steps:
                break  # The next rollout asks again, so the memory stays where it was.
            self.memory = memory
            action, log_prob = sample(logits, uniform[t])
            rollout.action[t], rollout.log_prob[t], rollout.value[t] = action, log_prob, value
            middle = time.perf_counter()
            self.step(rollout, t, policy)
            policy_s += middle - start
            env_s += time.perf_counter() - middle
        self.recent, self.age = rollout.frames[-STACK:].clone(), rollout.age[-1].clone()
        self.num_rollouts += 1
        rollout.seconds = {"env": env_s, "policy": policy_s}
        return rollout

    def ask(
        self, policy: Policy, obs: UInt8[Tensor, "B KC H W"], begins: Bool[Tensor, "B"]
    ) -> Judgement:
        """Return the policy's judgement of an observation of every environment."""
        logits, value, memory = policy(obs.to(self.device), self.memory, begins.to(self.device))
        return logits.cpu(), value.cpu(), memory

    def empty_rollout(self) -> Rollout:
        """Return storage whose first K rows are the frames that led here."""
        steps, envs = self.num_steps, self.envs.num_envs
        frames = torch.empty(steps + STACK, envs, *self.envs.frame_shape, dtype=torch.uint8)
        frames[:STACK] = self.recent
        age = torch.zeros(steps + 1, envs, dtype=torch.int64)
        age[0] = self.age
        kinds = {"action": torch.int64, "terminated": torch.bool, "done": torch.bool}
        names = ("action", "log_prob", "value", "next_value", "reward", "terminated", "done")
        blocks: dict[str, Any] = {
            k: torch.zeros(steps, envs, dtype=kinds.get(k, torch.float32)) for k in names
        }
        if self.memory is not None:
            blocks["hidden"], blocks["cell"] = (part.clone() for part in self.memory)
        return Rollout(frames=frames, age=age, **blocks)

    def step(self, rollout: Rollout, t: int, policy: Policy) -> None:
        """Take the actions of step t and write down what followed."""
        step = self.envs.step(rollout.action[t].numpy())
        rollout.frames[t + STACK] = torch.from_numpy(step.frame)
        rollout.reward[t] = torch.from_numpy(step.reward)
        rollout.terminated[t] = torch.from_numpy(step.terminated)
        rollout.done[t] = torch.from_numpy(step.terminated | step.truncated)
        rollout.age[t + 1] = torch.where(torch.from_numpy(step.over), 0, rollout.age[t] + 1)
        rollout.games += self.scores.update(step)
        cut = step.truncated & ~step.terminated
        if cut.any():
            n = torch.from_numpy(np.flatnonzero(cut))
            rollout.next_value[t, n] = self.value_of_final(rollout, t, n, step.final_frame, policy)

    def value_of_final(
        self,
        rollout: Rollout,
        t: int,
        n: Int64[Tensor, "B"],
        final_frame: np.ndarray,
        policy: Policy,
    ) -> Float32[Tensor, "B"]:
        """Return the value of the last picture of games that the clock cut off at step t."""
        rows = rollout.frames[t + 1 : t + 1 + STACK].clone()
        rows[-1] = torch.from_numpy(final_frame)
        everyone = torch.arange(self.envs.num_envs)
        obs = stack(rows, rollout.age[t : t + 1] + 1, torch.zeros_like(everyone), everyone)
        return self.ask(policy, obs, torch.zeros_like(everyone, dtype=torch.bool))[1][n]

    def state_dict(self) -> dict[str, Tensor]:
        """Return everything that the next rollout depends on besides the policy."""
        games = {name: torch.from_numpy(v) for name, v in self.envs.state_dict().items()}
        state = prefixed("envs", games)
        state |= {"recent": self.recent, "age": self.age}
        state["score"] = torch.from_numpy(self.scores.score.copy())
        state["length"] = torch.from_numpy(self.scores.length.copy())
        state["num_rollouts"] = torch.tensor(self.num_rollouts)
        if self.memory is not None:
            state["hidden"], state["cell"] = self.memory
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> bool:
        """Continue where `state_dict` was taken; False if the games did not repeat themselves."""
        games = {name: v.numpy() for name, v in under("envs", state).items()}
        frame = self.envs.load_state_dict(games)
        self.recent, self.age = state["recent"], state["age"]
        self.scores.score, self.scores.length = state["score"].numpy(), state["length"].numpy()
        self.num_rollouts = int(state["num_rollouts"])
        if self.memory is not None:
            self.memory = state["hidden"].to(self.device), state["cell"].to(self.device)
        return bool((torch.from_numpy(frame) == self.recent[-1]).all())
