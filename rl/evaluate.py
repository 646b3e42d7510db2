"""Scoring an agent by a stated protocol.

Every environment plays a fixed quota of games, so short games are not over-represented, and the
games begin from seeds that training never used. Without sticky actions an Atari game has no other
randomness than its first 0 to 29 no-ops, which training has seen too: then the result says so.
Scores are raw and over full games. Beside them
stand random play (the published table for Atari, measured here for anything else) and the
human-normalised score.
"""

import json
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from backbones.training.checks.limits import MOST_GAMES, MOST_SEED, require_at_most
from backbones.training.config import (
    GameName,
    RunName,
    changed,
    require_fraction,
    require_not_negative,
    require_positive,
)
from backbones.training.device.cores import available_threads
from backbones.training.streams import printable
from rl.agent import Agent, Choosing
from rl.find_agent import agent_of
from rl.games.atari import atari_ids
from rl.games.contract import GameProtocol, require_same_actions
from rl.games.make import make_environments
from rl.games.options import EnvOptions
from rl.games.stacks import FrameStack
from rl.scores import RANDOM_AND_HUMAN, normalised_whole
from rl.scoring import ScoreKeeper

# Far from every seed that a person gives a run, so that no evaluation game is a training game.
EVAL_SEED = 1_000_000
MAX_ENVS = 16
# Of random play, where nobody has published it: fewer where games are long.
RANDOM_GAMES, MOST_RANDOM_STEPS = 100, 50_000


@dataclass(frozen=True, kw_only=True)
class Config:
    """Score a run's agent over full games, with the protocol beside."""

    run: RunName = "last"
    """A run: its name, a path, zoo/NAME or last; or a .zip of stable-baselines3."""
    env: GameName = ""
    """The game of a .zip of stable-baselines3 that Arcadia did not write; or, once more, that of a
    run or .zip from somebody else whose game is a module."""
    best: bool = False
    """Take the checkpoint of the highest score while training, not the newest."""
    games: int = 20
    """Games to play."""
    choice: Choosing = "sampled"
    """How actions are chosen: sampled from the policy, or the likeliest."""
    epsilon: float | None = None
    """Chance of a random action instead; default: what the run says (DQN: 0.01), else 0."""
    sticky: float | None = None
    """Chance that a frame repeats the last action; default: as in training (Atari)."""
    noop_max: int | None = None
    """0 to N - 1 random no-ops at reset; default: as in training (Atari)."""
    max_frames: int | None = None
    """Games are cut off after so many frames; default: as in training (Atari)."""
    seed: int = EVAL_SEED
    """Seed of the games and of the sampled actions."""
    json: bool = False
    """Print one JSON object instead of lines."""

    def __post_init__(self) -> None:
        require_positive(self, "games")
        if self.epsilon is not None:
            require_fraction(self, "epsilon")
        require_not_negative(self, "seed")
        require_at_most(self, games=MOST_GAMES, seed=MOST_SEED)


@dataclass(frozen=True)
class Evaluation:
    """Scores of finished games and how they were played."""

    scores: list[float]
    lengths: list[int]
    protocol: GameProtocol
    choice: str
    epsilon: float
    seed: int
    random: float
    random_source: str

    @property
    def mean(self) -> float:
        """Mean raw score."""
        return float(np.mean(self.scores))

    def to_dict(self, run: str) -> dict[str, Any]:
        """Return the object that `eval --json` prints."""
        # A game that was cut short says nothing beside games that humans played to their end.
        longest, most = max(self.lengths) * self.protocol.frame_skip, self.protocol.max_frames
        normalised = normalised_whole(self.protocol.env, self.mean, longest, most)
        spread = float(np.std(self.scores, ddof=1)) if len(self.scores) > 1 else 0.0
        return {
            "run": run,
            "metric": "score",
            "score": self.mean,
            "baseline": self.random,
            "baseline_source": self.random_source,
            "human_normalised": normalised,
            "standard_deviation": spread,
            "min": min(self.scores),
            "max": max(self.scores),
            "games": len(self.scores),
            "mean_length": float(np.mean(self.lengths)),
            "protocol": {
                **self.protocol.to_dict(),
                "choice": self.choice,
                "epsilon": self.epsilon,
                "seed": self.seed,
                "reward": "raw, full games",
            },
            "note": self.note,
        }

    @property
    def note(self) -> str:
        """What limits the meaning of the score, for people; "" where nothing does."""
        if self.protocol.env not in atari_ids() or self.protocol.sticky:
            return ""
        return (
            "without sticky actions a game is new in nothing but its first 0 to "
            f"{self.protocol.noop_max - 1} no-ops, which training has seen too; --sticky 0.25 "
            "makes every game another"
        )


