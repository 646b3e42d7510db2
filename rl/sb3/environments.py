"""Our environments and trunks as stable-baselines3 (SB3) takes them.

- `SB3Environments`: our environments as an SB3 `VecEnv`, so stock algorithms train on them and
  `evaluate_policy` counts whole games.
- `TrunkExtractor`: a trunk of ours as an SB3 features extractor. SB3 finds it in a .zip by
  `arcadia.rl.sb3.environments`.

Letters: N environments, K = 4 frames in a stack, C channels, H, W.
"""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn

from backbones.cnn import build_trunk
from backbones.trunk import TrunkSpec, flattened
from rl.games.contract import Environments, game_seed
from rl.games.foreign.pictures import planes_in_colour
from rl.games.make import is_atari
from rl.games.stacks import STACK, FrameStack
from rl.scoring import ScoreKeeper

ZOOM = 3


def observation_space(envs: Environments) -> Box:
    """Return the space of stacked observations, uint8 [K * C, H, W]."""
    channels, height, width = envs.frame_shape
    return Box(0, 255, (STACK * channels, height, width), np.uint8)


class SB3Environments(VecEnv):
    """Our environments as an SB3 VecEnv.

    A lost life ends an SB3 episode without a restart; `info["episode"]` comes at the game's true
    end, with its raw score, as a Monitor gives it. Pictures for `VecVideoRecorder` are the newest
    frames that agents see, enlarged.
    """

    def __init__(self, envs: Environments, *, clip_rewards: bool | None = None) -> None:
        """`clip_rewards` None: the sign of rewards on Atari, rewards as they are elsewhere."""
        atari = is_atari(envs.protocol.env)
        self.envs, self.clip_rewards = envs, atari if clip_rewards is None else clip_rewards
        self.seeded = True
        self.begin_s = time.monotonic()
        actions = Discrete(len(envs.action_names))
        super().__init__(envs.num_envs, observation_space(envs), actions)  # type: ignore[no-untyped-call]
        self.metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 15}

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Take another seed from the next `reset` on."""
        if seed is not None:
            self.envs.seed, self.seeded = seed, True
        return [seed] * self.num_envs

    def reset(self) -> np.ndarray:
        """Begin the first games, other ones every time; return [N, K * C, H, W] uint8."""
        if not self.seeded:
            self.envs.seed = game_seed(self.envs.seed, self.num_envs, 0)
        self.seeded = False
        self.stacks = FrameStack(self.envs.reset())
        self.keeper = ScoreKeeper(self.num_envs)
        return self.stacks.obs().numpy()

    def step_async(self, actions: np.ndarray) -> None:
        self.actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Return obs, reward, done and infos after the actions that were given."""
        step = self.envs.step(np.asarray(self.actions, np.int64))
        done = step.terminated | step.truncated | step.over
        last = self.stacks.with_last(step.final_frame).numpy() if done.any() else None
        self.stacks.push(step.frame, step.over)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for n in np.flatnonzero(done):
            assert last is not None
            infos[n]["terminal_observation"] = last[n]
            infos[n]["TimeLimit.truncated"] = bool(step.truncated[n] and not step.terminated[n])
        for game in self.keeper.update(step):
            seconds = round(time.monotonic() - self.begin_s, 6)
            infos[game.env_index]["episode"] = {"r": game.score, "l": game.length, "t": seconds}
        reward = np.sign(step.reward) if self.clip_rewards else step.reward
        return self.stacks.obs().numpy(), reward, done, infos

    def get_images(self) -> Sequence[np.ndarray | None]:
        """Return what every agent sees last, [rows, columns, 3] uint8 each."""
        colour = planes_in_colour(self.stacks.frames[-1].numpy())
        return [*colour.repeat(ZOOM, axis=1).repeat(ZOOM, axis=2)]

    def close(self) -> None:
        self.envs.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute that all environments share."""
        value = "rgb_array" if attr_name == "render_mode" else getattr(self.envs, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError("these environments are one object: set it up before")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list:
        raise NotImplementedError("these environments are one object without methods of its parts")

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """Say that a Monitor is there: the scores of whole games come as from one."""
        return [wrapper_class.__name__ == "Monitor" for _ in self._get_indices(indices)]


class TrunkExtractor(BaseFeaturesExtractor):
    """One of our trunks and its hidden layer. Use with `normalize_images=False`."""

    # The name that a .zip of SB3 finds it by, in a checkout and where a wheel is installed.
    __module__ = "arcadia.rl.sb3.environments"

    def __init__(self, space: Box, spec: dict[str, Any], features_dim: int = 512) -> None:
        super().__init__(space, features_dim)
        self.cnn = build_trunk(TrunkSpec.from_dict(spec))
        self.hidden = nn.Linear(int(np.prod(self.cnn.conv_output(*space.shape[1:]))), features_dim)

    def forward(self, observations: Tensor) -> Tensor:
        maps = self.cnn(observations)[self.cnn.stages[-1]]
        return self.hidden(flattened(maps)).relu()
