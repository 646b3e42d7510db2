"""The command `arcadia bench ppo-lstm`: recurrent PPO beside sb3-contrib's, as in `ppo.py`."""

from dataclasses import dataclass

from rl.bench import ppo as bench


@dataclass(frozen=True, kw_only=True)
class Config(bench.Config):
    """Measure PPO with an LSTM against sb3-contrib's RecurrentPPO, in turn, in one run."""


def main(config: Config) -> int:
    """Compare ours and RecurrentPPO."""
    return bench.compare(
        "ppo-lstm", config, "sb3-contrib", bench.measure_ours_lstm, bench.measure_contrib
    )
