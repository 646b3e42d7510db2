"""A rollout, and the collector that plays it.

Letters: T env steps, N environments, A actions, K = 4 frames in a stack; see
`rl/games/contract.py`.

Every random number is a function of (seed, environment, rollout): nothing has to be saved to
continue, and an environment plays the same whichever process it lives in.
"""

import math
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
from backbones.training.device.graphs import Graphed, SideStream, Staging, upload
from rl.games.contract import STACK, Environments, Game, ScoreKeeper, stack
from rl.returns import refuse_single

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
    rng: np.random.Generator,
    size: int,
    num_steps: int,
    num_envs: int,
    share: range,
    *,
    columns: bool,
) -> list[Int64[Tensor, "_"]]:
    """Return one process's share of every minibatch of an epoch, as flat indices t * N + n.

    A minibatch is `size` positions drawn from all processes' rollouts, or, with `columns`, as many
    whole environments, step by step. `share` are the environments of this process: how much of a
    minibatch falls to them varies.
    """
    if columns:
        parts = rng.permutation(num_envs).reshape(-1, size // num_steps)
        local = [torch.from_numpy(part[np.isin(part, share)] - share.start) for part in parts]
        steps = torch.arange(num_steps)[:, None] * len(share)
        return [(steps + n).flatten() for n in local]
    t, n = np.divmod(rng.permutation(num_steps * num_envs), num_envs)
    index = torch.from_numpy(t * len(share) + n - share.start)
    mine = torch.from_numpy((n >= share.start) & (n < share.stop))
    pairs = zip(index.split(size), mine.split(size), strict=True)
    return [part[kept] for part, kept in pairs]


def require_whole_minibatches(config: Any) -> None:
    """Raise ValueError unless a config's rollouts end where games may, in whole minibatches."""
    steps, size = config.num_steps, config.rollout_size
    if (config.end_games_every or 0) < 0 or (config.end_games_every or 0) % steps:
        raise ValueError(
            f"end_games_every = {config.end_games_every} must be 0 or a multiple of num_steps = "
            f"{steps}"
        )
    refuse_single(size)
    if size % config.minibatch_size:
        raise ValueError(
            f"num_envs * num_steps = {size} is not a multiple of minibatch_size = "
            f"{config.minibatch_size}; try minibatch_size = {math.gcd(size, config.minibatch_size)}"
        )


class Collector:
    """Plays rollouts, one after the other, and keeps the games running in between.

    Frames, ages and what the policy said lie on the policy's device; of each env step only the new
    frames and ages go there, and only the actions come back. So a step has one wait, for the
    actions, and the acting step can be a CUDA graph: it reads and writes at fixed addresses.
    """

    def __init__(
        self,
        envs: Environments,
        num_steps: int,
        seed: int,
        device: torch.device,
        memory: State | None = None,
        *,
        graphs: bool = False,
    ) -> None:
        """`memory` is that of the policy at the beginning of all games, if it has one."""
        self.envs, self.num_steps, self.seed, self.device = envs, num_steps, seed, device
        self.graphs = graphs
        self.memory = (memory[0].clone(), memory[1].clone()) if memory else None
        self.scores = ScoreKeeper(envs.num_envs, envs.numbers.start)
        self.num_rollouts = 0
        self.stream = SideStream(device)
        rows, count = num_steps + 1, envs.num_envs

        def block(rows: int, dtype: torch.dtype, *shape: int) -> Tensor:
            return torch.zeros(rows, count, *shape, dtype=dtype, device=device)

        # As in Rollout, with a row more for what is asked at its end. The last K frames and the
        # last ages are where the games stand: the next rollout begins with them.
        self.frames = block(num_steps + STACK, torch.uint8, *envs.frame_shape)
        self.age, self.action = block(rows, torch.int64), block(rows, torch.int64)
        self.uniform, self.log_prob = block(rows, torch.float32), block(rows, torch.float32)
        self.value, self.cut_value = block(rows, torch.float32), block(rows, torch.float32)
        self.t = torch.zeros(1, dtype=torch.int64, device=device)
        self.everyone = torch.arange(count, device=device)
        self.chosen = torch.zeros(count, dtype=torch.int64, pin_memory=device.type == "cuda")
        self.stage_frame, self.stage_age = Staging(self.frames[0]), Staging(self.age[0])
        self.policy: Policy | None = None
        self.act: Callable[[], None] = self.choose

    def reset(self) -> None:
        """Begin the first games."""
        self.frames[-1] = torch.from_numpy(self.envs.reset()).to(self.device)

    @torch.inference_mode()
    def collect(self, policy: Policy) -> Rollout:
        """Play `num_steps` env steps in every environment and return them."""
        with self.stream.use():
            return self.play(policy)

    def play(self, policy: Policy) -> Rollout:
        """Play a rollout on the current stream."""
        steps, count = self.num_steps, self.envs.num_envs
        self.begin(policy)
        hidden, cell = (part.clone() for part in self.memory) if self.memory else (None, None)
        reward = np.zeros((steps, count), np.float32)
        terminated, done = np.zeros((2, steps, count), bool)
        age = self.age[0].cpu().numpy()
        games: list[Game] = []
        env_s, policy_s = 0.0, 0.0
        for t in range(steps):
            start = time.perf_counter()
            self.act()
            self.stream.wait()
            middle = time.perf_counter()
            step = self.envs.step(self.chosen.numpy())
            reward[t], terminated[t] = step.reward, step.terminated
            done[t] = step.terminated | step.truncated
            age = np.where(step.over, 0, age + 1)
            self.stage_frame.copy(step.frame, self.frames[t + STACK])
            self.stage_age.copy(age, self.age[t + 1])
            games += self.scores.update(step)
            if (step.truncated & ~step.terminated).any():
                self.cut_value[t] = self.value_of_final(t, step.final_frame)
            policy_s += middle - start
            env_s += time.perf_counter() - middle
        self.ask_after_last()
        self.num_rollouts += 1
        ended, over = (upload(torch.from_numpy(x), self.device) for x in (terminated, done))
        # Where the clock cut a game, the future is worth what its own last picture is.
        next_value = torch.where(over & ~ended, self.cut_value[:-1], self.value[1:])
        return Rollout(
            frames=self.frames.clone(),
            action=self.action[:-1].clone(),
            age=self.age.clone(),
            log_prob=self.log_prob[:-1].clone(),
            value=self.value[:-1].clone(),
            next_value=next_value,
            reward=upload(torch.from_numpy(reward), self.device),
            terminated=ended,
            done=over,
            hidden=hidden,
            cell=cell,
            games=games,
            seconds={"env": env_s, "policy": policy_s},
        )

    def begin(self, policy: Policy) -> None:
        """Move what the games stand on to the first rows, and draw the rollout's numbers."""
        if policy != self.policy:
            self.policy = policy
            self.act = Graphed(self.choose, self.device) if self.graphs else self.choose
        # Cloned: short rollouts overlap.
        self.frames[:STACK] = self.frames[-STACK:].clone()
        self.age[0] = self.age[-1].clone()
        drawn = uniforms(self.seed, self.envs.numbers, self.num_rollouts, self.num_steps)
        self.uniform[:-1] = upload(drawn, self.device)
        self.t.zero_()

    def choose(self) -> None:
        """Judge the observations of step t, choose actions, note all of it; t is then the next."""
        assert self.policy is not None
        t, n = self.t, self.everyone
        obs = stack(self.frames, self.age, t.expand_as(n), n)
        begins = self.age.index_select(0, t)[0] == 0
        logits, value, memory = self.policy(obs, self.memory, begins)
        action, log_prob = sample(logits, self.uniform.index_select(0, t)[0])
        self.action.index_copy_(0, t, action[None])
        self.log_prob.index_copy_(0, t, log_prob[None])
        self.value.index_copy_(0, t, value[None])
        self.remember(memory)
        self.chosen.copy_(action, non_blocking=True)
        self.t += 1

    def ask_after_last(self) -> None:
        """Judge the observations after the last step; the next rollout asks again, so the memory
        stays where it was."""
        kept = tuple(part.clone() for part in self.memory) if self.memory else None
        self.act()
        self.remember(kept)

    def remember(self, memory: tuple[Tensor, ...] | None) -> None:
        """Take over a memory, in place."""
        for mine, new in zip(self.memory or (), memory or (), strict=True):
            mine.copy_(new)

    def value_of_final(self, t: int, final_frame: np.ndarray) -> Float32[Tensor, "N"]:
        """Return the values that the games would have, had they not been cut off at step t."""
        assert self.policy is not None
        rows, n = self.frames[t + 1 : t + 1 + STACK].clone(), self.everyone
        rows[-1] = upload(torch.from_numpy(final_frame), self.device)
        obs = stack(rows, self.age[t : t + 1] + 1, torch.zeros_like(n), n)
        return self.policy(obs, self.memory, torch.zeros_like(n, dtype=torch.bool))[1]

    def state_dict(self) -> dict[str, Tensor]:
        """Return everything that the next rollout depends on besides the policy."""
        games = {name: torch.from_numpy(v) for name, v in self.envs.state_dict().items()}
        state = prefixed("envs", games)
        state |= {"recent": self.frames[-STACK:].clone(), "age": self.age[-1].clone()}
        state["score"] = torch.from_numpy(self.scores.score.copy())
        state["length"] = torch.from_numpy(self.scores.length.copy())
        state["num_rollouts"] = torch.tensor(self.num_rollouts)
        if self.memory is not None:
            state["hidden"], state["cell"] = (part.clone() for part in self.memory)
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> bool:
        """Continue where `state_dict` was taken; False if the games did not repeat themselves."""
        games = {name: v.numpy() for name, v in under("envs", state).items()}
        frame = torch.from_numpy(self.envs.load_state_dict(games))
        self.frames[-STACK:].copy_(state["recent"])
        self.age[-1].copy_(state["age"])
        self.scores.score, self.scores.length = state["score"].numpy(), state["length"].numpy()
        self.num_rollouts = int(state["num_rollouts"])
        if self.memory is not None:
            self.remember((state["hidden"], state["cell"]))
        return bool((frame == state["recent"][-1]).all())
