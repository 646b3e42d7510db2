"""An agent of ours as a .zip that stable-baselines3 (SB3) loads.

The full-width `nature` trunk is SB3's own NatureCNN, so any installation reads it; other trunks are
read where Arcadia is installed. The way back is `rl/sb3/read_zip.py`.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.vec_env import DummyVecEnv

from backbones.training.config import to_dict
from backbones.training.errors import UserError
from rl.agent import Agent
from rl.networks.actor_critic import ActorCritic
from rl.networks.body import Body
from rl.networks.q_network import QNetwork
from rl.sb3.environments import TrunkExtractor
from rl.sb3.names import CARD, as_sb3, copies_of, is_stock, sb3_names

# SB3 keeps two whole observations each: 5.6 GB at 84 x 84.
MOST_TRANSITIONS = 100_000


def export_sb3(agent: Agent, path: Path) -> str:
    """Write an agent as an SB3 PPO model; as A2C if that trained it, as DQN if it has Q values, and
    with a memory as sb3-contrib's RecurrentPPO.

    Return what it is for, in words. UserError if none of them can hold it.
    """
    network = agent.network
    if isinstance(network, QNetwork) and network.lstm is None:
        model = untrained_dqn(network, agent.config)
    elif isinstance(network, ActorCritic):
        model = untrained_model(network, agent.config, a2c=agent.run.job == "sb3-a2c")
    else:
        raise UserError(f"{agent.name} is a {type(network).__name__} that no zip of SB3 can hold")
    ours, target = as_sb3(network), model.policy.state_dict()
    for name, theirs in sb3_names(network).items():
        for copy in (theirs, *copies_of(theirs)):
            target[copy] = ours[name]
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
    kwargs = policy_kwargs(network)
    algorithm: Any = PPO
    policy = "CnnPolicy"
    if network.lstm:
        from sb3_contrib import RecurrentPPO

        algorithm, policy = RecurrentPPO, "CnnLstmPolicy"
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
    envs = DummyVecEnv([lambda: SpacesOnly(*space)] * config.num_envs)
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


def untrained_dqn(network: QNetwork, config: Any) -> DQN:
    """Return a DQN of SB3 whose policy has our network's shape."""
    space = (network.cnn.spec.in_channels, network.size_px, network.q.out_features)
    explore = getattr(config, "explore", config)
    model = DQN(
        "CnnPolicy",
        DummyVecEnv([lambda: SpacesOnly(*space)] * config.num_envs),
        buffer_size=1,
        learning_starts=config.learning_starts,
        batch_size=config.minibatch_size,
        # Of theirs, env steps of each environment.
        train_freq=max(1, config.train_every // config.num_envs),
        target_update_interval=config.target_every,
        n_steps=getattr(config, "n_step", 1),
        exploration_fraction=explore.epsilon_fraction,
        exploration_final_eps=explore.epsilon,
        learning_rate=config.learning_rate,
        gamma=config.gamma,
        policy_kwargs=policy_kwargs(network),
        device="cpu",
    )
    # `load` makes room for so many before anything is played, at eight times our size.
    model.buffer_size = min(config.buffer_size, MOST_TRANSITIONS)
    # It chooses the class again when it is loaded; given one, it warns that n_steps is not heeded.
    model.replay_buffer_class = None
    return model


def policy_kwargs(network: Body) -> dict[str, Any]:
    """Return the arguments with which SB3 builds a policy of our network's shape."""
    extractor: dict[str, Any] = {"features_dim": network.hidden.out_features}
    kwargs: dict[str, Any] = {"features_extractor_kwargs": extractor}
    if not is_stock(network):
        extractor["spec"] = network.cnn.spec.to_dict()
        # Without net_arch SB3 puts two layers of its own behind any extractor but NatureCNN.
        kwargs |= {"features_extractor_class": TrunkExtractor, "normalize_images": False}
        kwargs["net_arch"] = []
    if network.lstm:
        spec = network.lstm.spec
        kwargs |= {"lstm_hidden_size": spec.units, "n_lstm_layers": spec.layers, "net_arch": []}
        kwargs |= {"shared_lstm": True, "enable_critic_lstm": False}
    return kwargs


class SpacesOnly(gymnasium.Env):
    """Spaces and nothing else: what SB3 wants before it builds a model."""

    def __init__(self, channels: int, size_px: int, num_actions: int) -> None:
        self.picture = np.zeros((channels, size_px, size_px), np.uint8)
        self.observation_space = Box(0, 255, self.picture.shape, np.uint8)
        self.action_space = Discrete(num_actions)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return self.picture, {}

    def step(self, action: Any) -> Any:
        return self.picture, 0.0, False, False, {}
