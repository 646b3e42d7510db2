"""Evaluations while a run trains: games of their own, whose mean score says which checkpoint is
best.

Training scores lag behind the weights and are those of exploring, unfinished or lucky games. These
games begin from seeds that neither training nor the evaluation at the end uses, the same ones every
time, so scores of two moments compare; what is chosen by them is not scored by them at the end.

Nothing has to be saved: whether one is due is a function of env steps, and its games one of the
weights. Of several processes each plays the same games for itself, while it would have to wait.
"""

import time
from typing import Any

import torch

from backbones.training.run import Run
from rl.agent import Agent
from rl.evaluate import games_of
from rl.networks.acting import acting_copy
from rl.networks.body import Body
from rl.scores import normalised_tag

# Far from the seeds of training, of the evaluation at the end (1 M) and of watching (2 M).
DURING_SEED = 1_500_000


def is_due(env_steps: int, every: int, since: int) -> bool:
    """Say whether a multiple of `every` was reached after env step `since`; 0: never."""
    return every > 0 and env_steps // every > since // every


def evaluate_during(
    network: Body, config: Any, num_actions: int, run: Run, env_steps: int
) -> dict[str, float]:
    """Return the scores of a network's present weights, as TensorBoard tags."""
    card = {"num_actions": num_actions, "progress": env_steps}
    acting = acting_copy(network, torch.float32)
    agent = Agent(acting, config.env, config.env_options, config, card, run)
    begin = time.monotonic()
    played = games_of(agent, config.eval_games, seed=DURING_SEED)
    figures = {
        "eval/score": played.mean,
        "eval/game_length": sum(played.lengths) / len(played.lengths),
        "speed/eval_s": time.monotonic() - begin,
    }
    longest = max(played.lengths) * played.protocol.frame_skip
    return figures | normalised_tag("eval", config.env, played.mean, longest, config.env_options)
