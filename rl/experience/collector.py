"""The collector: plays rollouts with a policy and keeps the games running in between.

Letters: T env steps, N environments, K = 4 frames in a stack, C, H, W as in
`rl/games/contract.py`.

Every random number is a function of (seed, environment, rollout): nothing has to be saved to
continue, and an environment plays the same whichever process it lives in.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from backbones.lstm import State
from backbones.training.checkpoint import prefixed, under
from backbones.training.device.graphs import Graphed, SideStream, Staging, upload
from rl.experience.rollout import Rollout
from rl.games.contract import Environments, Step
from rl.games.stacks import STACK, stack
from rl.networks.judgement import Policy
from rl.scoring import Game, ScoreKeeper


def uniforms(seed: int, envs: range, rollout: int, num_steps: int) -> Float32[Tensor, "T N"]:
    """Return one number in [0, 1) for every action of a rollout, by the environments' numbers."""
    columns = [
        np.random.default_rng([seed, n, rollout]).random(num_steps, np.float32) for n in envs
    ]
    return torch.from_numpy(np.stack(columns, axis=1))


class Collector:
    """Plays rollouts, one after the other, and keeps the games running in between.

    Frames, ages and what the policy noted lie on the policy's device; of each env step only the new
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
        self.num_rollouts = self.step_now = 0
        self.stream = SideStream(device)
        rows, count = num_steps + 1, envs.num_envs

        # As in Rollout, with a row more for what is asked at its end. The last K frames and the
        # last ages are where the games stand: the next rollout begins with them.
        shape = (num_steps + STACK, count, *envs.frame_shape)
        self.frames = torch.zeros(shape, dtype=torch.uint8, device=device)
        self.age, self.action = torch.zeros(2, rows, count, dtype=torch.int64, device=device)
        self.uniform, self.cut_value = torch.zeros(2, rows, count, device=device)
        self.t = torch.zeros(1, dtype=torch.int64, device=device)
        self.everyone = torch.arange(count, device=device)
        self.chosen = torch.zeros(count, dtype=torch.int64, pin_memory=device.type == "cuda")
        self.stage_frame, self.stage_age = Staging(self.frames[0]), Staging(self.age[0])
        self.policy: Policy | None = None
        self.noted: dict[str, Tensor] = {}
        self.games: list[Game] = []
        self.cuts = Cuts(envs.frame_shape)
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
        self.begin(policy)
        hidden, cell = (part.clone() for part in self.memory) if self.memory else (None, None)
        seconds = {"env": 0.0, "policy": 0.0}
        for t in range(self.num_steps):
            self.step_now, start = t, time.perf_counter()
            self.act()
            self.stream.wait()
            middle = time.perf_counter()
            self.record(t, self.envs.step(self.chosen.numpy()))
            seconds["policy"] += middle - start
            seconds["env"] += time.perf_counter() - middle
        if "value" in self.noted:
            self.ask_after_last()
        self.num_rollouts += 1
        reward, terminated, done = (
            upload(torch.from_numpy(x), self.device)
            for x in (self.reward, self.terminated, self.done)
        )
        return Rollout(
            frames=self.frames.clone(),
            action=self.action[:-1].clone(),
            age=self.age.clone(),
            reward=reward,
            terminated=terminated,
            done=done,
            noted=self.notes(terminated, done),
            **({} if "value" in self.noted else self.cuts.tensors(self.device)),
            hidden=hidden,
            cell=cell,
            games=self.games,
            seconds=seconds,
        )

    def begin(self, policy: Policy) -> None:
        """Move what the games stand on to the first rows, and draw the rollout's numbers."""
        if policy is not self.policy:
            self.policy = policy
            self.noted = {name: torch.zeros_like(self.uniform) for name in policy.notes}
            self.act = Graphed(self.choose, self.device) if self.graphs else self.choose
        policy.begin_rollout(self.num_rollouts)
        # Cloned: short rollouts overlap.
        self.frames[:STACK] = self.frames[-STACK:].clone()
        self.age[0] = self.age[-1].clone()
        drawn = uniforms(self.seed, self.envs.numbers, self.num_rollouts, self.num_steps)
        self.uniform[:-1] = upload(drawn, self.device)
        self.t.zero_()
        # New ones each time: on a CPU the rollout keeps them.
        steps, count = self.num_steps, self.envs.num_envs
        self.reward = np.zeros((steps, count), np.float32)
        self.terminated, self.done = np.zeros((2, steps, count), bool)
        self.age_here = self.age[0].cpu().numpy()
        self.games, self.cuts = [], Cuts(self.envs.frame_shape)

    def choose(self) -> None:
        """Choose actions for the observations of step t, note all of it; t is then the next."""
        assert self.policy is not None
        t, n = self.t, self.everyone
        obs = stack(self.frames, self.age, t.expand_as(n), n)
        begins = self.age.index_select(0, t)[0] == 0
        uniform = self.uniform.index_select(0, t)[0]
        action, noted, memory = self.policy.choose(obs, self.memory, begins, uniform)
        self.action.index_copy_(0, t, action[None])
        for name, values in self.noted.items():
            values.index_copy_(0, t, noted[name][None])
        self.remember(memory)
        self.chosen.copy_(action, non_blocking=True)
        self.t += 1

    def record(self, t: int, step: Step) -> None:
        """Take over what env step t gave."""
        self.reward[t], self.terminated[t] = step.reward, step.terminated
        self.done[t] = step.terminated | step.truncated
        self.age_here = np.where(step.over, 0, self.age_here + 1)
        self.stage_frame.copy(step.frame, self.frames[t + STACK])
        self.stage_age.copy(self.age_here, self.age[t + 1])
        self.games += self.scores.update(step)
        cut = np.flatnonzero(step.truncated & ~step.terminated)
        if len(cut) and "value" in self.noted:
            self.cut_value[t] = self.value_of_final(t, step.final_frame)
        elif len(cut):
            self.cuts.places += [(t, self.envs.numbers[n]) for n in cut]
            self.cuts.frames.append(step.final_frame[cut])

    def ask_after_last(self) -> None:
        """Ask the policy about the observations after the last step; the next rollout asks again,
        so the memory stays where it was."""
        kept = (self.memory[0].clone(), self.memory[1].clone()) if self.memory else None
        self.act()
        self.remember(kept)

    def remember(self, memory: State | None) -> None:
        """Take over a memory, in place."""
        for mine, new in zip(self.memory or (), memory or (), strict=True):
            mine.copy_(new)

    def value_of_final(self, t: int, final_frame: np.ndarray) -> Float32[Tensor, "N"]:
        """Return the values that the games would have, had they not been cut off at step t."""
        assert self.policy is not None
        rows, n = self.frames[t + 1 : t + 1 + STACK].clone(), self.everyone
        rows[-1] = upload(torch.from_numpy(final_frame), self.device)
        obs = stack(rows, self.age[t : t + 1] + 1, torch.zeros_like(n), n)
        begins, uniform = torch.zeros_like(n, dtype=torch.bool), self.uniform[0]
        return self.policy.choose(obs, self.memory, begins, uniform).noted["value"]

    def notes(
        self, terminated: Bool[Tensor, "T N"], done: Bool[Tensor, "T N"]
    ) -> dict[str, Float32[Tensor, "T N"]]:
        """Return what the policy noted, and the value after each step if it notes values."""
        noted = {name: values[:-1].clone() for name, values in self.noted.items()}
        if "value" in noted:
            # Where its time limit cut a game, the future is worth what its own last frame is.
            following = self.noted["value"][1:]
            noted["next_value"] = torch.where(done & ~terminated, self.cut_value[:-1], following)
        return noted

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

    def load_state_dict(self, state: dict[str, Tensor], *, new_games: bool = False) -> bool:
        """Continue where `state_dict` was taken; False if the games did not repeat themselves.

        `new_games`: go on from what `state_with_new_games` gave.
        """
        games = {name: v.numpy() for name, v in under("envs", state).items()}
        frame = torch.from_numpy(self.envs.load_state_dict(games))
        self.frames[-STACK:].copy_(state["recent"])
        self.age[-1].copy_(state["age"])
        self.scores.score, self.scores.length = state["score"].numpy(), state["length"].numpy()
        self.num_rollouts = int(state["num_rollouts"])
        if self.memory is not None:
            self.remember((state["hidden"], state["cell"]))
        if new_games:
            self.frames[-1].copy_(frame)
            return True
        return bool((frame == state["recent"][-1]).all())


