"""The bridge to stable-baselines3 (SB3), both ways.

- `SB3Environments`: our environments as an SB3 `VecEnv`, so stock algorithms train on them and
  `evaluate_policy` counts whole games.
- `TrunkExtractor`: a trunk of ours as an SB3 features extractor.
- `export_sb3`: an agent of ours as a .zip that SB3 loads. The full-width `nature` trunk is SB3's
  own NatureCNN, so any installation reads it; other trunks are read where Arcadia is installed.

The way back, an SB3 .zip as an agent of ours, is `rl/sb3/read_zip.py`.

Letters: N environments, K = 4 frames in a stack, C channels, H, W.
"""

import json
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv
from torch import Tensor, nn

from backbones.cnn import build_trunk
from backbones.training.config import to_dict
from backbones.training.errors import UserError
from backbones.trunk import TrunkSpec, flattened
from rl.agent import Agent
from rl.games.contract import STACK, Environments, FrameStack, ScoreKeeper, game_seed
from rl.networks.actor_critic import ActorCritic
from rl.sb3.names import CARD, COPIES, is_stock, sb3_names


def observation_space(envs: Environments) -> Box:
    """Return the space of stacked observations, uint8 [K * C, H, W]."""
    channels, height, width = envs.frame_shape
    return Box(0, 255, (STACK * channels, height, width), np.uint8)


class SB3Environments(VecEnv):
    """Our environments as an SB3 VecEnv.

    A lost life ends an SB3 episode without a restart; `info["episode"]` comes at the game's true
    end, with its raw score, as a Monitor gives it.
    """

    def __init__(self, envs: Environments, *, clip_rewards: bool) -> None:
        self.envs, self.clip_rewards = envs, clip_rewards
        self.seeded = True
        self.begin_s = time.monotonic()
        actions = Discrete(len(envs.action_names))
        super().__init__(envs.num_envs, observation_space(envs), actions)  # type: ignore[no-untyped-call]

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

    def close(self) -> None:
        self.envs.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute that all environments share."""
        value = None if attr_name == "render_mode" else getattr(self.envs, attr_name)
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

    def __init__(self, space: Box, spec: dict[str, Any], features_dim: int = 512) -> None:
        super().__init__(space, features_dim)
        self.cnn = build_trunk(TrunkSpec.from_dict(spec))
        self.hidden = nn.Linear(int(np.prod(self.cnn.conv_output(*space.shape[1:]))), features_dim)

    def forward(self, observations: Tensor) -> Tensor:
        maps = self.cnn(observations)[self.cnn.stages[-1]]
        return self.hidden(flattened(maps)).relu()


class Blank(gymnasium.Env):
    """Spaces and nothing else: what SB3 wants before it builds a model."""

    def __init__(self, channels: int, size_px: int, num_actions: int) -> None:
        self.picture = np.zeros((channels, size_px, size_px), np.uint8)
        self.observation_space = Box(0, 255, self.picture.shape, np.uint8)
        self.action_space = Discrete(num_actions)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return self.picture, {}

    def step(self, action: Any) -> Any:
        return self.picture, 0.0, False, False, {}


def export_sb3(agent: Agent, path: Path) -> str:
    """Write an agent as an SB3 PPO model; as A2C if that trained it, and with a memory as
    sb3-contrib's RecurrentPPO.

    Return what it is for, in words. UserError if none of them can hold it.
    """
    network = agent.network
    if type(network) is not ActorCritic:
        raise UserError(f"{agent.name} is a {type(network).__name__}, which PPO's zip cannot hold")
    model = untrained_model(network, agent.config, a2c=agent.run.job == "sb3-a2c")
    ours, target = network.state_dict(), model.policy.state_dict()
    for name, theirs in sb3_names(network).items():
        for prefix in ("", *COPIES) if theirs.startswith("features_extractor") else ("",):
            target[prefix + theirs] = ours[name].cpu()
    model.policy.load_state_dict(target)
    model.num_timesteps = int(agent.card["progress"])
    model.save(path)
    card = {
        "spec": network.cnn.spec.to_dict(),
        "env": agent.env,
        "run": agent.name,
        "env_options": to_dict(agent.options),
    }
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(CARD, json.dumps(card))
    where = (
        "any installation of stable-baselines3"
        if is_stock(network)
        else ("stable-baselines3 where Arcadia is installed, since NatureCNN is another network")
    )
    return f"for {type(model).__name__}.load in {where}"


def untrained_model(network: ActorCritic, config: Any, *, a2c: bool) -> Any:
    """Return a model of SB3 or sb3-contrib whose policy has our network's shape."""
    space = (network.cnn.spec.in_channels, network.size_px, network.policy.out_features)
    kwargs: dict[str, Any] = {
        "features_extractor_kwargs": {"features_dim": network.hidden.out_features}
    }
    if not is_stock(network):
        kwargs["features_extractor_kwargs"]["spec"] = network.cnn.spec.to_dict()
        # Without net_arch SB3 puts two layers of its own behind any extractor but NatureCNN.
        kwargs |= {"features_extractor_class": TrunkExtractor, "normalize_images": False}
        kwargs["net_arch"] = []
    algorithm: Any = PPO
    policy = "CnnPolicy"
    if network.lstm:
        from sb3_contrib import RecurrentPPO

        algorithm, policy, spec = RecurrentPPO, "CnnLstmPolicy", network.lstm.spec
        kwargs |= {"lstm_hidden_size": spec.units, "n_lstm_layers": spec.layers, "net_arch": []}
        kwargs |= {"shared_lstm": True, "enable_critic_lstm": False}
    of_ppo = {}
    if a2c:
        algorithm = A2C
    else:
        of_ppo = {
            "batch_size": config.minibatch_size,
            "n_epochs": config.num_epochs,
            "gae_lambda": config.gae_lambda,
            "clip_range": config.clip,
        }
    envs = DummyVecEnv([lambda: Blank(*space)] * config.num_envs)
    return algorithm(
        policy,
        envs,
        n_steps=config.num_steps,
        learning_rate=config.learning_rate,
        gamma=config.gamma,
        ent_coef=config.entropy_coef,
        vf_coef=config.value_coef,
        max_grad_norm=config.max_grad_norm,
        policy_kwargs=kwargs,
        device="cpu",
        **of_ppo,
    )
