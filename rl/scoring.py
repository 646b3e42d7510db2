"""Scores of games: raw rewards added up until a game is over, and what a rollout says of them."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from rl.games.contract import Step

# Training scores are the mean of so many games, the latest ones.
SCORE_OVER_GAMES = 20


class Game(NamedTuple):
    """One finished game: raw, unclipped score over all lives; length in env steps."""

    env_index: int
    score: float
    length: int


def mean_score(games: list[Game]) -> float | None:
    """Return the mean raw score of the games, None without games."""
    return sum(game.score for game in games) / len(games) if games else None


class ScoreKeeper:
    """Adds up raw rewards until games are over. The only place where scores come from."""

    def __init__(self, num_envs: int, first: int = 0) -> None:
        """Count for environments numbered from `first`."""
        self.first = first
        self.score = np.zeros(num_envs)
        self.length = np.zeros(num_envs, np.int64)

    def update(self, step: Step) -> list[Game]:
        """Count one env step; return the games that it ended."""
        self.score += step.reward
        self.length += 1
        ended = np.flatnonzero(step.over)
        games = [
            Game(self.first + int(n), float(self.score[n]), int(self.length[n])) for n in ended
        ]
        self.score[ended] = 0
        self.length[ended] = 0
        return games


def rollout_scalars(
    env_steps: int, seconds: Mapping[str, float], games: list[Game]
) -> dict[str, float]:
    """Return the tags of a rollout of so many env steps, its timing, and the recent games.

    `seconds` has `env` and `policy`, spent by the collector, and `learn` and `wait`, whose sum is
    the whole: with a collector one rollout ahead, `wait` is what the learner waited for it.
    """
    scalars = {f"speed/{name}_s": spent for name, spent in seconds.items()}
    scalars["speed/env_steps_per_s"] = env_steps / (seconds["learn"] + seconds["wait"])
    if games:
        scalars["rollout/score"] = float(np.mean([game.score for game in games]))
        scalars["rollout/game_length"] = float(np.mean([game.length for game in games]))
    return scalars
