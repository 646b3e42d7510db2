"""Does a run's memory grow? Train for an hour, then look at what it logged.

    arcadia train ppo --total-steps 30000000 --name hour     # ctrl-C after an hour
    python -m tests.faults.memory hour

The first ten minutes fill what is kept on purpose: a recent game for its picture, games' actions.
"""

import sys

from backbones.training.log import read_metrics
from backbones.training.run import find_run

WARM_UP_MIN = 10.0
MOST = 1.05


def main() -> int:
    """Print the resident memory after the warm-up; return 1 if it grew by more than 5 %."""
    lines = [row for row in read_metrics(find_run(sys.argv[1]).folder) if "time/minutes" in row]
    later = [row for row in lines if row["time/minutes"] >= WARM_UP_MIN]
    if not later:
        print(f"this run lasted {lines[-1]['time/minutes']:.0f} min; give it an hour")
        return 2
    sizes = [row["speed/resident_mib"] for row in later]
    minutes, growth = later[-1]["time/minutes"] - WARM_UP_MIN, max(sizes) / sizes[0]
    print(
        f"{sizes[0]:.0f} MiB at {WARM_UP_MIN:.0f} min; in the {minutes:.0f} min after it at most "
        f"{max(sizes):.0f}, at the end {sizes[-1]:.0f} MiB: at most {growth:.3f} times"
    )
    return 1 if growth > MOST else 0


if __name__ == "__main__":
    sys.exit(main())
