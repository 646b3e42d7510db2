"""Scores that others published, each with the protocol that it was made by.

Raw scores over full games by ROM name. They stand beside ours, and are never averaged with them:
protocols differ in sticky actions, in when weights are scored, and in the number of seeds.
"""

from typing import NamedTuple

ZOO = "https://github.com/DLR-RM/rl-baselines3-zoo/blob/master/benchmark.md"
CLEANRL = "https://docs.cleanrl.dev"
DOPAMINE = "https://github.com/google/dopamine/tree/master/baselines/atari/data"
NATURE = "https://doi.org/10.1038/nature14236"


class Published(NamedTuple):
    """One row of somebody's table."""

    who: str
    env_steps: int
    sticky: float
    protocol: str
    url: str
    scores: dict[str, float]


def row(names: str, *scores: int | float | None) -> dict[str, float]:
    """Return scores by name; None: the table has none."""
    pairs = zip(names.split(), scores, strict=True)
    return {name: float(score) for name, score in pairs if score is not None}


GAMES = "pong breakout qbert space_invaders beam_rider seaquest ms_pacman freeway enduro"
FINAL = "the final weights, one seed"
LATE_TRAINING = "training games at the end, the mean of its seeds"
ITERATIONS = "training games of five iterations at the end, the mean of its seeds"

PUBLISHED = (
    Published(
        "stable-baselines3 zoo PPO", 10_000_000, 0.0, FINAL, ZOO,
        row(GAMES, 21.0, 398, 15_627, 960, 3_397, 1_784, 1_754, None, 996),
    ),
    Published(
        "stable-baselines3 zoo DQN", 10_000_000, 0.0, FINAL, ZOO,
        row(GAMES, 20.6, 358, 9_497, 623, 4_296, 2_000, 2_683, None, 831),
    ),
    Published(
        "stable-baselines3 zoo QR-DQN", 10_000_000, 0.0, FINAL, ZOO,
        row(GAMES, 20.5, 394, 14_800, 1_900, 17_123, 2_558, 998, None, 3_231),
    ),
    Published(
        "CleanRL PPO", 10_000_000, 0.0, LATE_TRAINING, CLEANRL,
        row(GAMES, 20.4, 415, None, None, 1_916, None, None, None, None),
    ),
    Published(
        "CleanRL DQN", 10_000_000, 0.0, LATE_TRAINING, CLEANRL,
        row(GAMES, 20.3, 367, None, 1_442, 6_673, None, 2_109, None, None),
    ),
    Published(
        "CleanRL PQN", 10_000_000, 0.0, LATE_TRAINING, CLEANRL,
        row(GAMES, 20.5, 385, None, 1_325, 5_753, None, 2_299, None, None),
    ),
    Published(
        "Dopamine DQN", 10_000_000, 0.25, ITERATIONS, DOPAMINE,
        row(GAMES, 18, 103, 8_288, 1_361, 4_643, 3_596, 2_612, 13, 1_437),
    ),
    Published(
        "Dopamine Rainbow", 10_000_000, 0.25, ITERATIONS, DOPAMINE,
        row(GAMES, 19, 48, 15_264, 1_582, 5_243, 3_019, 3_097, 33, 2_132),
    ),
    Published(
        "Dopamine IQN", 10_000_000, 0.25, ITERATIONS, DOPAMINE,
        row(GAMES, 20, 98, 12_553, 2_488, 6_403, 16_584, 4_418, 33, 2_082),
    ),
    Published(
        "DQN, Mnih et al. 2015", 50_000_000, 0.0, "30 games of the best weights", NATURE,
        row(GAMES, 18.9, 401, 10_596, 1_976, 6_846, 5_286, 2_311, 30.3, 302),
    ),
)  # fmt: skip