def state_with_new_games(collector: Collector) -> dict[str, Tensor]:
    """Return a collector's state after its last whole rollout, but that every environment begins
    the game after the one that runs: for games that cannot go on."""
    state, steps = collector.state_dict(), collector.num_rollouts * collector.num_steps
    state = {k: v if k == "num_rollouts" else torch.zeros_like(v) for k, v in state.items()}
    games = collector.envs.state_dict()
    state["envs.actions"] = torch.from_numpy(games["actions"][:0])
    state["envs.episode"] = torch.from_numpy(games["episode"] + 1)
    return {**state, "envs.env_steps": torch.tensor(steps)}


class Cuts:
    """The games of a rollout that their time limit cut off, and the last frame of each."""

    def __init__(self, frame_shape: tuple[int, int, int]) -> None:
        self.places: list[tuple[int, int]] = []  # step, environment
        self.frames = [np.zeros((0, *frame_shape), np.uint8)]

    def tensors(self, device: torch.device) -> dict[str, Tensor]:
        """Return both as the fields of a rollout."""
        places = torch.tensor(self.places, dtype=torch.int64).reshape(-1, 2)
        frames = torch.from_numpy(np.concatenate(self.frames))
        return {"cuts": upload(places, device), "cut_frames": upload(frames, device)}
