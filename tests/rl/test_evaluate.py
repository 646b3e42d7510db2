"""Evaluations: a quota of games each, results with their protocol."""

import numpy as np
import torch

from backbones.training.config import changed
from rl import evaluate as evaluate_module
from rl import ppo
from rl.agent import load_agent
from rl.evaluate import evaluate, lines, play_games
from rl.games.options import EnvOptions


def test_every_environment_plays_its_quota_and_no_game_more(monkeypatch):
    monkeypatch.setattr(evaluate_module, "MAX_ENVS", 4)
    generator = torch.Generator().manual_seed(0)
    scores, lengths, protocol = play_games(
        "Arcadia/Catch-v0",
        EnvOptions(),
        10,
        5,
        lambda obs, begins: torch.randint(3, (len(obs),), generator=generator),
    )
    assert len(scores) == 10
    assert lengths == [13] * 10
    assert set(scores) <= {-1.0, 1.0}
    assert protocol.env == "Arcadia/Catch-v0"


def test_long_games_count_as_much_as_short_ones(monkeypatch):
    """With first-come counting the environment of short games would fill the list."""
    import gymnasium
    from gymnasium.spaces import Box, Discrete

    class Uneven(gymnasium.Env):
        """Games of seed's parity: 2 or 40 env steps; the score is the length."""

        observation_space = Box(0, 255, (84, 84), np.uint8)
        action_space = Discrete(2)
        made = 0

        def __init__(self):
            self.limit = 40 if Uneven.made % 2 else 2
            Uneven.made += 1

        def reset(self, *, seed=None, options=None):
            self.t = 0
            return np.zeros((84, 84), np.uint8), {}

        def step(self, action):
            self.t += 1
            return np.zeros((84, 84), np.uint8), 1.0, self.t == self.limit, False, {}

    gymnasium.register("Uneven-v0", entry_point=Uneven)
    try:
        monkeypatch.setattr(evaluate_module, "MAX_ENVS", 2)
        scores, _, _ = play_games(
            "Uneven-v0",
            EnvOptions(),
            6,
            0,
            lambda obs, begins: torch.zeros(len(obs), dtype=torch.int64),
        )
    finally:
        gymnasium.registry.pop("Uneven-v0")
    assert sorted(scores) == [2, 2, 2, 40, 40, 40]


def test_random_play_is_measured_over_a_hundred_games_and_fewer_where_they_are_long(
    runs, monkeypatch
):
    def counted(agent, options, games, seed):
        return float(games)

    monkeypatch.setattr(evaluate_module, "random_score", counted)
    agent = load_agent(ppo.train(changed(ppo.SMOKE, env="Arcadia/Catch-v0", eval_games=0)))
    assert evaluate(agent, games=3).random == 100.0
    assert evaluate(agent, games=120).random == 120.0
    monkeypatch.setattr(evaluate_module, "MOST_RANDOM_STEPS", 520)
    few = evaluate(agent, games=3)
    assert (few.random, few.random_source) == (40.0, "measured, 40 games")  # of 13 env steps each
    monkeypatch.setattr(evaluate_module, "MOST_RANDOM_STEPS", 0)
    assert evaluate(agent, games=3).random == 3.0


def test_an_evaluation_repeats_itself(smoke):
    agent = load_agent("ppo/pong-1")
    options = EnvOptions(max_frames=800)
    first = evaluate(agent, games=3, options=options)
    assert evaluate(agent, games=3, options=options) == first
    assert first.random == -20.7
    assert first.protocol.sticky == 0.25


def test_the_result_states_score_baseline_and_protocol(smoke):
    result = evaluate(load_agent("ppo/pong-1"), games=2).to_dict("ppo/pong-1")
    assert {"run", "metric", "score", "baseline", "protocol"} <= set(result)
    # The smoke protocol cuts games off after 400 frames: nothing to compare with humans' games.
    assert result["human_normalised"] is None
    needed = {"env", "sticky", "noop_max", "frame_skip", "max_frames", "choice", "epsilon", "seed"}
    assert needed <= set(result["protocol"])


def test_without_sticky_actions_the_score_says_that_no_game_is_new(smoke):
    """20 seeds give 30 beginnings at most, all of which training plays too."""
    agent = load_agent("ppo/pong-1")
    result = evaluate(agent, games=2, options=EnvOptions(max_frames=400, sticky=0.0))
    told = lines(result.to_dict("ppo/pong-1"))
    assert "nothing but its first 0 to 29 no-ops, which training has seen too" in told[-1]
    sticky = evaluate(agent, games=2, options=EnvOptions(max_frames=400, sticky=0.25))
    assert sticky.to_dict("ppo/pong-1")["note"] == ""
    assert len(lines(sticky.to_dict("ppo/pong-1"))) == len(told) - 1
