"""A trained agent: a network that chooses actions, whatever algorithm trained it.

Letters: N games, K = 4 frames in a stack, C channels, H, W, A actions.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, UInt8
from torch import Tensor

from backbones.lstm import State
from backbones.training import checkpoint
from backbones.training.checks.saved import config_of, restoring, room_for
from backbones.training.device.precision import choose_device
from backbones.training.find_job import job_of, require_kind
from backbones.training.run import Run, find_run
from backbones.training.session import newest_checkpoint
from backbones.transfer import load_weights
from rl.games.options import EnvOptions
from rl.networks.acting import sample
from rl.networks.body import Body
from rl.networks.saliency import saliency
from rl.shows.game_env import GameEnv

Choosing = Literal["sampled", "greedy"]


@dataclass(repr=False)
class Agent:
    """Chooses actions from observations [N, K * C, H, W] in 0..255, older frames first."""

    network: Body
    env: str
    options: EnvOptions
    config: Any
    card: dict[str, Any]
    run: Run
    generator: torch.Generator = field(default_factory=torch.Generator)
    memory: State | None = None
    found: checkpoint.Checkpoint | None = None
    """The checkpoint that the weights are from; None of a file."""

    @property
    def name(self) -> str:
        """Name of its run, or path of its file."""
        return self.run.name if self.run.job != "sb3" else str(self.run.folder)

    @property
    def epsilon(self) -> float:
        """Chance of a random action when it is scored, if its run says one; else 0."""
        explore = getattr(self.config, "explore", None)
        return float(getattr(explore, "eval_epsilon", 0.0))

    def backbone_card(self) -> dict[str, Any]:
        """Return the card of its backbone."""
        card = {key: self.card.get(key) for key in ("job", "data", "score", "commit", "progress")}
        return {**card, "spec": self.network.cnn.spec.to_dict()}

    def __repr__(self) -> str:
        """Return what it is in one line."""
        parts = [f"{self.card.get('num_actions', '?')} actions"]
        progress, score = self.card.get("progress"), self.card.get("score")
        parts += [f"{progress:,} env steps"] if isinstance(progress, int) else []
        parts += [f"score {score:.1f} in training"] if isinstance(score, int | float) else []
        return f"<{self.name}: an agent for {self.env}, {', '.join(parts)}>"

    def make_env(self, render_mode: str | None = None) -> GameEnv:
        """Return one game of its environment that gives the observations that it takes.

        `render_mode` "human" shows a window, "rgb_array" gives pictures by `render()`.
        """
        channels, side = self.network.cnn.spec.in_channels, self.network.size_px
        return GameEnv(self.env, self.options, (channels, side, side), render_mode)

    @torch.inference_mode()
    def judge(
        self, obs: UInt8[Tensor, "N KC H W"], begins: Bool[Tensor, "N"] | None = None
    ) -> tuple[Float32[Tensor, "N A"], Float32[Tensor, "N"]]:
        """Return action probabilities and the value, the expected discounted clipped return.

        An agent with a memory takes these for the next observations of the same N games as before;
        `begins` says which of them are the first of a game. A different number of games resets the
        memory.
        """
        device = self.network.hidden.weight.device
        if begins is None:
            begins = torch.zeros(len(obs), dtype=torch.bool)
        if self.memory is None or self.memory[0].shape[1] != len(obs):
            self.memory = self.network.initial_memory(len(obs))
        judged = self.network.step(obs.to(device), self.memory, begins.to(device))
        self.memory = judged.memory
        return judged.logits.softmax(-1).cpu(), judged.value.cpu()

    def saliency(
        self, obs: UInt8[Tensor, "N KC H W"], begins: Bool[Tensor, "N"]
    ) -> Float32[Tensor, "N H W"]:
        """Return how much the likeliest action of observations that come next hangs on each pixel,
        0 to 1; the memory stays as it is."""
        device = self.network.hidden.weight.device
        return saliency(self.network, obs.to(device), begins.to(device), self.memory).cpu()

    def choose(
        self,
        probabilities: Float32[Tensor, "N A"],
        choice: Choosing = "sampled",
        epsilon: float = 0.0,
    ) -> Int64[Tensor, "N"]:
        """Return one action a row: sampled or the likeliest; at random with chance epsilon."""
        rows, num_actions = probabilities.shape
        # The same numbers are drawn in every mode, so that a seed means the same games.
        uniform, coin, other = torch.rand(3, rows, generator=self.generator)
        action = probabilities.argmax(-1)
        if choice == "sampled":
            action = sample(probabilities.clamp_min(1e-30).log(), uniform)[0]
        return torch.where(coin < epsilon, (other * num_actions).long(), action)

    def act(
        self, obs: Any, *, choice: Choosing = "sampled", epsilon: float = 0.0, begins: Any = None
    ) -> Any:
        """Return an int for one observation [K * C, H, W], [N] int64 for N of them.

        Takes a NumPy array or a tensor, uint8. ValueError if the shape is another. `begins` (a
        bool, [N] of them) is for agents with a memory: see `judge`.
        """
        tensor = torch.as_tensor(obs)
        channels, size = self.network.cnn.spec.in_channels, self.network.size_px
        shape = (channels, size, size)
        if tensor.ndim not in (3, 4) or tensor.shape[-3:] != shape or tensor.dtype != torch.uint8:
            raise ValueError(
                f"obs is {tensor.dtype} of shape {tuple(tensor.shape)}; expected uint8 "
                f"{list(shape)} or [N, {channels}, {size}, {size}]: four frames, older ones first"
            )
        batch = tensor if tensor.ndim == 4 else tensor[None]
        first = None if begins is None else torch.as_tensor(begins).reshape(len(batch))
        action = self.choose(self.judge(batch, first)[0], choice, epsilon)
        return action.numpy() if tensor.ndim == 4 else int(action[0])

    def predict(
        self,
        observation: Any,
        state: State | None = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, State | None]:
        """Return actions and the memory after them, as models of stable-baselines3 do, so that
        `evaluate_policy` and other programs for these take an agent.

        The memory is empty without `state`, and where `episode_start` says so.
        """
        self.memory = state
        choice: Choosing = "greedy" if deterministic else "sampled"
        epsilon = 0.0 if deterministic else self.epsilon
        action = self.act(observation, choice=choice, epsilon=epsilon, begins=episode_start)
        return np.asarray(action), self.memory

    def reload(self) -> int:
        """Take the newest weights of the run; return their progress in env steps."""
        found = newest_checkpoint(self.run)
        load_weights(self.network, found)
        self.card, self.found = found.info, found
        return int(found.info["progress"])


def load_agent(
    run: Run | str | Path, device: str = "cpu", *, best: bool = False, env: str = ""
) -> Agent:
    """Return the agent of a run with its newest whole checkpoint; UserError if there is none.

    With `best`, that of the highest score while training, the mean of the last 20 games. `env`
    repeats the game of a run of somebody else's, if it is a module.
    """
    # Anew where it is a Run: a resume may have changed its config since.
    run = Run.open(run.folder) if isinstance(run, Run) else find_run(str(run))
    require_kind(run, "agent")
    job: Any = job_of(run)
    found = checkpoint.load_best(run.checkpoints, run.about) if best else newest_checkpoint(run)
    config = config_of(run, job.config_type, found, env=env)
    with restoring(run), room_for(run, found):
        network = job.build_network(config, found.info["num_actions"]).eval()
        load_weights(network, found)
    network.to(choose_device(device))
    return Agent(network, config.env, config.env_options, config, found.info, run, found=found)
