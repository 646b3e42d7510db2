"""The command `arcadia bench pqn`: our PQN beside stable-baselines3's DQN, in turn, as in `ppo.py`.

Stable-baselines3 has no PQN: its DQN is what its users learn values of actions with. It is measured
as in `dqn.py`, with 8 games and 8 samples an env step. Ours has the preset `nature`, the full
Nature network with layer normalisation, and learns from 2 samples an env step: not the same
training. Memory is the peak of the process: ours has no replay, theirs holds 10,000 transitions.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from backbones.training.config import changed
from backbones.training.distributed import World
from rl import pqn
from rl.bench import ppo as bench
from rl.bench.dqn import measure_sb3


@dataclass(frozen=True, kw_only=True)
class Config(bench.Config):
    """Measure PQN beside stable-baselines3's DQN, in turn, in one run."""


def measure_ours(env: str, rollouts: int) -> dict[str, Any]:
    """Time our PQN, playing one rollout ahead of learning; `precision` is what it learns in."""
    training = pqn.JOB.build(changed(pqn.PRESETS["nature"], env=env), World())
    training.start()
    with ThreadPoolExecutor(1) as pool:
        training.advance(pool)
        return bench.timed(training, pool, rollouts)


def main(config: Config) -> int:
    """Compare ours and DQN."""
    return bench.compare("pqn", config, "stable-baselines3", measure_ours, measure_sb3)