def play_games(
    env: str, options: EnvOptions, games: int, seed: int, actions_of: Any, num_actions: int = 0
) -> tuple[list[float], list[int], GameProtocol]:
    """Play games with `actions_of(obs, begins)`; return scores, lengths and the protocol.

    UserError if the environment has not `num_actions`, where these are given.
    """
    num_envs = min(games, MAX_ENVS)
    quota = np.array([games // num_envs + (n < games % num_envs) for n in range(num_envs)])
    # Every game with its own seed: a score does not depend on how long the games before it were.
    envs = make_environments(
        env, num_envs, seed=seed, options=options, threads=available_threads(), seed_every=0
    )
    require_same_actions(env, envs.protocol.num_actions, num_actions or envs.protocol.num_actions)
    keeper, found = ScoreKeeper(num_envs), []
    with closing(envs):
        stacks = FrameStack(envs.reset())
        while quota.any():
            step = envs.step(actions_of(stacks.obs(), stacks.begins).numpy())
            stacks.push(step.frame, step.over)
            for game in keeper.update(step):
                # Games beyond an environment's quota are not counted: they are the short ones.
                if quota[game.env_index] > 0:
                    quota[game.env_index] -= 1
                    found.append(game)
    return [g.score for g in found], [g.length for g in found], envs.protocol


@dataclass(frozen=True)
class Played:
    """The scores and lengths (in env steps) of an agent's games, and how they were played."""

    scores: list[float]
    lengths: list[int]
    protocol: GameProtocol

    @property
    def mean(self) -> float:
        """Mean raw score."""
        return float(np.mean(self.scores))


def games_of(
    agent: Agent,
    games: int,
    *,
    seed: int,
    choice: Choosing = "sampled",
    epsilon: float | None = None,
    options: EnvOptions | None = None,
) -> Played:
    """Let an agent play full games from a seed; `epsilon` None: as its run says."""
    epsilon = agent.epsilon if epsilon is None else epsilon
    agent.generator.manual_seed(seed)

    def actions_of(obs: Tensor, begins: Tensor) -> Int64[Tensor, "N"]:
        return agent.choose(agent.judge(obs, begins)[0], choice, epsilon)

    num_actions = int(agent.card["num_actions"])
    options = options or agent.options
    return Played(*play_games(agent.env, options, games, seed, actions_of, num_actions))


def evaluate(
    agent: Agent,
    *,
    games: int = 20,
    choice: Choosing = "sampled",
    epsilon: float | None = None,
    seed: int = EVAL_SEED,
    options: EnvOptions | None = None,
) -> Evaluation:
    """Return the scores of an agent over full games; `epsilon` None: as its run says."""
    options = options or agent.options
    epsilon = agent.epsilon if epsilon is None else epsilon
    played = games_of(agent, games, seed=seed, choice=choice, epsilon=epsilon, options=options)
    rom = atari_ids().get(agent.env, "")
    if rom in RANDOM_AND_HUMAN:
        random, source = RANDOM_AND_HUMAN[rom][0], "published, Wang et al. 2016"
    else:
        # More than the agent's own: they are cheap, and what is compared with should stand still.
        fit = int(MOST_RANDOM_STEPS / max(1.0, float(np.mean(played.lengths))))
        count = max(games, min(RANDOM_GAMES, fit))
        random, source = random_score(agent, options, count, seed), f"measured, {count} games"
    scores, lengths, protocol = played.scores, played.lengths, played.protocol
    return Evaluation(scores, lengths, protocol, choice, epsilon, seed, random, source)


def random_score(agent: Agent, options: EnvOptions, games: int, seed: int) -> float:
    """Return the mean score of uniformly random actions on the same games."""
    num_actions = int(agent.card["num_actions"])
    generator = torch.Generator().manual_seed(seed)

    def actions_of(obs: Tensor, begins: Tensor) -> Int64[Tensor, "N"]:
        return torch.randint(num_actions, (len(obs),), generator=generator)

    return float(np.mean(play_games(agent.env, options, games, seed, actions_of)[0]))


def lines(result: dict[str, Any]) -> list[str]:
    """Return an evaluation for people."""
    protocol = result["protocol"]
    first = f"score {result['score']:.2f} (sd {result['standard_deviation']:.1f}, "
    first += f"min {result['min']:g}, max {result['max']:g}) over {result['games']} games"
    second = f"random play {result['baseline']:.1f} ({result['baseline_source']})"
    if result["human_normalised"] is not None:
        second += f"; human-normalised {100 * result['human_normalised']:.0f} %"
    third = f"protocol: {protocol['env']}, raw full-game scores, {protocol['choice']} actions"
    third += f", epsilon {protocol['epsilon']:g}, sticky {protocol['sticky']:g}"
    third += f", frame skip {protocol['frame_skip']}, {protocol['num_actions']} actions"
    if protocol["noop_max"]:
        third += f", fewer than {protocol['noop_max']} no-ops first"
    if protocol["max_frames"]:
        third += f", at most {protocol['max_frames']:,} frames"
    if protocol.get("adapted"):
        third += f"; {protocol['obs']}: {protocol['adapted']}"
    fourth = [f"note: {result['note']}"] if result["note"] else []
    return [first, second, f"{third}, seed {protocol['seed']}", *fourth]


def score(config: Config) -> dict[str, Any]:
    """Return the object that `arcadia eval --json` prints of an agent."""
    agent = agent_of(config.run, config.env, best=config.best)
    given = {k: getattr(config, k) for k in ("sticky", "noop_max", "max_frames")}
    options = changed(agent.options, **{k: v for k, v in given.items() if v is not None})
    result = evaluate(
        agent,
        games=config.games,
        choice=config.choice,
        epsilon=config.epsilon,
        seed=config.seed,
        options=options,
    ).to_dict(agent.name)
    return {**result, "env_steps": agent.card["progress"]}


def main(config: Config) -> int:
    """The command `arcadia eval`."""
    result = score(config)
    if config.json:
        print(json.dumps(result))
    else:
        first = f"{result['run']} after {result['env_steps']:,} env steps"
        print(*map(printable, [first, *lines(result)]), sep="\n")
    return 0
