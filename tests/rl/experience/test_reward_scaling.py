"""Rewards scaled by the deviation of their discounted sum: VecNormalize's, one step at a time."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from torch.testing import assert_close

from backbones.training.config import changed
from backbones.training.distributed import World
from rl import ppo
from rl.experience.reward_scaling import SeenRewards

STEPS, ENVS = 40, 4
CONFIG = changed(ppo.CATCH, num_envs=ENVS, num_steps=STEPS, minibatch_size=STEPS * ENVS)


def played() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    reward = torch.randn(STEPS, ENVS, generator=generator) * 30 + 5
    return reward, torch.rand(STEPS, ENVS, generator=generator) < 0.1


class Replayed(VecEnv):
    """Gives the rewards and endings that it is made of."""

    def __init__(self, reward, done):
        self.reward, self.done, self.t = reward.numpy(), done.numpy(), 0
        super().__init__(ENVS, Box(0, 1, (1,), np.float32), Discrete(2))

    def reset(self):
        return np.zeros((ENVS, 1), np.float32)

    def step_async(self, actions):
        pass

    def step_wait(self):
        self.t += 1
        return self.reset(), self.reward[self.t - 1], self.done[self.t - 1], [{}] * ENVS

    def close(self):
        pass

    def get_attr(self, name, indices=None):
        return [None] * ENVS

    set_attr = env_method = env_is_wrapped = get_attr


def scaling(world: World | None = None, share: range = range(ENVS)) -> SeenRewards:
    return SeenRewards(CONFIG, share, world or World(), scaled=True)


def test_rewards_are_those_of_vec_normalize():
    reward, done = played()
    theirs = VecNormalize(Replayed(reward, done), norm_obs=False, gamma=CONFIG.gamma)
    theirs.reset()
    expected = np.stack([theirs.step(np.zeros(ENVS))[1] for _ in range(STEPS)])
    assert_close(scaling().scale(reward, done), torch.from_numpy(expected).float())


def test_the_first_reward_of_a_single_game_done_by_hand():
    alone = SeenRewards(
        changed(CONFIG, num_envs=1, minibatch_size=STEPS), range(1), World(), scaled=True
    )
    scaled = alone.scale(torch.tensor([[3.0], [-1.0]]), torch.zeros(2, 1, dtype=torch.bool))
    # Nearly no count before: sums are 3, then 0.99 * 3 - 1 = 1.97; the first has no deviation yet
    # but what is left of the variance of 1 that counted 1e-4.
    first = (1e-4 * 1 + 9 * 1e-4 / (1 + 1e-4)) / (1 + 1e-4)
    assert scaled[0].item() == pytest.approx(10.0)  # 3 / sqrt(first) is cut off
    assert 3 / first**0.5 > 10
    deviation = (3 - 1.97) / 2
    assert scaled[1].item() == pytest.approx(-1 / deviation, rel=1e-2)


def test_half_a_rollout_and_a_saved_state_go_on_exactly():
    reward, done = played()
    whole, first, second = scaling(), scaling(), scaling()
    expected = whole.scale(reward, done)
    begun = first.scale(reward[:17], done[:17])
    second.load_state({name: tensor.clone() for name, tensor in first.state().items()})
    assert torch.equal(torch.cat([begun, second.scale(reward[17:], done[17:])]), expected)


class Beside(World):
    """A process of two whose other one plays what it is told."""

    def __init__(self, others):
        super().__init__()
        self.others = others

    def sum_(self, tensor):
        return tensor + self.others.pop(0)


def test_two_processes_scale_as_one():
    reward, done = played()
    expected = scaling().scale(reward, done)
    sent = []

    class Listening(World):
        def sum_(self, tensor):
            sent.append(tensor.clone())
            return tensor

    # What the second process adds to the sums does not depend on the first.
    scaling(Listening(), range(2, 4)).scale(reward[:, 2:], done[:, 2:])
    found = scaling(Beside(sent), range(2)).scale(reward[:, :2], done[:, :2])
    assert_close(found, expected[:, :2])


def test_both_kinds_of_scaling_at_once_are_refused():
    with pytest.raises(ValueError, match="choose one of --clip-rewards and --normalise-rewards"):
        changed(ppo.CATCH, clip_rewards=True, normalise_rewards=True)
