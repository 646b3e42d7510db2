"""The command `arcadia bench ppo-lstm`: recurrent PPO beside sb3-contrib's, as in `rl/bench.py`."""

from rl.bench import Config, compare, measure_contrib, measure_ours_lstm

__all__ = ["Config", "main"]


def main(config: Config) -> int:
    """Compare ours and RecurrentPPO."""
    return compare("ppo-lstm", config, "sb3-contrib", measure_ours_lstm, measure_contrib)
