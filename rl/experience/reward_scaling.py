"""Rewards as an algorithm sees them; among others divided by the deviation of their discounted sum,
as baselines' VecNormalize scales them.

Letters: T env steps, N environments of this process. Every environment keeps the discounted sum of
its rewards, which begins anew after an ending; a reward is divided by the running standard
deviation of these sums, over all environments since the run began, and cut off at +-10. Nothing is
subtracted: a shifted reward is another game. Engstrom et al. 2020,
https://arxiv.org/abs/2005.12729, measured what that is worth.

All processes hold the sums of all environments, so a checkpoint goes on with any number of them.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from backbones.training.distributed import World
from rl.experience.rollout import Rollout
from rl.play_config import PlayConfig

MOST, EPSILON = 10.0, 1e-8


def refuse_both(clip_rewards: bool | None, normalise_rewards: bool) -> None:
    """Raise ValueError if rewards shall be scaled of which only the sign would be left."""
    if clip_rewards and normalise_rewards:
        raise ValueError("choose one of clip_rewards and normalise_rewards, which takes raw ones")


class SeenRewards:
    """Rewards as an algorithm sees them: their sign, themselves, or `scaled`."""

    def __init__(self, config: PlayConfig, share: range, world: World, *, scaled: bool) -> None:
        self.share, self.gamma, self.world, self.scaled = share, config.gamma, world, scaled
        self.clipped = config.sees_clipped_rewards
        self.sums = torch.zeros(config.num_envs, dtype=torch.float64)
        # As baselines begin: a count of nearly nothing, a mean of 0 and a variance of 1.
        self.mean = torch.zeros((), dtype=torch.float64)
        self.variance = torch.ones((), dtype=torch.float64)
        self.count = torch.tensor(1e-4, dtype=torch.float64)

    def of(self, rollout: Rollout) -> Float32[Tensor, "T N"]:
        """Return the rewards of a rollout as they are learnt from."""
        if self.scaled:
            return self.scale(rollout.reward, rollout.done)
        return rollout.reward.sign() if self.clipped else rollout.reward

    def scale(
        self, reward: Float32[Tensor, "T N"], done: Bool[Tensor, "T N"]
    ) -> Float32[Tensor, "T N"]:
        """Return rewards as they are learnt from; each env step counts before it is scaled.

        Collective: all processes call it for the same rollout.
        """
        rewards, over = reward.cpu().double(), done.cpu()
        mine = self.sums[self.share.start : self.share.stop].clone()
        before_end = torch.zeros_like(rewards)
        for t in range(len(rewards)):
            before_end[t] = mine = self.gamma * mine + rewards[t]
            mine = mine.masked_fill(over[t], 0.0)
        moments = torch.stack([before_end.sum(1), before_end.square().sum(1)])
        moments = self.world.sum_(moments) / len(self.sums)  # [2, T]
        deviations = [self.count_in(*moment) for moment in moments.T]
        whole = torch.zeros_like(self.sums)
        whole[self.share.start : self.share.stop] = mine
        self.sums = self.world.sum_(whole)
        scaled = rewards / torch.stack(deviations)[:, None]
        return scaled.clamp(-MOST, MOST).float().to(reward.device)

    def count_in(self, mean: Tensor, mean_square: Tensor) -> Tensor:
        """Count the sums of one env step in, by their moments; return the deviation of all."""
        added = len(self.sums)
        total, apart = self.count + added, mean - self.mean
        variance = (mean_square - mean.square()).clamp_min(0.0)
        # Of two sets together: Chan et al. 1979.
        squares = self.variance * self.count + variance * added
        squares = squares + apart.square() * self.count * added / total
        self.mean = self.mean + apart * added / total
        self.variance, self.count = squares / total, total
        return (self.variance + EPSILON).sqrt()

    def state(self) -> dict[str, Tensor]:
        """Return what `load_state` continues from exactly; nothing unless they are scaled."""
        if not self.scaled:
            return {}
        moments = torch.stack([self.mean, self.variance, self.count])
        return {"sums": self.sums.clone(), "moments": moments}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a state."""
        if not self.scaled:
            return
        self.sums = state["sums"].clone()
        self.mean, self.variance, self.count = state["moments"].clone()
